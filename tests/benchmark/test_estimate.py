"""What the paper's tables will cost: the file holds what is calculated, and the calculation is right by hand."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import torchvision
from torch.utils.flop_counter import FlopCounterMode

from spacemeshlab.benchmark import estimate
from spacemeshlab.benchmark.measure import multiply_adds
from spacemeshlab.recipe import RECIPES, get_recipe
from spacemeshlab.step import build_network
from spacemeshlab.tables import TABLES

FILE = Path(__file__).resolve().parents[2] / "book" / "results" / "estimate.json"
SAVED = json.loads(FILE.read_text(encoding="utf-8"))
PLAN = estimate.plan()


def test_every_trained_row_of_every_table_has_one_run():
    rows = [(table, row) for run in PLAN.values() for table, names in run.rows.items() for row in names]
    wanted = [(str(table), row.name) for table in TABLES if table != 3 for row in TABLES[table]]
    assert sorted(rows) == sorted(wanted)
    assert [run for run in PLAN.values() if {"1", "2"} <= set(run.rows)], "SpaM with attention is in both tables"
    assert {run.recipe.iterations for run in PLAN.values()} == {80_000}


@pytest.mark.slow
@pytest.mark.parametrize("name", PLAN)
def test_the_file_holds_what_the_script_calculates_of_a_run(name):
    assert SAVED["runs"][name] == {"rows": PLAN[name].rows, **estimate.cost(PLAN[name].recipe)}


def test_the_file_holds_these_runs_their_sums_and_the_assumed_rates():
    assert list(SAVED["runs"]) == list(PLAN)
    assert SAVED["tables"] == estimate.sums(SAVED["runs"].values())
    assert SAVED["gpus"] == json.loads(json.dumps({name: asdict(gpu) for name, gpu in estimate.GPUS.items()}))
    assert (SAVED["seeds"], SAVED["at_once"]) == (3, 8)
    assert "not measured" in SAVED["about"]


def test_hours_are_operations_by_the_rate_at_each_share():
    gpu = estimate.Gpu(
        bf16=estimate.Rate(100, 0.25, 0.5),
        tf32=estimate.Rate(50, 0.25, 0.5),
        float32=estimate.Rate(10, 0.5, 1.0),
        source="",
    )
    hour = 3600 * 10**12 // 2  # multiply–adds that a TFLOP/s does in an hour
    assert gpu.hours(100 * hour, 50 * hour, "bf16-mixed") == pytest.approx([3, 6])
    assert gpu.hours(100 * hour, 50 * hour, "32-true") == pytest.approx([4 + 5, 8 + 10])


@pytest.mark.parametrize(
    ("hours", "workers", "end"),
    [([5, 3, 2], 1, 10), ([5, 3, 2], 3, 5), ([2, 3, 5], 2, 5), ([4, 4, 3, 3, 3], 2, 10), ([], 8, 0)],
)
def test_the_longest_job_starts_first_and_a_free_gpu_takes_the_next(hours, workers, end):
    assert estimate.makespan(hours, workers) == end


@pytest.mark.parametrize("name", ["cityscapes resnet101-spam-attention-metrocon2-1-9", "cityscapes resnet50-aspp"])
def test_products_are_the_multiply_adds_that_are_no_convolutions_of_torchs(name):
    recipe = PLAN[name].recipe
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        net, images = build_network(recipe, 19), torch.empty(2, 3, 96, 128)
        net(images)
    convolutions = counter.get_flop_counts()["Global"][torch.ops.aten.convolution]
    assert 2 * estimate.products_of(net, images) == counter.get_total_flops() - convolutions


def test_convolutions_may_use_tf32_and_products_may_not_in_torchs_own_settings():
    assert torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert estimate.PRECISIONS["32-true"] == ("tf32", "float32")
    assert {RECIPES[name].precision for name in estimate.RECIPES.values()} == {"32-true"}


def test_the_shares_of_an_a100_are_half_and_twice_of_what_nvidia_reaches_with_a_resnet_50():
    with torch.device("meta"):
        net = torchvision.models.resnet50()
        forward = multiply_adds(lambda: net(torch.empty(1, 3, 224, 224)))
    images_a_second = 2470  # one A100, mixed precision: NVIDIA/DeepLearningExamples, ResNet50 v1.5 for PyTorch
    stated, low, high = estimate.GPUS["A100"].bf16
    share = images_a_second * 3 * 2 * forward / (stated * 1e12)
    assert low == pytest.approx(share / 2, abs=0.01)
    assert high == pytest.approx(share * 2, abs=0.02)


def test_a_run_needs_at_least_its_weights_gradients_and_momentum():
    small = get_recipe("cityscapes", ["backbone=resnet18", "pretrained=false", "crop=64x64", "batch_size=2"])
    found = estimate.cost(small)
    assert found["memory"] > 3 * 4 * found["weights"]
    assert found["multiply_adds"] > found["products"] > 0

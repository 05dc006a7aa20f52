"""Scoring and loading: the same counts as torchmetrics, and every image of the plan loaded once."""

from __future__ import annotations

import pytest
import torch

from spacemeshlab.benchmark import supply
from spacemeshlab.benchmark.bench import Bench
from spacemeshlab.errors import UserError
from spacemeshlab.recipe import get_recipe

QUICK = Bench(torch.device("cpu"), quick=True)


def test_both_confusion_matrices_are_equal_and_the_bytes_are_those_of_the_maps():
    (done,) = supply.run_metrics(QUICK)["settings"].values()
    assert done["equal"] is True
    assert {row["bytes_moved"] for row in done["cases"].values()} == {2 * 8 * 64 * 128}
    assert {row["result_bytes"] for row in done["cases"].values()} >= {19 * 19 * 8}


@pytest.fixture
def source(toycity_dir):
    return supply.Source("ToyCity", toycity_dir, get_recipe("toycity", ("crop=32x64", "batch_size=2")))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_timer_of_loading_can_be_asked_again(source, workers):
    timer = supply._loading(source, workers, batches=3)
    assert timer() > 0
    assert timer() > 0


def test_too_little_shared_memory_is_a_reason_and_no_crash(source, monkeypatch):
    def refuse(source, workers, batches):
        if workers:
            raise UserError("expected shared memory, found none")
        return lambda: 0.5

    monkeypatch.setattr(supply, "_loading", refuse)
    monkeypatch.setattr(supply, "stepper", lambda *_: lambda: 1.0)
    monkeypatch.setattr(supply, "stopwatch", lambda *_: lambda: 2.0)
    done = supply.compare_loading(QUICK, source)
    assert done["cases"]["load, workers=1"] == {"status": "not run", "reason": "expected shared memory, found none"}
    assert done["cases"]["load, workers=0"]["images_per_second"] == 4.0  # two images in half a second
    assert done["ratios"] == {"training step / load, workers=0": {"median": 4.0, "min": 4.0, "max": 4.0}}


@pytest.mark.parametrize(("kind", "recipe"), [("cpu", "toycity"), ("cuda", "cityscapes")])
def test_the_recipe_fits_the_machine(tmp_path, monkeypatch, kind, recipe):
    monkeypatch.setattr(supply.toycity, "generate", lambda folder, **_: folder)
    monkeypatch.chdir(tmp_path)
    (found,) = supply._sources(Bench(torch.device(kind)), tmp_path)
    assert found.recipe.name == recipe
    (tmp_path / "data" / "camvid").mkdir(parents=True)
    camvid = supply._sources(Bench(torch.device(kind)), tmp_path)[1]
    assert camvid.recipe.name == {"cpu": "camvid-cpu", "cuda": "camvid"}[kind]
    assert camvid.recipe.pretrained is False

"""What is said and refused before a run: batches, memory and disk, counted and measured."""

from __future__ import annotations

import re

import lightning as L
import pytest
import torch
from torch import Tensor, nn

import spacemeshlab.preflight as module
from spacemeshlab.data import open_dataset
from spacemeshlab.data.transforms import eval_transform
from spacemeshlab.errors import UserError
from spacemeshlab.preflight import (
    GIB,
    Probe,
    bytes_kept,
    check_batch,
    check_disk,
    check_memory,
    check_precision,
    preflight,
    probe,
    summary,
    sync_batch_norm,
)
from spacemeshlab.recipe import Recipe, get_recipe

CPU, GPU = torch.device("cpu"), torch.device("cuda")


class Counted(nn.Module):
    """Autograd keeps its input and, for the square, its convolution's output."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 1, bias=False)
        self.norm = nn.BatchNorm2d(5)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"out": self.conv(images) ** 2}


def small(*overrides: str) -> Recipe:
    return get_recipe("toycity", ["crop=16x32", "rates=1,2", "batch_size=4", "scale=1", *overrides])


@pytest.fixture
def processes(monkeypatch):
    """``processes(n)``: this is one of n."""
    return lambda number: monkeypatch.setattr(module, "world_size", lambda: number)


def test_batch_norm_is_synchronised_for_several_processes_on_gpus_only(processes):
    assert not sync_batch_norm(GPU)
    processes(2)
    assert sync_batch_norm(GPU)
    assert not sync_batch_norm(CPU)  # PyTorch's refuses modules on a CPU


@pytest.mark.parametrize(
    ("count", "device", "overrides", "images"),
    [(1, CPU, [], 4), (1, CPU, ["accumulate=2"], 2), (2, CPU, [], 2), (4, GPU, [], 1), (2, GPU, ["accumulate=2"], 1)],
)
def test_a_process_takes_its_share_of_a_part(processes, count, device, overrides, images):
    processes(count)
    assert check_batch(small(*overrides), device) == images


@pytest.mark.parametrize(
    ("count", "device", "overrides", "message"),
    [
        (3, GPU, [], "a multiple of 3 processes times accumulate=1, found 4: set batch_size=6"),
        (1, GPU, ["accumulate=4"], r"at least two images for batch norm, found one: .*; set accumulate=2"),
        (4, CPU, [], r"at least two images for batch norm, found one: .*; set batch_size=8"),
    ],
)
def test_a_batch_that_cannot_be_trained_with_is_refused_with_one_that_can(processes, count, device, overrides, message):
    processes(count)
    with pytest.raises(UserError, match=message) as refused:
        check_batch(small(*overrides), device)
    assert "\n" not in str(refused.value)


def test_float16_needs_a_gpu(monkeypatch):
    check_precision(small("precision=bf16-mixed"))
    with pytest.raises(UserError, match="a GPU for precision=16-mixed, found none: set precision=bf16-mixed"):
        check_precision(small("precision=16-mixed"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check_precision(small("precision=16-mixed"))


@pytest.mark.parametrize("device", [CPU, GPU])
def test_the_batch_that_the_message_asks_for_is_accepted(processes, device):
    processes(4)
    for overrides in (["batch_size=6"], ["batch_size=8", "accumulate=2"]):
        try:
            check_batch(small(*overrides), device)
        except UserError as error:
            mended = re.search(r"set (\w+=\d+)", str(error))[1]
            check_batch(small(*overrides, mended), device)


def test_what_autograd_keeps_is_counted_without_computing_anything():
    net = Counted()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    pixels = 3 * 16 * 32
    assert bytes_kept(net, 3, small()) == 4 * pixels * (3 + 5)
    assert bytes_kept(net, 6, small()) == 2 * bytes_kept(net, 3, small())
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert net.conv.weight.grad is None


def test_half_precision_keeps_less():
    net = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU())
    kept = {precision: bytes_kept(net, 2, small(f"precision={precision}")) for precision in ("32-true", "bf16-mixed")}
    assert 0.4 < kept["bf16-mixed"] / kept["32-true"] < 0.7


def test_enough_memory_is_a_sentence_and_too_little_names_a_recipe_that_fits(monkeypatch):
    net, recipe = Counted(), small("batch_size=8", "crop=768x768")
    need = bytes_kept(net, 8, recipe)
    monkeypatch.setattr(module, "memory_free", lambda: need + 2**20)
    assert check_memory(net, recipe, 8, CPU) == (
        f"memory: at least {need / GIB:.1f} GiB of the {(need + 2**20) / GIB:.1f} GiB that are free"
    )
    monkeypatch.setattr(module, "memory_free", lambda: need // 2)
    message = (
        rf"expected at least {need / GIB:.1f} GiB of memory for 8 images of 768x768 at a time, found "
        rf"{need / 2 / GIB:.1f} GiB free: set accumulate=4 or precision=bf16-mixed"
    )
    with pytest.raises(UserError, match=message):
        check_memory(net, recipe, 8, CPU)
    assert "free" in check_memory(net, small("batch_size=8", "crop=768x768", "accumulate=4"), 2, CPU)


def test_processes_of_one_machine_share_its_memory(monkeypatch):
    net, recipe = Counted(), small()
    monkeypatch.setattr(module, "memory_free", lambda: 8 * GIB)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert "of the 2.0 GiB" in check_memory(net, recipe, 2, CPU)


def test_too_small_a_disk_is_refused_before_the_first_checkpoint_fails(tmp_path, monkeypatch):
    check_disk(Counted(), tmp_path)
    usage = module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=100))
    with pytest.raises(UserError, match=r"expected 0.00 GiB for checkpoints in .*: make room, or choose another"):
        check_disk(Counted(), tmp_path)


def test_the_summary_says_device_precision_effective_batch_and_epochs(processes):
    recipe = small("batch_size=8", "accumulate=2", "iterations=5000", "precision=bf16-mixed", "compile=true")
    processes(2)
    first, second = summary(recipe, 2, 2975, CPU).splitlines()
    assert first == "toycity: 2 x CPU (1 thread), bf16-mixed, compiled"
    assert second == (
        "batch 8 = 2 processes x 2 parts x 2 images, batch norm over 2 images; "
        "5,000 iterations = 13.4 epochs of 2,975 images"
    )


def test_the_estimate_adds_up_steps_and_validations(processes):
    found = Probe(step=0.5, image=2.0, peak=3 * GIB)
    assert found.sentence(1000, 2, 100) == (
        "measured: 0.5 s a step, 2 s a validation image, 3.0 GiB; about 15 min for 1000 iterations and 2 validations"
    )
    processes(4)
    assert "about 1 h 24 min for 10000 iterations and 1 validation" in found.sentence(10_000, 1, 100)


def test_a_probe_measures_a_copy(toycity_dir):
    fabric = L.Fabric(accelerator="cpu", devices=1)
    net = Counted()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    sizes = []
    torch.manual_seed(3)
    state = torch.get_rng_state()
    hook = nn.modules.module.register_module_forward_pre_hook(
        lambda module, images: sizes.append(tuple(images[0].shape)) if isinstance(module, Counted) else None
    )
    try:
        found = probe(fabric, net, small("accumulate=2"), 2, (10, 20))
    finally:
        hook.remove()
    assert sizes == [(2, 3, 16, 32), (2, 3, 16, 32), (1, 3, 10, 20)]
    assert found.step > 0
    assert found.image > 0
    assert found.peak > 2**20
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert net.conv.weight.grad is None
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("left", "measured"), [(module.LONG, True), (module.LONG - 1, False)])
def test_only_a_long_run_is_measured_first(toycity_dir, tmp_path, left, measured):
    sets = [open_dataset("cityscapes", toycity_dir, split, eval_transform()) for split in ("train", "val")]
    fabric = L.Fabric(accelerator="cpu", devices=1)
    lines = preflight(fabric, Counted(), small(), tmp_path, *sets, left)
    assert any(line.startswith("measured: ") for line in lines) == measured

"""What a run will be, said before it starts, and what cannot work, refused before it costs a night (chapter 13)."""

from __future__ import annotations

import copy
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import psutil
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from spacemeshlab.data import SegmentationDataset
from spacemeshlab.distributed import world_size
from spacemeshlab.errors import UserError
from spacemeshlab.machine import memory_free
from spacemeshlab.models.fuse import inference_copy
from spacemeshlab.recipe import Recipe

try:
    import resource
except ImportError:  # Windows
    resource = None

GIB = 2**30
LONG = 100
"""Iterations from which on a run is worth measuring two steps first."""


def preflight(
    fabric: L.Fabric,
    net: nn.Module,
    recipe: Recipe,
    folder: Path,
    train_set: SegmentationDataset,
    val_set: SegmentationDataset,
    left: int,
) -> list[str]:
    """Check a run that has ``left`` iterations to go, and measure it if they are many.

    Args:
        fabric: has the device and the precision.
        net: plain, on the CPU; it stays as it is.
        recipe: what is going to run.
        folder: where the checkpoints will be.
        train_set, val_set: what it trains and is scored on.
        left: iterations to go.

    Returns:
        Lines that say what is going to happen.

    Raises:
        UserError: a batch, memory or disk with which the run cannot work; says what would.
    """
    images = check_batch(recipe, fabric.device)
    check_disk(net, folder)
    lines = [
        summary(recipe, images, len(train_set), fabric.device),
        check_memory(net, recipe, images, fabric.device),
    ]
    if left >= LONG:
        size = [max(1, round(side * recipe.scale)) for side in val_set[0][0].shape[-2:]]
        found = probe(fabric, net, recipe, images, size)
        lines.append(found.sentence(left, -(-left // recipe.validate_every), len(val_set)))
    return lines


def sync_batch_norm(device: torch.device) -> bool:
    """Whether batch norm is taken over all processes: with several of them, and on GPUs, where PyTorch can do it."""
    return world_size() > 1 and device.type == "cuda"


def check_precision(recipe: Recipe) -> None:
    """Refuse float16 without a GPU: Lightning would quietly take bfloat16."""
    if recipe.precision == "16-mixed" and not torch.cuda.is_available():
        raise UserError("expected a GPU for precision=16-mixed, found none: set precision=bf16-mixed or 32-true")


def check_batch(recipe: Recipe, device: torch.device) -> int:
    """Images that one process takes at a time.

    Raises:
        UserError: a batch that the processes and parts cannot share evenly; batch norm over a single image.
    """
    processes = world_size()
    parts = processes * recipe.accumulate
    if recipe.batch_size % parts:
        raise UserError(
            f"expected batch_size to be a multiple of {processes} processes times accumulate={recipe.accumulate}, "
            f"found {recipe.batch_size}: set batch_size={-(-recipe.batch_size // parts) * parts}"
        )
    images = recipe.batch_size // parts
    if images * (processes if sync_batch_norm(device) else 1) < 2:
        mend = f"accumulate={recipe.accumulate // 2}" if recipe.accumulate > 1 else f"batch_size={2 * parts}"
        raise UserError(
            "expected at least two images for batch norm, found one: "
            f"batch_size={recipe.batch_size} in {processes} processes times accumulate={recipe.accumulate}; set {mend}"
        )
    return images


def bytes_kept(net: nn.Module, images: int, recipe: Recipe) -> int:
    """What autograd keeps of one forward pass, counted on tensors without numbers.

    Shape: as for images (N, 3, *crop) with N = ``images``; ``net`` stays as it is.
    """
    kept: dict[int, int] = {}
    tensors = []  # alive until all are counted: a storage's address must not be given away twice

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        tensors.append(tensor)
        return tensor

    names = dict(net.named_parameters()) | dict(net.named_buffers())
    reduced = torch.float16 if recipe.precision == "16-mixed" else torch.bfloat16
    with (
        FakeTensorMode() as fake,
        torch.autocast("cpu", reduced, enabled=recipe.precision != "32-true"),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        state = {name: fake.from_tensor(tensor.cpu()) for name, tensor in names.items()}
        torch.func.functional_call(net, state, (torch.empty(images, 3, *recipe.crop),))
    weights = {tensor.untyped_storage()._cdata for tensor in state.values()}
    return sum(size for storage, size in kept.items() if storage not in weights)


def check_memory(net: nn.Module, recipe: Recipe, images: int, device: torch.device) -> str:
    """A sentence on the memory that training takes at least: weights, gradients, momentum, and what autograd keeps.

    Raises:
        UserError: more than there is; says which recipe would fit.
    """
    local = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else memory_free() // local
    fixed = 3 * sum(parameter.nbytes for parameter in net.parameters())
    kept = bytes_kept(net, images, recipe)
    if fixed + kept <= free:
        return f"memory: at least {(fixed + kept) / GIB:.1f} GiB of the {free / GIB:.1f} GiB that are free"
    fits = [
        recipe.accumulate * parts
        for parts in range(2, images // 2 + 1)
        if images % parts == 0 and fixed + kept / parts < 0.9 * free
    ]
    mends = [f"accumulate={fits[0]}"] if fits else []
    mends += ["precision=bf16-mixed"] if recipe.precision == "32-true" else []
    mends += ["a smaller crop", "a smaller backbone"] if not mends else []
    raise UserError(
        f"expected at least {(fixed + kept) / GIB:.1f} GiB of memory for {images} images of "
        f"{recipe.crop[0]}x{recipe.crop[1]} at a time, found {free / GIB:.1f} GiB free: set {' or '.join(mends)}"
    )


def check_disk(net: nn.Module, folder: Path) -> None:
    """Refuse now what would fail at the first checkpoint: two checkpoints and a draft, weights and momentum each."""
    need = 3 * 2 * sum(tensor.nbytes for tensor in net.state_dict().values())
    free = shutil.disk_usage(folder).free
    if free < need:
        raise UserError(
            f"expected {need / GIB:.2f} GiB for checkpoints in {folder}, found {free / GIB:.2f} GiB free: "
            "make room, or choose another --run-dir"
        )


def summary(recipe: Recipe, images: int, dataset_size: int, device: torch.device) -> str:
    """Device, precision, effective batch and epochs, in two lines."""
    processes, threads = world_size(), torch.get_num_threads()
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU ({_count(threads, 'thread')})"
    epochs = recipe.iterations * recipe.batch_size / dataset_size
    norm = "over all processes" if sync_batch_norm(device) else f"over {images} images"
    return (
        f"{recipe.name}: {processes} x {where}, {recipe.precision}{', compiled' if recipe.compile else ''}\n"
        f"batch {recipe.batch_size} = {_count(processes, 'process')} x {_count(recipe.accumulate, 'part')} x {images} "
        f"images, batch norm {norm}; {recipe.iterations:,} iterations = {epochs:.1f} epochs of {dataset_size:,} images"
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 'es' if word.endswith('s') else 's'}"


@dataclass(frozen=True)
class Probe:
    """What two trial steps showed: seconds a step, seconds a validation image, peak bytes of this process."""

    step: float
    image: float
    peak: int

    def sentence(self, iterations: int, validations: int, val_images: int) -> str:
        """The estimate for what is left of a run."""
        seconds = iterations * self.step + validations * val_images / world_size() * self.image
        hours, minutes = divmod(max(1, round(seconds / 60)), 60)
        return (
            f"measured: {self.step:.3g} s a step, {self.image:.3g} s a validation image, {self.peak / GIB:.1f} GiB; "
            f"about {f'{hours} h {minutes:02d}' if hours else minutes} min for {_count(iterations, 'iteration')} "
            f"and {_count(validations, 'validation')}"
        )


def probe(fabric: L.Fabric, net: nn.Module, recipe: Recipe, images: int, val_size: Sequence[int]) -> Probe:
    """Time a forward and backward pass on a copy of ``net``, the second of two, and one validation image.

    Args:
        fabric: has the device and the precision.
        net: plain; it stays as it is.
        recipe: whose parts of a batch are timed.
        images: in one part.
        val_size: rows and columns of a validation image, at the recipe's scale.
    """
    trial = copy.deepcopy(net).to(fabric.device)
    batch = torch.randn(images, 3, *recipe.crop, generator=torch.Generator().manual_seed(0)).to(fabric.device)
    for _ in range(2):
        started = _now(fabric.device)
        with fabric.autocast():
            logits = trial(batch)
        sum(maps.float().logsumexp(1).mean() for maps in logits.values()).backward()
        step = (_now(fabric.device) - started) * recipe.accumulate
        trial.zero_grad()
    del logits
    frozen = inference_copy(trial.eval())
    started = _now(fabric.device)
    with fabric.autocast(), torch.inference_mode():
        frozen(torch.zeros(1, 3, *val_size, device=fabric.device))
    return Probe(step, _now(fabric.device) - started, peak_memory(fabric.device))


def peak_memory(device: torch.device) -> int:
    """The most bytes that this process has held: on the GPU, or in main memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if resource is None:
        return psutil.Process().memory_info().rss
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()

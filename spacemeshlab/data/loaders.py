"""Batches whose content depends on (seed, iteration) and on nothing else (chapter 13).

A run that is killed in the middle of an epoch must go on as if nothing had happened. So no generator is carried from
batch to batch: the plan computes each batch from the seed and the iteration's number, and each image's augmentation
has a seed of its own. Neither the number of workers nor the start changes what iteration 1,234 sees.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from spacemeshlab.errors import UserError

Key = tuple[int, int]
"""Index of an image, seed of its augmentation."""

_PREFETCH = 2  # batches that each worker keeps ready


class BatchPlan(Sampler[list[Key]]):
    """The keys of every batch, computed from ``(seed, iteration)``.

    Every epoch is a new permutation; its last, incomplete batch is dropped (batch norm, and equal steps, want full
    batches).

    Args:
        num_images: size of the data set.
        batch_size: images in an iteration, over all processes together.
        seed: not negative.
        stop: the iteration after the last.
        start: the first iteration; the batches from there on are those of a plan that started at 0.
        rank, world_size: this process and their number; each takes its share of every batch.

    Raises:
        UserError: fewer images than a batch, or a batch that the processes cannot share evenly.
    """

    def __init__(
        self,
        num_images: int,
        batch_size: int,
        seed: int,
        *,
        stop: int,
        start: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if batch_size > num_images:
            raise UserError(
                f"expected at least batch_size={batch_size} images, found {num_images}: "
                f"set batch_size={num_images} or less, or add images"
            )
        if batch_size % world_size:
            raise UserError(f"expected batch_size to be a multiple of the {world_size} processes, found {batch_size}")
        if seed < 0:
            raise UserError(f"expected a seed of 0 or more, found {seed}: set seed=0")
        self.num_images, self.batch_size, self.seed = num_images, batch_size, seed
        self.start, self.stop = start, stop
        self.rank, self.world_size = rank, world_size
        self.per_epoch = num_images // batch_size
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)  # the latest permutation; a cache, no state

    def __len__(self) -> int:
        return max(0, self.stop - self.start)

    def __iter__(self) -> Iterator[list[Key]]:
        return (self.batch(iteration) for iteration in range(self.start, self.stop))

    def batch(self, iteration: int) -> list[Key]:
        """This process's keys of one iteration."""
        epoch, position = divmod(iteration, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, np.random.default_rng((self.seed, 0, epoch)).permutation(self.num_images)
        indices = self._order[position * self.batch_size :][: self.batch_size]
        seeds = np.random.default_rng((self.seed, 1, iteration)).integers(2**63, size=self.batch_size)
        keys = [(int(index), int(seed)) for index, seed in zip(indices, seeds, strict=True)]
        return keys[self.rank :: self.world_size]


class SeededView(Dataset):
    """A data set that is asked with ``(index, seed)`` and draws its random numbers from that seed alone.

    This holds for torch's, Python's and NumPy's global generators on the CPU, whichever a transform uses. All three
    then go on as if nothing had been drawn; the GPUs' generators are not touched.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Key) -> tuple[torch.Tensor, torch.Tensor]:
        index, seed = key
        with _seeded(seed):
            return self.dataset[index]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the generators that transforms may draw from, and set them back afterwards; also NumPy's old one."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would reset the GPUs' generators too
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


class OneLineLoader(DataLoader):
    """A loader that passes a worker's :class:`UserError` on as the one line it was, without the worker's traceback."""

    def __iter__(self) -> Iterator:
        try:
            yield from super().__iter__()
        except UserError as error:
            line = str(error).strip().splitlines()[-1].split("UserError: ", 1)[-1]
            # both hold on to the workers; left to the garbage collector, these would end only after a 5-second timeout
            error.__traceback__ = self._iterator = None
        else:
            return
        raise UserError(line)


def train_loader(
    dataset: Dataset,
    batch_size: int,
    iterations: int,
    seed: int,
    workers: int,
    start: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader:
    """Batches of the iterations ``start`` to ``iterations - 1``, in order.

    Args:
        dataset: a :class:`~spacemeshlab.data.dataset.SegmentationDataset` with a training transform.
        batch_size: images in an iteration, over all processes together; each process gets its share.
        iterations: length of the whole run, not of what is left of it.
        seed: of the run.
        workers: loader processes; 0 loads in this one. The batches are the same.
        start: the first iteration wanted; where a resumed run goes on.
        rank, world_size: this process and their number.

    Shape:
        yields images (N, 3, h, w) float32, targets (N, h, w) int64, with N = batch_size / world_size

    Raises:
        UserError: fewer images than a batch; too little shared memory for the workers; what the data set raises.
    """
    view = SeededView(dataset)
    plan = BatchPlan(len(dataset), batch_size, seed, start=start, stop=iterations, rank=rank, world_size=world_size)
    if workers and len(plan):
        check_shared_memory(view[plan.batch(start)[0]], batch_size, workers)
    return OneLineLoader(view, batch_sampler=plan, **_options(workers))


def eval_loader(dataset: Dataset, workers: int, rank: int = 0, world_size: int = 1) -> DataLoader:
    """Every image once, one at a time, in order: images may differ in size, and none is repeated to fill a batch.

    Shape:
        yields image (1, 3, h, w) float32, target (1, H, W) int64; process ``rank`` gets every ``world_size``-th image
    """
    return OneLineLoader(dataset, batch_size=1, sampler=range(rank, len(dataset), world_size), **_options(workers))


def _options(workers: int) -> dict:
    """Options that both loaders share. Workers set themselves to one torch thread: PyTorch's worker loop does it."""
    options = {"num_workers": workers, "pin_memory": torch.cuda.is_available()}
    return options | {"persistent_workers": True, "prefetch_factor": _PREFETCH} if workers else options


def check_shared_memory(
    sample: tuple[torch.Tensor, ...], batch_size: int, workers: int, folder: str = "/dev/shm"
) -> None:
    """Refuse now, in words, what would end later in a bus error: containers often have 64 MB of shared memory."""
    if not Path(folder).is_dir():
        return  # not Linux: workers hand their batches over in another way
    need = workers * _PREFETCH * batch_size * sum(tensor.nbytes for tensor in sample) / 2**20
    free = shutil.disk_usage(folder).free / 2**20
    if need > free:
        raise UserError(
            f"expected about {need:.0f} MiB of shared memory for {workers} loader processes, found {free:.0f} MiB free "
            f"in {folder}: set workers=0, or start the container with more (docker run --shm-size=8g)"
        )

"""One process among those of a run; alone, a process is rank 0 of 1 (chapter 13)."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if _together() else 0


def world_size() -> int:
    """How many processes work on this run."""
    return dist.get_world_size() if _together() else 1


def add_up(tensor: Tensor) -> Tensor:
    """The sum over all processes, in place; every process must call it."""
    if _together():
        dist.all_reduce(tensor)
    return tensor


def wait_for_all() -> None:
    """Return when every process has come this far."""
    if _together():
        dist.barrier()


def _together() -> bool:
    return dist.is_available() and dist.is_initialized()

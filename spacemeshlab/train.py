"""A whole training run, from an empty run directory or from where one stopped (paper section 3; chapter 13).

One process or many, on one machine or several: each takes its share of every batch. The run itself is
:mod:`spacemeshlab.run`, a single step :mod:`spacemeshlab.step`.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import lightning as L
import torch

from spacemeshlab.checkpoint import RunDirectory
from spacemeshlab.data import open_dataset
from spacemeshlab.data.transforms import eval_transform, train_transform
from spacemeshlab.errors import UserError
from spacemeshlab.launch import launch, started_by_torchrun
from spacemeshlab.preflight import check_precision
from spacemeshlab.recipe import Recipe
from spacemeshlab.run import Run


def train(recipe: Recipe, data_root: str | Path, run_dir: str | Path, progress: bool = True) -> Path:
    """Run a recipe to its end, from the start or from ``run_dir``'s last checkpoint.

    With ``recipe.devices`` > 1 the run takes place in processes of its own, and this one shows how far they are. A
    process that torchrun started takes its part in the run instead.

    Args:
        recipe: what to train.
        data_root: the data set's folder.
        run_dir: the run's files, see :mod:`spacemeshlab.checkpoint`; several machines must share it.
        progress: say what is going to happen, and show loss, validation mIoU and time left.

    Returns:
        ``run_dir``.

    Raises:
        UserError: data, folder or recipe that do not fit; a loss that is no number.
        SystemExit: the machine asked for an end with SIGTERM or SIGUSR1; the run is saved.
    """
    with _said_once():
        train_set = open_dataset(recipe.dataset, data_root, "train", _augmentation(recipe), cache=recipe.cache)
        val_set = open_dataset(recipe.dataset, data_root, "val", eval_transform(), cache=recipe.cache)
        check_precision(recipe)
        files = RunDirectory(run_dir, recipe)
        if recipe.devices > 1 and not started_by_torchrun():
            return launch(recipe, data_root, files, progress)
    try:
        with _said_once():
            run = Run(_fabric(recipe), recipe, files, train_set, val_set, progress)
        run.go()
    except torch.OutOfMemoryError:
        raise UserError(
            f"expected {recipe.name} to fit into the GPU's memory, found it too small: "
            f"set accumulate={2 * recipe.accumulate}, or precision=bf16-mixed, or a smaller crop"
        ) from None
    finally:
        files.close()
    return files.path


@contextlib.contextmanager
def _said_once() -> Iterator[None]:
    """Before the first step all processes find the same faults: the first one of a machine says it."""
    try:
        yield
    except UserError:
        if int(os.environ.get("LOCAL_RANK", 0)) > 0:
            sys.exit(2)
        raise


def _augmentation(recipe: Recipe) -> Callable:
    return train_transform(recipe.crop, recipe.scale_range, recipe.flip, recipe.scale)


def _fabric(recipe: Recipe) -> L.Fabric:
    """Lightning Fabric on the devices that torchrun gave out; without torchrun on one."""
    local = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    machines = int(os.environ.get("WORLD_SIZE", 1)) // local
    strategy = "ddp" if local * machines > 1 else "auto"
    fabric = L.Fabric(
        accelerator="auto", strategy=strategy, devices=local, num_nodes=machines, precision=recipe.precision
    )
    fabric.launch()
    return fabric

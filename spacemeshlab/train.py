"""A whole training run, from an empty run directory or from where one stopped (paper section 3; chapter 13).

Batches, augmentation and every other random number are a function of (seed, iteration) alone, so a resumed run sees
exactly what it would have seen. One process or many: each takes its share of every batch.
"""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import sys
import time
from pathlib import Path

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn

from spacemeshlab.checkpoint import RunDirectory, load_checkpoint
from spacemeshlab.data import SegmentationDataset, open_dataset
from spacemeshlab.data.loaders import BatchPlan, train_loader
from spacemeshlab.data.transforms import MEAN, STD, denormalise, eval_transform, train_transform
from spacemeshlab.distributed import add_up, rank, wait_for_all, world_size
from spacemeshlab.errors import UserError
from spacemeshlab.evaluate import describe, evaluate, protocol
from spacemeshlab.launch import launch, started_by_torchrun
from spacemeshlab.metrics import mean_iou
from spacemeshlab.pictures import side_by_side
from spacemeshlab.preflight import GIB, peak_memory, preflight, sync_batch_norm
from spacemeshlab.progress import Progress
from spacemeshlab.provenance import origin
from spacemeshlab.recipe import Recipe
from spacemeshlab.step import build_network, poly_lr, training_step
from spacemeshlab.stop import StopRequest
from spacemeshlab.weights import load_state, save_weights

LOG_EVERY = 10
"""Iterations between two lines of metrics.jsonl."""

PICTURES = 4
"""Validation images whose predictions TensorBoard shows."""

PICTURE_SIDE = 512
"""Most rows and columns of each: full-size pictures would fill the disk."""


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
    try:
        train_set = open_dataset(recipe.dataset, data_root, "train", _augmentation(recipe), cache=recipe.cache)
        val_set = open_dataset(recipe.dataset, data_root, "val", eval_transform(), cache=recipe.cache)
        files = RunDirectory(run_dir, recipe)
        if recipe.devices > 1 and not started_by_torchrun():
            return launch(recipe, data_root, files, progress)
        run = _Run(_fabric(recipe), recipe, files, train_set, val_set, progress)
    except UserError:
        if int(os.environ.get("LOCAL_RANK", 0)) > 0:
            sys.exit(2)  # every process finds the same fault: the first one of a machine says it
        raise
    try:
        run.go()
    finally:
        files.close()
    return files.path


def _augmentation(recipe: Recipe):
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


class _Run:
    """A run in progress: what a checkpoint holds, and the loop around it."""

    def __init__(
        self,
        fabric: L.Fabric,
        recipe: Recipe,
        files: RunDirectory,
        train_set: SegmentationDataset,
        val_set: SegmentationDataset,
        show: bool,
    ) -> None:
        self.fabric, self.recipe, self.files, self.show = fabric, recipe, files, show and rank() == 0
        self.train_set, self.val_set = train_set, val_set
        self.iteration, self.seconds, self.miou, self.best_miou = 0, 0.0, 0.0, -1.0
        if rank() == 0:
            files.lock()
        checkpoint = load_checkpoint(files.last) if files.last.exists() else None
        torch.manual_seed(recipe.seed)
        # a checkpoint brings its own weights: nothing to download then
        first = dataclasses.replace(recipe, pretrained=recipe.pretrained and checkpoint is None)
        net = build_network(first, len(train_set.labels))
        if sync_batch_norm(fabric.device):
            net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
        self.plain = net  # without the wrappers of Fabric and torch.compile: its names are those in the files
        left = recipe.iterations - (0 if checkpoint is None else checkpoint["iteration"])
        for line in preflight(fabric, net, recipe, files.path, train_set, val_set, left):
            self.say(line)
        optimizer = torch.optim.SGD(net.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)
        self.net, self.optimizer = fabric.setup(torch.compile(net) if recipe.compile else net, optimizer)
        self.scaler = getattr(fabric.strategy.precision, "scaler", None)  # 16-mixed has one
        if checkpoint is not None:
            self._resume(checkpoint)
        if rank() == 0:
            files.forget_after(self.iteration)
            if checkpoint is None:
                files.write_recipe(recipe, origin() | {"processes": world_size()})

    def say(self, line: str) -> None:
        if self.show:
            print(line, flush=True)

    def state(self) -> dict:
        """What a checkpoint holds: tensors and plain values."""
        labels = self.train_set.labels
        return {
            "model": self.plain.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict() if self.scaler is not None else {},
            "iteration": self.iteration,
            "seconds": self.seconds,
            "miou": self.miou,
            "best_miou": self.best_miou,
            "recipe": self.recipe.as_dict(),
            "classes": list(labels.classes),
            "palette": [list(colour) for colour in labels.palette],
            "file_values": list(labels.file_values),
            "mean": list(MEAN),
            "std": list(STD),
        }

    def _resume(self, checkpoint: dict) -> None:
        """Become what the run was when ``checkpoint`` was written, and say so."""
        load_state(self.plain, checkpoint["model"], self.files.last)
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        if self.scaler is not None and checkpoint.get("scaler"):
            self.scaler.load_state_dict(checkpoint["scaler"])
        for name in ("iteration", "seconds", "miou", "best_miou"):
            setattr(self, name, checkpoint[name])
        if add_up(torch.tensor(self.iteration, device=self.fabric.device)) != self.iteration * world_size():
            raise UserError(
                f"expected every machine to see the same {self.files.last}, found different ones: "
                "put --run-dir on a disk that they share"
            )
        if rank() == 0:
            print(f"resuming {self.files.path} at iteration {self.iteration} of {self.recipe.iterations}", flush=True)

    def go(self) -> None:
        """Step, log, and now and then validate and save; at the end write the weights for others."""
        recipe, before, started = self.recipe, self.seconds, time.perf_counter()
        batches = train_loader(
            self.train_set,
            recipe.batch_size,
            recipe.iterations,
            recipe.seed,
            recipe.workers,
            self.iteration,
            rank(),
            world_size(),
        )
        with StopRequest() as stop, Progress(recipe.name, recipe.iterations, self.iteration, self.show) as shown:
            for iteration, batch in enumerate(batches, self.iteration):
                torch.manual_seed(_random_state(recipe.seed, iteration, rank()))
                loss = training_step(
                    self.fabric, self.net, self.optimizer, self.fabric.to_device(batch), recipe, iteration
                )
                self._check(loss, iteration)
                self.iteration, self.seconds = iteration + 1, before + time.perf_counter() - started
                if self.iteration % LOG_EVERY == 0 and rank() == 0:
                    self.files.log(self.iteration, loss=loss, lr=poly_lr(recipe, iteration))
                stopping, finished = stop.agreed(self.fabric.device), self.iteration == recipe.iterations
                if self.iteration % recipe.validate_every == 0 or finished:
                    self._validate()
                elif stopping:
                    self._save()
                shown.update(self.iteration, loss=f"{loss:.3f}", mIoU=f"{self.miou:.3f}")
                if stopping and not finished:
                    self._leave(stop.signal or signal.SIGTERM)
        if rank() == 0:
            save_weights(self.plain, self.files.path / "model.safetensors", recipe, self.train_set.labels)

    def _check(self, loss: float, iteration: int) -> None:
        """Stop at a loss that is no number, before anything is saved."""
        if math.isfinite(loss):
            return
        if rank() > 0:
            sys.exit(2)  # the first process says it
        recipe = self.recipe
        plan = BatchPlan(len(self.train_set), recipe.batch_size, recipe.seed, stop=recipe.iterations)
        names = ", ".join(self.train_set.files[index][0].name for index, _ in plan.batch(iteration))
        raise UserError(
            f"expected a finite loss, found {loss} at iteration {iteration} with learning rate "
            f"{poly_lr(recipe, iteration):.3g} on {names}: look at these files, or lower lr={recipe.lr}; "
            f"the last good checkpoint stays in {self.files.path}"
        )

    def _validate(self) -> None:
        """Score the validation set, log it, and save."""
        views = protocol(self.recipe, tta=False)
        pictures: dict[int, np.ndarray] = {}

        def picture(index: int, prediction: Tensor) -> None:
            if rank() == 0 and len(pictures) < PICTURES:
                image, target = self.val_set[index]
                each = (..., *[slice(None, None, -(-max(target.shape) // PICTURE_SIDE))] * 2)  # every n-th pixel
                pictures[index] = side_by_side(
                    denormalise(image)[each], target[each], prediction.cpu()[each], self.val_set.labels
                )

        with self.fabric.autocast():  # the plain network does not have Fabric's precision
            confusion = evaluate(self.plain, self.val_set, **views, workers=self.recipe.workers, on_prediction=picture)
        miou = mean_iou(confusion)
        scored = {} if math.isnan(miou) else {"val_miou": miou}  # no labelled pixel, no score
        self.miou = scored.get("val_miou", 0.0)
        best, self.best_miou = self.miou > self.best_miou, max(self.miou, self.best_miou)
        if rank() == 0:
            memory = round(peak_memory(self.fabric.device) / GIB, 2)
            self.files.log(
                self.iteration,
                **scored,
                protocol=describe("val", **views),
                seconds=round(self.seconds, 1),
                memory_gib=memory,
            )
            for index, shown in pictures.items():
                self.files.log_picture(self.iteration, f"val/{index}", shown)
        self._save(best)

    def _save(self, best: bool = False) -> None:
        if rank() == 0:
            self.files.save(self.state(), best)
        wait_for_all()

    def _leave(self, number: int) -> None:
        self.say(
            f"asked to stop ({signal.Signals(number).name}): saved at iteration {self.iteration} of "
            f"{self.recipe.iterations}; the same command goes on from there"
        )
        sys.exit(128 + number)


def _random_state(seed: int, iteration: int, process: int) -> int:
    """Whatever a step draws at random depends on these three numbers and on nothing that happened before."""
    return int(np.random.SeedSequence((seed, iteration, process)).generate_state(1)[0])

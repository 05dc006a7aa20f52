"""A run in progress: resumed, stepped, logged, validated, saved (chapter 13).

Batches, augmentation and every other random number are a function of (seed, iteration) alone, so a resumed run sees
exactly what it would have seen.
"""

from __future__ import annotations

import dataclasses
import math
import signal
import sys
import time

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn

from spacemeshlab.checkpoint import RunDirectory, load_checkpoint
from spacemeshlab.data import SegmentationDataset
from spacemeshlab.data.fingerprint import fingerprint
from spacemeshlab.data.loaders import BatchPlan, train_loader
from spacemeshlab.data.transforms import MEAN, STD, denormalise
from spacemeshlab.distributed import add_up, rank, wait_for_all, world_size
from spacemeshlab.errors import UserError
from spacemeshlab.evaluate import describe, evaluate, protocol
from spacemeshlab.metrics import mean_iou
from spacemeshlab.pictures import side_by_side
from spacemeshlab.preflight import GIB, peak_memory, preflight, sync_batch_norm
from spacemeshlab.progress import Progress
from spacemeshlab.provenance import origin
from spacemeshlab.recipe import Recipe
from spacemeshlab.step import build_network, poly_lr, training_step
from spacemeshlab.stop import StopRequest
from spacemeshlab.weights import check_labels, load_state, save_weights

LOG_EVERY = 10
"""Iterations between two lines of metrics.jsonl."""

PICTURES = 4
"""Validation images whose predictions TensorBoard shows."""

PICTURE_SIDE = 512
"""Most rows and columns of each: full-size pictures would fill the disk."""


class Run:
    """What a checkpoint holds, and the loop around it. It is checked, measured and resumed as soon as it is made.

    Args:
        fabric: launched; has the device, the precision and the other processes.
        recipe: what is run.
        files: the run's folder, which this locks.
        train_set, val_set: with the transforms of training and of evaluation.
        show: say what is going to happen, and how far it is.

    Raises:
        UserError: what cannot work; nothing was computed yet.
    """

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
        left = recipe.iterations - (0 if checkpoint is None else checkpoint.get("iteration", 0))
        for line in preflight(fabric, net, recipe, files.path, train_set, val_set, left):
            self.say(line)
        optimizer = torch.optim.SGD(net.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)
        self.net, self.optimizer = fabric.setup(torch.compile(net) if recipe.compile else net, optimizer)
        self.scaler = getattr(fabric.strategy.precision, "scaler", None)  # 16-mixed has one
        if checkpoint is not None:
            self._resume(checkpoint)
        self.batches = train_loader(
            train_set,
            recipe.batch_size,
            recipe.iterations,
            recipe.seed,
            recipe.workers,
            self.iteration,
            rank(),
            world_size(),
        )
        if rank() == 0:
            files.forget_after(self.iteration)
            if checkpoint is None:
                data = fingerprint(train_set.files)
                files.write_recipe(recipe, origin() | {"processes": world_size(), "data": data})

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
        last = self.files.last
        check_labels(self.train_set.labels, checkpoint, last)
        try:
            for name in ("iteration", "seconds", "miou", "best_miou"):
                setattr(self, name, checkpoint[name])
            self.optimizer.load_state_dict(checkpoint["optimizer"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"expected iteration, scores and optimizer in {last}, found others ({error}): "
                "go on from the file that the run wrote, or train again"
            ) from None
        if not 0 <= self.iteration <= self.recipe.iterations:
            raise UserError(
                f"expected {last} to be at iteration 0 to {self.recipe.iterations}, found {self.iteration}: "
                "go on from the file that the run wrote, or train again"
            )
        load_state(self.plain, checkpoint["model"], last)
        if self.scaler is not None and checkpoint.get("scaler"):
            self.scaler.load_state_dict(checkpoint["scaler"])
        if add_up(torch.tensor(self.iteration, device=self.fabric.device)) != self.iteration * world_size():
            raise UserError(
                f"expected every machine to see the same {last}, found different ones: "
                "put --run-dir on a disk that they share"
            )
        if rank() == 0:
            print(f"resuming {self.files.path} at iteration {self.iteration} of {self.recipe.iterations}", flush=True)

    def go(self) -> None:
        """Step, log, and now and then validate and save; at the end write the weights for others."""
        recipe, before, started = self.recipe, self.seconds, time.perf_counter()
        with StopRequest() as stop, Progress(recipe.name, recipe.iterations, self.iteration, self.show) as shown:
            for iteration, batch in enumerate(self.batches, self.iteration):
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

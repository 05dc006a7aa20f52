"""Training, from an empty run directory or from where one stopped (paper section 3; chapter 13).

SGD with momentum, a learning rate that falls as a power of the remaining time, cross entropy on both heads. Batches and
augmentation are a function of (seed, iteration) alone, so a resumed run sees exactly what it would have seen.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from pathlib import Path

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from spacemeshlab.checkpoint import RunDirectory, load_checkpoint, save_weights
from spacemeshlab.data import SegmentationDataset, open_dataset
from spacemeshlab.data.labels import IGNORE_INDEX
from spacemeshlab.data.loaders import train_loader
from spacemeshlab.data.transforms import MEAN, STD, eval_transform, train_transform
from spacemeshlab.errors import UserError
from spacemeshlab.evaluate import evaluate, protocol
from spacemeshlab.metrics import mean_iou
from spacemeshlab.models.network import SpaceMeshLab
from spacemeshlab.provenance import origin
from spacemeshlab.recipe import Recipe

LOG_EVERY = 10
"""Iterations between two lines of metrics.jsonl."""


def build_network(recipe: Recipe, num_classes: int) -> SpaceMeshLab:
    """The network a recipe asks for, in the memory format that convolutions like best."""
    net = SpaceMeshLab(
        num_classes,
        recipe.backbone,
        recipe.pretrained,
        recipe.spam,
        recipe.attention,
        recipe.context,
        recipe.rates,
        aux=recipe.aux_weight > 0,
    )
    return net.to(memory_format=torch.channels_last)


def segmentation_loss(logits: dict[str, Tensor], target: Tensor, aux_weight: float) -> Tensor:
    """Cross entropy of the output plus ``aux_weight`` times that of the auxiliary head, in float32.

    Shape: logits (N, K, H, W), target (N, H, W) with 255 where a pixel does not count -> scalar.
    """
    loss = F.cross_entropy(logits["out"].float(), target, ignore_index=IGNORE_INDEX)
    if "aux" in logits:
        loss = loss + aux_weight * F.cross_entropy(logits["aux"].float(), target, ignore_index=IGNORE_INDEX)
    return loss


def poly_lr(recipe: Recipe, iteration: int) -> float:
    """lr · (1 - iteration / iterations) ** power: from lr down to 0."""
    return recipe.lr * (1 - iteration / recipe.iterations) ** recipe.poly_power


def training_step(
    fabric: L.Fabric,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: tuple[Tensor, Tensor],
    recipe: Recipe,
    iteration: int,
) -> float:
    """One step of SGD on one batch; returns the loss."""
    images, target = batch
    for group in optimizer.param_groups:
        group["lr"] = poly_lr(recipe, iteration)
    logits = net(images.contiguous(memory_format=torch.channels_last))
    loss = segmentation_loss(logits, target, recipe.aux_weight)
    optimizer.zero_grad()
    fabric.backward(loss)
    optimizer.step()
    return loss.item()


def train(recipe: Recipe, data_root: str | Path, run_dir: str | Path, progress: bool = True) -> Path:
    """Run a recipe to its end, from the start or from ``run_dir``'s last checkpoint.

    Args:
        recipe: what to train.
        data_root: the data set's folder.
        run_dir: the run's files, see :mod:`spacemeshlab.checkpoint`.
        progress: show a bar with loss, validation mIoU and time left.

    Returns:
        ``run_dir``.

    Raises:
        UserError: data, folder or recipe that do not fit; a loss that is no number.
    """
    if recipe.devices > 1:
        raise UserError(f"expected devices=1, got {recipe.devices}: training on several devices is not built yet")
    train_set = open_dataset(recipe.dataset, data_root, "train", _augmentation(recipe))
    val_set = open_dataset(recipe.dataset, data_root, "val", eval_transform())
    run = RunDirectory(run_dir, recipe)
    fabric = L.Fabric(accelerator="auto", devices=recipe.devices, precision=recipe.precision)
    fabric.launch()
    torch.manual_seed(recipe.seed)
    fresh = not run.last.exists()  # a checkpoint brings its own weights: nothing to download then
    net = build_network(dataclasses.replace(recipe, pretrained=recipe.pretrained and fresh), len(train_set.labels))
    optimizer = torch.optim.SGD(net.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)
    net, optimizer = fabric.setup(torch.compile(net) if recipe.compile else net, optimizer)
    state = {
        "model": net,
        "optimizer": optimizer,
        "iteration": 0,
        "seconds": 0.0,
        "miou": 0.0,
        "best_miou": -1.0,
        "recipe": recipe.as_dict(),
        "classes": list(train_set.labels.classes),
        "mean": list(MEAN),
        "std": list(STD),
    }
    _resume(run, state)
    if state["iteration"] == 0:
        run.write_recipe(recipe, origin())
    _fit(fabric, state, recipe, run, train_set, val_set, progress)
    save_weights(net.module, run.path / "model.safetensors")
    run.close()
    return run.path


def _augmentation(recipe: Recipe):
    return train_transform(recipe.crop, recipe.scale_range, recipe.flip, recipe.scale)


def _resume(run: RunDirectory, state: dict) -> None:
    """Fill ``state`` from the last checkpoint, if there is one, and say so."""
    if not run.last.exists():
        run.forget_after(0)
        return
    checkpoint = load_checkpoint(run.last)
    for name, value in checkpoint.items():
        if hasattr(state[name], "load_state_dict"):
            state[name].load_state_dict(value)
        else:
            state[name] = value
    run.forget_after(state["iteration"])
    print(f"resuming {run.path} at iteration {state['iteration']} of {state['recipe']['iterations']}")


def _fit(
    fabric: L.Fabric,
    state: dict,
    recipe: Recipe,
    run: RunDirectory,
    train_set: SegmentationDataset,
    val_set: SegmentationDataset,
    progress: bool,
) -> None:
    """The loop: step, log, and now and then validate and save."""
    net, optimizer = state["model"], state["optimizer"]
    batches = train_loader(
        train_set, recipe.batch_size, recipe.iterations, recipe.seed, recipe.workers, state["iteration"]
    )
    before, started = state["seconds"], time.perf_counter()
    with tqdm(
        total=recipe.iterations,
        initial=state["iteration"],
        desc=recipe.name,
        disable=not progress,
        mininterval=1 if sys.stdout.isatty() else 10,
        file=sys.stdout,
    ) as bar:
        for iteration, batch in enumerate(batches, state["iteration"]):
            loss = training_step(fabric, net, optimizer, fabric.to_device(batch), recipe, iteration)
            if not math.isfinite(loss):
                raise UserError(
                    f"expected a finite loss, found {loss} at iteration {iteration}: lower lr={recipe.lr}, "
                    f"and go on from the last checkpoint in {run.path}"
                )
            done = state["iteration"] = iteration + 1
            state["seconds"] = before + time.perf_counter() - started
            if done % LOG_EVERY == 0:
                run.log(done, loss=loss, lr=poly_lr(recipe, iteration))
            if done % recipe.validate_every == 0 or done == recipe.iterations:
                _validate_and_save(fabric, state, recipe, run, val_set)
            bar.set_postfix(loss=f"{loss:.3f}", mIoU=f"{state['miou']:.3f}", refresh=False)
            bar.update()


def _validate_and_save(
    fabric: L.Fabric, state: dict, recipe: Recipe, run: RunDirectory, val_set: SegmentationDataset
) -> None:
    with fabric.autocast():  # a network that evaluate unwraps no longer has Fabric's precision
        confusion = evaluate(state["model"], val_set, **protocol(recipe, tta=False), workers=recipe.workers)
    state["miou"] = mean_iou(confusion)
    run.log(state["iteration"], val_miou=state["miou"], seconds=round(state["seconds"], 1))
    best = state["miou"] > state["best_miou"]
    state["best_miou"] = max(state["miou"], state["best_miou"])
    run.save(state, fabric.save, best)

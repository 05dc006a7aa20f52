"""One step of training: the network, the loss, the learning rate, and how a batch is shared out (chapter 13)."""

from __future__ import annotations

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spacemeshlab.data.labels import IGNORE_INDEX
from spacemeshlab.distributed import add_up, world_size
from spacemeshlab.models.network import SpaceMeshLab
from spacemeshlab.models.variants import vary
from spacemeshlab.recipe import Recipe


def build_network(recipe: Recipe, num_classes: int) -> SpaceMeshLab:
    """The network a recipe asks for, in its memory format."""
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
    vary(net, recipe.variant)
    return net.to(memory_format=memory_format(recipe))


def memory_format(recipe: Recipe) -> torch.memory_format:
    return torch.channels_last if recipe.channels_last else torch.contiguous_format


def segmentation_loss(
    logits: dict[str, Tensor], target: Tensor, aux_weight: float, counted: Tensor | None = None
) -> Tensor:
    """Cross entropy of the output plus ``aux_weight`` times that of the auxiliary head, in float32.

    Args:
        logits: the network's, (N, K, H, W) each.
        target: (N, H, W), 255 where a pixel does not count.
        aux_weight: the weight of the second loss.
        counted: pixels to divide by, if ``target`` is only a part of the batch; None counts those of ``target``.

    Returns:
        A scalar; 0 if no pixel counts.
    """
    pixels = (target != IGNORE_INDEX).sum() if counted is None else counted

    def loss(name: str) -> Tensor:
        each = F.cross_entropy(logits[name].float(), target, ignore_index=IGNORE_INDEX, reduction="sum")
        return each / pixels.clamp(min=1)

    return loss("out") + aux_weight * loss("aux") if "aux" in logits else loss("out")


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
    """One step of SGD on this process's share of a batch, in ``recipe.accumulate`` parts; returns the batch's loss."""
    images, target = batch
    for group in optimizer.param_groups:
        group["lr"] = poly_lr(recipe, iteration)
    counted = add_up((target != IGNORE_INDEX).sum())  # over all parts and processes
    total = torch.zeros((), device=target.device)
    optimizer.zero_grad()
    parts = list(zip(images.chunk(recipe.accumulate), target.chunk(recipe.accumulate), strict=True))
    for number, (part, truth) in enumerate(parts, 1):
        with fabric.no_backward_sync(net, enabled=number < len(parts)):
            logits = net(part.contiguous(memory_format=memory_format(recipe)))
            loss = segmentation_loss(logits, truth, recipe.aux_weight, counted)
            fabric.backward(loss * world_size())  # gradients are averaged over the processes: this makes it a sum
        total += loss.detach()
    optimizer.step()
    return add_up(total).item()

"""Which taps of a context module ever see the image: training crops may be too small for its rates (chapter 15).

A tap that lies beyond the map multiplies padding. If the training maps are so small that it always does, it gets no
gradient and keeps its first, random value. If the maps of testing are larger, that value then meets the image.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from spacemeshlab.data import SegmentationDataset
from spacemeshlab.data.labels import IGNORE_INDEX
from spacemeshlab.evaluate import protocol
from spacemeshlab.metrics import confusion_matrix, iou, mean_iou
from spacemeshlab.models.aspp import ASPP
from spacemeshlab.models.fuse import inference_copy
from spacemeshlab.models.metrocon import MetroCon2
from spacemeshlab.models.network import OUTPUT_STRIDE, SpaceMeshLab
from spacemeshlab.recipe import Recipe
from spacemeshlab.views import predict_logits


def map_size(size: Sequence[int], scale: float = 1.0) -> tuple[int, int]:
    """Rows and columns of the context module's map for images of ``size``, resized by ``scale`` and padded.

    >>> map_size((360, 480), 0.5)
    (12, 15)
    """
    rows, columns = (-(-max(1, round(side * scale)) // OUTPUT_STRIDE) for side in size)
    return rows, columns


def reached(net: SpaceMeshLab, size: tuple[int, int]) -> dict[str, Tensor]:
    """Weight of a dilated 3×3 convolution of the context -> bool, True at the taps that some place of the map uses.

    Args:
        net: its context counts.
        size: (rows, columns) of the map.

    Shape: MetroCon²'s (M, M, 1, 1, 3, 3), each of ASPP's (1, 1, 3, 3); they broadcast to the weights.
    """
    if isinstance(net.context, MetroCon2):
        rows, columns = (torch.stack([_inside(rate, side) for rate in net.context.rates]) for side in size)  # (M, 3)
        grid = rows[:, None, :, None] & columns[None, :, None, :]  # (M, M, 3, 3)
        return {"context.weight": grid[:, :, None, None]}
    masks = {}
    for index, branch in enumerate(net.context.branches if isinstance(net.context, ASPP) else ()):
        if branch[0].kernel_size == (3, 3):
            rows, columns = (_inside(rate, side) for rate, side in zip(branch[0].dilation, size, strict=True))
            masks[f"context.branches.{index}.0.weight"] = (rows[:, None] & columns)[None, None]
    return masks


def _inside(rate: int, side: int) -> Tensor:
    """Whether the taps at -rate, 0, +rate ever lie in an axis of ``side`` places: (3,)."""
    return torch.tensor([rate < side, True, rate < side])


def shares(net: SpaceMeshLab, training: tuple[int, int], testing: tuple[int, int]) -> dict[str, float]:
    """Shares of the context's dilated weights: ``trained`` at all, and ``surprised``: used by testing alone."""
    weights = dict(net.named_parameters())
    first, later = (reached(net, size) for size in (training, testing))
    total = sum(weights[name].numel() for name in first)
    trained = sum(mask.expand_as(weights[name]).sum().item() for name, mask in first.items())
    surprised = sum((later[name] & ~mask).expand_as(weights[name]).sum().item() for name, mask in first.items())
    return {"trained": trained / total, "surprised": surprised / total}


def silenced(net: SpaceMeshLab, training: tuple[int, int]) -> SpaceMeshLab:
    """A copy in which the taps that training never used are zero, as if they still lay in the padding."""
    net = copy.deepcopy(net)
    weights = dict(net.named_parameters())
    with torch.no_grad():
        for name, mask in reached(net, training).items():
            weights[name].mul_(mask)
    return net


@torch.inference_mode()
def fit(
    net: SpaceMeshLab,
    dataset: SegmentationDataset,
    indices: Sequence[int],
    recipe: Recipe,
    window: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """``loss`` a pixel (cross entropy of the output alone), ``miou`` and each class's ``iou`` on some images.

    They are looked at as in testing.

    Args:
        dataset: built with ``eval_transform()``.
        window: (rows, columns) to look through, such as the training's crop; None for the whole image.
    """
    fast, k = inference_copy(net), len(dataset.labels)
    views = protocol(recipe, tta=False) | {"window": window}
    counts, loss = torch.zeros(k, k, dtype=torch.int64), 0.0
    for image, target in (dataset[index] for index in indices):
        logits = predict_logits(fast, image[None], target.shape, **views)
        loss += F.cross_entropy(logits, target[None], ignore_index=IGNORE_INDEX, reduction="sum").item()
        counts += confusion_matrix(logits[0].argmax(0), target, k)
    loss /= max(1, int(counts.sum()))
    return {"images": len(indices), "loss": loss, "miou": mean_iou(counts), "iou": iou(counts).tolist()}

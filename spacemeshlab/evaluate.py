"""Score a network on a whole data set (paper section 3; chapter 14).

One function for everything: while training and afterwards, one scale or "MS + flip", the whole image or windows. The
logits of all views are resized to the label's own size and averaged (P), then one confusion matrix counts every pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from spacemeshlab.data import SegmentationDataset
from spacemeshlab.data.loaders import eval_loader
from spacemeshlab.metrics import confusion_matrix, iou, mean_iou, pixel_accuracy
from spacemeshlab.models.fuse import inference_copy
from spacemeshlab.models.layers import resize
from spacemeshlab.recipe import Recipe

MS_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
"""The paper's test scales (section 3); each is also flipped."""


@torch.inference_mode()
def evaluate(
    net: nn.Module,
    dataset: SegmentationDataset,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    window: tuple[int, int] | None = None,
    workers: int = 0,
    progress: bool = False,
    on_prediction: Callable[[int, Tensor], Any] | None = None,
) -> Tensor:
    """Confusion matrix of ``net`` over ``dataset``.

    Args:
        net: a :class:`~spacemeshlab.SpaceMeshLab`, scored as its :func:`~spacemeshlab.models.fuse.inference_copy`, or
            any network with its keys; scored in eval mode, handed back in the mode it had.
        dataset: built with ``eval_transform()``: normalised images, targets at their own size.
        scales: factors by which each image is resized before the network.
        flip: also score the mirrored image at every scale.
        window: (rows, columns) of a sliding window, or None for the whole image at once.
        workers: loader processes.
        progress: show a bar.
        on_prediction: called with (index, prediction (H, W) int64) for every image.

    Returns:
        (K, K) int64; rows are the ground truth.
    """
    device = next(net.parameters()).device
    num_classes = len(dataset.labels)
    total = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=device)
    net = inference_copy(net)
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        for index, (images, target) in enumerate(tqdm(eval_loader(dataset, workers), "score", disable=not progress)):
            logits = predict_logits(net, images.to(device), target.shape[-2:], scales, flip, window)
            prediction = logits.argmax(1)  # (1, K, H, W) -> (1, H, W)
            total += confusion_matrix(prediction, target.to(device), num_classes)
            if on_prediction is not None:
                on_prediction(index, prediction[0])
    finally:
        for module, training in modes.items():
            module.training = training
    return total.cpu()


def predict_logits(
    net: Callable[[Tensor], dict[str, Tensor]],
    images: Tensor,
    size: tuple[int, int],
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    window: tuple[int, int] | None = None,
) -> Tensor:
    """Mean of the logits of all views: (N, 3, H, W) -> (N, K, *size). Added up in place, one view at a time."""
    total, views = None, 0
    for scale in scales:
        for mirrored in (False, True) if flip else (False,):
            view = _rescale(images, scale)
            logits = _windowed(net, view.flip(-1) if mirrored else view, window)
            logits = resize((logits.flip(-1) if mirrored else logits).float(), size)
            if total is None:
                total = torch.zeros_like(logits)  # of our own: the first logits may be the network's
            total += logits
            views += 1
    if total is None:
        raise ValueError("scales must name at least one scale, got none: use (1.0,)")
    return total.div_(views)


def _rescale(images: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return images
    size = [max(1, round(side * scale)) for side in images.shape[-2:]]
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True)


def _windowed(net: Callable[[Tensor], dict[str, Tensor]], images: Tensor, window: tuple[int, int] | None) -> Tensor:
    """Logits of the whole image, from windows that overlap by a third; places seen twice get the mean."""
    if window is None or all(side <= part for side, part in zip(images.shape[-2:], window, strict=True)):
        return net(images)["out"]
    total, seen = None, images.new_zeros(1, 1, *images.shape[-2:])
    for rows in _positions(images.shape[-2], window[0]):
        for columns in _positions(images.shape[-1], window[1]):
            logits = net(images[..., rows, columns])["out"]
            if total is None:
                total = logits.new_zeros(*logits.shape[:2], *images.shape[-2:])
            total[..., rows, columns] += logits
            seen[..., rows, columns] += 1
    return total / seen


def _positions(size: int, part: int) -> Iterator[slice]:
    """Windows of ``part`` along an axis, a stride of about two thirds, the last one flush with the end."""
    part = min(size, part)
    steps = -(-(size - part) // max(1, part * 2 // 3))
    for step in range(steps + 1):
        start = (size - part) * step // max(1, steps)
        yield slice(start, start + part)


def protocol(recipe: Recipe, tta: bool) -> dict[str, Any]:
    """The keywords of :func:`evaluate` for a recipe: its own scale, or MS + flip around it."""
    return {"scales": tuple(recipe.scale * scale for scale in (MS_SCALES if tta else (1.0,))), "flip": tta}


def summarise(confusion: Tensor, classes: Sequence[str]) -> dict[str, Any]:
    """mIoU, per-class IoU and pixel accuracy, all in 0..1, ready for JSON: what is undefined (NaN) becomes None."""
    by_class = {name: _or_none(score) for name, score in zip(classes, iou(confusion).tolist(), strict=True)}
    return {
        "miou": _or_none(mean_iou(confusion)),
        "iou": by_class,
        "pixel_accuracy": _or_none(pixel_accuracy(confusion)),
    }


def _or_none(score: float) -> float | None:
    return None if math.isnan(score) else score

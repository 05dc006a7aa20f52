"""Intersection over union from one confusion matrix over the whole set (chapter 02).

Averages of per-image scores are another quantity; here every pixel of the set is counted once, as the official
Cityscapes evaluation does it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


def confusion_matrix(prediction: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """Count pixels by (true class, predicted class).

    Args:
        prediction: class indices 0..K-1, any shape.
        target: class indices 0..K-1, or 255 where the pixel does not count; same shape.
        num_classes: K, at most 255.

    Returns:
        (K, K) int64; rows are the ground truth, columns the prediction.

    Raises:
        ValueError: shapes that differ, or more classes than 255 leaves room for.
    """
    if num_classes > 255:
        raise ValueError(f"num_classes must be at most 255, because 255 marks void pixels, got {num_classes}")
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} must have one shape")
    # One histogram of target·K + prediction. Void pixels fall into the rows from 255 on, which are cut off: no mask.
    small = torch.int16 if 256 * num_classes < 2**15 else torch.int32
    index = target.to(small) * num_classes + prediction.to(small)
    counts = torch.bincount(index.flatten(), minlength=256 * num_classes)
    return counts[: num_classes**2].view(num_classes, num_classes)


def iou(confusion: Tensor) -> Tensor:
    """Intersection over union of each class: (K, K) -> (K,) float64 in 0..1.

    The rule for absent classes, here and everywhere: a class that occurs neither in the truth nor in the prediction is
    NaN, and counts in no mean. One that is only predicted is 0: a wrong prediction has a price. Predictions on void
    pixels are in no matrix, so they make no class occur.
    """
    hits = confusion.diagonal().double()
    return hits / (confusion.sum(0) + confusion.sum(1) - hits)


def category_iou(confusion: Tensor, categories: Sequence[str]) -> dict[str, float]:
    """Intersection over union of groups of classes, by the rule of :func:`iou`; mistakes within a group cost nothing.

    Args:
        confusion: (K, K), rows are the ground truth.
        categories: K names: the group of each class.

    Returns:
        Score in 0..1 or NaN of each group, in the order in which the groups first appear.

    Raises:
        ValueError: more or fewer groups than classes.
    """
    if len(categories) != len(confusion):
        raise ValueError(
            f"categories must name a group for each of the {len(confusion)} classes, got {len(categories)}"
        )
    names = list(dict.fromkeys(categories))
    group = torch.tensor([names.index(name) for name in categories], device=confusion.device)
    rows = confusion.new_zeros(len(names), len(confusion)).index_add_(0, group, confusion)  # (K, K) -> (G, K)
    grouped = confusion.new_zeros(len(names), len(names)).index_add_(1, group, rows)  # (G, K) -> (G, G)
    return dict(zip(names, iou(grouped).tolist(), strict=True))


def mean_iou(confusion: Tensor) -> float:
    """Mean of :func:`iou` over the classes that are not NaN, in 0..1; NaN if there is none."""
    return mean_score(iou(confusion).tolist())


def mean_score(scores: Iterable[float]) -> float:
    """Mean of the scores that are not NaN; NaN if there is none.

    Added up one by one, as the official script does it: another order gives another last digit.
    """
    known = [score for score in scores if not math.isnan(score)]
    total = 0.0
    for score in known:  # neither torch's mean nor, since Python 3.12, sum() rounds after every class
        total += score
    return total / len(known) if known else math.nan


def pixel_accuracy(confusion: Tensor) -> float:
    """Share of the counted pixels that are right, in 0..1; NaN if none counts."""
    return (confusion.diagonal().sum().double() / confusion.sum()).item()

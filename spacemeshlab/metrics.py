"""Intersection over union from one confusion matrix over the whole set (chapter 02).

Averages of per-image scores are another quantity; here every pixel of the set is counted once, as the official
Cityscapes evaluation does it.
"""

from __future__ import annotations

import math

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

    A class that occurs neither in the truth nor in the prediction is NaN, and counts in no mean. One that is only
    predicted is 0: a wrong prediction has a price.
    """
    hits = confusion.diagonal().double()
    return hits / (confusion.sum(0) + confusion.sum(1) - hits)


def mean_iou(confusion: Tensor) -> float:
    """Mean of :func:`iou` over the classes that are not NaN, in 0..1; NaN if there is none.

    Added up class by class, as the official script does it: another order gives another last digit.
    """
    scores = [score for score in iou(confusion).tolist() if not math.isnan(score)]
    total = 0.0
    for score in scores:  # neither torch's mean nor, since Python 3.12, sum() rounds after every class
        total += score
    return total / len(scores) if scores else math.nan


def pixel_accuracy(confusion: Tensor) -> float:
    """Share of the counted pixels that are right, in 0..1; NaN if none counts."""
    return (confusion.diagonal().sum().double() / confusion.sum()).item()

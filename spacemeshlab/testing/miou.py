"""Checks of the confusion matrix and of the scores that come out of it (chapter 02)."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from numbers import Real

import torch
from torch import Tensor

from spacemeshlab.testing.contracts import check_inputs_unmodified, check_places, fail
from spacemeshlab.testing.labels import VOID, draw_target
from spacemeshlab.testing.mistakes import named_mistake


def check_confusion_matrix(
    function: Callable[[Tensor, Tensor, int], Tensor],
    shape: Sequence[int] = (4, 5),
    num_classes: int = 3,
    absent: Collection[int] = (),
    dtype: torch.dtype = torch.int64,
    said_on_void: int | None = None,
    seed: int = 0,
) -> None:
    """``function(prediction, target, num_classes)`` counts pairs: row = true class, column = predicted class.

    Compared with a loop over the pixels of two random maps of ``shape``; the classes in ``absent`` are in neither. On
    void pixels the prediction is ``said_on_void``, or any class if that is None, and must leave no trace. A failure
    names the mistake where it is a common one: rows and columns exchanged, void counted, eight bits that overflow.
    """
    generator = torch.Generator().manual_seed(seed)
    target = draw_target(shape, num_classes, absent, generator)
    present = [k for k in range(num_classes) if k not in absent] or [0]
    prediction = torch.tensor(present)[torch.randint(len(present), tuple(shape), generator=generator)]
    right = torch.rand(tuple(shape), generator=generator) < 0.5
    prediction = torch.where(right & (target != VOID), target, prediction)
    if said_on_void is not None:
        prediction = prediction.masked_fill(target == VOID, said_on_void)
    expected = _count_pairs(prediction, target, num_classes)
    found = function(prediction.to(dtype, copy=True), target.to(dtype, copy=True), num_classes)
    maps = f"two {dtype} maps {tuple(shape)}"
    if target.numel() <= 20:
        maps = f"the {dtype} prediction {prediction.tolist()} and target {target.tolist()}"
    check_places(
        found,
        expected,
        what=f"the confusion matrix of {num_classes} classes for {maps}",
        hint=_why_other_pairs(found, prediction, target, expected),
        place=lambda at: f"pixels of class {at[0]} that are called {at[1]}",
    )
    check_inputs_unmodified(lambda *maps: function(*maps, num_classes), prediction.to(dtype), target.to(dtype))


def _count_pairs(prediction: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """The definition, pixel by pixel; a pair with a number that is no class is left out."""
    table = [[0] * num_classes for _ in range(num_classes)]
    for said, true in zip(prediction.flatten().tolist(), target.flatten().tolist(), strict=True):
        if true < num_classes and said < num_classes:
            table[true][said] += 1
    return torch.tensor(table)


def _why_other_pairs(found: object, prediction: Tensor, target: Tensor, expected: Tensor) -> str:
    num_classes = len(expected)
    if isinstance(found, Tensor) and found.shape != expected.shape:
        return "a row and a column for each of the K classes, also for those that do not occur; none for void"
    if isinstance(found, Tensor) and found.dtype != expected.dtype:
        return "pixels are counted, not measured: int64"
    said = prediction.clamp(max=num_classes - 1)
    overflown = ((target * num_classes + prediction) % 256)[target != VOID]
    mistakes = {
        "rows are the truth, columns the prediction; here they are exchanged":
            expected.T,
        "each pair that occurs is counted once: table[target, prediction] += 1 writes to each cell only once":
            (expected > 0).long(),
        "the void pixels are counted as the last class":
            _count_pairs(said, target.clamp(max=num_classes - 1), num_classes),
        "the void pixels are counted as class 0":
            _count_pairs(said, torch.where(target == VOID, 0, target), num_classes),
        "eight bits end at 255, and K·target + prediction is larger: convert to int64 before multiplying":
            torch.bincount(overflown, minlength=num_classes**2)[: num_classes**2].view_as(expected),
    }  # fmt: skip
    otherwise = "how many pixels are this row's class and are called this column's?"
    return named_mistake(found, expected, mistakes, otherwise)


def _draw_confusion(
    num_classes: int,
    absent: Collection[int],
    only_predicted: Collection[int],
    never_predicted: Collection[int],
    scale: int,
    seed: int,
) -> Tensor:
    """A random matrix (K, K) int64 with empty rows and columns where they are asked for."""
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randint(1, 20, (num_classes, num_classes), generator=generator)
    matrix += torch.diag(torch.randint(10, 60, (num_classes,), generator=generator))
    matrix[[*absent, *only_predicted]] = 0
    matrix[:, [*absent, *never_predicted]] = 0
    return matrix * scale


def _describe(matrix: Tensor) -> str:
    return f"for the matrix {matrix.tolist()}"


def _scores(matrix: Tensor) -> Tensor:
    """The definition, class by class: (K, K) -> (K,) float64 with NaN."""
    rows, scores = matrix.tolist(), []
    for k, row in enumerate(rows):
        union = sum(row) + sum(other[k] for other in rows) - row[k]
        scores.append(row[k] / union if union else math.nan)
    return torch.tensor(scores, dtype=torch.float64)


def check_iou(
    function: Callable[[Tensor], Tensor],
    num_classes: int = 4,
    absent: Collection[int] = (2,),
    only_predicted: Collection[int] = (),
    never_predicted: Collection[int] = (),
    scale: int = 1,
    seed: int = 0,
) -> None:
    """``function(confusion)`` gives every class its intersection over union, by the rule for classes that are absent.

    Compared with sums over rows and columns in plain Python, on a random matrix in which the classes of ``absent``
    have neither row nor column, those of ``only_predicted`` no row, and those of ``never_predicted`` no column; all
    counts are multiplied by ``scale``. A failure names the other score, or the other rule, that was found.
    """
    matrix = _draw_confusion(num_classes, absent, only_predicted, never_predicted, scale, seed)
    expected, found = _scores(matrix), function(matrix.clone())
    what, hint = f"the IoU of each class {_describe(matrix)}", _why_other_scores(found, matrix, expected)
    check_places(found, expected, what=what, hint=hint, place=lambda at: f"for class {at[0]}")
    check_inputs_unmodified(function, matrix)


def _why_other_scores(found: object, matrix: Tensor, expected: Tensor) -> str:
    if isinstance(found, Tensor) and found.shape != expected.shape:
        return "one score for each class, (K,), NaN included"
    if isinstance(found, Tensor) and found.dtype != expected.dtype:
        return "float64: convert the counts with .double() before dividing"
    hits, truth, said = matrix.diagonal().double(), matrix.sum(1).double(), matrix.sum(0).double()
    rules = {
        "a class that is in neither truth nor prediction has no score: NaN, not 0": expected.nan_to_num(0),
        "a class that is in neither truth nor prediction has no score: NaN, not 1": expected.nan_to_num(1),
        "a class that is only predicted scores 0: a wrong prediction has a price":
            expected.masked_fill(truth == 0, math.nan),
        "a class that occurs and is never hit scores 0; only one that is nowhere is NaN":
            expected.masked_fill(hits == 0, math.nan),
    }  # fmt: skip
    quotients = {
        "this is the recall: the union has the predicted pixels too, the class's column": hits / truth,
        "this is the precision: the union has the true pixels too, the class's row": hits / said,
        "row plus column counts the hits twice: subtract them once": hits / (truth + said),
        "this is Dice, 2·hits / (row + column); IoU is hits / (row + column - hits)": 2 * hits / (truth + said),
        "the union lacks the hits: it is row + column - hits": hits / (truth + said - 2 * hits),
    }
    otherwise = "hits over (row sum + column sum - hits), class by class"
    if isinstance(found, Tensor):  # another quotient is told by the classes that have one
        numbers = {hint: wrong.nan_to_num(0) for hint, wrong in quotients.items()}
        otherwise = named_mistake(found.detach().nan_to_num(0), expected.nan_to_num(0), numbers, otherwise)
    return named_mistake(found, expected, rules, otherwise)


def check_mean_iou(
    function: Callable[[Tensor], float],
    num_classes: int = 4,
    absent: Collection[int] = (2,),
    only_predicted: Collection[int] = (),
    never_predicted: Collection[int] = (),
    scale: int = 1,
    seed: int = 0,
) -> None:
    """``function(confusion)`` is the mean of the classes' IoU without those that are NaN; NaN if no class is left.

    The arguments are those of :func:`check_iou`. A failure names the other mean that was found.
    """
    matrix = _draw_confusion(num_classes, absent, only_predicted, never_predicted, scale, seed)
    scores, found = _scores(matrix), function(matrix.clone())
    known = [score for score in scores.tolist() if not math.isnan(score)]
    expected = sum(known) / len(known) if known else math.nan
    what = f"the mIoU {_describe(matrix)}"
    if isinstance(found, Tensor):
        fail(f"{what} to be a Python float", "a tensor", "a tensor with one number becomes one with .item()")
    if not isinstance(found, Real) or isinstance(found, bool):
        fail(f"{what} to be a Python float", type(found).__name__, "does the function end in return?")
    if math.isnan(expected) != math.isnan(found) or abs(found - expected) > 1e-5:
        fail(f"{what} to be {expected:.6g}", f"{found:.6g}", _why_another_mean(float(found), matrix, scores))
    check_inputs_unmodified(function, matrix)


def _why_another_mean(found: float, matrix: Tensor, scores: Tensor) -> str:
    counts = matrix.double()
    hits, truth, said = counts.diagonal(), counts.sum(1), counts.sum(0)
    known = ~scores.isnan()
    if not known.any():
        return "no class occurs, so there is nothing to take a mean of: NaN"
    if math.isnan(found):
        return "one class without a score makes a plain mean NaN: leave NaN out of the mean"
    mistakes = {
        "a class that is nowhere takes no part in the mean; here it counts as 0": scores.nan_to_num(0).mean(),
        "a class that is nowhere takes no part in the mean; here it counts as 1": scores.nan_to_num(1).mean(),
        "a class that is only predicted counts as 0; here it is left out": scores[truth > 0].mean(),
        "a class that occurs and is never hit counts as 0; here it is left out": scores[hits > 0].mean(),
        "this is pixel accuracy, in which large classes count most": hits.sum() / counts.sum(),
        "this is the mean recall: the union has the predicted pixels too": (hits / truth).nanmean(),
        "this is the mean Dice: IoU is hits / (row + column - hits)": (2 * hits / (truth + said)).nanmean(),
        "hits and unions were added up over the classes: divide class by class, then take the mean":
            hits.sum() / (truth + said - hits).sum(),
        "this is weighted by the classes' shares: every class counts alike": (truth / truth.sum() * scores).nansum(),
        "this is in percent: mIoU is a share, 0..1": 100 * scores[known].mean(),
    }  # fmt: skip
    otherwise = "each class's IoU, their sum, divided by the number of classes that have one"
    return named_mistake(torch.tensor(found).double(), scores[known].mean(), mistakes, otherwise)

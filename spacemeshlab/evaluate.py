"""Score a network on a whole data set (paper section 3; chapter 14).

One function for everything: while training and afterwards, one scale or "MS + flip", the whole image or windows, one
process or several. The views are :mod:`spacemeshlab.views`' business; here one confusion matrix counts every pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from spacemeshlab.data import SegmentationDataset
from spacemeshlab.data.labels import LabelSet
from spacemeshlab.data.loaders import eval_loader
from spacemeshlab.distributed import add_up, rank, world_size
from spacemeshlab.errors import UserError
from spacemeshlab.metrics import category_iou, confusion_matrix, iou, mean_iou, mean_score, pixel_accuracy
from spacemeshlab.models.fuse import inference_copy
from spacemeshlab.recipe import Recipe
from spacemeshlab.views import MS_SCALES, predict_logits


@torch.inference_mode()
def evaluate(
    net: nn.Module,
    dataset: SegmentationDataset,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    window: tuple[int, int] | None = None,
    *,
    multiple: int = 1,
    average: str = "logits",
    workers: int = 0,
    progress: bool = False,
    on_prediction: Callable[[int, Tensor], Any] | None = None,
) -> Tensor:
    """Confusion matrix of ``net`` over ``dataset``.

    Of several processes each scores every ``world_size``-th image, none twice, and the matrices are added up: the
    result is the same in all of them, and the same as in one.

    Memory: beside the network's own, its logits included, 4KP + 24V + 28P bytes at most on its device, however many
    images and views there are. P are the pixels of the largest image, V those of its largest view (at least P). A
    window adds 4(K + 1)V, ``average="probabilities"`` 4KP + 8P.

    Args:
        net: a :class:`~spacemeshlab.SpaceMeshLab`, scored as its :func:`~spacemeshlab.models.fuse.inference_copy`, or
            any network with its keys; scored in eval mode, handed back in the mode it had.
        dataset: built with ``eval_transform()``: normalised images, targets at their own size.
        scales, flip, window, multiple, average: the views, see :func:`~spacemeshlab.views.predict_logits`.
        workers: loader processes.
        progress: show a bar.
        on_prediction: called with (index in ``dataset``, prediction (H, W) int64) for every image of this process.

    Returns:
        (K, K) int64; rows are the ground truth.

    Raises:
        UserError: views that do not exist, or a network with more classes than the data set.
    """
    device = next(net.parameters()).device
    num_classes = len(dataset.labels)
    total = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=device)
    net = inference_copy(net)
    if isinstance(net, DistributedDataParallel):
        net = net.module  # the wrapper waits for the other processes at every call, and they may have fewer images
    views = {"scales": scales, "flip": flip, "window": window, "multiple": multiple, "average": average}
    batches = eval_loader(dataset, workers, rank(), world_size())
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        for step, (images, target) in enumerate(tqdm(batches, "score", disable=not progress or rank() > 0)):
            prediction = _predict(net, images.to(device), target.shape[-2:], num_classes, views)
            total += confusion_matrix(prediction, target.to(device), num_classes)
            if on_prediction is not None:
                on_prediction(rank() + step * world_size(), prediction[0])
    finally:
        for module, training in modes.items():
            module.training = training
    return add_up(total).cpu()


def _predict(
    net: nn.Module, images: Tensor, size: tuple[int, int], num_classes: int, views: Mapping[str, Any]
) -> Tensor:
    """Class indices; a function of its own, so that the logits are gone before the next image's are made."""
    logits = predict_logits(net, images, size, **views)
    if logits.shape[1] > num_classes:
        raise UserError(
            f"expected a network of at most the data set's {num_classes} classes, found {logits.shape[1]}: "
            "score it on the data set that it was trained for"
        )
    return logits.argmax(1)  # (1, K, H, W) -> (1, H, W)


def protocol(recipe: Recipe, tta: bool) -> dict[str, Any]:
    """The keywords of :func:`evaluate` for a recipe: its own scale, or MS + flip around it."""
    return {
        "scales": tuple(recipe.scale * scale for scale in (MS_SCALES if tta else (1.0,))),
        "flip": tta,
        "multiple": recipe.test_multiple,
    }


def describe(
    split: str,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    window: tuple[int, int] | None = None,
    multiple: int = 1,
    average: str = "logits",
) -> str:
    """How a number came about, in words: what stands beside every score, since two protocols do not compare.

    >>> describe("val", scales=(0.5, 1.0), flip=True)
    'val, whole image, scales 0.5 1 + flip, logits averaged'
    """
    several = len(scales) > 1
    parts = [
        split,
        "whole image" if window is None else f"windows of {window[0]}x{window[1]}",
        f"scale{'s' * several} {' '.join(f'{scale:g}' for scale in scales)}{' + flip' * flip}",
        *([f"sides multiples of {multiple}"] if multiple > 1 else []),
        average + (" averaged" if several or flip or window is not None else ""),
    ]
    return ", ".join(parts)


def summarise(confusion: Tensor, labels: LabelSet, scored: LabelSet | None = None) -> dict[str, Any]:
    """All scores in 0..1, ready for JSON: what is undefined (NaN) becomes None.

    Args:
        confusion: (K, K), rows are the ground truth.
        labels: the network's classes; where they have no categories, both category scores are None.
        scored: the classes of ``confusion`` where they are ``labels``' and more behind them, as Pascal-Context's 60
            are; then the scores are over ``labels``' alone, pixels of the others left out, and ``miou_K`` is over all.
    """
    few, many = len(labels), len(confusion)
    inner = confusion[:few, :few]
    by_category = category_iou(inner, labels.categories) if labels.categories else None
    result = {
        "miou": _or_none(mean_iou(inner)),
        "iou": {name: _or_none(score) for name, score in zip(labels.classes, iou(inner).tolist(), strict=True)},
        "category_miou": by_category and _or_none(mean_score(by_category.values())),
        "category_iou": by_category and {name: _or_none(score) for name, score in by_category.items()},
        "pixel_accuracy": _or_none(pixel_accuracy(inner)),
    }
    if scored is not None and many > few:
        result[f"miou_{many}"] = _or_none(mean_iou(confusion))
        result["note"] = (
            f"miou is over {few} classes and leaves all other pixels out; "
            f"miou_{many} also counts {', '.join(scored.classes[few:])}, which this network never predicts."
        )
    return result


def table(result: Mapping[str, Any]) -> str:
    """What :func:`summarise` found, for the eye: a line a class and a category, their means, the note."""
    lines = []
    for scores, mean in (("iou", "miou"), ("category_iou", "category_miou")):
        if result[scores]:
            lines += [_line(name, score) for name, score in result[scores].items()]
            lines += [_line(mean, result[mean]), ""]
    lines += [_line(name, score) for name, score in result.items() if name.startswith("miou_")]
    return "\n".join([*lines, _line("pixel_accuracy", result["pixel_accuracy"]), result.get("note", "")]).rstrip()


def _line(name: str, score: float | None) -> str:
    return f"{name:20}" + ("     –" if score is None else f"{score:6.4f}")


def _or_none(score: float) -> float | None:
    return None if math.isnan(score) else score

"""One network computed in two ways: where the results differ, there is a bug (chapter 15).

MetroCon² by its definition and as a matrix product, forward and backward; the folded network that predicts and the one
that trains; the shuffles there and back. Differences are relative, in float32, those of gradients in float64. Nothing
here changes a network.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from spacemeshlab.data import SegmentationDataset
from spacemeshlab.diagnosis.signals import Batch, apart, gradients
from spacemeshlab.evaluate import protocol
from spacemeshlab.metrics import confusion_matrix, mean_iou
from spacemeshlab.models.fuse import inference_copy
from spacemeshlab.models.metrocon import MetroCon2
from spacemeshlab.models.network import SpaceMeshLab
from spacemeshlab.models.shuffle import FACTOR, ShuffleDown, ShuffleUp
from spacemeshlab.recipe import Recipe
from spacemeshlab.views import predict_logits

ROUNDING = 1e-3
"""Relative differences up to here are float32's, above they are a bug's."""


def examine(
    net: SpaceMeshLab, dataset: SegmentationDataset, indices: Sequence[int], batch: Batch, recipe: Recipe
) -> dict[str, Any]:
    """All comparisons of this module for a trained network, ready for JSON."""
    return {
        "loop": against_loop(net, dataset, indices, recipe),
        "loop_gradients": gradients_against_loop(net, batch, recipe.aux_weight),
        "eval_against_train": eval_against_train(net, batch[0]),
        "round_trip": round_trip(net),
    }


def findings(found: dict[str, Any]) -> list[str]:
    """Which of them differ by more than rounding, a sentence each; none if there is no bug."""
    differences = {
        "the loop's logits": (found["loop"] or {}).get("difference", 0.0),
        "the loop's gradients": max((found["loop_gradients"] or {"": 0.0}).values()),
        "the logits of training": found["eval_against_train"],
    }
    said = [f"a bug: {name} differ by {value:.2g}" for name, value in differences.items() if not value <= ROUNDING]
    return said + ["a bug: the shuffles lose something"] * (found["round_trip"] != 0)


@torch.no_grad()
def against_loop(
    net: SpaceMeshLab, dataset: SegmentationDataset, indices: Sequence[int], recipe: Recipe
) -> dict[str, Any] | None:
    """Predictions by MetroCon²'s definition, ``loop``, against ``gemm``; None for a network without MetroCon².

    Returns:
        ``difference`` (the largest, over the largest logit), ``pixels`` that changed class, ``miou`` of either.
    """
    if not isinstance(net.context, MetroCon2):
        return None
    both, views = [inference_copy(_by(net, method)) for method in ("loop", "gemm")], protocol(recipe, tta=False)
    worst, largest, pixels, k = 0.0, 0.0, 0, len(dataset.labels)
    counts = torch.zeros(2, k, k, dtype=torch.int64)
    for image, target in (dataset[index] for index in indices):
        loop, gemm = (predict_logits(one, image[None], target.shape, **views)[0] for one in both)
        worst, largest = max(worst, _largest(loop - gemm)), max(largest, _largest(loop))
        pixels += int((loop.argmax(0) != gemm.argmax(0)).sum())
        counts += torch.stack([confusion_matrix(logits.argmax(0), target, k) for logits in (loop, gemm)])
    scores = [mean_iou(one) for one in counts]
    return {"images": len(indices), "difference": worst / largest, "pixels": pixels, "miou": scores}


def gradients_against_loop(net: SpaceMeshLab, batch: Batch, aux_weight: float) -> dict[str, float] | None:
    """The same for the gradients of one batch: ‖gemm − loop‖ / ‖loop‖ of every part; None without MetroCon².

    In float64: float32's rounding may carry a number past a ReLU's zero, and a gradient jumps there without any bug.
    """
    if not isinstance(net.context, MetroCon2):
        return None
    exact = batch[0].double(), batch[1]
    return apart(*(gradients(_by(net, method).double(), exact, aux_weight) for method in ("loop", "gemm")))


def _by(net: SpaceMeshLab, method: str) -> SpaceMeshLab:
    net = copy.deepcopy(net)
    net.context.method = method
    return net


def eval_against_train(net: SpaceMeshLab, images: Tensor) -> float:
    """The folded network against the one that trains, with its batch norms frozen: difference over largest logit."""
    graph = copy.deepcopy(net).train()
    for module in graph.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    trains = graph(images)["out"].detach()
    with torch.no_grad():
        return _largest(inference_copy(net)(images)["out"] - trains) / _largest(trains)


def round_trip(net: SpaceMeshLab) -> float:
    """The largest change of a random map that goes through an exchange's bare shuffles and back; 0 if none is lost."""
    worst = 0.0
    for index in net.spam.exchanges if net.spam is not None else ():
        channels, stride = net.backbone.channels[int(index)], net.backbone.strides[int(index)]
        steps = 1 if stride == FACTOR else 2
        up, down = (shuffle(channels, steps, attention=False) for shuffle in (ShuffleUp, ShuffleDown))
        for layout in (torch.contiguous_format, torch.channels_last):
            x = torch.randn(2, channels, 3, 5).contiguous(memory_format=layout)
            worst = max(worst, _largest(down(up(x)) - x), _largest(up(down(up(x))) - up(x)))
    return worst


def _largest(x: Tensor) -> float:
    return x.detach().abs().max().item()

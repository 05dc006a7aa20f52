"""What a network gets wrong, and where (paper section 3, figure 3; chapter 17).

Label maps are int64 (H, W) with 255 for void, masks bool (H, W). Nothing here changes a network.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from spacemeshlab.data.labels import IGNORE_INDEX
from spacemeshlab.models.layers import resize

LEAST = 20
"""Pixels from which on a connected thing is counted: below lie crumbs that occluders leave."""


def near_border(target: Tensor, radius: int) -> Tensor:
    """Pixels with another class at most ``radius`` rows and columns away: (H, W) -> bool (H, W).

    Void is no class: it makes no border, and its own pixels are never near one.
    """
    void = target == IGNORE_INDEX
    high, low = target.masked_fill(void, -1).float(), target.masked_fill(void, IGNORE_INDEX).float()
    return (_largest(high, radius) != -_largest(-low, radius)) & ~void


def _largest(values: Tensor, radius: int) -> Tensor:
    """The largest of the neighbours up to ``radius`` away, rows first, then columns: (H, W) -> (H, W)."""
    rows = F.max_pool2d(values[None], (2 * radius + 1, 1), 1, (radius, 0))
    return F.max_pool2d(rows, (1, 2 * radius + 1), 1, (0, radius))[0]


def border_errors(predictions: Iterable[Tensor], targets: Iterable[Tensor], radius: int) -> dict[str, int]:
    """Pixels that count and those that are wrong: all of them, and those near a border. Over the whole set."""
    total = {"radius": radius, "counted": 0, "wrong": 0, "counted_near": 0, "wrong_near": 0}
    for prediction, target in zip(predictions, targets, strict=True):
        counted, near = target != IGNORE_INDEX, near_border(target, radius)
        wrong = counted & (prediction != target)
        for name, mask in (("counted", counted), ("wrong", wrong)):
            total[name] += int(mask.sum())
            total[f"{name}_near"] += int((mask & near).sum())
    return total


def components(mask: Tensor) -> Tensor:
    """Number the connected things in a mask, 8 neighbours a pixel: bool (H, W) -> int64 (H, W), 0 where it is False."""
    number, _ = ndimage.label(mask.numpy(), structure=np.ones((3, 3)))
    return torch.from_numpy(number).long()


def middles(scores: Sequence[float], parts: int) -> dict[int, int]:
    """Scenes by a rule: sort the scores and take the one in the middle of each of ``parts`` equal parts.

    Args:
        scores: one a scene; NaN takes no part, and equal ones keep their order.
        parts: with four, the scores at 1/8, 3/8, 5/8 and 7/8 of the sorted list.

    Returns:
        Rank, from 1 for the smallest -> place in ``scores``.

    Raises:
        ValueError: fewer scores than parts.
    """
    order = sorted((k for k, score in enumerate(scores) if not math.isnan(score)), key=scores.__getitem__)
    if len(order) < parts:
        raise ValueError(f"scores must be at least {parts}, one a part, got {len(order)} without NaN")
    places = ((2 * part + 1) * len(order) // (2 * parts) for part in range(parts))
    return {place + 1: order[place] for place in places}


@dataclass(frozen=True)
class Thing:
    """One connected thing of the truth, and what a prediction made of it.

    Attributes:
        pixels: its size.
        height, width: of the box around it.
        recalled: share of its pixels that the prediction gives its class, 0..1.
        pieces: connected pieces that those pixels make: 0 missed, 1 in one piece, more: broken.
    """

    pixels: int
    height: int
    width: int
    recalled: float
    pieces: int

    @property
    def mean_width(self) -> float:
        """Pixels a row, of an upright thing."""
        return self.pixels / self.height


def things(truth: Tensor, found: Tensor, least: int = 1) -> list[Thing]:
    """The connected things of ``truth`` with at least ``least`` pixels; both masks are bool (H, W) and of one class."""
    number, list_ = components(truth), []
    for index in range(1, int(number.max()) + 1):
        thing = number == index
        places = thing.nonzero()
        if len(places) < least:
            continue
        (height, width), hit = (places.amax(0) - places.amin(0) + 1).tolist(), thing & found
        share = hit.sum().item() / len(places)
        list_.append(Thing(len(places), height, width, share, int(components(hit).max())))
    return list_


def count_things(truths: Iterable[Tensor], found: Iterable[Tensor], least: int = LEAST) -> dict[str, Any]:
    """How the things of a whole set fared: masks of one class, (H, W) each."""
    each = [thing for pair in zip(truths, found, strict=True) for thing in things(*pair, least)]
    pieces = [thing.pieces for thing in each]
    return {
        "things": len(each),
        "missed": pieces.count(0),
        "whole": pieces.count(1),
        "broken": sum(piece > 1 for piece in pieces),
        "recalled": sum(thing.recalled for thing in each) / len(each) if each else None,
    }


def squeezed(target: Tensor, num_classes: int, size: tuple[int, int]) -> Tensor:
    """The truth through a needle's eye: shares of ``size`` cells, bilinearly back, arg max: (H, W) -> (H, W).

    What logits of that size could say if each cell knew exactly what it covers, and no more.
    """
    known = torch.stack([target == k for k in range(num_classes)]).float()  # (H, W) -> (K, H, W)
    return resize(F.adaptive_avg_pool2d(known, size)[None], target.shape)[0].argmax(0)


def log_odds(logits: Tensor, k: int) -> Tensor:
    """How much rather class k than all others together, log p / (1 - p): (K, H, W) -> (H, W)."""
    others = torch.cat((logits[:k], logits[k + 1 :]))
    return logits[k] - others.logsumexp(0)


def at_budget(evidence: Sequence[Tensor], counted: Sequence[Tensor], budget: int) -> list[Tensor]:
    """The ``budget`` places of a set with the most evidence, among those that count: (H, W) each -> bool (H, W)."""
    known = torch.cat([one[places] for one, places in zip(evidence, counted, strict=True)])
    if budget == 0:
        return [torch.zeros_like(places) for places in counted]
    bar = known.kthvalue(len(known) - budget + 1).values  # places level with the last one come in too
    return [(one >= bar) & places for one, places in zip(evidence, counted, strict=True)]

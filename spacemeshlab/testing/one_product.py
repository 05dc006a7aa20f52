"""Checks of the fast way: all taps of all filters in one matrix product, then shifted sums (chapter 10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from spacemeshlab.testing.contracts import check_unchanged
from spacemeshlab.testing.meshgrid import wrong_orders
from spacemeshlab.testing.mistakes import Mistakes, check_known

RESPONSE_CASES = ((1, 2, 2, 3, 2, 1), (2, 3, 4, 2, 2, 3), (3, 1, 1, 2, 1, 2))
"""N, C, H, W, M, D: one image; several of everything; a single pair of rates."""

SHIFT_CASES = ((1, 4, 5, (1, 2), 2), (2, 3, 4, (2, 5), 1), (1, 2, 3, (1, 4, 6), 2))
"""N, H, W, rates, D: rates smaller than the map; one larger, several images; most taps outside."""


def naive_shift(maps: Tensor, rows: int, columns: int) -> Tensor:
    """What each cell of the maps (..., H, W) sees ``rows`` below and ``columns`` right of it; zeros outside."""
    (height, width), (i, j) = maps.shape[-2:], (abs(rows), abs(columns))
    return F.pad(maps, (j, j, i, i))[..., i + rows : i + rows + height, j + columns : j + columns + width]


def naive_shift_and_add(
    responses: Tensor, rates: Sequence[int], shift: Callable[[Tensor, int, int], Tensor] = naive_shift
) -> Tensor:
    """Each tap's response moved by its offset, and all nine added: (N, M, M, D, 3, 3, H, W) -> (N, M·M·D, H, W)."""
    taps, outputs = list(product(range(3), repeat=2)), []
    for (a, i), (b, j) in product(enumerate(rates), repeat=2):
        outputs.append(sum(shift(responses[:, a, b, :, v, h], (v - 1) * i, (h - 1) * j) for v, h in taps))
    return torch.cat(outputs, 1)


def check_tap_responses(
    tap_responses: Callable[[Tensor, Tensor], Tensor],
    cases: Iterable[tuple[int, int, int, int, int, int]] = RESPONSE_CASES,
    seed: int = 0,
) -> None:
    """``tap_responses(x, weight)`` weights the channels of every cell by every tap of every filter, and moves nothing.

    A failure means that axes are exchanged, or that images, channels or cells were mixed by a reshape.
    """
    generator = torch.Generator().manual_seed(seed)
    for n, c, height, width, m, depth in cases:
        x = torch.randn(n, c, height, width, generator=generator)
        weight = torch.randn(m, m, depth, c, 3, 3, generator=generator)
        expected = torch.einsum("nchw,abdcvk->nabdvkhw", x, weight)
        what = f"the responses to x {tuple(x.shape)} and weight {tuple(weight.shape)}"
        otherwise = "the axes are (N, M, M, D, 3, 3, H, W); a reshape that moves numbers needs a permute before it"
        check_known(tap_responses(x, weight), expected, what, _response_mistakes(expected, x, weight), otherwise)


def check_shift_and_add(
    shift_and_add: Callable[[Tensor, Sequence[int]], Tensor],
    cases: Iterable[tuple[int, int, int, Sequence[int], int]] = SHIFT_CASES,
    seed: int = 0,
) -> None:
    """``shift_and_add(responses, rates)`` is :func:`naive_shift_and_add`, in any type, and changes no response.

    A failure names the mistake where it is a common one: a direction, a wrap-around, an order.
    """
    generator = torch.Generator().manual_seed(seed)
    for index, (n, height, width, rates, depth) in enumerate(cases):
        dtype, m = torch.float64 if index % 2 else torch.float32, len(rates)
        responses = torch.randn(n, m, m, depth, 3, 3, height, width, generator=generator, dtype=dtype)
        before, expected = responses.clone(), naive_shift_and_add(responses, rates)
        found, what = shift_and_add(responses, rates), f"the sum with rates {tuple(rates)} on a {height}×{width} map"
        otherwise = "a tap that is wholly outside adds nothing; new tensors take the type of responses"
        check_known(found, expected, what, _shift_mistakes(before, rates), otherwise)
        check_unchanged(responses, before, "responses as they were", "add into a copy: .clone()")


def _response_mistakes(expected: Tensor, x: Tensor, weight: Tensor) -> Mistakes:
    n, c, *size = x.shape
    unsorted = weight.reshape(-1, c) @ x.flatten(2)
    yield from {
        "the axes of the pair are exchanged: weight[a, b] belongs to responses[:, a, b]":
            expected.transpose(1, 2),
        "rows and columns of the taps are exchanged: weight[..., v, h] belongs to responses[..., v, h, :, :]":
            expected.transpose(4, 5),
        "the filters are mirrored: tap (v, h) is weight[..., v, h]":
            expected.flip(4, 5),
        "the channels are added up; here it is their mean":
            expected / c,
        "weight.reshape(-1, C) mixes channels with taps: C is not the last axis, so permute first":
            unsorted.view(n, *weight.shape[:3], 3, 3, *size),
    }.items()  # fmt: skip


def _shift_mistakes(responses: Tensor, rates: Sequence[int]) -> Mistakes:
    def backwards(maps: Tensor, rows: int, columns: int) -> Tensor:
        return naive_shift(maps, -rows, -columns)

    def around(maps: Tensor, rows: int, columns: int) -> Tensor:
        return maps.roll((-rows, -columns), (-2, -1))

    pairs = responses.shape[1:4]
    yield from {
        "shifted the wrong way: the tap below a cell looks down, so its response moves up":
            naive_shift_and_add(responses, rates, backwards),
        "what left the map came in again on the other side (torch.roll does that): zeros belong there":
            naive_shift_and_add(responses, rates, around),
        "nothing was shifted":
            naive_shift_and_add(responses, rates, lambda maps, rows, columns: maps),
        "the rates are what stands in rates, not 1 to M":
            naive_shift_and_add(responses, range(1, len(rates) + 1)),
        "rates[a] is the distance between rows, rates[b] between columns; here they are exchanged":
            naive_shift_and_add(responses.transpose(1, 2), rates).unflatten(1, pairs).transpose(1, 2).flatten(1, 3),
    }.items()  # fmt: skip
    yield from wrong_orders(naive_shift_and_add(responses, rates).unflatten(1, pairs))

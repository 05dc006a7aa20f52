"""Checks of the pixel shuffle and its inverse (paper section 2.1; chapter 06)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from spacemeshlab.testing.contracts import (
    check_inputs_unmodified,
    check_refuses,
    check_same,
    check_same_gradients,
    check_tensor,
    fail,
)
from spacemeshlab.testing.mistakes import check_parts, named_mistake

Source = Callable[[Any, Any, Any, int], tuple]
"""From (channel, row, column, factor) behind a shuffle to (channel, row, column) in front: whole numbers or tensors."""


def _source(channel: Any, row: Any, column: Any, factor: int) -> tuple:
    """The definition, read from left to right: y[channel, row, column] is x at this place."""
    return channel * factor**2 + row % factor * factor + column % factor, row // factor, column // factor


def _exchanged(channel: Any, row: Any, column: Any, factor: int) -> tuple:
    return channel * factor**2 + column % factor * factor + row % factor, row // factor, column // factor


EXCHANGED = "row and column of the phase are exchanged: channel c*f*f + u*f + v goes to row u and column v of the patch"
TRANSPOSED = "rows and columns are exchanged in the whole map"

MISTAKES: dict[str, Source] = {
    EXCHANGED: _exchanged,
    "row // f says which patch, row % f which place in it; here the two are exchanged":
        lambda c, row, column, f: (c * f**2 + row // f * f + column // f, row % f, column % f),
    "each channel of the fine map is made of f*f channels, not of f":
        lambda c, row, column, f: (c * f + row % f * f + column % f, row // f, column // f),
    "the phase counts u*f + v: from one row of the patch to the next there are f channels":
        lambda c, row, column, f: (c * f**2 + row % f + column % f, row // f, column // f),
    "the fine map's channel is forgotten: its f*f channels start at c*f*f":
        lambda c, row, column, f: (row % f * f + column % f, row // f, column // f),
    TRANSPOSED:
        lambda c, row, column, f: (c * f**2 + column % f * f + row % f, column // f, row // f),
    "this is where the number goes in an unshuffle's map, not where it came from: divide, don't multiply":
        lambda c, row, column, f: (c // f**2, row * f + c // f % f, column * f + c % f),
}  # fmt: skip
"""Common wrong ways to say where a number came from, in the words of a hint."""


def check_source_of(
    source_of: Callable[[int, int, int, int], tuple[int, int, int]], factor: int = 2, seed: int = 0
) -> None:
    """``source_of(channel, row, column, factor)`` names the place that each number had in front of the shuffle.

    Asked for all places of one patch, and for eight that ``seed`` draws. A failure shows the first wrong place; the
    hint names the mistake where a common one explains all answers.
    """
    generator = torch.Generator().manual_seed(seed)
    patch = [(1, 2 * factor + u, factor + v) for u in range(factor) for v in range(factor)]
    drawn = torch.rand(8, 3, generator=generator) * torch.tensor([5, 4 * factor, 7 * factor])
    places = [*patch, *(tuple(place) for place in drawn.int().tolist())]
    found = [_triple(source_of(*place, factor), (*place, factor)) for place in places]
    expected = [_source(*place, factor) for place in places]
    wrong = {words: [mistake(*place, factor) for place in places] for words, mistake in MISTAKES.items()}
    otherwise = "row = p*f + u and column = q*f + v: find p, q, u and v first, then the channel c*f*f + u*f + v"
    hint = named_mistake(found, expected, wrong, otherwise, operator.eq)
    for place, got, want in zip(places, found, expected, strict=True):
        if got != want:
            fail(f"source_of{(*place, factor)} to be {want}", f"{got}", hint)


def _triple(found: object, arguments: tuple[int, ...]) -> tuple[int, ...]:
    """``found`` as three whole numbers."""
    what, hint = f"source_of{arguments} to be a triple of whole numbers", "// gives a whole number where / does not"
    if not isinstance(found, (tuple, list)) and not hasattr(found, "tolist"):  # which tensors and arrays have
        fail(what, f"{type(found).__name__} {found!r}"[:60], "return channel, row, column")
    try:
        triple = tuple(operator.index(number) for number in found)
    except TypeError:
        fail(what, f"{found!r}"[:60], hint)
    return check_parts(triple, what, "return channel, row, column", 3, "numbers")


def _addresses(channels: int, rows: int, columns: int, factor: int, source: Source) -> Tensor:
    """For every place of a fine map of this size the position of its number in the flattened coarse map."""
    fine = torch.meshgrid(torch.arange(channels), torch.arange(rows), torch.arange(columns), indexing="ij")
    channel, row, column = source(*fine, factor)
    return (channel * (rows // factor) + row) * (columns // factor) + column


def naive_pixel_shuffle(x: Tensor, factor: int, source: Source = _source) -> Tensor:
    """Every number of the fine map is fetched from its source."""
    channels, h, w = x.shape[1:]
    return x.flatten(1)[:, _addresses(channels // factor**2, h * factor, w * factor, factor, source)]


def naive_pixel_unshuffle(y: Tensor, factor: int, source: Source = _source) -> Tensor:
    """Every number of the fine map is brought back to its source."""
    n, channels, rows, columns = y.shape
    x = y.new_zeros(n, y[0].numel())
    x[:, _addresses(channels, rows, columns, factor, source).flatten()] = y.flatten(1)
    return x.view(n, channels * factor**2, rows // factor, columns // factor)


def _phase_first(channels: int) -> Source:
    """TensorFlow's order, u·f + v slower than c."""

    def source(c: Any, row: Any, column: Any, f: int) -> tuple:
        return (row % f * f + column % f) * channels + c, row // f, column // f

    return source


def check_pixel_shuffle(
    pixel_shuffle: Callable[[Tensor, int], Tensor], shape: Sequence[int] = (1, 8, 2, 2), factor: int = 2, seed: int = 0
) -> None:
    """``pixel_shuffle(x, factor)`` puts each number of an x of ``shape`` where the definition says, and changes none.

    A failure says which number was expected at a place, and where in x the one that stands there comes from; the hint
    names the mistake where it is a common one. Then x must be as it was, and the gradient must be the unshuffle's.
    """
    x = _numbers(shape, seed)
    expected, found = naive_pixel_shuffle(x, factor), pixel_shuffle(x.clone(), factor)
    channels = shape[1] // factor**2
    wrong = {
        "a view alone lays each channel out as strips: split the axes, permute them, and merge those that belong "
        "together": x.reshape(expected.shape),
        "this is TensorFlow's order, u*f + v slower than c; in torch's, f*f channels in a row are one patch":
            naive_pixel_shuffle(x, factor, _phase_first(channels)),
        "every channel stays together as a tile of its own: neighbours in the fine map are different channels":
            _tiles(x, factor),
        EXCHANGED: naive_pixel_shuffle(x, factor, _exchanged),
        TRANSPOSED: naive_pixel_shuffle(x, factor).mT,
    }  # fmt: skip
    _check_moved(found, expected, x, "pixel_shuffle(x, factor)", wrong)
    check_inputs_unmodified(lambda x: pixel_shuffle(x, factor), x)
    x.requires_grad_()
    check_same_gradients(pixel_shuffle(x, factor), naive_pixel_shuffle(x, factor), {"x": x}, seed=seed)


def check_pixel_unshuffle(
    pixel_unshuffle: Callable[[Tensor, int], Tensor],
    shape: Sequence[int] = (1, 2, 4, 4),
    factor: int = 2,
    seed: int = 0,
) -> None:
    """``pixel_unshuffle(x, factor)`` undoes the shuffle on an x of ``shape``, and refuses what cannot be cut.

    A failure says where the number at a place comes from, as in :func:`check_pixel_shuffle`. One more row or one more
    column, or more of both, must raise ValueError (unless the factor is 1).
    """
    x = _numbers(shape, seed)
    n, channels, rows, columns = shape
    expected, found = naive_pixel_unshuffle(x, factor), pixel_unshuffle(x.clone(), factor)
    phases = [x[:, :, u::factor, v::factor] for u in range(factor) for v in range(factor)]
    wrong = {
        "a view alone cuts rows into strips: split the axes, permute them, and merge those that belong together":
            x.reshape(expected.shape),
        "this is TensorFlow's order, u*f + v slower than c: stack the phases of each channel, then merge (c, u, v)":
            torch.cat(phases, dim=1),
        "these are tiles cut out of the map; a phase is every f-th row and every f-th column":
            _cut(x, factor),
        EXCHANGED: naive_pixel_unshuffle(x, factor, _exchanged),
        TRANSPOSED: naive_pixel_unshuffle(x, factor).mT,
    }  # fmt: skip
    _check_moved(found, expected, x, "pixel_unshuffle(x, factor)", wrong)
    check_inputs_unmodified(lambda x: pixel_unshuffle(x, factor), x)
    x.requires_grad_()
    check_same_gradients(pixel_unshuffle(x, factor), naive_pixel_unshuffle(x, factor), {"x": x}, seed=seed)
    hint = "look at rows and at columns before anything moves, and raise ValueError if one is no multiple of factor"
    for height, width in ((rows + 1, columns), (rows, columns + 1), (rows + 1, columns + 1)) if factor > 1 else ():
        odd, what = torch.zeros(n, channels, height, width), f"{height} rows, {width} columns and factor {factor}"
        check_refuses(partial(pixel_unshuffle, odd, factor), f"ValueError for {what}", hint)


def _numbers(shape: Sequence[int], seed: int) -> Tensor:
    """1, 2, 3 … in an order drawn by ``seed``: no two are equal, so each can be recognised."""
    count = torch.Size(shape).numel()
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed)).float().view(*shape) + 1


def _tiles(x: Tensor, factor: int) -> Tensor:
    """A mosaic: the f·f channels of a patch as f × f whole tiles."""
    return x.unflatten(1, (-1, factor, factor)).transpose(3, 4).flatten(4, 5).flatten(2, 3)


def _cut(x: Tensor, factor: int) -> Tensor:
    """The mosaic's inverse."""
    n, channels, rows, columns = x.shape
    tiles = x.view(n, channels, factor, rows // factor, factor, columns // factor).transpose(3, 4)
    return tiles.reshape(n, channels * factor**2, rows // factor, columns // factor)


def _check_moved(found: object, expected: Tensor, x: Tensor, what: str, wrong: dict[str, Tensor]) -> None:
    """``found`` is ``expected``, number by number; a failure says where in ``x`` a wrong one stood."""
    check_tensor(found, what)
    if found.shape != expected.shape or found.dtype != expected.dtype:
        check_same(found, expected, what=what, hint="print the shape after each step")
    if torch.equal(found.detach(), expected):
        return
    at = tuple((found.detach() != expected).nonzero()[0].tolist())
    want, value = ((x == number).nonzero().tolist() for number in (expected[at], found.detach()[at]))
    came = f"x{value[0]}" if value else f"{float(found[at]):.6g}, a number that is not in x"
    hint = named_mistake(found, expected, wrong, "follow this number through your steps", torch.equal)
    fail(f"{what} at {list(at)} to be x{want[0]}", came, hint)


def check_shuffle_roundtrip(
    up: Callable[[Tensor], Tensor], down: Callable[[Tensor], Tensor], shape: Sequence[int]
) -> None:
    """``up`` and ``down`` only move numbers, and each undoes the other, bit for bit; ``shape`` is ``up``'s input.

    A failure means that a number was lost, changed or put elsewhere: the two disagree about the order of the channels.
    """
    coarse = torch.arange(float(torch.Size(shape).numel())).view(*shape)
    fine = up(coarse)
    if not torch.equal(fine.flatten().sort().values, coarse.flatten()):
        fail("the same numbers in other places", "other numbers", "a shuffle is a reshape and a permute, no arithmetic")
    for name, found, want in (("down(up(x))", down(fine), coarse), ("up(down(y))", up(down(fine)), fine)):
        if not torch.equal(found, want):
            fail(f"{name} to give its input back", "another order", "undo the permute in the opposite order")

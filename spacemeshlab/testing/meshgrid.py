"""Checks of the dilated convolutions for all pairs of rates (paper section 2.2; chapters 09 and 10).

The definition is here, cell by cell. Every check compares with it and knows the common mistakes by name. The fast way
is checked in :mod:`~spacemeshlab.testing.one_product`, what follows the sums in :mod:`~spacemeshlab.testing.consensus`.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from spacemeshlab.testing.contracts import check_same_gradients, fail
from spacemeshlab.testing.mistakes import Mistakes, check_known, named_mistake

MESHGRID_CASES = (  # N, C, H, W, rates, D
    (1, 1, 3, 4, (1,), 1),
    (2, 2, 5, 4, (1, 2), 2),
    (1, 2, 3, 5, (1, 3), 1),
    (1, 1, 2, 2, (2, 5), 2),
)
"""One rate; several of everything; a rate as large as the map's height; taps that all fall outside."""

TAP_CASES = ((2, 3, 1, 2, 5, 7), (0, 0, 1, 1, 2, 2), (3, 1, 2, 3, 4, 3), (1, 1, 3, 3, 3, 3))
"""Row, column, rates of rows and columns, height, width: all inside; two corners; only the middle tap is left."""

DILATED_CASES = ((1, 1, 5, 6, 2, 1, 1), (2, 3, 5, 4, 1, 3, 2), (1, 2, 3, 2, 4, 5, 3))
"""N, C, H, W, rates of rows and columns, D: one of everything; several; rates larger than the map."""


def naive_dilated_conv2d(x: Tensor, weight: Tensor, rate_rows: int, rate_columns: int) -> Tensor:
    """One pair of rates by definition, one cell at a time: (N, C, H, W), (D, C, 3, 3) -> (N, D, H, W)."""
    height, width = x.shape[2:]
    padded, cells = F.pad(x, (rate_columns, rate_columns, rate_rows, rate_rows)), []
    for row, column in product(range(height), range(width)):
        rows = slice(row, row + 2 * rate_rows + 1, rate_rows)  # row - rate, row, row + rate, in the padded map
        columns = slice(column, column + 2 * rate_columns + 1, rate_columns)
        cells.append((padded[:, None, :, rows, columns] * weight).sum((2, 3, 4)))  # (N, D, C, 3, 3) -> (N, D)
    return torch.stack(cells, 2).unflatten(2, (height, width))


def naive_meshgrid_conv2d(x: Tensor, weight: Tensor, rates: Sequence[int]) -> Tensor:
    """The definition, one output at a time (for tiny tensors); taps outside the map meet zeros.

    Shape: x (N, C, H, W), weight (M, M, D, C, 3, 3) -> (N, M·M·D, H, W), channel (a·M + b)·D + d.
    """
    pairs = product(enumerate(rates), repeat=2)
    return torch.cat([naive_dilated_conv2d(x, weight[a, b], rows, columns) for (a, rows), (b, columns) in pairs], 1)


def check_meshgrid_conv(
    function: Callable[[Tensor, Tensor, Sequence[int]], Tensor],
    cases: Iterable[tuple[int, int, int, int, Sequence[int], int]] = MESHGRID_CASES,
    seed: int = 0,
) -> None:
    """``function(x, weight, rates)`` keeps the contract of ``meshgrid_conv2d``, forward and in both gradients.

    Compared with :func:`naive_meshgrid_conv2d` on tiny maps. A failure says whether the values, their order or a
    gradient is off, and names the mistake where it is a common one.
    """
    generator = torch.Generator().manual_seed(seed)
    for n, c, height, width, rates, depth in cases:
        m, where = len(rates), f"with rates {tuple(rates)} on a {height}×{width} map"
        x = torch.randn(n, c, height, width, generator=generator).requires_grad_()
        weight = torch.randn(m, m, depth, c, 3, 3, generator=generator).requires_grad_()
        expected, found = naive_meshgrid_conv2d(x, weight, rates), function(x, weight, rates)
        otherwise = "take one output and add up its nine taps by hand; taps outside the map count as zero"
        check_known(found, expected, f"the output {where}", _meshgrid_mistakes(x, weight, rates), otherwise)
        check_same_gradients(found, expected, {"x": x, "weight": weight}, where, seed=seed)


def check_tap_places(
    tap_places: Callable[[int, int, int, int, int, int], Sequence[tuple[int, int] | None]],
    cases: Iterable[tuple[int, int, int, int, int, int]] | None = None,
    seed: int = 0,
) -> None:
    """``tap_places(row, column, rate_rows, rate_columns, height, width)``: nine places, None for those outside.

    Without ``cases``: :data:`TAP_CASES` and twenty random ones. A failure shows the first list that differs.
    """
    for case in [*TAP_CASES, *_random_places(seed)] if cases is None else cases:
        row, column, i, j, height, width = case
        where = f"for cell ({row}, {column}) with rates ({i}, {j}) on a {height}×{width} map"
        found = tap_places(*case)
        if not isinstance(found, list | tuple):
            fail(f"a list {where}", type(found).__name__, "return a list of nine entries")
        if len(found) != 9:
            fail(f"nine entries {where}", f"{len(found)}", "one entry a tap, also for those outside: None")
        found, expected = [_place(one) for one in found], _places(*case)
        if found != expected:
            fail(f"{expected} {where}", f"{found}", _tap_diagnosis(found, expected, case))


def check_dilated_conv(
    dilated_conv: Callable[[Tensor, Tensor, int, int], Tensor],
    cases: Iterable[tuple[int, int, int, int, int, int, int]] = DILATED_CASES,
    seed: int = 0,
) -> None:
    """``dilated_conv(x, weight, rate_rows, rate_columns)`` is one pair of rates, in whatever type ``x`` has.

    Compared with :func:`naive_dilated_conv2d`. A failure names the mistake where it is a common one.
    """
    generator = torch.Generator().manual_seed(seed)
    for index, (n, c, height, width, i, j, depth) in enumerate(cases):
        dtype, where = torch.float64 if index % 2 else torch.float32, f"with rates ({i}, {j}) on a {height}×{width} map"
        x = torch.randn(n, c, height, width, generator=generator, dtype=dtype)
        weight = torch.randn(depth, c, 3, 3, generator=generator, dtype=dtype)
        found, expected = dilated_conv(x, weight, i, j), naive_dilated_conv2d(x, weight, i, j)
        otherwise = "for the same size pad rate_rows above and below, rate_columns left and right; keep x's dtype"
        check_known(found, expected, f"the output {where}", _dilated_mistakes(x, weight, i, j), otherwise)


def _place(found: Any) -> Any:
    """A place as a pair of integers, None as None; anything else as its text, which is no place."""
    try:
        row, column = found
        pair = int(row), int(column)
        return pair if pair == (row, column) else repr(found)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return found if found is None else repr(found)


def _places(row: int, column: int, i: int, j: int, height: int, width: int, start: int = -1) -> list:
    places = [(row + v * i, column + h * j) for v, h in product(range(start, start + 3), repeat=2)]
    return [(p, q) if 0 <= p < height and 0 <= q < width else None for p, q in places]


def _random_places(seed: int) -> Iterator[tuple[int, ...]]:
    numbers = random.Random(seed)
    for _ in range(20):
        height, width = numbers.randint(1, 8), numbers.randint(1, 8)
        rates = numbers.randint(1, 4), numbers.randint(1, 4)
        yield numbers.randrange(height), numbers.randrange(width), *rates, height, width


def _tap_diagnosis(found: list, expected: list, case: tuple[int, int, int, int, int, int]) -> str:
    row, column, i, j, height, width = case
    mistakes = {
        "rate_rows is the distance between rows, rate_columns between columns; here they are exchanged":
            _places(row, column, j, i, height, width),
        "the order is that of reading: a row from left to right, then the row below it":
            [_places(*case)[3 * h + v] for v in range(3) for h in range(3)],
        "rate 1 is the next cell: between two taps there are rate - 1 others":
            _places(row, column, i + 1, j + 1, height, width),
        "the middle tap is the cell itself: tap v of 0, 1, 2 looks at row + (v - 1) * rate_rows":
            _places(*case, start=0),
    }  # fmt: skip
    if any(None not in (got, want) and got != want for got, want in zip(found, expected, strict=True)):
        return named_mistake(found, expected, mistakes, "draw the map and count cells", operator.eq)
    return "None is for places outside, and for no others: rows run from 0 to height - 1, columns from 0 to width - 1"


def _dilated_mistakes(x: Tensor, weight: Tensor, i: int, j: int) -> Mistakes:
    yield from {
        "rate_rows is the distance between rows, rate_columns between columns; here they are exchanged":
            naive_dilated_conv2d(x, weight, j, i),
        "the filters are mirrored: tap v of 0, 1, 2 looks at row + (v - 1) * rate_rows":
            naive_dilated_conv2d(x, weight.flip(-2, -1), i, j),
        "the filters lie on their side: weight[d, c, v, h] is row v, column h":
            naive_dilated_conv2d(x, weight.mT, i, j),
        "rate 1 is the next cell: between two taps there are rate - 1 others":
            naive_dilated_conv2d(x, weight, i + 1, j + 1),
        "one rate on both axes: rate_rows is for the rows only, rate_columns for the columns only":
            naive_dilated_conv2d(x, weight, i, i),
        "outside the map stand zeros, not the numbers of the border":
            F.conv2d(F.pad(x, (j, j, i, i), mode="replicate"), weight, dilation=(i, j)),
    }.items()  # fmt: skip


def _meshgrid_mistakes(x: Tensor, weight: Tensor, rates: Sequence[int]) -> Mistakes:
    yield from {
        "rates[a] is the distance between rows, rates[b] between columns; here they are exchanged":
            naive_meshgrid_conv2d(x.mT, weight.mT, rates).mT,
        "the filters are mirrored: tap v of 0, 1, 2 looks at row + (v - 1)*rate":
            naive_meshgrid_conv2d(x, weight.flip(-2, -1), rates),
        "the rates are what stands in rates, not 1 to M":
            naive_meshgrid_conv2d(x, weight, range(1, len(rates) + 1)),
    }.items()  # fmt: skip
    yield from wrong_orders(naive_meshgrid_conv2d(x, weight, rates).unflatten(1, weight.shape[:3]))


def wrong_orders(pairs: Tensor) -> Mistakes:
    """Right numbers in the wrong order of channels, from (N, M, M, D, H, W)."""
    right = "right numbers, wrong order: channel (a*M + b)*D + d,"
    yield f"{right} so a is the slowest and d the fastest", pairs.transpose(1, 2).flatten(1, 3)
    yield f"{right} so d is the fastest", pairs.movedim(3, 1).flatten(1, 3)

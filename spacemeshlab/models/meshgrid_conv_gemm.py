"""``gemm``: all dilated convolutions of one map as matrix products and shifted sums (section 2.2; chapter 10).

kn2row (Vasudevan, Anderson, Gregg, ASAP 2017) with dilation: the nine taps of a 3×3 filter are nine 1×1 convolutions
whose results are shifted and added. All 1×1 convolutions of all filters share one input, so they are one product; only
the shifts know the rates. It is cut into groups of rates, because a group can leave out the rows that its outer taps
would multiply and then throw away, and because memory is bounded.

Letters: N batch (n: the images taken at once), C channels, H W rows, columns, P = H·n·W pixels, M rates an axis, D
outputs a pair of rates; v h: which of the three rows and columns of a filter; A B: rates of a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

MEMORY_BYTES = 512 * 2**20
"""The bound on the memory that a call takes beside its inputs and results, at any size of the map."""

GROUP = 6
"""Rows of rates a product: few enough to leave out nearly the same rows, enough to keep the product large."""

Epilogue = tuple[Tensor, Tensor, Tensor]
"""(scale, shift, score), each (M·M·D,): what follows the convolution, score · ReLU(scale · y + shift)."""


def filter_storage(rows: int, columns: int, depth: int, channels: int, v: int = 3, h: int = 3, **options) -> Tensor:
    """An empty (M, M, D, C, 3, 3) tensor that lies in memory as (3 v, M, 3 h, M, D, C): products need no copy of it."""
    return torch.empty(v, rows, h, columns, depth, channels, **options).permute(1, 3, 4, 5, 0, 2)


def filter_matrix(weight: Tensor) -> Tensor:
    """Every tap of every filter as a row: (M, M, D, C, 3, 3) -> (3, M, 3·M·D, C); a view of :func:`filter_storage`."""
    return _taps(weight).flatten(2, 4)


def forward(x: Tensor, weight: Tensor, rates: Sequence[int], epilogue: Epilogue | None = None) -> Tensor:
    """The convolutions, and ``epilogue`` applied in place: (N, C, H, W), (M, M, D, C, 3, 3) -> (N, M·M·D, H, W)."""
    n, _, h, w = x.shape
    m, depth = len(rates), weight.shape[2]
    taps, out = _taps(weight), x.new_empty(n, m, m, depth, h, w)
    factors = [factor.view(m, m, depth, 1, 1, 1) for factor in epilogue or ()]
    for images in _images(x):
        pixels = _pixels(x[images])
        for block in _blocks(rates, depth, x[images]):
            total = block.sum_columns(block.sum_rows(taps, pixels))
            if factors:
                scale, shift, score = (block.of(factor) for factor in factors)
                total.mul_(scale).add_(shift).relu_().mul_(score)
            block.of(out[images].permute(1, 2, 3, 4, 0, 5)).copy_(total)  # (A, B, D, H, n, W)
    return out.flatten(1, 3)


def backward(
    grad: Tensor, x: Tensor, weight: Tensor, rates: Sequence[int], need_x: bool, need_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of x and weight from that of the output, each None if not needed: every step of forward, mirrored."""
    m, depth = len(rates), weight.shape[2]
    taps, grad = _taps(weight), grad.unflatten(1, (m, m, depth)).permute(1, 2, 3, 4, 0, 5)  # (M, M, D, H, N, W)
    grad_x = empty_grad_x(x).zero_() if need_x else None
    grad_weight = empty_grad_weight(weight).zero_() if need_weight else None
    for images in _images(x):
        pixels = _pixels(x[images])
        grad_pixels = _pixels(grad_x[images]) if need_x else None
        for block in _blocks(rates, depth, x[images]):
            spread = block.spread_columns(block.of(grad[..., images, :]))
            for v, inside, rows in block.spread_rows(spread):
                if need_x:
                    _add_product(grad_pixels[:, inside], block.matrix(taps, v).T, rows)
                if need_weight:
                    _add_outer_product(block.taps(_taps(grad_weight), v), rows, pixels[:, inside])
        if need_x and not _same_memory(grad_pixels, grad_x[images]):
            grad_x[images] = grad_pixels.unflatten(1, (x.shape[2], -1, x.shape[3])).permute(2, 0, 1, 3)
    return grad_x, grad_weight


def empty_grad_x(x: Tensor) -> Tensor:
    """An empty (N, C, H, W) tensor, channels-last if ``x`` is."""
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.empty_like(x, memory_format=torch.channels_last if last else torch.contiguous_format)


def empty_grad_weight(weight: Tensor) -> Tensor:
    """An empty (M, M, D, C, 3, 3) tensor in :func:`filter_storage`'s layout."""
    return filter_storage(*weight.shape, dtype=weight.dtype, device=weight.device)


def _taps(weight: Tensor) -> Tensor:
    return weight.permute(4, 0, 5, 1, 2, 3)  # (M, M, D, C, 3 v, 3 h) -> (3 v, M, 3 h, M, D, C)


def _pixels(x: Tensor) -> Tensor:
    """(n, C, H, W) -> (C, P) with P = H·n·W: a range of rows is a range of columns. One image needs no copy."""
    if x.stride(1) == 1:
        return x.permute(2, 0, 3, 1).flatten(0, 2).T
    return x.permute(1, 2, 0, 3).flatten(1)


def _sum_type(x: Tensor) -> torch.dtype:
    """What products and sums are taken in. On a CPU not in bfloat16: less exact, and without matrix units slow."""
    return torch.float32 if x.device.type == "cpu" and x.itemsize < 4 else x.dtype


def _strips(pixels: Tensor, dtype: torch.dtype) -> Iterator[slice]:
    """All columns at once, or, where they have to be converted to ``dtype``, as many as keep the copy small."""
    step = MEMORY_BYTES // 32 // (dtype.itemsize * len(pixels)) if dtype != pixels.dtype else pixels.shape[1]
    return _steps(0, pixels.shape[1], max(1, step))


def _product(left: Tensor, pixels: Tensor) -> Tensor:
    """left (R, C) @ pixels (C, P), in the type of the sums."""
    dtype = _sum_type(pixels)
    if dtype == pixels.dtype:
        return left @ pixels
    left, product = left.to(dtype), left.new_empty(len(left), pixels.shape[1], dtype=dtype)
    for strip in _strips(pixels, dtype):
        product[:, strip] = left @ pixels[:, strip].to(dtype)
    return product


def _add_product(target: Tensor, left: Tensor, right: Tensor) -> None:
    """target (C, P) += left (C, R) @ right (R, P); ``right`` has the type of the sums."""
    if target.dtype == right.dtype:
        target.addmm_(left, right)
        return
    left = left.to(right.dtype)
    for strip in _strips(target, right.dtype):
        target[:, strip] += left @ right[:, strip]


def _add_outer_product(target: Tensor, rows: Tensor, pixels: Tensor) -> None:
    """target (..., C) += rows (R, P) @ pixels (C, P) transposed, in place also where the target is no matrix."""
    matrix = target.flatten(0, -2)
    if matrix.dtype == rows.dtype:
        matrix.addmm_(rows, pixels.T)
    else:
        matrix += sum(rows[:, strip] @ pixels[:, strip].T.to(rows.dtype) for strip in _strips(pixels, rows.dtype))
    if not _same_memory(matrix, target):
        target.copy_(matrix.view_as(target))


def _same_memory(a: Tensor, b: Tensor) -> bool:
    return a.data_ptr() == b.data_ptr()


def _images(x: Tensor) -> Iterator[slice]:
    """Some images at a time: several need a copy of their pixels, and in the backward one of their gradients."""
    step = max(1, MEMORY_BYTES // 8 // max(1, x[:1].numel() * x.element_size()))
    return _steps(0, len(x), step)


def _steps(start: int, stop: int, step: int) -> Iterator[slice]:
    return (slice(at, min(at + step, stop)) for at in range(start, stop, step))


def _blocks(rates: Sequence[int], depth: int, x: Tensor) -> Iterator[_Block]:
    """Cut all filters into blocks with the same taps inside the map, each small enough for the bound on memory.

    A rate as large as the map sends its outer taps wholly outside, where they only meet zeros. The rates increase, so
    an axis has at most two parts: three taps that count, then one. Half of the bound is for two buffers of one row of
    taps (v) each; the rest is for pixels and filters that have to be copied.
    """
    n, _, h, w = x.shape
    inside_h, inside_w = (sum(rate < size for rate in rates) for size in (h, w))
    for columns, horizontal in ((slice(0, inside_w), slice(0, 3)), (slice(inside_w, len(rates)), slice(1, 2))):
        width, taps = columns.stop - columns.start, horizontal.stop - horizontal.start
        filters = max(1, MEMORY_BYTES // 2 // max(1, 2 * taps * n * h * w * _sum_type(x).itemsize))
        outputs = min(depth, filters)
        across = max(1, min(width, filters // outputs))
        down = max(1, min(GROUP, filters // (outputs * across)))
        for a in (*_steps(0, inside_h, down), *_steps(inside_h, len(rates), down)):
            for b in _steps(columns.start, columns.stop, across):
                for d in _steps(0, depth, outputs):
                    yield _Block(a, b, d, horizontal, tuple(rates[a]), tuple(rates[b]), h, n, w)


class _Block(NamedTuple):
    """Some rows and columns of the grid of rates and some outputs of each; ``horizontal``: the taps h that count."""

    a: slice
    b: slice
    d: slice
    horizontal: slice
    row_rates: tuple[int, ...]
    column_rates: tuple[int, ...]
    h: int
    n: int
    w: int

    def of(self, grid: Tensor) -> Tensor:
        """(M, M, D, ...) -> (A, B, D, ...)"""
        return grid[self.a, self.b, self.d]

    def taps(self, taps: Tensor, v: int) -> Tensor:
        """(3, M, 3, M, D, C) -> (A, h, B, D, C)"""
        return taps[v, self.a, self.horizontal, self.b, self.d]

    def matrix(self, taps: Tensor, v: int) -> Tensor:
        """(3, M, 3, M, D, C) -> (A·h·B·D, C), without a copy where the block is as wide as the grid."""
        return self.taps(taps, v).flatten(0, -2)

    def rows(self, product: Tensor) -> Tensor:
        """(A·h·B·D, rows·n·W) -> (A, h·B·D, rows, n·W)"""
        return product.unflatten(1, (-1, self.n * self.w)).unflatten(0, (len(self.row_rates), -1))

    def outer_rows(self) -> tuple[tuple[int, slice], ...]:
        """For v = 0 and 2 the rows of the map that fall inside for the smallest rate, as pixels."""
        first, row = self.row_rates[0], self.n * self.w
        if first >= self.h:
            return ()
        return (0, slice(0, (self.h - first) * row)), (2, slice(first * row, self.h * row))

    def shifts(self, v: int) -> Iterator[tuple[int, slice, slice]]:
        """For every row of rates: (its index, target rows, rows of the outer tap v that are added to them)."""
        first = self.row_rates[0]
        for index, rate in enumerate(self.row_rates):
            inside = slice(0, self.h - rate)
            yield (index, slice(rate, self.h), inside) if v == 0 else (index, inside, slice(rate - first, None))

    def sum_rows(self, taps: Tensor, pixels: Tensor) -> Tensor:
        """Three products, the outer two shifted and added to the middle one: (C, P) -> (A, h·B·D, H, n·W).

        All filters of a row of rates share the shift, so there are two additions of large slices a row.
        """
        total = self.rows(_product(self.matrix(taps, 1), pixels))
        for v, inside in self.outer_rows():
            outer = self.rows(_product(self.matrix(taps, v), pixels[:, inside]))
            for index, target, source in self.shifts(v):
                total[index, :, target] += outer[index, :, source]
            del outer  # before the next product asks for its own
        return total

    def sum_columns(self, total: Tensor) -> Tensor:
        """The three columns of taps, shifted and added in place: (A, h·B·D, H, n·W) -> (A, B, D, H, n, W)."""
        b, d = len(self.column_rates), self.d.stop - self.d.start
        total = total.view(len(total), -1, b, d, self.h, self.n, self.w)  # (A, h, B, D, H, n, W)
        middle = total[:, total.shape[1] // 2]
        if total.shape[1] == 3:
            for index, rate in enumerate(self.column_rates):
                middle[:, index, ..., rate:] += total[:, 0, index, ..., : self.w - rate]
                middle[:, index, ..., : self.w - rate] += total[:, 2, index, ..., rate:]
        return middle

    def spread_columns(self, grad: Tensor) -> Tensor:
        """The mirror of :meth:`sum_columns`: grad (A, B, D, H, n, W) -> (A, h·B·D, H, n·W)."""
        count = self.horizontal.stop - self.horizontal.start
        total = grad.new_zeros(len(grad), count, *grad.shape[1:], dtype=_sum_type(grad))  # (A, h, B, D, H, n, W)
        total[:, count // 2] = grad
        if count == 3:
            for index, rate in enumerate(self.column_rates):
                total[:, 0, index, ..., : self.w - rate] = grad[:, index, ..., rate:]
                total[:, 2, index, ..., rate:] = grad[:, index, ..., : self.w - rate]
        return total.view(len(grad), -1, self.h, self.n * self.w)

    def spread_rows(self, total: Tensor) -> Iterator[tuple[int, slice, Tensor]]:
        """The mirror of :meth:`sum_rows`: for each v (v, columns of the pixels, (A·h·B·D, those columns))."""
        yield 1, slice(None), total.flatten(0, 1).flatten(1)
        for v, inside in self.outer_rows():
            outer = total.new_zeros(*total.shape[:2], self.h - self.row_rates[0], total.shape[3])
            for index, target, source in self.shifts(v):
                outer[index, :, source] = total[index, :, target]
            yield v, inside, outer.flatten(0, 1).flatten(1)

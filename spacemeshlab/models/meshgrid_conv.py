"""M×M dilated 3×3 convolutions of one map, as the one matrix product that they are (section 2.2; chapters 09 and 10).

``loop`` is the definition: one convolution for each pair of rates. ``gemm`` is kn2row (Vasudevan, Anderson, Gregg, ASAP
2017) with dilation: the nine taps of a 3×3 filter are nine 1×1 convolutions whose results are shifted and added. All
1×1 convolutions of all filters share one input, so they are one matrix product; only the shifts know the rates.

Letters: N batch, C input channels, H W rows and columns, M rates an axis, D outputs a pair of rates, P = N·H·W.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

METHODS = ("auto", "loop", "gemm")
CHUNK_BYTES = 256 * 2**20
"""``gemm`` takes as many rows of rates at once as keep the product of all taps below this; at least one row."""


@torch.compiler.disable  # Inductor is quadratic in unrolled slices: better one graph break than an hour of compiling
def meshgrid_conv2d(x: Tensor, weight: Tensor, rates: Sequence[int], method: str = "auto") -> Tensor:
    """Convolve ``x`` with M×M filters, pair (a, b) dilated by ``rates[a]`` rows and ``rates[b]`` columns.

    Args:
        x: (N, C, H, W).
        weight: (M, M, D, C, 3, 3).
        rates: M strictly increasing positive integers, the dilation rates of both axes.
        method: "loop" (M² convolutions, the reference), "gemm" (one product a row of rates), or "auto" (gemm).

    Returns:
        (N, M·M·D, H, W); channel (a·M + b)·D + d belongs to pair (rates[a], rates[b]). Zero padding keeps H and W.

    Raises:
        ValueError: shapes, rates or method that do not fit; the message says what was expected.
    """
    rates = check_rates(rates)
    _check(x, weight, rates, method)
    device = x.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        x, weight = x.to(torch.get_autocast_dtype(device)), weight.to(torch.get_autocast_dtype(device))
    if method == "loop":
        return _loop(x, weight, rates)
    return _Gemm.apply(x, weight, rates)


def check_rates(rates: Iterable[int]) -> tuple[int, ...]:
    """The rates as a tuple; ValueError unless they are positive integers, each larger than the one before."""
    rates = tuple(rates)
    whole = all(int(rate) == rate for rate in rates)
    if not rates or not whole or rates[0] < 1 or any(low >= high for low, high in itertools.pairwise(rates)):
        raise ValueError(
            f"rates must be positive and strictly increasing integers, got {rates}: sort them and drop repeats"
        )
    return tuple(int(rate) for rate in rates)


def _check(x: Tensor, weight: Tensor, rates: tuple[int, ...], method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if x.ndim != 4:
        raise ValueError(f"x must be (N, C, H, W), got {tuple(x.shape)}: x[None] adds the batch axis")
    wanted = (len(rates), len(rates), "D", x.shape[1], 3, 3)
    if weight.ndim != 6 or any(want not in (got, "D") for want, got in zip(wanted, weight.shape, strict=True)):
        raise ValueError(f"weight must be (M, M, D, C, 3, 3) = {wanted}, got {tuple(weight.shape)}: see filter_storage")


def _loop(x: Tensor, weight: Tensor, rates: tuple[int, ...]) -> Tensor:
    maps = []
    for a, rows in enumerate(rates):
        for b, columns in enumerate(rates):
            dilation = (rows, columns)
            maps.append(F.conv2d(x, weight[a, b], padding=dilation, dilation=dilation))  # (N, D, H, W)
    return torch.cat(maps, dim=1)


class _Gemm(torch.autograd.Function):
    """Forward: product, then shifted sums. Backward: shifted copies, then two products. Saves only x and weight."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, rates: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.rates = rates
        n, _, h, w = x.shape
        m, depth = len(rates), weight.shape[2]
        pixels = _as_matrix(x)  # (C, P)
        out = x.new_empty(n, m, m, depth, h, w)
        for block in _blocks(rates, x, weight):
            matrix, shape = block.filters(weight)
            taps = (matrix @ pixels).view(*shape, n, h, w)  # (A, B, D, kv, kh, N, H, W)
            out[:, block.rows, block.columns] = block.gather(taps).permute(3, 0, 1, 2, 4, 5)
        return out.flatten(1, 3)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        m, depth = len(ctx.rates), weight.shape[2]
        pixels = _as_matrix(x)
        grad = grad.unflatten(1, (m, m, depth)).permute(1, 2, 3, 0, 4, 5)  # (M, M, D, N, H, W)
        need_x, need_weight, _ = ctx.needs_input_grad
        grad_pixels = torch.zeros_like(pixels) if need_x else None
        grad_weight = _zeros_like_filters(weight) if need_weight else None
        for block in _blocks(ctx.rates, x, weight):
            matrix, shape = block.filters(weight)
            taps = block.scatter(grad[block.rows, block.columns], shape).view(len(matrix), -1)  # (A·B·D·kv·kh, P)
            if need_x:
                grad_pixels.addmm_(matrix.T, taps)
            if need_weight:
                block.view(grad_weight).copy_((taps @ pixels.T).view(*shape, -1))
        if need_x:
            grad_pixels = grad_pixels.unflatten(1, (len(x), *x.shape[2:])).transpose(0, 1)  # (C, P) -> (N, C, H, W)
        return grad_pixels, grad_weight, None


def _as_matrix(x: Tensor) -> Tensor:
    return x.transpose(0, 1).flatten(1)  # (N, C, H, W) -> (C, P)


def filter_storage(*shape: int, **options) -> Tensor:
    """An empty (M, M, D, C, 3, 3) tensor that lies in memory as (M, M, D, 3, 3, C): the product then needs no copy."""
    m, _, depth, channels, kv, kh = shape
    return torch.empty(m, m, depth, kv, kh, channels, **options).permute(0, 1, 2, 5, 3, 4)


def _zeros_like_filters(weight: Tensor) -> Tensor:
    return filter_storage(*weight.shape, dtype=weight.dtype, device=weight.device).zero_()


def _blocks(rates: tuple[int, ...], x: Tensor, weight: Tensor) -> Iterator[_Block]:
    """Cut the grid of rates into blocks whose filters all have the same taps inside the map, few rows at a time.

    A rate as large as the map sends its outer taps wholly outside, where they only meet zeros. The rates increase, so
    an axis has at most two parts: three taps that count, then one.
    """
    n, _, h, w = x.shape
    for rows, vertical in _split(rates, h):
        for columns, horizontal in _split(rates, w):
            width = len(rates[columns]) * weight.shape[2] * _taps(vertical) * _taps(horizontal)
            step = max(1, CHUNK_BYTES // (width * n * h * w * x.element_size()))
            for start in range(rows.start, rows.stop, step):
                part = slice(start, min(start + step, rows.stop))
                yield _Block(part, columns, vertical, horizontal, rates)


def _split(rates: tuple[int, ...], size: int) -> Iterator[tuple[slice, slice]]:
    """Parts of an axis: (which rates, which of the three taps)."""
    inside = sum(rate < size for rate in rates)
    if inside:
        yield slice(0, inside), slice(0, 3)
    if inside < len(rates):
        yield slice(inside, len(rates)), slice(1, 2)


def _taps(part: slice) -> int:
    return part.stop - part.start


class _Block:
    """Some rows and columns of the grid of rates, and the taps that count there: kv of 3 rows, kh of 3 columns."""

    def __init__(self, rows: slice, columns: slice, vertical: slice, horizontal: slice, rates: tuple[int, ...]) -> None:
        self.rows, self.columns = rows, columns
        self.vertical, self.horizontal = vertical, horizontal
        self.row_rates, self.column_rates = rates[rows], rates[columns]

    def view(self, weight: Tensor) -> Tensor:
        """This block's part of (M, M, D, C, 3, 3), channels last: (A, B, D, kv, kh, C)."""
        return weight[self.rows, self.columns, :, :, self.vertical, self.horizontal].permute(0, 1, 2, 4, 5, 3)

    def filters(self, weight: Tensor) -> tuple[Tensor, torch.Size]:
        """Every tap of every filter as a row of one matrix (A·B·D·kv·kh, C), and (A, B, D, kv, kh)."""
        view = self.view(weight)
        return view.reshape(-1, view.shape[-1]), view.shape[:-1]

    def gather(self, taps: Tensor) -> Tensor:
        """Shift and add: out[y, x] = Σ taps[v, h][y + (v-1)·row rate, x + (h-1)·column rate]; adds in place.

        All filters of a row of rates share their vertical shift and all of a column their horizontal one, so the two
        axes are summed one after the other: 2A + 2B additions of large slices instead of 9·A·B of small ones.
        """
        h, w = taps.shape[-2:]
        middle = taps.select(3, _taps(self.vertical) // 2)  # (A, B, D, kh, N, H, W)
        for tap, target, source, a in _shifts(self.vertical, self.row_rates, h):
            middle[a, ..., target, :] += taps[a, :, :, tap, ..., source, :]
        out = middle.select(3, _taps(self.horizontal) // 2)  # (A, B, D, N, H, W)
        for tap, target, source, b in _shifts(self.horizontal, self.column_rates, w):
            out[:, b, ..., target] += middle[:, b, :, tap, ..., source]
        return out

    def scatter(self, grad: Tensor, shape: torch.Size) -> Tensor:
        """The transpose of :meth:`gather`: (A, B, D, N, H, W) -> (A, B, D, kv, kh, N, H, W)."""
        h, w = grad.shape[-2:]
        taps = grad.new_zeros(*shape, *grad.shape[3:])
        middle = taps.select(3, _taps(self.vertical) // 2)  # (A, B, D, kh, N, H, W)
        middle.select(3, _taps(self.horizontal) // 2).copy_(grad)
        for tap, target, source, b in _shifts(self.horizontal, self.column_rates, w):
            middle[:, b, :, tap, ..., source] = grad[:, b, ..., target]
        for tap, target, source, a in _shifts(self.vertical, self.row_rates, h):
            taps[a, :, :, tap, ..., source, :] = middle[a, ..., target, :]
        return taps


def _shifts(part: slice, rates: tuple[int, ...], size: int) -> Iterator[tuple[int, slice, slice, int]]:
    """For each rate the two outer taps: (tap, target, source, index) with target[y] += source[y ± rate]."""
    if _taps(part) == 1:
        return
    for index, rate in enumerate(rates):
        yield 0, slice(rate, size), slice(0, size - rate), index
        yield 2, slice(0, size - rate), slice(rate, size), index

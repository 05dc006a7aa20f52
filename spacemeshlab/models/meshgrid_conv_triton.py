"""``triton``: all dilated convolutions of one map on a GPU, as products and one kernel (section 2.2; chapter 18).

The idea is that of :mod:`~spacemeshlab.models.meshgrid_conv_gemm`: every tap of every filter is a 1×1 convolution of
the same map, and only the shifts know the rates. The products are the library's. A kernel in Triton then reads the nine
taps of every output, adds them in float32, applies what follows the convolution, and writes the output once. Run the
other way it writes the gradients of the taps, zeros where a tap fell outside; two more products finish the backward.

What moves, beside the products' own traffic, for F = 9·M·M·D taps of b bytes a number and P = N·H·W pixels: forward the
products write and the kernel reads at most F·P·b, and it writes F/9·P·b; backward the kernel reads F/9·P·b (the other
eight readings of a number come soon after and should meet a cache), writes F·P·b, and each of the two products reads
F·P·b. With the paper's filters, eight images of 48×48 and bfloat16, F·P·b is 430 MB. The kernel has no arithmetic to
speak of, so this traffic is its time. Threads that are neighbours read pixels that are neighbours, at any shift.

Letters: N batch (n: the images taken at once), C channels, H W rows, columns, M rates an axis, D outputs a pair of
rates; v h: which of the three rows and columns of a filter; A B E: rates and outputs of a block.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from spacemeshlab.models import meshgrid_conv_gemm as gemm

try:
    import triton
    import triton.language as tl
except ImportError:  # where there is no GPU, Triton is often left out
    triton = None

GROUP = 7
"""Rows of rates a product of the forward: few leave out nearly the same rows of the map, and seven of the paper's are
1,512 filters for each v, which fill twelve of a library's usual tiles of 128 to 98 %."""

LAUNCHES = ((4, 128, 4), (4, 256, 4), (4, 256, 8), (2, 256, 4), (1, 256, 4))
"""Outputs, pixels and warps a program, for the autotuner: one or two pixels a thread, whose place in the map is found
once for all outputs. The first call of a kind tries them all."""

GRID = 65_535
"""The longest second and third axis that CUDA launches."""

NO_EPILOGUE = (None, None, None)


def available(x: Tensor) -> bool:
    """Whether these kernels can work on ``x``: there is Triton, and a GPU or Triton's interpreter."""
    return triton is not None and (x.is_cuda or _interpreted())


def forward(x: Tensor, weight: Tensor, rates: Sequence[int], epilogue: gemm.Epilogue | None = None) -> Tensor:
    """The convolutions and ``epilogue``: (N, C, H, W), (M, M, D, C, 3, 3) -> (N, M·M·D, H, W), contiguous."""
    n, _, h, w = x.shape
    out = x.new_empty(n, weight.shape[:3].numel(), h, w)
    factors = [factor.contiguous() for factor in epilogue] if epilogue else NO_EPILOGUE
    for block in _blocks(x, weight, rates, GROUP):
        taps = block.products(x, weight)
        _launch(out[block.images], taps, block, rates, factors, gather=True)
        del taps  # before the next block asks for its own
    return out


def backward(
    grad: Tensor, x: Tensor, weight: Tensor, rates: Sequence[int], need_x: bool, need_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of x and weight from ``grad`` (N, M·M·D, H, W), each None if not needed.

    A block has all rates if memory allows: the gradient of x is then one product, rounded once.
    """
    grad_x = gemm.empty_grad_x(x).zero_() if need_x else None
    grad_weight = gemm.empty_grad_weight(weight).zero_() if need_weight else None
    for block in _blocks(x, weight, rates, len(rates)) if need_x or need_weight else ():
        taps = block.empty_taps(x)
        _launch(grad[block.images].contiguous(), taps, block, rates, NO_EPILOGUE, gather=False)
        if need_x:
            filters = block.matrix(weight, block.v).T.expand(taps.shape[5], -1, -1)  # (n, C, F)
            block.pixels(grad_x).baddbmm_(filters, taps.flatten(0, 4).transpose(0, 1), beta=int(block.adds_to_x))
        if need_weight:
            block.add_product(grad_weight, taps.flatten(0, 4).flatten(1), x)
        del taps  # before the next block asks for its own
    return grad_x, grad_weight


def _interpreted() -> bool:
    return triton.knobs.runtime.interpret


class _Block(NamedTuple):
    """Some images, rows (a) and columns (b) of the grid of rates and outputs (d), and the taps (v, h) that count."""

    images: slice
    a: slice
    b: slice
    d: slice
    v: slice
    h: slice
    first_rate: int

    @property
    def adds_to_x(self) -> bool:
        """Whether an earlier block has written these images' gradient: the first one has the first of all filters."""
        return any(part.start for part in (self.a, self.b, self.d))

    def pixels(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (n, C, H·W), without a copy of a map that is dense, be it channels-last."""
        return x[self.images].flatten(2)

    def empty_taps(self, x: Tensor) -> Tensor:
        """(v, A, h, B, E, n, H·W): a product's rows, so that any range of pixels is a range of its columns."""
        sizes = (part.stop - part.start for part in (self.v, self.a, self.h, self.b, self.d, self.images))
        return x.new_empty(*sizes, x.shape[2] * x.shape[3])

    def filters(self, weight: Tensor, v: slice) -> Tensor:
        """(M, M, D, C, 3, 3) -> (v, A, h, B, E, C)"""
        return weight.permute(4, 0, 5, 1, 2, 3)[v, self.a, self.h, self.b, self.d]

    def matrix(self, weight: Tensor, v: slice) -> Tensor:
        """(M, M, D, C, 3, 3) -> (v·A·h·B·E, C), without a copy for one v, or all rates, in ``filter_storage``."""
        return self.filters(weight, v).flatten(0, 4)

    def products(self, x: Tensor, weight: Tensor) -> Tensor:
        """All taps of the block's filters. An outer row of taps leaves out what no rate of the block moves inside."""
        h, w = x.shape[2:]
        pixels, taps = self.pixels(x), self.empty_taps(x)
        for v, out in zip(range(self.v.start, self.v.stop), taps, strict=True):
            inside = slice(self.first_rate * w * (v == 2), (h - self.first_rate * (v == 0)) * w)
            matrix = self.matrix(weight, slice(v, v + 1)).expand(len(pixels), -1, -1)
            torch.bmm(matrix, pixels[..., inside], out=out.flatten(0, 3).transpose(0, 1)[..., inside])
        return taps

    def add_product(self, grad_weight: Tensor, taps: Tensor, x: Tensor) -> None:
        """Add (F, P) @ (P, C) to the block's part of (M, M, D, C, 3, 3), in place where that part is a matrix."""
        part = self.filters(grad_weight, self.v)
        matrix, pixels = part.flatten(0, 4), x[self.images].transpose(0, 1).flatten(1)  # (F, C), (C, P)
        matrix.addmm_(taps, pixels.T, beta=int(self.images.start > 0))
        if matrix.data_ptr() != part.data_ptr():
            part.copy_(matrix.view_as(part))


def _blocks(x: Tensor, weight: Tensor, rates: Sequence[int], rows: int) -> Iterator[_Block]:
    """Cut the work into blocks of at most so many ``rows`` of rates, whose memory stays below ``gemm.MEMORY_BYTES``.

    A rate as large as the map sends its outer taps wholly outside, where they only meet zeros. The rates increase, so
    an axis has at most two parts: three taps that count, then one. A block that is too large is halved: its images,
    then rows of rates, columns of rates, outputs. One filter's taps of one image are the least that it can be.
    """
    (n, _, h, w), depth = x.shape, weight.shape[2]
    for (a, v), (b, taps) in itertools.product(_parts(rates, h), _parts(rates, w)) if x.shape[2:].numel() else ():
        count = (v.stop - v.start) * (taps.stop - taps.start)
        steps = [n, min(rows, a.stop - a.start), b.stop - b.start, depth]
        while _too_large(x, weight, count, *steps) and max(steps) > 1:
            axis = next(axis for axis, step in enumerate(steps) if step > 1)
            steps[axis] = -(-steps[axis] // 2)
        ranges = (slice(0, n), a, b, slice(0, depth))
        for images, *filters in itertools.product(*map(_cut, ranges, steps)):
            yield _Block(images, *filters, v, taps, rates[filters[0].start])


def _parts(rates: Sequence[int], size: int) -> Iterator[tuple[slice, slice]]:
    """Parts of an axis: (which rates, which of the three taps)."""
    inside = sum(rate < size for rate in rates)
    if inside:
        yield slice(0, inside), slice(0, 3)
    if inside < len(rates):
        yield slice(inside, len(rates)), slice(1, 2)


def _cut(part: slice, step: int) -> list[slice]:
    return [slice(at, min(at + step, part.stop)) for at in range(part.start, part.stop, max(1, step))]


def _too_large(x: Tensor, weight: Tensor, taps: int, images: int, a: int, b: int, d: int) -> bool:
    """Taps, and copies of pixels, filters and their gradients, as if all had to be made; the grid of programs."""
    (_, channels, h, w), filters = x.shape, taps * a * b * d
    pixels = images * h * w * (filters + channels + weight.shape[:3].numel())
    memory = (pixels + 2 * filters * channels) * x.element_size()
    return memory > gemm.MEMORY_BYTES or max(images, a * b * d) > GRID


@functools.lru_cache(maxsize=64)
def _on_device(rates: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor(rates, dtype=torch.int32, device=device)  # once: a copy from the host makes it wait


def _launch(
    planes: Tensor, taps: Tensor, block: _Block, rates: Sequence[int], epilogue: Sequence[Tensor | None], gather: bool
) -> None:
    """Run :func:`_shift` between the block's taps and ``planes`` (n, M·M·D, H, W), dense."""
    v, a, h, b, d, n, pixels = taps.shape
    with torch.cuda.device_of(taps):  # Triton launches on the current device
        _kernel(_interpreted())[
            lambda config: (triton.cdiv(pixels, config["BLOCK"]), n, a * b * triton.cdiv(d, config["OUTPUTS"]))
        ](
            *(planes, taps, _on_device(tuple(rates), taps.device), *epilogue),
            *(n, a, b, d, block.a.start, block.b.start, block.d.start),
            *(len(rates), planes.shape[1] // len(rates) ** 2, *planes.shape[2:], pixels.bit_length()),
            V=v,
            H=h,
            GATHER=gather,
            TOTAL=tl.float64 if taps.dtype == torch.float64 else tl.float32,
        )


def _shift(
    planes, taps, rates, scale, shift, score,
    images, a_size, b_size, d_size, a_first, b_first, d_first, m, depth, height, width, size_class,
    V: tl.constexpr, H: tl.constexpr, GATHER: tl.constexpr, TOTAL: tl.constexpr,
    OUTPUTS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program: some pixels and outputs of one image and pair of rates, from V×H taps to planes (GATHER) or back.

    Shapes: planes (n, M·M·D, P), taps (V, A, H, B, E, n, P), rates (M,); scale, shift, score (M·M·D,) or None. All
    pixels of a program are shifted alike, so every load and store takes neighbours. ``size_class`` is only a key of the
    autotuner: maps of about the same size share a choice.
    """
    pixels = height * width
    p = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    row, column = p // width, p % width
    groups = (d_size + OUTPUTS - 1) // OUTPUTS
    image, pair, group = tl.program_id(1), tl.program_id(2) // groups, tl.program_id(2) % groups
    a, b = pair // b_size, pair % b_size
    d = tl.minimum(group * OUTPUTS + tl.arange(0, OUTPUTS), d_size - 1)[:, None]  # beyond the last: the last again
    channel = ((a_first + a) * m + b_first + b) * depth + d_first + d
    plane = planes + (image * m * m * depth + channel).to(tl.int64) * pixels
    tap = taps + (((a * H * b_size + b) * d_size + d) * images + image).to(tl.int64) * pixels
    next_h = (b_size * d_size * images).to(tl.int64) * pixels  # from a tap to the next
    next_v = (a_size - 1) * H * next_h  # from the end of a row of taps to the next row
    step = 1 if GATHER else -1
    down, right = step * tl.load(rates + a_first + a), step * tl.load(rates + b_first + b)

    total = tl.full((OUTPUTS, BLOCK), 0, TOTAL)
    for v in tl.static_range(V):
        y = row + (v - V // 2) * down
        inside_rows = (p < pixels) & (y >= 0) & (y < height)
        for h in tl.static_range(H):
            x = column + (h - H // 2) * right
            inside = (inside_rows & (x >= 0) & (x < width))[None, :]
            source = (p + ((v - V // 2) * down * width + (h - H // 2) * right))[None, :]
            if GATHER:
                total += tl.load(tap + source, inside, 0).to(TOTAL)
            else:
                tl.store(tap + p[None, :], tl.load(plane + source, inside, 0), (p < pixels)[None, :])
            tap += next_h
        tap += next_v
    if GATHER:
        if scale is not None:
            total = total * tl.load(scale + channel).to(TOTAL) + tl.load(shift + channel).to(TOTAL)
            total = tl.where(total < 0, 0, total) * tl.load(score + channel).to(TOTAL)  # keeps NaN, as ReLU does
        tl.store(plane + p[None, :], total, (p < pixels)[None, :])


@functools.cache
def _kernel(interpreted: bool) -> Callable:
    """The kernel for the GPU or for the interpreter: ``triton.jit`` looks at TRITON_INTERPRET when it decorates."""
    names = ("OUTPUTS", "BLOCK")
    configs = [
        triton.Config(dict(zip(names, sizes, strict=True)), num_warps=warps)
        for *sizes, warps in (LAUNCHES[:1] if interpreted else LAUNCHES)
    ]
    sizes = "images a_size b_size d_size a_first b_first d_first m depth height width size_class".split()
    tuned = triton.autotune(configs, key=["size_class", "d_size", "V", "H", "GATHER"])
    return tuned(triton.jit(_shift, do_not_specialize=sizes))

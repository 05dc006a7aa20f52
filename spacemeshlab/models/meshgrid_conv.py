"""M×M dilated 3×3 convolutions of one map, as the one matrix product that they are (section 2.2; chapters 09 and 10).

``loop`` is the definition: one convolution for each pair of rates. ``gemm`` and ``triton`` compute the same as matrix
products and shifted sums, see :mod:`~spacemeshlab.models.meshgrid_conv_gemm` for how, and
:mod:`~spacemeshlab.models.meshgrid_conv_triton` for GPUs. Both hide behind one operator of ``torch.library``, so that
``torch.compile``, ``torch.export`` and autograd see a single node instead of thousands of slices.

Exactness, with u the unit roundoff of a type and s the same convolution of the absolute values: adding in float32, in
whatever order, costs an output at most (9·C + 9)·u(float32)·s. In bfloat16 and float16 a result is also rounded, u·s
each time: once by ``loop``; once by ``gemm`` on a CPU, five times on a GPU (its tap, two sums of rows, two of columns);
twice by ``triton`` (its tap, the sum). The bounds of the gradients stand in the tests.

Letters: N batch, C input channels, H W rows and columns, M rates an axis, D outputs a pair of rates.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from spacemeshlab.models import meshgrid_conv_gemm, meshgrid_conv_triton
from spacemeshlab.models.meshgrid_conv_gemm import empty_grad_weight, empty_grad_x

METHODS = ("auto", "loop", "gemm", "triton")


def meshgrid_conv2d(x: Tensor, weight: Tensor, rates: Sequence[int], method: str = "auto") -> Tensor:
    """Convolve ``x`` with M×M filters, pair (a, b) dilated by ``rates[a]`` rows and ``rates[b]`` columns.

    Args:
        x: (N, C, H, W).
        weight: (M, M, D, C, 3, 3).
        rates: M strictly increasing positive integers, the dilation rates of both axes.
        method: "loop" (M² convolutions, the reference), "gemm" (matrix products, any device), "triton" (the same with
            its sums in one kernel; gemm where there is no GPU or no Triton), or "auto" (triton on a GPU, else gemm).

    Returns:
        (N, M·M·D, H, W); channel (a·M + b)·D + d belongs to pair (rates[a], rates[b]). Zero padding keeps H and W.

    Raises:
        ValueError: shapes, rates or method that do not fit; the message says what was expected.
    """
    rates = check_rates(rates)
    _check(x, weight, rates, method)
    x, weight = _autocast(x, weight)
    if method == "loop":
        return _loop(x, weight, rates)
    return _convolve(x, weight, rates, method)


def fused_meshgrid_conv2d(
    x: Tensor,
    weight: Tensor,
    rates: Sequence[int],
    scale: Tensor,
    shift: Tensor,
    score: Tensor,
    method: str = "auto",
) -> Tensor:
    """score · ReLU(scale · :func:`meshgrid_conv2d` + shift) without a pass of its own, for inference: no gradients.

    Args:
        scale: (M·M·D,), with ``shift`` what batch norm does in eval mode.
        shift: (M·M·D,).
        score: (M·M·D,).

    Returns:
        (N, M·M·D, H, W).
    """
    rates = check_rates(rates)
    _check(x, weight, rates, method)
    x, weight = _autocast(x, weight)
    if method == "loop":
        scale, shift, score = (factor.view(-1, 1, 1) for factor in (scale, shift, score))
        return (score * F.relu(scale * _loop(x, weight, rates) + shift)).to(x.dtype)
    return _convolve_fused(x, weight, rates, method, scale, shift, score)


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


def _autocast(*tensors: Tensor) -> Sequence[Tensor]:
    """The tensors in autocast's type, as torch's own convolutions would take them."""
    device = tensors[0].device.type
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return tensors
    return [tensor.to(torch.get_autocast_dtype(device)) for tensor in tensors]


@torch.compiler.disable  # Inductor is quadratic in unrolled loops: better one graph break than an hour of compiling
def _loop(x: Tensor, weight: Tensor, rates: tuple[int, ...]) -> Tensor:
    maps = []
    for a, rows in enumerate(rates):
        for b, columns in enumerate(rates):
            dilation = (rows, columns)
            maps.append(F.conv2d(x, weight[a, b], padding=dilation, dilation=dilation))  # (N, D, H, W)
    return torch.cat(maps, dim=1)


def _implementation(method: str, x: Tensor) -> ModuleType:
    """Asked for when it runs, not when it is compiled or exported: a graph made on one machine runs on another."""
    return meshgrid_conv_gemm if method == "gemm" or not meshgrid_conv_triton.available(x) else meshgrid_conv_triton


@torch.library.custom_op("spacemeshlab::meshgrid_conv2d", mutates_args=())
def _convolve(x: Tensor, weight: Tensor, rates: Sequence[int], method: str) -> Tensor:
    return _implementation(method, x).forward(x, weight, rates)


@torch.library.custom_op("spacemeshlab::meshgrid_conv2d_backward", mutates_args=())
def _convolve_backward(
    grad: Tensor, x: Tensor, weight: Tensor, rates: Sequence[int], method: str, need_x: bool, need_weight: bool
) -> list[Tensor]:
    gradients = _implementation(method, x).backward(grad, x, weight, rates, need_x, need_weight)
    return [gradient for gradient in gradients if gradient is not None]


@torch.library.custom_op("spacemeshlab::fused_meshgrid_conv2d", mutates_args=())
def _convolve_fused(
    x: Tensor, weight: Tensor, rates: Sequence[int], method: str, scale: Tensor, shift: Tensor, score: Tensor
) -> Tensor:
    return _implementation(method, x).forward(x, weight, rates, (scale, shift, score))


@_convolve.register_fake
@_convolve_fused.register_fake
def _(x, weight, rates, *_):
    return x.new_empty(x.shape[0], len(rates) ** 2 * weight.shape[2], *x.shape[2:])


@_convolve_backward.register_fake
def _(grad, x, weight, rates, method, need_x, need_weight):
    return [empty_grad_x(x)] * need_x + [empty_grad_weight(weight)] * need_weight


def _remember(ctx, inputs, output) -> None:
    x, weight, ctx.rates, ctx.method = inputs
    ctx.save_for_backward(x, weight)


def _differentiate(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
    need_x, need_weight, *_ = ctx.needs_input_grad
    gradients = _convolve_backward(grad, *ctx.saved_tensors, ctx.rates, ctx.method, need_x, need_weight)
    return gradients[0] if need_x else None, gradients[-1] if need_weight else None, None, None


_convolve.register_autograd(_differentiate, setup_context=_remember)


@register_flop_formula([torch.ops.spacemeshlab.meshgrid_conv2d, torch.ops.spacemeshlab.fused_meshgrid_conv2d])
def _flops(x_shape, weight_shape, *_, **__) -> int:
    """As torch counts a convolution: every tap of every output, also where it meets padding."""
    (n, _, h, w), filters = x_shape, torch.Size(weight_shape).numel()
    return 2 * n * h * w * filters


@register_flop_formula(torch.ops.spacemeshlab.meshgrid_conv2d_backward)
def _flops_backward(grad_shape, x_shape, weight_shape, rates, method, need_x, need_weight, **__) -> int:
    return (need_x + need_weight) * _flops(x_shape, weight_shape)

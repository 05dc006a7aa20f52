"""Checks of the dilated convolutions for all pairs of rates (paper section 2.2; chapters 09 and 10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from spacemeshlab.testing.contracts import check_same


def naive_meshgrid_conv2d(x: Tensor, weight: Tensor, rates: Sequence[int]) -> Tensor:
    """The definition, one output at a time (for tiny tensors); taps outside the map meet zeros.

    Shape: x (N, C, H, W), weight (M, M, D, C, 3, 3) -> (N, M·M·D, H, W), channel (a·M + b)·D + d.
    """
    (n, _, height, width), (m, _, depth, *_) = x.shape, weight.shape
    border = max(rates)
    padded = F.pad(x, (border, border, border, border))
    values = []
    for a, b, d, row, column in product(range(m), range(m), range(depth), range(height), range(width)):
        rows = slice(border + row - rates[a], border + row + rates[a] + 1, rates[a])  # row - rate, row, row + rate
        columns = slice(border + column - rates[b], border + column + rates[b] + 1, rates[b])
        values.append((padded[:, :, rows, columns] * weight[a, b, d]).sum((1, 2, 3)))  # (N, C, 3, 3) -> (N,)
    return torch.stack(values, 1).view(n, -1, height, width)


MESHGRID_CASES = (  # N, C, H, W, rates, D
    (1, 1, 3, 4, (1,), 1),
    (2, 2, 5, 4, (1, 2), 2),
    (1, 2, 3, 5, (1, 3), 1),
    (1, 1, 2, 2, (2, 5), 2),
)
"""One rate; several of everything; a rate as large as the map's height; taps that all fall outside."""


def check_meshgrid_conv(function: Callable[[Tensor, Tensor, Sequence[int]], Tensor]) -> None:
    """``function(x, weight, rates)`` keeps the contract of ``meshgrid_conv2d``, forward and in both gradients.

    Compared with :func:`naive_meshgrid_conv2d` on tiny maps. A failure says whether the values, their order or a
    gradient is off, and names the mistake where it is a common one.
    """
    generator = torch.Generator().manual_seed(0)
    for n, c, height, width, rates, depth in MESHGRID_CASES:
        m, where = len(rates), f"with rates {rates} on a {height}×{width} map"
        x = torch.randn(n, c, height, width, generator=generator).requires_grad_()
        weight = torch.randn(m, m, depth, c, 3, 3, generator=generator).requires_grad_()
        expected, found = naive_meshgrid_conv2d(x, weight, rates), function(x, weight, rates)
        check_same(found, expected, what=f"the output {where}", hint=_diagnosis(found, x, weight, rates))
        grad = torch.randn(expected.shape, generator=generator)
        wanted = torch.autograd.grad(expected, (x, weight), grad)
        gradients = torch.autograd.grad(found, (x, weight), grad)
        for name, got, want in zip(("x", "weight"), gradients, wanted, strict=True):
            check_same(
                got, want, what=f"the gradient of {name} {where}", hint="the output is right, its backward is not"
            )


def _diagnosis(found: Tensor, x: Tensor, weight: Tensor, rates: Sequence[int]) -> str:
    """The common mistake that gives exactly ``found``, in words."""
    with torch.no_grad():
        pairs = naive_meshgrid_conv2d(x, weight, rates).unflatten(1, weight.shape[:3])  # (N, M, M, D, H, W)
        mistakes = {
            "rates[a] is the distance between rows, rates[b] between columns; here they are exchanged":
                naive_meshgrid_conv2d(x.mT, weight.mT, rates).mT,
            "right numbers, wrong order: channel (a*M + b)*D + d, so a is the slowest and d the fastest":
                pairs.transpose(1, 2).flatten(1, 3),
            "right numbers, wrong order: channel (a*M + b)*D + d, so d is the fastest":
                pairs.movedim(3, 1).flatten(1, 3),
            "the filters are mirrored: tap v of 0, 1, 2 looks at row + (v - 1)*rate":
                naive_meshgrid_conv2d(x, weight.flip(-2, -1), rates),
        }  # fmt: skip
    for hint, wrong in mistakes.items():
        if found.shape == wrong.shape and torch.allclose(found.detach(), wrong, atol=1e-4):
            return hint
    return "take one output and add up its nine taps by hand; taps outside the map count as zero"

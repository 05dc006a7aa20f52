"""Contract checks that the tests and the graded assignments share, so that an exercise cannot drift from the package.

Every ``check_*`` takes the thing to be judged, returns nothing, and raises AssertionError with one line: what was
expected, what was found, and a hint where to look. Nothing here knows how the package computes its results.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _fail(expected: str, found: str, hint: str) -> NoReturn:
    raise AssertionError(f"expected {expected}, found {found}. Hint: {hint}")


def check_shape(function: Callable[[Tensor], Tensor], shape: Sequence[int], expected: Sequence[int]) -> None:
    """``function`` maps a random tensor of ``shape`` to one of shape ``expected``.

    A failure means that an axis was lost, swapped or rounded: odd sizes and a batch of one show it first.
    """
    found = tuple(function(torch.randn(*shape)).shape)
    if found != tuple(expected):
        _fail(f"shape {tuple(expected)} from {tuple(shape)}", f"{found}", "print the shape after each step")


def check_same(
    found: Tensor, expected: Tensor, tolerance: float = 1e-5, what: str = "the result", hint: str = "compare by hand"
) -> None:
    """Two tensors agree in shape and type, and in value up to ``tolerance`` of the largest expected one (at least 1).

    A failure names the worst place with both values; the rest of the tensor is closer.
    """
    for name, want, got in (
        ("shape", tuple(expected.shape), tuple(found.shape)),
        ("dtype", expected.dtype, found.dtype),
    ):
        if want != got:
            _fail(f"{what} of {name} {want}", f"{got}", hint)
    if not expected.numel():
        return
    found, expected = found.detach(), expected.detach()
    gap = (found - expected).abs().nan_to_num(nan=torch.inf)
    limit = tolerance * max(1.0, float(expected.abs().max()))
    if float(gap.max()) > limit:
        at = tuple(int(i) for i in torch.unravel_index(gap.argmax(), gap.shape))
        _fail(f"{what} {float(expected[at]):.6g} at {at} (to {limit:.1g})", f"{float(found[at]):.6g}", hint)


def check_inputs_unmodified(function: Callable[..., Any], *inputs: Tensor) -> None:
    """``function(*inputs)`` leaves every number of its inputs as it was.

    A failure means that an operation in place (``+=``, ``relu_``, ``inplace=True``) works on the caller's own tensor.
    """
    before = [tensor.detach().clone() for tensor in inputs]
    function(*inputs)
    for index, (old, new) in enumerate(zip(before, inputs, strict=True)):
        if not torch.equal(old, new.detach()):
            _fail(f"input {index} unchanged", "other numbers in it after the call", "look for an operation in place")


def check_gradients_reach_everything(module: nn.Module, *inputs: Any) -> None:
    """A loss on everything that ``module(*inputs)`` returns gives every parameter a finite gradient, not all zero.

    A failure means that a parameter is never used, or that something behind it cancels it (as batch norm cancels a
    positive factor). The loss weights the outputs at random: their plain sum behind batch norm would be constant.
    """
    module.zero_grad(set_to_none=True)
    sum((out * torch.randn_like(out)).sum() for out in _tensors(module(*inputs))).backward()
    for name, parameter in module.named_parameters():
        grad = parameter.grad
        state = (
            "none" if grad is None else "only zeros" if not grad.any() else "" if grad.isfinite().all() else "NaN or ∞"
        )
        if state:
            _fail(f"a gradient in {name}", state, "is it used in forward, and does nothing behind it cancel it?")


def _tensors(output: Any) -> Iterator[Tensor]:
    """All tensors in nested lists, tuples and dictionaries."""
    if isinstance(output, Tensor):
        yield output
    else:
        for part in output.values() if isinstance(output, Mapping) else output:
            yield from _tensors(part)


def check_every_argument_matters(
    make: Callable[..., nn.Module],
    run: Callable[[nn.Module], Any],
    base: Mapping[str, Any],
    changes: Mapping[str, Any],
    except_for: Collection[str] = (),
) -> None:
    """Each argument of ``make`` changes the module: the shapes of its state, or else the numbers that ``run`` gives.

    ``changes`` has one other value for every argument, apart from those in ``except_for``, which have other tests.
    A failure means that an argument is accepted and then forgotten, or that a new one has no test yet.
    """
    untested = set(inspect.signature(make).parameters) - set(changes) - set(except_for)
    if untested:
        _fail("another value for every argument", f"none for {sorted(untested)}", "add it to changes")

    def look(arguments: Mapping[str, Any]) -> tuple[nn.Module, dict[str, torch.Size]]:
        torch.manual_seed(0)
        module = make(**arguments).eval()
        return module, {name: tensor.shape for name, tensor in module.state_dict().items()}

    module, shapes = look(base)
    with torch.no_grad():
        outputs = list(_tensors(run(module)))
        for name, value in changes.items():
            other, other_shapes = look({**base, name: value})
            if shapes == other_shapes and all(map(torch.equal, outputs, _tensors(run(other)))):
                _fail(f"{name}={value!r} to change something", "the same module", f"is {name} used?")


def check_shuffle_roundtrip(
    up: Callable[[Tensor], Tensor], down: Callable[[Tensor], Tensor], shape: Sequence[int]
) -> None:
    """``up`` and ``down`` only move numbers, and each undoes the other, bit for bit; ``shape`` is ``up``'s input.

    A failure means that a number was lost, changed or put elsewhere: the two disagree about the order of the channels.
    """
    coarse = torch.arange(float(torch.Size(shape).numel())).view(*shape)
    fine = up(coarse)
    if not torch.equal(fine.flatten().sort().values, coarse.flatten()):
        _fail(
            "the same numbers in other places", "other numbers", "a shuffle is a reshape and a permute, no arithmetic"
        )
    for name, found, want in (("down(up(x))", down(fine), coarse), ("up(down(y))", up(down(fine)), fine)):
        if not torch.equal(found, want):
            _fail(f"{name} to give its input back", "another order", "undo the permute in the opposite order")


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

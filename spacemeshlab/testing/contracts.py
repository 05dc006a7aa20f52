"""What every check is made of: shapes, values, inputs left alone, gradients that arrive, arguments that matter."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn


def fail(expected: str, found: str, hint: str) -> NoReturn:
    raise AssertionError(f"expected {expected}, found {found}. Hint: {hint}")


def check_shape(function: Callable[[Tensor], Tensor], shape: Sequence[int], expected: Sequence[int]) -> None:
    """``function`` maps a random tensor of ``shape`` to one of shape ``expected``.

    A failure means that an axis was lost, swapped or rounded: odd sizes and a batch of one show it first.
    """
    found = tuple(function(torch.randn(*shape)).shape)
    if found != tuple(expected):
        fail(f"shape {tuple(expected)} from {tuple(shape)}", f"{found}", "print the shape after each step")


def check_tensor(found: object, what: str = "the result") -> None:
    """``found`` is a tensor; a failure names what it is instead."""
    if not isinstance(found, Tensor):
        fail(f"{what} to be a tensor", type(found).__name__, "does the function end in return, and return a tensor?")


def check_same(
    found: Tensor, expected: Tensor, tolerance: float = 1e-5, what: str = "the result", hint: str = "compare by hand"
) -> None:
    """Two tensors agree in shape and type, and in value up to ``tolerance`` of the largest expected one (at least 1).

    A failure names the worst place with both values; the rest of the tensor is closer.
    """
    check_tensor(found, what)
    for name, want, got in (
        ("shape", tuple(expected.shape), tuple(found.shape)),
        ("dtype", expected.dtype, found.dtype),
    ):
        if want != got:
            fail(f"{what} of {name} {want}", f"{got}", hint)
    if not expected.numel():
        return
    found, expected = found.detach(), expected.detach()
    gap = (found - expected).abs().nan_to_num(nan=torch.inf)
    limit = tolerance * max(1.0, float(expected.abs().max()))
    if float(gap.max()) > limit:
        at = tuple(int(i) for i in torch.unravel_index(gap.argmax(), gap.shape))
        fail(f"{what} {float(expected[at]):.6g} at {at} (to {limit:.1g})", f"{float(found[at]):.6g}", hint)


def check_inputs_unmodified(function: Callable[..., Any], *inputs: Tensor) -> None:
    """``function(*inputs)`` leaves every number of its inputs as it was.

    A failure means that an operation in place (``+=``, ``relu_``, ``inplace=True``) works on the caller's own tensor.
    """
    before = [tensor.detach().clone() for tensor in inputs]
    function(*inputs)
    for index, (old, new) in enumerate(zip(before, inputs, strict=True)):
        if not torch.equal(old, new.detach()):
            fail(f"input {index} unchanged", "other numbers in it after the call", "look for an operation in place")


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
            fail(f"a gradient in {name}", state, "is it used in forward, and does nothing behind it cancel it?")


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
        fail("another value for every argument", f"none for {sorted(untested)}", "add it to changes")

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
                fail(f"{name}={value!r} to change something", "the same module", f"is {name} used?")


def check_shuffle_roundtrip(
    up: Callable[[Tensor], Tensor], down: Callable[[Tensor], Tensor], shape: Sequence[int]
) -> None:
    """``up`` and ``down`` only move numbers, and each undoes the other, bit for bit; ``shape`` is ``up``'s input.

    A failure means that a number was lost, changed or put elsewhere: the two disagree about the order of the channels.
    """
    coarse = torch.arange(float(torch.Size(shape).numel())).view(*shape)
    fine = up(coarse)
    if not torch.equal(fine.flatten().sort().values, coarse.flatten()):
        fail(
            "the same numbers in other places", "other numbers", "a shuffle is a reshape and a permute, no arithmetic"
        )
    for name, found, want in (("down(up(x))", down(fine), coarse), ("up(down(y))", up(down(fine)), fine)):
        if not torch.equal(found, want):
            fail(f"{name} to give its input back", "another order", "undo the permute in the opposite order")

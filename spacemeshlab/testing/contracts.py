"""What every check is made of: shapes, values, inputs left alone, errors, gradients, arguments that matter."""

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


def check_places(
    found: object,
    expected: Tensor,
    what: str,
    hint: str,
    place: Callable[[tuple[int, ...]], str] = lambda at: f"at {at}",
) -> None:
    """Two tensors agree in shape, type and every number; NaN is the same as NaN, whole numbers have no tolerance.

    A failure names the first place that differs, in reading order and in the words of ``place``.
    """
    check_tensor(found, what)
    if found.shape != expected.shape or found.dtype != expected.dtype:
        check_same(found, expected, what=what, hint=hint)
    got, want = found.detach().double(), expected.detach().double()
    limit = 1e-5 * max(1.0, float(want.nan_to_num().abs().max())) if expected.is_floating_point() else 0.0
    differs = ~((got - want).abs() <= limit) & ~(got.isnan() & want.isnan())
    if differs.any():
        at = tuple(differs.nonzero()[0].tolist())
        fail(f"{float(want[at]):.6g} {place(at)} in {what}", f"{float(got[at]):.6g}", hint)


def check_inputs_unmodified(function: Callable[..., Any], *inputs: Tensor) -> None:
    """``function(*inputs)`` leaves every number of its inputs as it was.

    A failure means that an operation in place (``+=``, ``relu_``, ``inplace=True``) works on the caller's own tensor.
    """
    before = [tensor.detach().clone() for tensor in inputs]
    function(*inputs)
    for index, (old, new) in enumerate(zip(before, inputs, strict=True)):
        check_unchanged(new, old, f"input {index} unchanged", "look for an operation in place")


def check_unchanged(
    now: Tensor, before: Tensor, expected: str, hint: str = "+= and other operations in place change it"
) -> None:
    """An input is after the call what it was before, which ``expected`` says in words: "y as it was".

    A failure means an operation in place. :func:`check_inputs_unmodified` does the same and makes the call itself.
    """
    if now.shape != before.shape or not torch.equal(now.detach(), before):
        fail(expected, "other numbers in it after the call", hint)


def check_refuses(call: Callable[[], object], expected: str, hint: str) -> None:
    """``call`` raises ValueError, which ``expected`` says in words.

    A failure says what it returned instead, or what else it raised.
    """
    try:
        found = call()
    except ValueError:
        return
    except Exception as error:
        fail(expected, f"{type(error).__name__}: {error}".removesuffix(": ")[:90], hint)
    if isinstance(found, Tensor):
        fail(expected, f"shape {tuple(found.shape)}", hint)
    fail(expected, "NoneType" if found is None else f"{found!r}"[:60], hint)


def check_same_gradients(
    found: object,
    expected: Tensor,
    inputs: Mapping[str, Tensor],
    where: str = "",
    tolerance: float = 1e-5,
    seed: int = 0,
) -> None:
    """Backward through ``found`` and through ``expected`` gives all ``inputs`` the same gradients, up to ``tolerance``.

    What arrives from above is drawn by ``seed``. A failure means that a result with the right numbers was cut off from
    an input on its way, or that a backward pass is wrong.
    """
    check_tensor(found)
    hint = (
        "the output is right, its backward is not: detach(), no_grad(), .data, .item(), tolist() and NumPy cut the "
        "way back"
    )
    every = f"a gradient of {' and '.join(inputs)} {where}".rstrip()
    if not found.requires_grad:
        fail(every, "none: the output is cut off from its inputs", hint)
    above = torch.randn(expected.shape, generator=torch.Generator().manual_seed(seed))
    wanted = torch.autograd.grad(expected, list(inputs.values()), above)
    try:
        gradients = torch.autograd.grad(found, list(inputs.values()), above, allow_unused=True)
    except RuntimeError as error:  # torch explains for lines, and begins with what it is
        fail(every, f"RuntimeError: {error}".partition(": [")[0][:200], hint)
    for name, got, want in zip(inputs, gradients, wanted, strict=True):
        if want.any() and (got is None or not got.any()):
            fail(f"a gradient of {name} {where}".rstrip(), "none", hint)
        got = torch.zeros_like(want) if got is None else got
        check_same(got, want, tolerance, f"the gradient of {name} {where}".rstrip(), hint)


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

"""Check of one step of stochastic gradient descent with momentum and weight decay (chapter 13)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from spacemeshlab.testing.contracts import check_same, check_tensor, check_unchanged, fail
from spacemeshlab.testing.mistakes import check_parts, named_mistake, same_numbers


def naive_sgd_step(
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    velocities: Sequence[Tensor],
    lr: float,
    momentum: float,
    weight_decay: float,
) -> tuple[list[Tensor], list[Tensor]]:
    """The definition, one tensor at a time."""
    moved, faster = [], []
    for weight, gradient, velocity in zip(parameters, gradients, velocities, strict=True):
        faster.append(momentum * velocity + (gradient + weight_decay * weight))
        moved.append(weight - lr * faster[-1])
    return moved, faster


def check_sgd_step(
    function: Callable[..., tuple[list[Tensor], list[Tensor]]],
    shapes: Sequence[Sequence[int]] = ((3,), (2, 4)),
    steps: int = 1,
    momentum: float = 0.9,
    weight_decay: float = 0.1,
    seed: int = 0,
) -> None:
    """``function(parameters, gradients, velocities, lr, momentum, weight_decay)`` is a step of torch's SGD.

    The parameters are compared with those of ``torch.optim.SGD`` over ``steps`` steps with a falling learning rate, the
    velocities, which start at 0, with :func:`naive_sgd_step`. A failure names the step, the list and the place in it,
    and the mistake where it is a common one.

    Args:
        shapes: of the parameters.
        steps: one after the other, each with new gradients.
        momentum, weight_decay: the optimizer's.
        seed: of the numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(tuple(shape), generator=generator) for shape in shapes]
    optimizer = torch.optim.SGD([w.clone() for w in weights], lr=1.0, momentum=momentum, weight_decay=weight_decay)
    theirs = optimizer.param_groups[0]["params"]
    velocities = [torch.zeros_like(weight) for weight in weights]
    for step in range(steps):
        lr = 0.5 / (1 + step)
        gradients = [torch.randn(tuple(shape), generator=generator) for shape in shapes]
        state, numbers = (weights, gradients, velocities), (lr, momentum, weight_decay)
        copies = [[tensor.clone() for tensor in tensors] for tensors in state]
        found = _two_lists(function(*copies, *numbers), len(shapes))
        _check_left_alone(copies, state)
        _, velocities = naive_sgd_step(*state, *numbers)
        optimizer.param_groups[0]["lr"] = lr
        for weight, gradient in zip(theirs, gradients, strict=True):
            weight.grad = gradient
        optimizer.step()
        hint = _sgd_diagnosis(found, state, *numbers)
        weights = [weight.clone() for weight in theirs]
        for name, got, want in (("velocity", found[1], velocities), ("parameter", found[0], weights)):
            for place in range(len(shapes)):
                check_same(got[place], want[place], what=f"new {name} {place} after step {step + 1}", hint=hint)


def _check_left_alone(now: Sequence[Sequence[Tensor]], before: Sequence[Sequence[Tensor]]) -> None:
    """The three lists that went in hold what they held."""
    for name, new, old in zip(("parameters", "gradients", "velocities"), now, before, strict=True):
        expected, hint = f"the {name} that went in unchanged", "look for += or an add_ in place"
        if len(new) != len(old):
            fail(expected, f"{len(new)} of {len(old)} after the call", hint)
        for pair in zip(new, old, strict=True):
            check_unchanged(*pair, expected, hint)


def _two_lists(found: Any, length: int) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """The lists of new parameters and new velocities, each of ``length`` tensors."""
    check_parts(found, "two lists, the new parameters and the new velocities", "return parameters, velocities")
    for name, tensors in zip(("parameters", "velocities"), found, strict=True):
        if not isinstance(tensors, tuple | list):
            fail(f"the new {name} as a list", type(tensors).__name__, "one tensor for each that went in, in a list")
        if len(tensors) != length:
            fail(f"{length} new {name}", f"{len(tensors)}", "one for each that went in, in the same order")
        for tensor in tensors:
            check_tensor(tensor, f"each of the new {name}")
    return found[0], found[1]


def _sgd_diagnosis(
    found: tuple[Sequence[Tensor], Sequence[Tensor]],
    state: tuple[Sequence[Tensor], ...],
    lr: float,
    momentum: float,
    weight_decay: float,
) -> str:
    """The common mistake that gives exactly ``found``, in words."""

    def same(some: Sequence[Sequence[Tensor]], others: Sequence[Sequence[Tensor]]) -> bool:
        return all(all(map(same_numbers, *lists)) for lists in zip(some, others, strict=True))

    every = [_wrong_moves(*tensors, lr, momentum, weight_decay) for tensors in zip(*state, strict=True)]
    wrong = {hint: tuple(zip(*(one[hint] for one in every), strict=True)) for hint in every[0]}
    expected = naive_sgd_step(*state, lr, momentum, weight_decay)
    otherwise = "take one number: add the decay to its gradient, update its velocity, then move it"
    return named_mistake(found, expected, wrong, otherwise, same)


def _wrong_moves(
    w: Tensor, g: Tensor, v: Tensor, lr: float, momentum: float, weight_decay: float
) -> dict[str, tuple[Tensor, Tensor]]:
    """New parameter and new velocity of each mistake."""
    d = g + weight_decay * w
    right, bare = momentum * v + d, momentum * v + g
    return {
        "the weight decay is missing": (w - lr * bare, bare),
        "the weight decay belongs into the gradient, before the velocity is updated":
            (w - lr * (bare + weight_decay * w), bare),
        "the weight decay belongs into the gradient; here it shrinks the weight beside the learning rate":
            (w - lr * bare - weight_decay * w, bare),
        "the weight decay has the wrong sign: it pulls a weight towards zero":
            (w - lr * (momentum * v + g - weight_decay * w), momentum * v + g - weight_decay * w),
        "this is Nesterov's momentum: the parameter moves by the new velocity itself":
            (w - lr * (d + momentum * right), right),
        "the gradient goes into the velocity whole, not times 1 - momentum (torch calls that dampening)":
            (w - lr * (momentum * v + (1 - momentum) * d), momentum * v + (1 - momentum) * d),
        "lr stands outside the velocity: velocity without it, parameter minus lr times velocity":
            (w - (momentum * v + lr * d), momentum * v + lr * d),
        "the parameter moves by the new velocity; this is the old one": (w - lr * v, right),
        "downhill is minus: parameter minus lr times velocity": (w + lr * right, right),
        "the old velocity is missing: momentum times velocity plus gradient": (w - lr * d, d),
        "momentum is an argument; 0.9 is only its usual value": (w - lr * (0.9 * v + d), 0.9 * v + d),
        "without momentum the new velocity is what was added to it, not the old one": (w - lr * d, v),
        "the whole step is multiplied by momentum; only the old velocity is":
            (w - lr * momentum * (v + d), momentum * (v + d)),
    }  # fmt: skip

"""A submission's functions, here: stand-ins that have the real ones called in the student's process.

A stand-in behaves as the function would: it takes tensors, numbers and torch's modules, hands back tensors, raises what
was raised, leaves changed arguments changed, and gradients flow through it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spacemeshlab.course import wire

if TYPE_CHECKING:
    from spacemeshlab.course.student import Student


class StandIn:
    """Calls a student's function where it lives."""

    def __init__(self, student: Student, name: str) -> None:
        self.student, self.__name__ = student, name

    def __call__(self, *args: object, **kwargs: object) -> object:
        given = list(wire.tensors_in((args, kwargs)))
        inputs = [tensor for tensor in given if tensor.requires_grad] if torch.is_grad_enabled() else []
        handle = self.student.next_handle() if inputs else 0
        sent = _detached((args, kwargs))
        answer = self.student.call(self.__name__, *sent, handle, torch.is_grad_enabled())
        try:
            _take_over(given, answer["tensors"], list(wire.modules_in((args, kwargs))), answer["modes"])
            value, tracked = answer["value"], answer["tracked"]
            outputs = list(wire.tensors_in(value))
            live = [out for out, kept in zip(outputs, tracked, strict=True) if kept]
        except Exception:
            self.student.unreadable()
        if not live:
            return value
        wrapped = iter(_Remote.apply(self.student, handle, live, *inputs))
        replaced = {id(out): next(wrapped) for out in live}
        return _replace(value, replaced)


class _Remote(torch.autograd.Function):
    """The gradient of a call, asked of the process that made the call."""

    @staticmethod
    def forward(ctx, student: Student, handle: int, outputs: list[Tensor], *inputs: Tensor) -> tuple[Tensor, ...]:
        ctx.student, ctx.handle = student, handle
        ctx.set_materialize_grads(False)
        ctx.shapes = [tensor.shape for tensor in inputs]
        return tuple(outputs)

    @staticmethod
    def backward(ctx, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if all(grad is None for grad in grads):
            return (None,) * (3 + len(ctx.shapes))
        found = ctx.student.backward(ctx.handle, [None if grad is None else grad.contiguous() for grad in grads])
        shapes = [None if grad is None else grad.shape for grad in found]
        if len(found) != len(ctx.shapes) or any(s not in (None, w) for s, w in zip(shapes, ctx.shapes, strict=True)):
            ctx.student.unreadable()
        return None, None, None, *found


def _detached(value: object) -> object:
    """The same, with tensors that can be sent: no graph behind them, but whether a gradient is wanted."""
    if isinstance(value, Tensor):
        return value.detach().requires_grad_(value.requires_grad)
    if isinstance(value, list | tuple):
        return type(value)(_detached(part) for part in value)
    return {key: _detached(part) for key, part in value.items()} if isinstance(value, dict) else value


def _replace(value: object, by: dict[int, Tensor]) -> object:
    if isinstance(value, Tensor):
        return by.get(id(value), value)
    if isinstance(value, list | tuple):
        return type(value)(_replace(part, by) for part in value)
    return {key: _replace(part, by) for key, part in value.items()} if isinstance(value, dict) else value


def _take_over(given: list[Tensor], now: list[Tensor], modules: list[torch.nn.Module], modes: list[bool]) -> None:
    """Change the caller's arguments as the function changed its copies."""
    with torch.no_grad():
        for mine, theirs in zip(given, now, strict=True):
            if mine.dtype != theirs.dtype:
                raise ValueError("an argument changed its type")
            if mine.shape != theirs.shape:
                mine.data = theirs
            elif not ((mine == theirs) | (mine != mine) & (theirs != theirs)).all():
                mine.detach().copy_(theirs)
    for module, training in zip(modules, modes, strict=True):
        module.training = bool(training)

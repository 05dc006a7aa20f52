"""A submission's functions, here: stand-ins that have the real ones called in the student's process.

A stand-in behaves as the function would: it takes tensors, numbers and torch's modules, hands back tensors, raises what
was raised, leaves changed arguments changed, and gradients flow through it. A process that hangs, fills the memory or
ends itself costs what it was asked for, and the next question is answered by a fresh one.
"""

from __future__ import annotations

import builtins
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn, Self

import torch
from torch import Tensor

from spacemeshlab.course import wire
from spacemeshlab.course.judge import Refused, Stopped
from spacemeshlab.course.sandbox import MIB, Limits, Process

LOUD = 10 * MIB
"""Bytes of output that are worth a word."""


@dataclass(frozen=True)
class Code:
    """A cell of a submission that is to run: what it is called in messages, its text, the functions it defines."""

    label: str
    source: str
    defines: tuple[str, ...] = ()


class Student:
    """Runs ``cells`` in a process of their own, and calls the functions they define.

    Attributes:
        errors: cell's label -> the error that it ended in.
        notes: what happened that the teacher should know.
    """

    def __init__(self, cells: Sequence[Code], limits: Limits | None = None) -> None:
        self.cells, self.limits = list(cells), limits or Limits()
        self.errors: dict[str, str] = {}
        self.notes: list[str] = []
        self._process: Process | None = None
        self._skipped: set[int] = set()
        self._handle = 0
        self._ends = time.monotonic() + self.limits.whole

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def functions(self, names: Sequence[str]) -> dict[str, Callable]:
        """Stand-ins for those of ``names`` that the notebook defines, or tried to define."""
        try:
            self._start()
            there = self._ask({"do": "names", "names": list(names)}, self.limits.call)["names"]
        except Stopped as error:
            self._note(str(error))
            there = []
        found: dict[str, Callable] = {name: StandIn(self, name) for name in names if name in there}
        for cell in self.cells:
            for name in set(cell.defines) & set(names) - set(there):
                if cell.label in self.errors:
                    found[name] = _Broken(f"{cell.label} ended in {self.errors[cell.label]}")
        return found

    def call(self, name: str, args: tuple, kwargs: dict, handle: int) -> dict:
        self._start()
        return self._ask(
            {"do": "call", "name": name, "args": args, "kwargs": kwargs, "handle": handle}, self.limits.call
        )

    def backward(self, handle: int, grads: list[Tensor]) -> list[Tensor | None]:
        if self._process is None:
            raise Stopped("its process had ended before the gradients were asked for")
        answer = self._ask({"do": "backward", "handle": handle, "grads": grads}, self.limits.call)
        return answer.get("grads") or self.unreadable()

    def next_handle(self) -> int:
        self._handle += 1
        return self._handle

    def _start(self) -> None:
        """A process in which all cells have run, but those that ended an earlier one."""
        while self._process is None:
            self._process = Process(self.limits)
            self._receive(self.limits.start, "start")
            try:
                self._run_cells()
            except Stopped as error:
                self._note(str(error))

    def _run_cells(self) -> None:
        """In the notebook's order; those that failed once more in the end, as cells may have changed places."""
        self.errors.clear()
        todo = [index for index in range(len(self.cells)) if index not in self._skipped]
        for attempt in (todo, None):
            for index in attempt if attempt is not None else [i for i in todo if self.cells[i].label in self.errors]:
                cell = self.cells[index]
                self.errors.pop(cell.label, None)
                try:
                    self._ask({"do": "cell", "source": cell.source, "label": cell.label}, self.limits.cell)
                except Stopped as error:
                    self._skipped.add(index)
                    raise Stopped(f"{cell.label} was left out: {error}") from None
                except Exception as error:
                    line = getattr(error, "student_line", "")
                    self.errors[cell.label] = f"{type(error).__name__}: {error}" + (f" ({line})" if line else "")
        for index in self._skipped:
            self.errors.setdefault(self.cells[index].label, "a process that had to be ended")

    def _ask(self, request: dict, seconds: float) -> dict:
        """Send a request, wait for its answer.

        Raises:
            Stopped: there is none; says why. The process is gone then.
            Exception: what the student's code raised, of the same builtin type, with ``student_line``.
        """
        number = secrets.randbits(62)
        try:
            wire.send(self._process.requests, wire.pickled({**request, "number": number}))
        except wire.Closed:
            self._stop("it ended its own process")
        answer = self._receive(seconds, "answer", number)
        if isinstance(answer.get("notes"), list):
            for text in answer["notes"]:
                self._note(str(text)[:200])
        if self._process.written > LOUD:
            self._note(f"it printed more than {LOUD // MIB} MiB, which nobody kept")
        if "error" in answer:
            raise _exception(*(str(answer.get(key, "")) for key in ("error", "said", "line")))
        return answer

    def _receive(self, seconds: float, what: str, number: int = 0) -> dict:
        """The answer to request ``number``; anything else that comes was forged, and ends the process."""
        left = self._ends - time.monotonic()
        try:
            answer = wire.receive(self._process.answers, time.monotonic() + min(seconds, left), self._watch)
        except wire.TimeUp:
            whole = f"the whole notebook took more than {self.limits.whole:g} s"
            self._stop(f"it took more than {seconds:g} s" if seconds <= left else whole)
        except wire.Closed:
            self._stop("it ended its own process" if what == "answer" else f"its process ended at the {what}")
        except wire.Unreadable:
            self.unreadable()
        if not isinstance(answer, dict) or answer.get("number") != number:
            self.unreadable()
        return answer

    def unreadable(self) -> NoReturn:
        """End a process that says what cannot be meant."""
        self._stop("it gave an answer that cannot be read")

    def _watch(self) -> None:
        if trouble := self._process.trouble():
            self._stop(trouble)

    def _stop(self, why: str) -> NoReturn:
        said = self._process.output[-2000:].decode(errors="replace").strip().splitlines()
        self._close()
        if "at the start" in why and said:
            why += f" ({said[-1][:200]})"
        raise Stopped(why)

    def _close(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

    def _note(self, text: str) -> None:
        if text not in self.notes and len(self.notes) < 50:
            self.notes.append(text)


class StandIn:
    """Calls a student's function where it lives."""

    def __init__(self, student: Student, name: str) -> None:
        self.student, self.__name__ = student, name

    def __call__(self, *args: object, **kwargs: object) -> object:
        given = list(wire.tensors_in((args, kwargs)))
        inputs = [tensor for tensor in given if tensor.requires_grad] if torch.is_grad_enabled() else []
        handle = self.student.next_handle() if inputs else 0
        sent = _detached((args, kwargs))
        answer = self.student.call(self.__name__, *sent, handle)
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


class _Broken:
    """A function whose cell failed: says so whenever it is called."""

    def __init__(self, why: str) -> None:
        self.why = why

    def __call__(self, *_: object, **__: object) -> object:
        raise Refused(self.why)


class _Remote(torch.autograd.Function):
    """The gradient of a call, asked of the process that made the call."""

    @staticmethod
    def forward(ctx, student: Student, handle: int, outputs: list[Tensor], *inputs: Tensor) -> tuple[Tensor, ...]:
        ctx.student, ctx.handle = student, handle
        ctx.shapes = [tensor.shape for tensor in inputs]
        return tuple(outputs)

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        found = ctx.student.backward(ctx.handle, [grad.contiguous() for grad in grads])
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
            if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
                raise ValueError("an argument changed its shape")
            if not torch.equal(torch.nan_to_num(mine.double()), torch.nan_to_num(theirs.double())):
                mine.detach().copy_(theirs)
    for module, training in zip(modules, modes, strict=True):
        module.training = bool(training)


def _exception(kind: str, said: str, line: str) -> Exception:
    """What the student's code raised, as an exception here."""
    if kind == "SystemExit":
        return Stopped("it ended its own process")
    known = getattr(builtins, kind, None)
    usable = isinstance(known, type) and issubclass(known, Exception) and known is not AssertionError
    try:
        error = known(said) if usable else RuntimeError(f"{kind}: {said}")
    except TypeError:  # one that wants more than a text
        error = RuntimeError(f"{kind}: {said}")
    error.student_line = line
    return error

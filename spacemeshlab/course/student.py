"""A submission's process, seen from here: it runs the notebook's cells, and calls the functions in them.

A process that hangs, fills the memory or ends itself costs what it was asked for, and the next question is answered by
a fresh one.
"""

from __future__ import annotations

import builtins
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn, Self

from torch import Tensor

from spacemeshlab.course import wire
from spacemeshlab.course.judge import Refused, Stopped, Unstarted
from spacemeshlab.course.sandbox import MIB, Limits, Process
from spacemeshlab.course.standin import StandIn

LOUD = 10 * MIB
"""Bytes of output that are worth a word."""
LOOK = 0.2
"""Seconds between two looks at what a process uses."""


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
        self._looked = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def functions(self, names: Sequence[str]) -> dict[str, Callable]:
        """Stand-ins for those of ``names`` that the notebook defines, or tried to define.

        Raises:
            Unstarted: no process, for no fault of the student.
        """
        there, stopped = [], ""
        try:
            self._start()
            there = self._ask({"do": "names", "names": list(names)}, self.limits.call)["names"]
        except Stopped as error:
            stopped = str(error)
            self._note(stopped)
        found: dict[str, Callable] = {name: StandIn(self, name) for name in names if name in there}
        for cell in self.cells:
            for name in set(cell.defines) & set(names) - set(there):
                if cell.label in self.errors:
                    found[name] = _Broken(f"{cell.label} ended in {self.errors[cell.label]}")
                elif stopped:
                    found[name] = _Broken(stopped)
        return found

    def call(self, name: str, args: tuple, kwargs: dict, handle: int, grad: bool) -> dict:
        """What the function ``name`` made of its arguments; with a ``handle``, ``backward`` can come back to it."""
        self._start()
        request = {"do": "call", "name": name, "args": args, "kwargs": kwargs, "handle": handle, "grad": grad}
        return self._ask(request, self.limits.call)

    def backward(self, handle: int, grads: list[Tensor | None]) -> list[Tensor | None]:
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
            if time.monotonic() > self._ends:
                raise Stopped(self._whole())
            self._begin()
            try:
                self._run_cells()
            except Stopped as error:
                self._note(str(error))

    def _begin(self) -> None:
        """Start a process; the time that it takes is not the student's."""
        began = time.monotonic()
        try:
            self._process = Process(self.limits)
            wire.receive(self._process.answers, began + self.limits.start)
        except (OSError, wire.Closed, wire.TimeUp, wire.Unreadable) as error:
            said = self._process.output.decode(errors="replace").strip().splitlines() if self._process else []
            self._close()
            raise Unstarted(f"no process for the submission: {said[-1] if said else type(error).__name__}") from None
        self._ends += time.monotonic() - began

    def _run_cells(self) -> None:
        """In the notebook's order; those that failed once more in the end, as cells may have changed places."""
        self.errors.clear()
        todo = [index for index in range(len(self.cells)) if index not in self._skipped]
        for index in todo:
            self._run_cell(index)
        for index in todo:
            if self.cells[index].label in self.errors and not self._is_overtaken(index):
                self._run_cell(index)
        for index in self._skipped:
            self.errors.setdefault(self.cells[index].label, "a process that had to be ended")

    def _run_cell(self, index: int) -> None:
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

    def _is_overtaken(self, index: int) -> bool:
        """Whether a later cell defines the same, which must stay."""
        names = set(self.cells[index].defines)
        return any(names & set(cell.defines) for cell in self.cells[index + 1 :])

    def _ask(self, request: dict, seconds: float) -> dict:
        """Send a request, wait for its answer.

        Raises:
            Stopped: there is none; says why. The process is gone then.
            Exception: what the student's code raised, of the same builtin type, with ``student_line``.
        """
        number = secrets.randbits(62)
        try:
            message = wire.pickled({**request, "number": number})
            wire.send(self._process.requests, message, time.monotonic() + seconds)
        except wire.TimeUp:
            self._stop(f"it read nothing for {seconds:g} s")
        except wire.Closed:
            self._stop("it ended its own process")
        answer = self._receive(seconds, number)
        if isinstance(answer.get("notes"), list):
            for text in answer["notes"]:
                self._note(str(text)[:200])
        if self._process.written > LOUD:
            self._note(f"it printed more than {LOUD // MIB} MiB, which nobody kept")
        if "error" in answer:
            raise _exception(*(str(answer.get(key, "")) for key in ("error", "said", "line")))
        return answer

    def _receive(self, seconds: float, number: int) -> dict:
        """The answer to request ``number``; anything else that comes was forged, and ends the process."""
        left = self._ends - time.monotonic()
        try:
            answer = wire.receive(self._process.answers, time.monotonic() + min(seconds, left), self._watch)
        except wire.TimeUp:
            self._stop(f"it took more than {seconds:g} s" if seconds <= left else self._whole())
        except wire.Closed:
            self._stop("it ended its own process")
        except wire.Unreadable:
            self.unreadable()
        if not isinstance(answer, dict) or answer.get("number") != number:
            self.unreadable()
        return answer

    def unreadable(self) -> NoReturn:
        """End a process that says what cannot be meant."""
        self._stop("it gave an answer that cannot be read")

    def _watch(self) -> None:
        if time.monotonic() < self._looked + LOOK:
            return
        self._looked = time.monotonic()
        if trouble := self._process.trouble():
            self._stop(trouble)

    def _whole(self) -> str:
        return f"the whole notebook took more than {self.limits.whole:g} s"

    def _stop(self, why: str) -> NoReturn:
        self._close()
        raise Stopped(why)

    def _close(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

    def _note(self, text: str) -> None:
        if text not in self.notes and len(self.notes) < 50:
            self.notes.append(text)


class _Broken:
    """A function whose cell failed: says so whenever it is called."""

    def __init__(self, why: str) -> None:
        self.why = why

    def __call__(self, *_: object, **__: object) -> object:
        raise Refused(self.why)


def _exception(kind: str, said: str, line: str) -> Exception:
    """What the student's code raised, as an exception here."""
    if kind == "SystemExit":
        return RuntimeError("it would have ended its own process")
    known = getattr(builtins, kind, None)
    usable = isinstance(known, type) and issubclass(known, Exception) and known is not AssertionError
    try:
        error = known(said) if usable else RuntimeError(f"{kind}: {said}")
    except TypeError:  # one that wants more than a text
        error = RuntimeError(f"{kind}: {said}")
    error.student_line = line
    return error

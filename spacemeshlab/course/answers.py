"""Answers other than the source's own: right ones that must pass, wrong ones that must lose exactly their cell.

An assignment is finished when both kinds are written: a test that fails a right answer is unfair, and one that passes a
wrong answer is none.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from spacemeshlab.errors import UserError


@dataclass(frozen=True)
class Answer:
    """One way to write a function; ``mistake`` is "" for a right one."""

    function: str
    code: Callable
    mistake: str = ""

    def __str__(self) -> str:
        return f"{self.function}: {self.mistake or self.code.__name__}"


@dataclass
class Answers:
    """Collects the answers to one assignment: ``@answers.right("iou")``, ``@answers.wrong("iou", "void counted")``."""

    assignment: str
    all: list[Answer] = field(default_factory=list)

    def right(self, function: str) -> Callable[[Callable], Callable]:
        return self._collect(function, "")

    def wrong(self, function: str, mistake: str) -> Callable[[Callable], Callable]:
        return self._collect(function, mistake)

    def _collect(self, function: str, mistake: str) -> Callable[[Callable], Callable]:
        def keep(code: Callable) -> Callable:
            self.all.append(Answer(function, code, mistake))
            return code

        return keep


def read_answers(folder: Path, assignment: str) -> Answers:
    """The answers to ``assignment``, out of the one module in ``folder`` that is about it.

    Raises:
        UserError: there is none, or more than one.
    """
    found = []
    for path in sorted(folder.glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"answers_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found += [module.answers] if module.answers.assignment == assignment else []
    if len(found) != 1:
        raise UserError(f"expected one file of answers to {assignment} in {folder}, found {len(found)}: write it")
    return found[0]

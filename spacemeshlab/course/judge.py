"""The tests of an assignment, run on functions: an outcome a cell, and never a crash."""

from __future__ import annotations

import contextlib
import os
import random
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch

from spacemeshlab.course.assignment import Assignment, GradedCell

RIGHT, WRONG, EMPTY, MISSING, STOPPED, WRITTEN = "right", "wrong", "not written", "missing", "stopped", "by hand"
LONGEST = 600
"""Characters of a message."""


class Stopped(BaseException):
    """The student's process did not answer: the time was up, the memory full, or it ended itself.

    Like the two others here, no exception that a test might catch as one of the student's.
    """


class Refused(BaseException):
    """The student's function is none, or did what is not allowed; the message explains it."""


class Unstarted(BaseException):
    """This machine gives no process to run a submission in: nothing that the student did, and no reason for a grade."""


@dataclass(frozen=True)
class Outcome:
    """What a graded cell is worth, and why. ``hidden`` says that a hidden test decided."""

    cell: str
    part: str
    points: float | None
    possible: float
    status: str
    message: str = ""
    hidden: bool = False

    def as_dict(self) -> dict:
        return asdict(self)


def judge(assignment: Assignment, functions: Mapping[str, Callable], seed: int = 0) -> list[Outcome]:
    """Run every test cell on ``functions``, each in a namespace of its own, in the source's order.

    Args:
        functions: by name; one that is not there was not found in the submission.
        seed: the tests' ``SEED``: another year, other numbers.
    """
    return [_judge(assignment, cell, functions, seed) if cell.function else _by_hand(cell) for cell in assignment.cells]


def _by_hand(cell: GradedCell) -> Outcome:
    return Outcome(cell.name, cell.part, None, cell.points, WRITTEN)


def _judge(assignment: Assignment, cell: GradedCell, functions: Mapping[str, Callable], seed: int) -> Outcome:
    def outcome(status: str, message: str = "", hidden: bool = False) -> Outcome:
        points = cell.points if status == RIGHT else 0
        return Outcome(cell.name, cell.part, points, cell.points, status, _short(message), hidden)

    if cell.function not in functions:
        return outcome(MISSING, f"no function called {cell.function} in the notebook: was it renamed or deleted?")
    with _quiet():
        namespace = {**assignment.setup(), **functions, "SEED": seed}
        for hidden, text in enumerate((cell.visible, cell.hidden)):
            _seed(seed)
            try:
                exec(compile(text, f"<{cell.name}>", "exec"), namespace)
            except NotImplementedError as error:
                if str(error):  # torch says so of an operation, too
                    return outcome(WRONG, _explain(cell.function, error), bool(hidden))
                return outcome(EMPTY, f"{cell.function} is not written yet", bool(hidden))
            except AssertionError as error:
                return outcome(WRONG, str(error) or "a test failed", bool(hidden))
            except Stopped as error:
                return outcome(STOPPED, str(error), bool(hidden))
            except Refused as error:
                return outcome(WRONG, str(error), bool(hidden))
            except Exception as error:
                return outcome(WRONG, _explain(cell.function, error), bool(hidden))
    return outcome(RIGHT)


def _explain(function: str, error: Exception) -> str:
    """An exception out of the student's function, or out of a test that could do nothing with what it gave."""
    where = f" ({error.student_line})" if getattr(error, "student_line", "") else ""
    last = "".join(traceback.format_exception_only(type(error), error)).strip()
    return f"{function} ended in {last}{where}"


def _short(message: str) -> str:
    message = " ".join(message.split())
    return message if len(message) <= LONGEST else f"{message[: LONGEST - 1]}…"


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  tests may draw from it
    torch.manual_seed(seed)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing that is printed or warned costs anything, or is seen."""
    with open(os.devnull, "w") as nowhere, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield

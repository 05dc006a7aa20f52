"""An assignment, as its one source notebook in nbgrader's format says it: functions to write, tests, points.

A solution cell bears the name of the function in it, ``iou``; the cell that judges it is ``test_iou``; a written answer
is ``question_1``. Between nbgrader's marks stand what students do not get: the solution, and the hidden tests.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from spacemeshlab.errors import UserError

TEST, QUESTION, EXPERIMENT = "test_", "question_", "experiment"
HIDDEN = re.compile(r"^ *### BEGIN HIDDEN TESTS\n(.*?)^ *### END HIDDEN TESTS *\n?", re.DOTALL | re.MULTILINE)
SOLUTION = re.compile(r"^ *### BEGIN SOLUTION\n(.*?)^ *### END SOLUTION", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class GradedCell:
    """One cell with points: the tests of a function, or a written answer (``function`` is None)."""

    name: str
    function: str | None
    part: str
    points: float
    visible: str
    hidden: str


@dataclass(frozen=True)
class Assignment:
    """What a source notebook says. ``digest`` is other for any other text in it."""

    name: str
    title: str
    notebook: NotebookNode
    cells: tuple[GradedCell, ...]
    digest: str

    @property
    def tests(self) -> tuple[GradedCell, ...]:
        return tuple(cell for cell in self.cells if cell.function)

    @property
    def questions(self) -> tuple[GradedCell, ...]:
        return tuple(cell for cell in self.cells if not cell.function)

    @property
    def functions(self) -> tuple[str, ...]:
        return tuple(cell.function for cell in self.tests)

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(cell.part for cell in self.tests))

    @property
    def chapters(self) -> tuple[int, ...]:
        """The chapters that the first cell says are needed."""
        line = re.search(r"\*\*You need\*\* (.*)", self.notebook.cells[0].source)
        return tuple(int(number) for number in re.findall(r"\b\d\d\b", line[1] if line else ""))

    def reference(self) -> dict[str, Callable]:
        """The solutions of the source, as functions."""
        namespace = self.setup()
        for cell in self.notebook.cells:
            if identity(cell) in self.functions:
                exec(compile(cell.source, f"<{self.name}: {identity(cell)}>", "exec"), namespace)
        return {name: namespace[name] for name in self.functions}

    def setup(self) -> dict[str, object]:
        """A fresh namespace in which the cells ran that students find filled in, without the experiments."""
        namespace: dict[str, object] = {"__name__": "__main__"}
        for cell in self.notebook.cells:
            if cell.cell_type == "code" and is_given(cell) and not is_experiment(cell):
                exec(compile(cell.source, f"<{self.name}: {identity(cell)}>", "exec"), namespace)
        return namespace


def identity(cell: NotebookNode) -> str:
    """nbgrader's name of a cell, or ""."""
    return str(_nbgrader(cell).get("grade_id", ""))


def is_given(cell: NotebookNode) -> bool:
    """Whether students find the cell filled in, and its text cannot be theirs: no solution, no test."""
    about = _nbgrader(cell)
    return bool(about) and not about.get("solution") and not about.get("grade")


def is_experiment(cell: NotebookNode) -> bool:
    """Whether the cell is for the student's eyes, and no part of grading."""
    return EXPERIMENT in cell.metadata.get("tags", [])


def _nbgrader(cell: NotebookNode) -> dict:
    about = cell.get("metadata", {}).get("nbgrader")
    return about if isinstance(about, dict) else {}


def read_assignment(path: Path) -> Assignment:
    """Read one source notebook.

    Raises:
        UserError: no such file, no notebook, or cells that break the rules above; says which.
    """
    try:
        text = path.read_text(encoding="utf-8")
        notebook = nbformat.reads(text, as_version=4)
    except FileNotFoundError:
        raise UserError(f"expected an assignment in {path}, found no file: name one that is there") from None
    except Exception as error:
        raise UserError(f"expected a notebook in {path}, found {type(error).__name__}: restore the file") from None
    cells = tuple(_graded_cells(notebook, path))
    title = notebook.cells[0].source.partition("\n")[0].removeprefix("# ")
    return Assignment(path.stem, title, notebook, cells, hashlib.sha256(text.encode()).hexdigest())


def _graded_cells(notebook: NotebookNode, path: Path) -> Iterator[GradedCell]:
    part, solutions, seen = "", set(), set()
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (heading := re.search(r"^## (.*)", cell.source, re.MULTILINE)):
            part = heading[1]
        about, name = _nbgrader(cell), identity(cell)
        if not about:
            raise UserError(f"expected nbgrader's metadata in each cell of {path}, found {cell.source[:40]!r} without")
        if name in seen:
            raise UserError(f"expected each grade_id once in {path}, found {name} twice: rename one")
        seen.add(name)
        if about["solution"] and not about["grade"]:
            if f"def {name}(" not in cell.source or not SOLUTION.search(cell.source):
                raise UserError(f"expected def {name}( and a marked solution in cell {name} of {path}: mend it")
            solutions.add(name)
        elif about["grade"] and name.startswith(TEST):
            function = name.removeprefix(TEST)
            if function not in solutions:
                raise UserError(f"expected a solution cell {function} before {name} in {path}, found none: add it")
            hidden = "".join(HIDDEN.findall(cell.source + "\n"))
            visible = HIDDEN.sub("", cell.source + "\n")
            yield GradedCell(name, function, part, about["points"], visible, hidden)
        elif about["grade"]:
            if not name.startswith(QUESTION) or not about["solution"]:
                raise UserError(f"expected a graded cell called {TEST}… or {QUESTION}… in {path}, found {name}")
            yield GradedCell(name, None, part, about["points"], cell.source, "")


@functools.cache
def _read_all(source: Path, digest: str) -> tuple[Assignment, ...]:
    return tuple(read_assignment(path) for path in _paths(source))


def _paths(source: Path) -> list[Path]:
    return sorted(path for path in source.glob("*/*.ipynb") if path.stem == path.parent.name)


def read_assignments(source: Path) -> dict[str, Assignment]:
    """All assignments below ``source`` (``NAME/NAME.ipynb``), by name; a file that changed is read again.

    Raises:
        UserError: there is none, or one breaks the rules.
    """
    paths = _paths(source)
    if not paths:
        raise UserError(f"expected assignments NAME/NAME.ipynb in {source}, found none: name the folder with --source")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
    return {assignment.name: assignment for assignment in _read_all(source, digest)}

"""What students get: the source without solutions, hidden tests and outputs, made by nbgrader's own steps."""

from __future__ import annotations

import copy
import logging
import shutil
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    LockCells,
)

from spacemeshlab.course.assignment import Assignment
from spacemeshlab.doctor import HOSTS

STEPS = (
    LockCells,
    ClearSolutions,
    ClearOutput,
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ComputeChecksums,
    CheckCellMetadata,
)
HOSTED = """\
# On Colab and Kaggle: install the book's package there; torch stays as it is. Elsewhere this cell does nothing.
import os
import subprocess
import sys

if os.environ.keys() & {{{variables}}}:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "git+{url}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"is the internet switched on in the notebook's settings? {{done.stderr}}"
"""


def release(assignment: Assignment, repository: str = "") -> NotebookNode:
    """The student's notebook. With a ``repository`` it has a cell that installs the package on Colab and Kaggle."""
    notebook = copy.deepcopy(assignment.notebook)
    resources: dict[str, object] = {}
    for step in STEPS:
        step = step()
        step.log.setLevel(logging.WARNING)
        notebook, resources = step.preprocess(notebook, resources)
    notebook.metadata["spacemeshlab"] = {"assignment": assignment.name}
    for cell in notebook.cells:
        cell.source = cell.source.rstrip()
    if repository:
        names = ", ".join(f'"{name}"' for name in HOSTS)
        cell = new_code_cell(HOSTED.format(variables=names, url=repository).rstrip(), id="hosted")
        cell.metadata = NotebookNode(tags=["hosted", "remove-cell"], deletable=False, editable=False)
        notebook.cells.insert(1, cell)
    return notebook


def is_released(assignment: Assignment, path: Path, repository: str = "") -> bool:
    """Whether ``path`` holds what :func:`release` gives now."""
    return path.is_file() and nbformat.read(path, as_version=4) == release(assignment, repository)


def copy_pictures(source: Path, folder: Path) -> None:
    """What lies beside a source for students to see, into the folder of their notebook."""
    for path in sorted(source.iterdir()):
        if path.suffix in (".png", ".svg", ".webp"):
            shutil.copy(path, folder / path.name)

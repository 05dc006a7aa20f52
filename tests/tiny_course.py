"""An assignment of three functions in two parts and a question, small enough for every test of the course."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

NAME = "1-tiny"
FUNCTIONS = {
    "double": (
        "Part A · Numbers",
        'def double(x: torch.Tensor) -> torch.Tensor:\n    """Twice x, which stays as it is."""\n',
        "twice_everything = 2 * x\nreturn twice_everything",
        "check_same(double(torch.tensor([1.0, 2.0])), torch.tensor([2.0, 4.0]))",
        "check_same(double(torch.tensor([-3.0 - SEED])), torch.tensor([-6.0 - 2 * SEED]))",
    ),
    "count": (
        "Part A · Numbers",
        'def count(labels: torch.Tensor, classes: int) -> torch.Tensor:\n    """How often 0 to classes-1 occur."""\n',
        "return torch.bincount(labels.flatten(), minlength=classes)",
        "check_same(count(torch.tensor([0, 0, 2]), 3), torch.tensor([2, 0, 1]))",
        "check_same(count(torch.tensor([[0, 1], [1, 1]]), 4), torch.tensor([1, 3, 0, 0]))",
    ),
    "span": (
        "Part B · More numbers",
        'def span(x: torch.Tensor) -> tuple[float, float]:\n    """The smallest and the largest number in x."""\n',
        "return float(x.min()), float(x.max())",
        'assert span(torch.tensor([3.0, 1.0])) == (1.0, 3.0), "expected (1.0, 3.0)"',
        'assert span(torch.tensor([-5.0, -2.0])) == (-5.0, -2.0), "expected (-5.0, -2.0) of negative numbers"',
    ),
}
"""Name -> part, head, solution, visible and hidden test."""


def many(count: int) -> dict[str, tuple[str, ...]]:
    """Functions ``double_0`` … that all do the same."""
    part, *rest = FUNCTIONS["double"]
    return {f"double_{i}": (part, *(text.replace("double(", f"double_{i}(") for text in rest)) for i in range(count)}


def source(functions: dict[str, tuple[str, ...]] = FUNCTIONS) -> NotebookNode:
    """The source notebook, in nbgrader's format."""
    about = "# Assignment 1: Tiny\n\nThree functions.\n\n- **You need** chapters 02 and 03"
    cells = [
        _cell("about", about),
        _cell("setup", "import torch\n\nfrom spacemeshlab.testing import check_same", "code"),
    ]
    parts: list[str] = []
    for name, (part, head, solution, visible, hidden) in functions.items():
        if part not in parts:
            parts.append(part)
            cells.append(_cell(f"part-{len(parts)}", f"## {part}"))
        marked = indent(f"### BEGIN SOLUTION\n{solution}\n### END SOLUTION", "    ")
        test = f"{visible}\n### BEGIN HIDDEN TESTS\n{hidden}\n### END HIDDEN TESTS"
        cells.append(_cell(name, head + marked, "code", solution=True, locked=False))
        cells.append(_cell(f"test_{name}", test, "code", grade=True, points=3))
    cells.append(_cell("picture", "import matplotlib.pyplot as plt\n\nplt.plot([1, 2])\nplt.show()", "code"))
    cells[-1].metadata["tags"] = ["experiment"]
    question = """\
        **Your answer to question 1** (keep this line)

        ### BEGIN SOLUTION
        Nobody can say why, which is the answer.

        - 1 point: says that nobody can
        ### END SOLUTION"""
    cells.append(_cell("text-question", "## Written question\n\nWhy?"))
    cells.append(_cell("question_1", dedent(question), solution=True, grade=True, locked=False, points=4))
    cells.append(_cell("handing-in", "## Handing in\n\nSave the notebook."))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def _cell(name: str, text: str, kind: str = "markdown", **about: object) -> NotebookNode:
    cell = (new_code_cell if kind == "code" else new_markdown_cell)(text, id=name.replace("_", "-"))
    flags = {"schema_version": 3, "grade": False, "solution": False, "locked": True, "task": False}
    cell.metadata["nbgrader"] = {**flags, "grade_id": name, **about}
    return cell


def write_source(folder: Path, notebook: NotebookNode | None = None, name: str = NAME) -> Path:
    """A folder of sources that holds this one assignment."""
    path = folder / name / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook or source(), path)
    return folder


def place(notebook: NotebookNode, name: str) -> int:
    """Where the cell with nbgrader's ``name`` is."""
    return next(i for i, cell in enumerate(notebook.cells) if cell.metadata.get("nbgrader", {}).get("grade_id") == name)


def cell(notebook: NotebookNode, name: str) -> NotebookNode:
    """The cell with nbgrader's ``name``."""
    return notebook.cells[place(notebook, name)]

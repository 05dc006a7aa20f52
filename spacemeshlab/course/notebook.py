"""A student's file, read as a notebook: of whatever age, with whatever in it; and the assignment that it answers.

Nothing in it is believed: each part is taken only if it is of the type that it should have.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from spacemeshlab.course.assignment import Assignment

LARGEST = 30 * 2**20
"""Bytes of the largest notebook that is read."""


class NotGradable(Exception):
    """The file is no notebook, or too large; the message says what was found and what to do."""


def read_notebook(path: Path) -> NotebookNode:
    """Read a student's file, also one that is not quite valid.

    Raises:
        NotGradable: it cannot be read as a notebook.
    """
    if path.is_symlink() or not path.is_file():
        raise NotGradable("expected a notebook, found no plain file: ask for it again")
    if path.stat().st_size > LARGEST:
        raise NotGradable(f"expected a notebook, found {path.stat().st_size >> 20} MiB: ask for it without its outputs")
    try:
        raw = json.loads(path.read_text(encoding="utf-8-sig", errors="replace"))
        if int(raw.get("nbformat") or 4) < 4:
            raw = nbformat.convert(nbformat.from_dict(raw), 4)
        cells = [_plain(cell) for cell in raw["cells"] if isinstance(cell, dict)]
        about = raw.get("metadata")
    except Exception as error:
        raise NotGradable(
            f"expected a notebook, found a file that cannot be read as one ({type(error).__name__}): ask for the .ipynb"
        ) from None
    if not cells:
        raise NotGradable("expected a notebook, found one without a single cell: ask for it again")
    named = about.get("spacemeshlab") if isinstance(about, dict) else None
    named = named.get("assignment") if isinstance(named, dict) else None
    kept = {"spacemeshlab": {"assignment": named}} if isinstance(named, str) else {}
    return nbformat.from_dict({"cells": cells, "metadata": kept})


def _plain(cell: dict) -> dict:
    """What is needed of a cell, each part of the type that it should have."""
    source, about = cell.get("source", ""), cell.get("metadata")
    about = about if isinstance(about, dict) else {}
    tags, nbgrader = about.get("tags"), about.get("nbgrader")
    name = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
    return {
        "cell_type": str(cell.get("cell_type", "raw")),
        "source": "".join(map(str, source)) if isinstance(source, list) else str(source),
        "metadata": {
            "tags": [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else [],
            "nbgrader": {"grade_id": name} if isinstance(name, str) else {},
        },
    }


def which(notebook: NotebookNode, path: Path, assignments: dict[str, Assignment]) -> Assignment | None:
    """The assignment that a notebook answers: by its metadata, by the functions in it, by the file's name."""
    named = notebook.metadata.get("spacemeshlab", {}).get("assignment")
    defined = {name for cell in notebook.cells for name in functions_in(cell.source)}
    scores = {name: len(defined & set(assignment.functions)) for name, assignment in assignments.items()}
    best = max(scores, key=scores.get)
    if scores.get(named) or (named in assignments and not scores[best]):
        return assignments[named]
    return assignments[best] if scores[best] else assignments.get(by_name(path, assignments))


def by_name(path: Path, names: Iterable[str]) -> str | None:
    """The name that a file has in its own name, else in that of a folder around it."""
    return next((name for text in (path.name, path.as_posix()) for name in names if name in text), None)


def functions_in(source: str) -> tuple[str, ...]:
    """The names that a cell's text defines outside its functions, also where it is not quite Python."""
    for text in (source, re.sub(r"^([ \t]*)[%!].*", r"\1pass", source, flags=re.MULTILINE)):
        try:
            return tuple(dict.fromkeys(_defined(ast.parse(text).body)))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return tuple(re.findall(r"^(?:async[ \t]+)?def[ \t]+(\w+)[ \t]*\(", source, re.MULTILINE))


def _defined(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name))
        else:
            for inner in ("body", "orelse", "finalbody", "handlers"):
                yield from _defined(getattr(node, inner, []))

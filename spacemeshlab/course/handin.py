"""What a student handed in, made gradable: cells deleted, doubled, moved, retyped or stripped of their metadata.

A function is graded by its name, wherever in the notebook it stands; a written answer by its cell or its first line.
Whatever was not as it was handed out is repaired and noted, never silently scored.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from spacemeshlab.course.assignment import EXPERIMENT, QUESTION, TEST, Assignment, identity, is_given
from spacemeshlab.course.release import release
from spacemeshlab.course.student import Code

LARGEST = 30 * 2**20
"""Bytes of the largest notebook that is read."""
PLACEHOLDER = "YOUR ANSWER HERE"
PACKAGE = re.compile(
    r"^[ \t]*(?:from|import)[ \t]+spacemeshlab\b(?!\.testing[ \t]+import[ \t]+\(?\s*check_)", re.MULTILINE
)


class NotGradable(Exception):
    """The file is no notebook, or too large; the message says what was found and what to do."""


@dataclass
class HandIn:
    """A notebook, ready to run.

    Attributes:
        cells: the code, in the notebook's order, without tests and experiments.
        written: question -> the student's text; a question that was not found is not there.
        notes: what was repaired, and what the teacher should look at.
    """

    cells: list[Code] = field(default_factory=list)
    written: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


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
        raw = json.loads(path.read_text(encoding="utf-8", errors="replace"))
        raw = nbformat.convert(nbformat.from_dict(raw), 4) if raw.get("nbformat", 4) < 4 else raw
        cells = [_plain(cell) for cell in raw["cells"] if isinstance(cell, dict)]
        about = raw.get("metadata")
    except Exception as error:
        raise NotGradable(
            f"expected a notebook, found a file that cannot be read as one ({type(error).__name__}): ask for the .ipynb"
        ) from None
    return nbformat.from_dict({"cells": cells, "metadata": about if isinstance(about, dict) else {}})


def _plain(cell: dict) -> dict:
    """What is needed of a cell, each part of the type that it should have."""
    source, about = cell.get("source", ""), cell.get("metadata")
    text = "".join(map(str, source)) if isinstance(source, list) else str(source)
    about = about if isinstance(about, dict) else {}
    tags = (
        [tag for tag in about.get("tags") or [] if isinstance(tag, str)] if isinstance(about.get("tags"), list) else []
    )
    mine = {"tags": tags, "nbgrader": about.get("nbgrader") if isinstance(about.get("nbgrader"), dict) else {}}
    return {"cell_type": str(cell.get("cell_type", "raw")), "source": text, "metadata": mine}


def which(notebook: NotebookNode, path: Path, assignments: dict[str, Assignment]) -> Assignment | None:
    """The assignment that a notebook answers: by its metadata, by the functions in it, by the file's name."""
    about = notebook.metadata.get("spacemeshlab")
    named = about.get("assignment") if isinstance(about, dict) else None
    if isinstance(named, str) and named in assignments:
        return assignments[named]
    defined = {name for cell in notebook.cells for name in functions_in(cell.source)}
    scores = {name: len(defined & set(assignment.functions)) for name, assignment in assignments.items()}
    best = max(scores, key=scores.get)
    if scores[best]:
        return assignments[best]
    return next((assignment for name, assignment in assignments.items() if name in path.as_posix()), None)


def functions_in(source: str) -> tuple[str, ...]:
    """The names that a cell's text defines at its outermost level, also where it is not quite Python."""
    try:
        found = []
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.append(node.name)
            elif isinstance(node, ast.Assign):
                found += [target.id for target in node.targets if isinstance(target, ast.Name)]
        return tuple(found)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return tuple(re.findall(r"^(?:def[ \t]+(\w+)[ \t]*\()", source, re.MULTILINE))


def prepare(notebook: NotebookNode, assignment: Assignment) -> HandIn:
    """Sort a student's cells into code that runs, tests that do not, and written answers."""
    handed_out = {identity(cell): cell for cell in release(assignment).cells}
    by_text = {_text(cell.source): name for name, cell in handed_out.items()}
    hand_in, order = HandIn(), []
    for number, cell in enumerate(notebook.cells, 1):
        name = identity(cell) if identity(cell) in handed_out else by_text.get(_text(cell.source), "")
        order += [name] if name else []
        original = handed_out.get(name)
        if (question := _question(cell, name, assignment)) is not None:
            _keep_answer(hand_in, question, cell.source)
        elif code := _code(cell, name, original, assignment, hand_in.notes):
            defines = functions_in(code)
            label = name or next((each for each in defines if each in assignment.functions), f"cell {number}")
            hand_in.cells.append(Code(label, code, defines))
    _name_apart(hand_in)
    _drop_doubles(hand_in, assignment, handed_out)
    _look_over(hand_in, assignment, notebook, order, list(handed_out))
    return hand_in


def _code(
    cell: NotebookNode, name: str, original: NotebookNode | None, assignment: Assignment, notes: list[str]
) -> str:
    """What is to run of a cell; "" for prose, for tests, and for experiments as they were handed out."""
    text = cell.source
    wanted = set(functions_in(_without_fence(text))) & set(assignment.functions)
    if cell.cell_type != "code":
        if not wanted:
            return ""
        notes.append(f"{_list(wanted)} stood in a cell of type {cell.cell_type}: run as code")
        return _without_fence(text)
    same = original is not None and _text(text) == _text(original.source)
    if name.startswith(TEST):
        if not same:
            notes.append(f"the test {name} was changed: the original judged")
        return text if wanted else ""
    if original is not None and is_given(original) and not wanted:
        if EXPERIMENT in original.metadata.get("tags", []):
            return ""
        if not same:
            notes.append(f"the given cell {name} was changed: run as it was handed in")
    return text


def _question(cell: NotebookNode, name: str, assignment: Assignment) -> str | None:
    """The question that a cell answers."""
    for question in assignment.questions:
        number = question.name.removeprefix(QUESTION)
        if name == question.name or re.match(rf"\W*Your answer to question {number}\b", cell.source):
            return question.name
    return None


def _keep_answer(hand_in: HandIn, question: str, source: str) -> None:
    lines = source.strip().splitlines()
    if lines and "Your answer to question" in lines[0]:
        lines = lines[1:]
    text = "\n".join(lines).replace(PLACEHOLDER, "").strip()
    before = hand_in.written.get(question, "")
    if text and before and text != before:
        hand_in.notes.append(f"{question} is answered twice: both texts are shown")
        text = f"{before}\n\n{text}"
    hand_in.written[question] = text or before


def _drop_doubles(hand_in: HandIn, assignment: Assignment, handed_out: dict[str, NotebookNode]) -> None:
    """Of a function that is there twice, the cell in which nothing was written goes; else the later one counts."""
    stubs = {_text(handed_out[name].source) for name in assignment.functions if name in handed_out}
    for function in assignment.functions:
        cells = [code for code in hand_in.cells if function in code.defines]
        if len(cells) < 2:
            continue
        written = [code for code in cells if _text(code.source) not in stubs]
        for code in cells:
            if written and code not in written:
                hand_in.cells.remove(code)
        several = "the last one counts" if len(written) > 1 else "the one that was written counts"
        hand_in.notes.append(f"{function} is there {len(cells)} times: {several}")


def _look_over(
    hand_in: HandIn, assignment: Assignment, notebook: NotebookNode, order: list[str], handed_out: list[str]
) -> None:
    """Note what else is not as it was handed out."""
    if not any(identity(cell) for cell in notebook.cells):
        hand_in.notes.append("the cells have lost their metadata: recognised by their text")
    defined = {name for code in hand_in.cells for name in code.defines}
    for function in assignment.functions:
        if function not in defined:
            hand_in.notes.append(f"{function} is defined in no cell: was it deleted or renamed?")
    for question in assignment.questions:
        if question.name not in hand_in.written:
            hand_in.notes.append(f"no cell with the answer to {question.name}: look for it in the notebook")
        elif not hand_in.written[question.name]:
            hand_in.notes.append(f"{question.name} is not answered")
    first = list(dict.fromkeys(order))
    if first != [name for name in handed_out if name in first]:
        hand_in.notes.append("the cells are in another order than they were handed out in")
    for code in hand_in.cells:
        if found := PACKAGE.search(code.source):
            line = code.source[found.start() :].strip().partition("\n")[0]
            hand_in.notes.append(f"{code.label} imports from the package that it is to rebuild: {line[:120]}")


def _name_apart(hand_in: HandIn) -> None:
    """A label for each cell, also where two have one name."""
    seen: Counter[str] = Counter()
    for index, code in enumerate(hand_in.cells):
        seen[code.label] += 1
        if seen[code.label] > 1:
            hand_in.cells[index] = Code(f"{code.label} ({seen[code.label]})", code.source, code.defines)


def _text(source: str) -> str:
    """A text to compare: notebooks on their way through other programs change spaces at the ends of lines."""
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


def _without_fence(source: str) -> str:
    return re.sub(r"^\s*```\w*[ \t]*\n(.*?)\n?```\s*$", r"\1", source, flags=re.DOTALL)


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))

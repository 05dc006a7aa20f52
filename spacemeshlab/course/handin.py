"""What a student handed in, made gradable: cells deleted, doubled, moved, retyped or stripped of their metadata.

A function is graded by its name, wherever in the notebook it stands; a written answer by its cell or its first line.
Whatever was not as it was handed out is repaired and noted, never silently scored.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from nbformat import NotebookNode

from spacemeshlab.course.assignment import QUESTION, TEST, Assignment, identity, is_experiment, is_given
from spacemeshlab.course.notebook import functions_in
from spacemeshlab.course.release import release
from spacemeshlab.course.student import Code

PLACEHOLDER = "YOUR ANSWER HERE"
FIRST_LINE = re.compile(r"^\W*Your answer to question \w+[*_ :]*(\(keep this line\))?")
PACKAGE = re.compile(
    r"^[ \t]*(?:from|import)[ \t]+spacemeshlab\b(?!\.testing[ \t]+import[ \t]+\(?\s*check_)", re.MULTILINE
)


@dataclass
class HandIn:
    """A notebook, ready to run.

    Attributes:
        cells: the code: the cells that were given, then the student's in the notebook's order, but for tests.
        written: question -> the student's text; a question that was not found is not there.
        notes: what was repaired, and what the teacher should look at.
    """

    cells: list[Code] = field(default_factory=list)
    written: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def prepare(notebook: NotebookNode, assignment: Assignment) -> HandIn:
    """Sort a student's cells into code that runs, tests that do not, and written answers.

    The given cells, imports above all, run as they were handed out before anything else does.
    """
    handed_out = {identity(cell): cell for cell in release(assignment).cells}
    by_text = {_text(cell.source): name for name, cell in handed_out.items()}
    given = [cell for cell in handed_out.values() if _runs_anyway(cell)]
    hand_in, order, answering = HandIn([Code(identity(cell), cell.source) for cell in given]), [], ""
    for number, cell in enumerate(notebook.cells, 1):
        name = identity(cell) if identity(cell) in handed_out else by_text.get(_text(cell.source), "")
        question = _question(cell, name, assignment)
        order += [question or name] if question or name else []
        answering = question or (answering if not name else "")
        code = "" if question else _code(cell, name, handed_out.get(name), assignment, hand_in.notes)
        if question or (answering and cell.cell_type != "code" and not code):
            _keep_answer(hand_in, answering, cell.source, goes_on=not question)
        elif code:
            defines = tuple(each for each in functions_in(code) if each in assignment.functions)
            hand_in.cells.append(Code(name or next(iter(defines), f"cell {number}"), code, defines))
    _name_apart(hand_in)
    _drop_doubles(hand_in, assignment)
    _look_over(hand_in, assignment, notebook, order, handed_out)
    return hand_in


def _runs_anyway(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and is_given(cell) and not is_experiment(cell)


def _code(
    cell: NotebookNode, name: str, original: NotebookNode | None, assignment: Assignment, notes: list[str]
) -> str:
    """What is to run of a student's cell; "" for prose, for tests, for experiments, and for what was given."""
    text, plain = cell.source, cell.source if cell.cell_type == "code" else _without_fences(cell.source)
    same = original is not None and _text(text) == _text(original.source)
    if same and (is_given(original) or name.startswith(TEST)):
        return ""
    wanted = set(functions_in(plain)) & set(assignment.functions)
    if cell.cell_type != "code":
        if wanted:
            notes.append(f"{_list(wanted)} stood in a cell of type {cell.cell_type}: run as code")
        return plain if wanted else ""
    if name.startswith(TEST):
        notes.append(f"the test {name} was changed: the original judged")
        return text if wanted else ""
    if original is not None and is_given(original) and not wanted:
        if is_experiment(original):
            return ""
        notes.append(f"the given cell {name} was changed: run as it was handed in")
    return text


def _question(cell: NotebookNode, name: str, assignment: Assignment) -> str | None:
    """The question that a cell answers."""
    for question in assignment.questions:
        number = question.name.removeprefix(QUESTION)
        if name == question.name or re.match(rf"\W*Your answer to question {number}\b", cell.source):
            return question.name
    return None


def _keep_answer(hand_in: HandIn, question: str, source: str, goes_on: bool) -> None:
    text = FIRST_LINE.sub("", source, count=1).replace(PLACEHOLDER, "").strip()
    before = hand_in.written.get(question, "")
    if text and goes_on:
        hand_in.notes.append(f"{question} goes on in a cell below it")
    elif text and before and text != before:
        hand_in.notes.append(f"{question} is answered twice: both texts are shown")
    if text and before and text != before:
        text = f"{before}\n\n{text}"
    hand_in.written[question] = text or before


def _drop_doubles(hand_in: HandIn, assignment: Assignment) -> None:
    """Of a function that is there twice, the cell in which nothing was written goes; else the later one counts."""
    for function in assignment.functions:
        cells = [code for code in hand_in.cells if function in code.defines]
        if len(cells) < 2:
            continue
        written = [code for code in cells if not _is_stub(code.source)]
        for code in cells:
            if written and code not in written:
                hand_in.cells.remove(code)
        several = "the last one counts" if len(written) > 1 else "the one that was written counts"
        hand_in.notes.append(f"{function} is there {len(cells)} times: {several}")


def _is_stub(source: str) -> bool:
    """Whether a cell holds nothing but functions in which nothing was written, and calls of them."""
    try:
        rest = [node for node in ast.parse(source).body if not isinstance(node, ast.Expr)]
        return all(
            isinstance(node, ast.FunctionDef)
            and len(node.body) <= 2
            and ast.unparse(node.body[-1]).startswith("raise NotImplementedError")
            for node in rest
        )
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _look_over(
    hand_in: HandIn, assignment: Assignment, notebook: NotebookNode, order: list[str], handed_out: dict
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
    for name, cell in handed_out.items():
        if _runs_anyway(cell) and name not in order:
            hand_in.notes.append(f"the given cell {name} is gone: run as it was handed out")
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


def _without_fences(source: str) -> str:
    """The code in a text: what stands between fences, or all of it where there are none."""
    blocks = re.findall(r"^[ \t]*(`{3,8}|~{3,8})[^\n]*\n(.*?)^[ \t]*\1", f"{source}\n", re.DOTALL | re.MULTILINE)
    return "\n".join(text for _, text in blocks) or source


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))

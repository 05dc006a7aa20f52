"""A source notebook is read into functions, tests, hidden tests and points; one that breaks the rules is refused."""

from __future__ import annotations

import os

import nbformat
import pytest
import tiny_course
import torch

from spacemeshlab.course.assignment import identity, is_given, read_assignment, read_assignments
from spacemeshlab.errors import UserError


@pytest.fixture
def spoiled(tmp_path):
    """``spoiled(change)`` reads the tiny assignment after ``change`` of its notebook."""

    def read(change):
        notebook = tiny_course.source()
        change(notebook)
        return read_assignments(tiny_course.write_source(tmp_path, notebook))

    return read


def test_parts_functions_points_and_chapters_are_those_of_the_source(assignment):
    assert (assignment.name, assignment.title, assignment.chapters) == ("1-tiny", "Assignment 1: Tiny", (2, 3))
    assert assignment.functions == ("double", "count", "span")
    assert assignment.parts == ("Part A · Numbers", "Part B · More numbers")
    assert [cell.part for cell in assignment.tests] == [assignment.parts[i] for i in (0, 0, 1)]
    assert [(cell.name, cell.points) for cell in assignment.cells] == [
        ("test_double", 3),
        ("test_count", 3),
        ("test_span", 3),
        ("question_1", 4),
    ]
    assert [cell.name for cell in assignment.questions] == ["question_1"]


def test_a_test_is_split_into_what_students_see_and_what_is_hidden(assignment):
    (test, *_) = assignment.tests
    *_, visible, hidden = tiny_course.FUNCTIONS["double"]
    assert (test.visible.strip(), test.hidden.strip()) == (visible, hidden)
    assert "HIDDEN" not in test.visible + test.hidden


def test_the_reference_runs_in_a_namespace_of_given_cells_without_experiments(assignment):
    assert torch.equal(assignment.reference()["double"](torch.ones(1)), torch.tensor([2.0]))
    assert {"torch", "check_same"} <= set(assignment.setup())
    assert "plt" not in assignment.setup()
    assert [identity(cell) for cell in assignment.notebook.cells if cell.cell_type == "code" and is_given(cell)] == [
        "setup",
        "picture",
    ]


def about(name, **flags):
    return lambda nb: tiny_course.cell(nb, name).metadata.nbgrader.update(flags)


def text(name, text):
    return lambda nb: tiny_course.cell(nb, name).update(source=text)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda nb: nb.cells[3].metadata.pop("nbgrader"), r"metadata in each cell .*, found 'def double.* without"),
        (about("count", grade_id="double"), "each grade_id once in .*, found double twice: rename one"),
        (text("double", "def twice(x):\n    pass"), r"expected def double\( and a marked solution in cell double"),
        (text("double", "def double(x):\n    return 2 * x"), r"expected def double\( and a marked solution"),
        (lambda nb: nb.cells.pop(3), "expected a solution cell double before test_double .*, found none: add it"),
        (about("test_span", grade_id="span_test"), "a graded cell called test_… or question_… in .*, found span_test"),
        (about("question_1", solution=False), "a graded cell called test_… or question_… in .*, found question_1"),
    ],
)
def test_a_source_that_breaks_the_rules_is_refused_with_the_cell_and_the_remedy(spoiled, change, line):
    with pytest.raises(UserError, match=line):
        spoiled(change)


def test_a_source_that_is_missing_or_no_notebook_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"expected an assignment in .*a\.ipynb, found no file"):
        read_assignment(tmp_path / "a.ipynb")
    (tmp_path / "a.ipynb").write_text("no JSON")
    with pytest.raises(UserError, match=r"expected a notebook in .*a\.ipynb, found NotJSONError: restore"):
        read_assignment(tmp_path / "a.ipynb")
    with pytest.raises(UserError, match=r"expected assignments NAME/NAME\.ipynb in .*, found none"):
        read_assignments(tmp_path)


def test_a_source_that_changed_is_read_again_even_within_the_same_second(tmp_path):
    folder = tiny_course.write_source(tmp_path)
    path = folder / "1-tiny" / "1-tiny.ipynb"
    before, status = read_assignments(folder)["1-tiny"], path.stat()
    assert read_assignments(folder)["1-tiny"] is before
    path.write_text(path.read_text(encoding="utf-8").replace("Why?", "How?"), encoding="utf-8")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = read_assignments(folder)["1-tiny"]
    assert after.digest != before.digest
    assert "How?" in nbformat.writes(after.notebook)

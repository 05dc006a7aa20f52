"""Written answers are found in every form, nothing is lost without a note, and copied answers are noted."""

from __future__ import annotations

import copy
import json
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell
from tiny_course import NAME, cell, place

from spacemeshlab.course.grade import grade
from spacemeshlab.course.handin import prepare
from spacemeshlab.course.judge import MISSING
from spacemeshlab.course.notebook import read_notebook
from spacemeshlab.course.release import release
from spacemeshlab.course.submissions import Submission

LINE = "**Your answer to question 1** (keep this line)"
OPEN = "question_1 is not answered"
TWICE = "question_1 is answered twice: both texts are shown"


def answer(*cells, at=None):
    """Put other cells where the answer is; those without nbgrader's name have lost it."""

    def change(notebook, untouched):
        where = place(notebook, "question_1")
        about = notebook.cells.pop(where).metadata
        for each in reversed([copy.deepcopy(each) for each in cells]):
            if each.metadata.pop("named", False):
                each.metadata = copy.deepcopy(about)
            notebook.cells.insert(where if at is None else at, each)

    return change


def text(source, named=False):
    return new_markdown_cell(source, metadata={"named": named})


@pytest.mark.parametrize(
    ("change", "found", "notes"),
    [
        (answer(text(f"{LINE}\n\nBecause.", named=True)), "Because.", []),
        (answer(text("Because.", named=True)), "Because.", []),
        (answer(text(f"{LINE}\n\nBecause.")), "Because.", []),
        (answer(text(f"{LINE} Because.\n\nOf *that*.")), "Because.\n\nOf *that*.", []),
        (answer(text(f"## {LINE}\n\nBecause.")), "Because.", []),
        (answer(text(f"{LINE}\n\nBecause."), at=1), "Because.", ["the cells are in another order"]),
        (answer(new_code_cell(f"# {LINE}\n\nBecause.")), "Because.", []),
        (answer(new_raw_cell(f"{LINE}\nBecause.")), "Because.", []),
        (answer(text(LINE, named=True), text("Because.")), "Because.", ["question_1 goes on in a cell below it"]),
        (
            answer(text(f"{LINE}\n\nFirst.", named=True), new_code_cell("1 + 1"), text("Second.")),
            "First.\n\nSecond.",
            ["question_1 goes on in a cell below it"],
        ),
        (answer(text(f"{LINE}\n\nYOUR ANSWER HERE"), text(f"{LINE}\n\nBecause.")), "Because.", []),
        (answer(text(f"{LINE}\n\nBecause."), text(f"{LINE}\n\nYOUR ANSWER HERE")), "Because.", []),
        (answer(text(f"{LINE}\n\nBecause."), text(f"{LINE}\n\nBecause.")), "Because.", []),
        (answer(text(f"{LINE}\n\nOne."), text(f"{LINE}\n\nTwo.")), "One.\n\nTwo.", [TWICE]),
        (answer(text(f"{LINE}\n\nYOUR ANSWER HERE")), "", [OPEN]),
        (answer(text(f"{LINE}\n\n ")), "", [OPEN]),
        (answer(), None, ["no cell with the answer to question_1: look for it in the notebook"]),
    ],
)
def test_a_written_answer_is_found_in_every_form_or_the_teacher_is_told_to_look(
    assignment, notebook, change, found, notes
):
    change(notebook, release(assignment))
    hand_in = prepare(notebook, assignment)
    assert hand_in.written.get("question_1") == found
    assert len(hand_in.notes) == len(notes), hand_in.notes
    assert all(map(re.search, notes, hand_in.notes))


def test_a_notebook_of_format_3_is_read_with_all_its_functions_and_answers(here, notebook, assignment, tmp_path):
    path = tmp_path / "old.ipynb"
    path.write_text(json.dumps(nbformat.convert(notebook, 3)), encoding="utf-8")
    assert "worksheets" in json.loads(path.read_text(encoding="utf-8"))
    record = grade(Submission("ann", path), assignment)
    assert (record["points"], record["notes"], record["written"]) == (9, [], {"question_1": "Because."})


def test_a_function_that_was_renamed_or_deleted_is_reported_and_costs_its_own_points_only(grade_here, notebook):
    cell(notebook, "double").source = cell(notebook, "double").source.replace("double", "doubel")
    notebook.cells.pop(place(notebook, "span"))
    record = grade_here(notebook)
    assert [each["status"] for each in record["cells"][:3]] == [MISSING, "right", MISSING]
    assert record["cells"][0]["message"] == "no function called double in the notebook: was it renamed or deleted?"
    assert record["notes"] == [
        f"{name} is defined in no cell: was it deleted or renamed?" for name in ("double", "span")
    ]


def test_an_unfinished_answer_does_not_hide_why_it_could_not_be_run(grade_here, notebook):
    cell(notebook, "double").source = "def double(x):\n    return 2 x"
    cell(notebook, "count").source = "count = make(counter)"
    record = grade_here(notebook)
    assert "double ended in SyntaxError: invalid syntax" in record["cells"][0]["message"]
    assert record["cells"][1]["message"] == (
        "count ended in NameError: name 'make' is not defined (line 1: count = make(counter))"
    )
    assert record["points"] == 3


@pytest.mark.parametrize(
    "line",
    [
        "from spacemeshlab.metrics import iou_per_class",
        "import spacemeshlab.metrics as m",
        "import  spacemeshlab",
        "def f():\n    from spacemeshlab import metrics",
        "from spacemeshlab.testing import naive_meshgrid_conv2d",
    ],
)
def test_an_import_of_the_answer_is_noted_for_the_teacher_but_the_checks_own_is_not(assignment, notebook, line):
    assert prepare(notebook, assignment).notes == []
    notebook.cells.insert(2, new_code_cell(f"from spacemeshlab.testing import (\n    check_same,\n)\n{line}"))
    (note,) = prepare(notebook, assignment).notes
    assert note == f"cell 3 imports from the package that it is to rebuild: {line.splitlines()[-1].strip()}"


def test_a_long_row_of_fences_is_read_in_a_moment(assignment, notebook):
    notebook.cells.append(new_markdown_cell("`" * 10**5 + "\n" + "def double(\n" * 10**5))
    assert prepare(notebook, assignment).notes[0] == "double stood in a cell of type markdown: run as code"


@pytest.mark.parametrize("wrong", [None, 3, [], {}, "x", [[]], {"nbgrader": 3}, {"nbgrader": {"grade_id": [1]}}])
def test_wrong_types_in_the_metadata_cost_nothing(grade_here, notebook, wrong):
    for each in notebook.cells:
        each.metadata = wrong
    notebook.metadata = wrong
    record = grade_here(notebook)
    assert record["points"] == 9
    assert record["notes"] == ["the cells have lost their metadata: recognised by their text"]


def test_the_name_of_the_assignment_in_the_release_survives_reading(assignment, tmp_path):
    nbformat.write(release(assignment), tmp_path / "a.ipynb")
    assert read_notebook(tmp_path / "a.ipynb").metadata.spacemeshlab.assignment == NAME

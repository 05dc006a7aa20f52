"""The book's own assignments are fair: references, untouched releases, other right answers, plausible wrong ones."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path

import nbformat
import pytest

from spacemeshlab.course.answers import Answer, read_answers
from spacemeshlab.course.assignment import read_assignments
from spacemeshlab.course.feedback import page
from spacemeshlab.course.grade import GRADED, Submission, grade
from spacemeshlab.course.hostile import solved
from spacemeshlab.course.judge import EMPTY, RIGHT, WRITTEN, judge
from spacemeshlab.course.leaks import leaks, secrets
from spacemeshlab.course.release import release
from spacemeshlab.course.verify import answer_problem, count_problems, reference_problems, release_problems

BOOK = Path(__file__).resolve().parents[2] / "book" / "assignments"
ASSIGNMENTS = read_assignments(BOOK / "source")
ANSWERS = {name: read_answers(BOOK / "answers", name) for name in ASSIGNMENTS}
EVERY = [(name, answer) for name, answers in ANSWERS.items() for answer in answers.all]

reference = functools.cache(lambda name: ASSIGNMENTS[name].reference())


@pytest.fixture(params=ASSIGNMENTS)
def name(request) -> str:
    return request.param


def write(notebook, path: Path) -> Submission:
    nbformat.write(notebook, path)
    return Submission("someone", path)


@pytest.mark.parametrize("seed", [0, 1, 2027])
def test_the_reference_passes_every_test_in_every_year(name, seed):
    assert reference_problems(ASSIGNMENTS[name], seed) == []


def test_nothing_written_is_worth_nothing_and_every_cell_says_that_nothing_is_written(name):
    assert release_problems(ASSIGNMENTS[name]) == []


def test_there_are_enough_other_answers_to_every_function_and_wrong_ones_to_every_part(name):
    assert count_problems(ASSIGNMENTS[name], ANSWERS[name]) == []


@pytest.mark.parametrize(("which", "answer"), EVERY, ids=[f"{name}-{answer}" for name, answer in EVERY])
def test_right_answers_pass_and_wrong_ones_lose_the_points_of_exactly_their_cell(which, answer: Answer):
    assert answer_problem(ASSIGNMENTS[which], answer, reference(which)) == ""


def test_in_the_sandbox_too_the_reference_gets_all_points_of_the_tests(name, tmp_path):
    record = grade(write(solved(ASSIGNMENTS[name]), tmp_path / "x.ipynb"), ASSIGNMENTS[name])
    found = {cell["cell"]: (cell["status"], cell["message"]) for cell in record["cells"]}
    assert {status for status, _ in found.values()} == {RIGHT, WRITTEN}, found
    assert record["points"] == sum(cell.points for cell in ASSIGNMENTS[name].tests)
    assert record["notes"] == ["question_1 is not answered"]
    assert record["errors"] == {}


def test_in_the_sandbox_too_the_untouched_release_gets_nothing(name, tmp_path):
    record = grade(write(release(ASSIGNMENTS[name]), tmp_path / "x.ipynb"), ASSIGNMENTS[name])
    assert {cell["status"] for cell in record["cells"]} == {EMPTY, WRITTEN}
    assert record["points"] == 0


def test_feedback_on_mistakes_in_every_function_gives_no_solution_and_no_hidden_test_away(name, tmp_path):
    assignment, wrong = ASSIGNMENTS[name], {answer.function: answer for answer in ANSWERS[name].all if answer.mistake}
    outcomes = judge(assignment, {function: answer.code for function, answer in wrong.items()})
    assert [outcome.points for outcome in outcomes if outcome.status != WRITTEN] == [0] * len(assignment.tests)
    about = {"student": "ann", "assignment": name, "file": "x.ipynb", "status": GRADED, "possible": 20, "notes": []}
    code = {function: inspect.getsource(answer.code) for function, answer in wrong.items()}
    record = {**about, "cells": [outcome.as_dict() for outcome in outcomes], "code": code, "written": {}}
    path = tmp_path / "feedback.html"
    path.write_text(page(record, assignment), encoding="utf-8")
    assert list(leaks(secrets(assignment), [path], own="\n".join(code.values()))) == []

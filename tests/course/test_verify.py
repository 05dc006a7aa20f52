"""What is unfair about an assignment is found: by its reference, its release, right answers, wrong ones, and counts."""

from __future__ import annotations

import re
import sys

import pytest
import tiny_course

from spacemeshlab.course import verify
from spacemeshlab.course.answers import Answer, Answers
from spacemeshlab.course.assignment import read_assignments

ANSWERS = """
from spacemeshlab.course.answers import Answers

answers = Answers("1-tiny")
answers.right("double")(lambda x: x + x)
answers.wrong("double", "no sign")(lambda x: 2 * x.abs())
"""


@pytest.fixture
def changed(tmp_path):
    """``changed(name, text)``: the tiny assignment with another text in one cell."""

    def read(name, text):
        notebook = tiny_course.source()
        tiny_course.cell(notebook, name).source = text
        return read_assignments(tiny_course.write_source(tmp_path, notebook))["1-tiny"]

    return read


def test_nothing_is_said_about_a_fair_assignment(assignment):
    assert verify.reference_problems(assignment) == verify.release_problems(assignment) == []


def test_a_reference_that_fails_its_own_test_is_found(changed):
    text = "def count(labels, classes):\n    ### BEGIN SOLUTION\n    return labels\n    ### END SOLUTION"
    (line,) = verify.reference_problems(changed("count", text))
    assert line.startswith("the reference fails test_count: expected the result ")


def test_a_reference_that_fails_in_another_year_is_found(changed):
    test = "check_same(double(torch.tensor([1.0 + SEED])), torch.tensor([2.0]))"
    assignment = changed("test_double", test)
    assert verify.reference_problems(assignment) == []
    assert "fails test_double" in next(verify.problems(assignment, Answers("1-tiny")))


@pytest.mark.parametrize(("test", "status"), [("pass", "right"), ("assert double is None", "wrong")])
def test_a_release_that_is_judged_otherwise_than_not_written_is_found(changed, test, status):
    (line,) = verify.release_problems(changed("test_double", test))
    assert line.startswith(f"the untouched release is {status} in test_double")


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (Answer("double", lambda x: x + x), ""),
        (Answer("double", lambda x: 3 * x, "thrice"), ""),
        (Answer("double", lambda x: 2 * x.abs(), "no sign"), ""),
        (Answer("double", lambda x: x * 2, "odd"), "the wrong answer double: odd loses nothing instead of test_double"),
        (Answer("double", lambda x: [2 * x]), "the right answer double: <lambda> loses test_double: .* found list"),
    ],
)
def test_a_right_answer_that_loses_and_a_wrong_one_that_does_not_are_found(assignment, answer, line):
    assert re.match(f"{line}.*$" if line else "$", verify.answer_problem(assignment, answer, assignment.reference()))


def test_a_wrong_answer_that_costs_another_cell_is_found(changed):
    assignment = changed("test_span", "assert float(double(torch.ones(1))) == 2.0")
    found = verify.answer_problem(assignment, Answer("double", lambda x: 3 * x, "thrice"), assignment.reference())
    assert found == "the wrong answer double: thrice loses test_double, test_span instead of test_double"


def test_too_few_answers_and_answers_to_what_is_not_asked_are_found(assignment):
    answers = Answers("1-tiny")
    for name, right, wrong in (("double", 3, 9), ("count", 3, 1), ("span", 2, 9), ("triple", 1, 0)):
        for _ in range(right):
            answers.right(name)(lambda x: x)
        for number in range(wrong):
            answers.wrong(name, f"mistake {number}")(lambda x: x)
    assert verify.count_problems(assignment, answers) == [
        "span has 2 right answers, not 3",
        "Part B · More numbers has 9 wrong answers, not 10",
        "triple is answered, but no function of 1-tiny",
    ]


def test_an_author_sees_each_wrong_answers_message_and_all_that_is_missing(tmp_path, monkeypatch, capsys):
    tiny_course.write_source(tmp_path / "book" / "assignments" / "source")
    (tmp_path / "book" / "assignments" / "answers").mkdir()
    (tmp_path / "book" / "assignments" / "answers" / "tiny_1.py").write_text(ANSWERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["verify", "1-tiny"])
    with pytest.raises(SystemExit, match="2"):
        verify.main()
    shown = capsys.readouterr()
    assert "double: no sign\n      hidden: expected the result -6 at (0,)" in shown.out
    assert "1-tiny: 1 right answers, 1 wrong ones, 1 of them found by hidden tests only" in shown.out
    assert "count has 0 right answers, not 3" in shown.err
    monkeypatch.setattr(sys, "argv", ["verify", "9-none"])
    with pytest.raises(SystemExit, match="2"):
        verify.main()
    assert capsys.readouterr().err == "error: expected an assignment out of 1-tiny, found '9-none': name one of them\n"

"""The tests run on any functions: each cell gets what it deserves, says why, and never ends the grading."""

from __future__ import annotations

import sys
import warnings

import nbformat
import pytest
import tiny_course
import torch

from spacemeshlab.course.assignment import read_assignments
from spacemeshlab.course.judge import (
    EMPTY,
    LONGEST,
    MISSING,
    RIGHT,
    STOPPED,
    WRITTEN,
    WRONG,
    Refused,
    Stopped,
    Unstarted,
    judge,
)


@pytest.fixture
def reference(assignment):
    return assignment.reference()


def raises(error):
    def function(*_, **__):
        raise error

    return function


def test_right_functions_get_all_points_and_a_written_answer_waits_for_a_person(assignment, reference):
    found = {
        outcome.cell: (outcome.status, outcome.points, outcome.possible) for outcome in judge(assignment, reference)
    }
    assert found == {
        "test_double": (RIGHT, 3, 3),
        "test_count": (RIGHT, 3, 3),
        "test_span": (RIGHT, 3, 3),
        "question_1": (WRITTEN, None, 4),
    }


@pytest.mark.parametrize(
    ("function", "status", "message", "hidden"),
    [
        (lambda x: 3 * x, WRONG, "expected the result 4 at (1,) (to 4e-05), found 6. Hint: compare by hand", False),
        (lambda x: 2 * x.abs(), WRONG, "expected the result -6 at (0,)", True),
        (lambda x: None, WRONG, "expected the result to be a tensor, found NoneType", False),
        (lambda x: 3.5, WRONG, "expected the result to be a tensor, found float", False),
        (lambda x: "16 of 16", WRONG, "expected the result to be a tensor, found str", False),
        (lambda x: (2 * x).double(), WRONG, "expected the result of dtype torch.float32, found torch.float64", False),
        (lambda x: 2 * x * torch.nan, WRONG, "found nan", False),
        (lambda: 1, WRONG, "double ended in TypeError: ", False),
        (raises(ValueError("no\n\nreason")), WRONG, "double ended in ValueError: no reason", False),
        (raises(AssertionError()), WRONG, "a test failed", False),
        (raises(NotImplementedError()), EMPTY, "double is not written yet", False),
        (raises(NotImplementedError("no bool kernel")), WRONG, "ended in NotImplementedError: no bool kernel", False),
        (raises(Stopped("it took more than 4 s")), STOPPED, "it took more than 4 s", False),
        (raises(Refused("double ended in SyntaxError")), WRONG, "double ended in SyntaxError", False),
        (raises(ValueError("x" * 10**6)), WRONG, "double ended in ValueError: xxx", False),
    ],
)
def test_each_failure_has_its_status_and_a_message_and_costs_its_own_cell_only(
    assignment, reference, function, status, message, hidden
):
    found = judge(assignment, {**reference, "double": function})
    assert (found[0].status, found[0].points, found[0].hidden) == (status, 0, hidden)
    assert message in found[0].message
    assert len(found[0].message) <= LONGEST
    assert [outcome.status for outcome in found[1:]] == [RIGHT, RIGHT, WRITTEN]


def test_a_function_that_is_not_there_is_missing_and_no_reason_to_stop(assignment, reference):
    del reference["count"]
    assert [outcome.status for outcome in judge(assignment, reference)] == [RIGHT, MISSING, RIGHT, WRITTEN]


def test_a_machine_without_a_process_is_no_wrong_answer(assignment, reference):
    with pytest.raises(Unstarted, match="no process"):
        judge(assignment, {**reference, "double": raises(Unstarted("no process"))})


def test_prints_warnings_and_numbers_drawn_on_the_way_cost_nothing_and_are_not_seen(assignment, reference, capsys):
    def loud(x):
        print("to stdout")
        print("to stderr", file=sys.stderr)
        warnings.warn("a warning", stacklevel=1)
        torch.manual_seed(torch.seed())
        return 2 * x

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert judge(assignment, {**reference, "double": loud})[0].status == RIGHT
    assert capsys.readouterr() == ("", "")


def test_the_seed_reaches_the_hidden_tests_and_the_random_numbers_of_a_test(tmp_path):
    notebook = tiny_course.source()
    lines = [
        "drawn = torch.rand(3)",
        "check_same(double(drawn), 2 * drawn)",
        "raise ValueError(f'{SEED} {drawn.tolist()}')",
    ]
    test = tiny_course.cell(notebook, "test_double")
    test.source = test.source.replace("### END", "\n".join([*lines, "### END"]))
    assignment = read_assignments(tiny_course.write_source(tmp_path, notebook))["1-tiny"]
    first, again, other = (judge(assignment, assignment.reference(), seed)[0].message for seed in (1, 1, 2))
    assert first == again
    assert "ValueError: 1 [" in first
    assert first.split("[")[1] != other.split("[")[1]


def test_no_test_sees_what_another_one_defined(tmp_path):
    notebook = tiny_course.source()
    for name, text in (("test_double", "found = torch.zeros(1)\ncheck_same = None"), ("test_count", "found.shape")):
        tiny_course.cell(notebook, name).source = text
    assignment = read_assignments(tiny_course.write_source(tmp_path, notebook))["1-tiny"]
    found = judge(assignment, assignment.reference())
    assert [outcome.status for outcome in found] == [RIGHT, WRONG, RIGHT, WRITTEN]
    assert "name 'found' is not defined" in found[1].message
    assert "found.shape" in nbformat.writes(assignment.notebook)

"""Every attack ends as it must: no points, no harm, a line that explains it, and an honest answer keeps its points."""

from __future__ import annotations

import dataclasses

import nbformat
import pytest
import tiny_course

from spacemeshlab.course.assignment import identity, read_assignments
from spacemeshlab.course.hostile import ATTACKS, Attack, Result, attack, solved
from spacemeshlab.course.sandbox import protection

SAFE = protection() == "bubblewrap"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """All attacks that can be tried here, several in one notebook."""
    folder = tmp_path_factory.mktemp("hostile")
    source = tiny_course.write_source(folder / "source", tiny_course.source(tiny_course.many(11)))
    possible = tuple(one for one in ATTACKS if SAFE or not one.sandbox)
    return {result.attack.name: result for result in attack(read_assignments(source)["1-tiny"], possible, folder)}


@pytest.mark.parametrize("one", ATTACKS, ids=[one.name for one in ATTACKS])
def test_an_attack_gets_no_points_does_no_harm_and_costs_nobody_else_anything(request, results, one):
    if one.sandbox:
        request.getfixturevalue("bubblewrap")
    assert results[one.name].problem == ""


def test_forbidden_things_are_noted_for_the_teacher(results):
    notes = {note for result in results.values() for note in result.notes}
    assert {"not allowed: to start another program", "not allowed: to use the network"} <= notes
    assert "imports spacemeshlab.SpaceMeshLab" in notes


def test_a_result_that_is_not_as_it_must_be_is_a_problem_in_words():
    fine = Result(Attack("a bomb", "", "stopped"), 0, "it was stopped", True, [])
    assert fine.problem == ""
    assert dataclasses.replace(fine, points=3).problem == "a bomb: 3 points, 'it was stopped'"
    assert dataclasses.replace(fine, message="boom").problem == "a bomb: 0 points, 'boom'"
    assert dataclasses.replace(fine, honest=False).problem.endswith(" and an honest answer lost its points")


def test_the_solved_notebook_differs_from_the_release_in_its_solutions_only(assignment):
    found = {identity(cell): cell.source for cell in solved(assignment).cells}
    assert "twice_everything" in found["double"]
    assert "YOUR ANSWER HERE" in found["question_1"]
    assert "HIDDEN" not in nbformat.writes(solved(assignment))

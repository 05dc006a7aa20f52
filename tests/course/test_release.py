"""What students get holds nothing that they must not see, and nbgrader itself would give them the same."""

from __future__ import annotations

import copy
import os
import sys

import nbformat
import pytest
import tiny_course
from nbgrader.apps import NbGraderAPI
from nbgrader.nbgraderformat import MetadataValidator
from traitlets.config import Config

from spacemeshlab.course.assignment import identity, read_assignments
from spacemeshlab.course.leaks import leaks, secrets
from spacemeshlab.course.release import is_released, release

URL = "https://example.org/course"


@pytest.fixture
def executed(tmp_path):
    """The tiny assignment as an author left it: with outputs and execution counts."""
    notebook = tiny_course.source()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [nbformat.v4.new_output("stream", text="SECRET")]
            cell.execution_count = 7
    return read_assignments(tiny_course.write_source(tmp_path, notebook))["1-tiny"]


def test_no_output_no_solution_and_no_hidden_test_is_left(executed, tmp_path):
    found = release(executed)
    nbformat.write(found, tmp_path / "a.ipynb")
    text = nbformat.writes(found)
    for word in ("SECRET", "BEGIN SOLUTION", "END SOLUTION", "HIDDEN TESTS", "twice_everything", "SEED", "1 point"):
        assert word not in text
    assert list(leaks(secrets(executed), [tmp_path / "a.ipynb"])) == []
    assert [cell.execution_count for cell in found.cells if cell.cell_type == "code"] == [None] * 8
    assert found.metadata.spacemeshlab.assignment == "1-tiny"


def test_heads_docstrings_visible_tests_and_first_lines_of_answers_stay(assignment):
    found = {identity(cell): cell.source for cell in release(assignment).cells}
    head, visible = tiny_course.FUNCTIONS["span"][1], tiny_course.FUNCTIONS["span"][3]
    assert found["span"] == f"{head}    # YOUR CODE HERE\n    raise NotImplementedError()"
    assert found["test_span"] == visible
    assert found["question_1"] == "**Your answer to question 1** (keep this line)\n\nYOUR ANSWER HERE"
    assert list(found) == [identity(cell) for cell in assignment.notebook.cells]


def test_it_is_valid_for_nbformat_and_for_nbgraders_own_validator_and_the_source_is_left_alone(assignment):
    before = copy.deepcopy(assignment.notebook)
    found = release(assignment, URL)
    nbformat.validate(found)
    MetadataValidator().validate_nb(found)
    for cell in found.cells:
        about = cell.metadata.get("nbgrader", {})
        assert ("checksum" in about) == bool(about.get("grade") or about.get("solution") or about.get("locked"))
    assert assignment.notebook == before


def test_with_a_repository_there_is_a_cell_that_installs_the_package_there_and_nowhere_else(assignment, monkeypatch):
    plain, hosted = release(assignment), release(assignment, URL)
    assert [cell.source for cell in hosted.cells if cell.id != "hosted"] == [cell.source for cell in plain.cells]
    cell = hosted.cells[1]
    assert f'"git+{URL}"' in cell.source
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("installed something"))
    monkeypatch.setattr("os.environ", {})
    exec(cell.source, {})


def test_an_old_release_is_noticed(assignment, tmp_path):
    path = tmp_path / "a.ipynb"
    assert not is_released(assignment, path)
    nbformat.write(release(assignment), path)
    assert is_released(assignment, path)
    assert not is_released(assignment, path, URL)
    path.write_text(path.read_text(encoding="utf-8").replace("Three functions", "Four functions"), encoding="utf-8")
    assert not is_released(assignment, path)


def test_nbgraders_own_converter_takes_the_source_and_makes_the_same_cells_of_it(assignment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable), prepend=os.pathsep)  # nbgrader calls alembic
    tiny_course.write_source(tmp_path / "source")
    config = Config()
    config.CourseDirectory.root = str(tmp_path)
    config.CourseDirectory.db_url = f"sqlite:///{tmp_path / 'gradebook.db'}"
    done = NbGraderAPI(config=config).generate_assignment("1-tiny", force=True)
    assert done["success"], done
    theirs = nbformat.read(tmp_path / "release" / "1-tiny" / "1-tiny.ipynb", as_version=4)
    ours = release(assignment)
    assert [cell.source.rstrip() for cell in theirs.cells] == [cell.source for cell in ours.cells]
    assert [cell.metadata.nbgrader.grade_id for cell in theirs.cells] == [identity(cell) for cell in ours.cells]

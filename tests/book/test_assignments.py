"""The five assignments have the anatomy of STYLE_GUIDE.md, and what is handed out is what their sources give."""

from __future__ import annotations

import re
from pathlib import Path

import course
import nbformat
import pytest
import tidy_notebooks
import yaml
from PIL import Image

from spacemeshlab import testing
from spacemeshlab.course.assignment import EXPERIMENT, identity, is_given, read_assignments
from spacemeshlab.course.leaks import leaks, secrets
from spacemeshlab.course.release import is_released

ROOT = Path(__file__).resolve().parents[2]
SOURCE, RELEASE = course.COURSE / "source", course.COURSE / "release"
ASSIGNMENTS = read_assignments(SOURCE)
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
URL = CONFIG["sphinx"]["config"]["html_theme_options"]["repository_url"]
BULLETS = ["Goals", "You need", "Time", "Points", "Rules"]


@pytest.fixture(params=ASSIGNMENTS)
def assignment(request):
    return ASSIGNMENTS[request.param]


def test_there_are_five_assignments_in_the_table_of_contents_behind_one_page_for_students():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    (part,) = (part for part in toc["parts"] if "Course" in part["caption"])
    releases = [f"book/assignments/release/{name}/{name}" for name in ASSIGNMENTS]
    assert [chapter["file"] for chapter in part["chapters"]] == ["book/course", *releases, "book/teaching"]
    assert len(releases) == 5


def test_what_is_handed_out_is_what_the_source_gives(assignment):
    path = RELEASE / assignment.name / f"{assignment.name}.ipynb"
    assert is_released(assignment, path, URL), "make assignments"
    pictures = [SOURCE / assignment.name / "right-answer.png", path.with_name("right-answer.png")]
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
    assert Image.open(pictures[0]).width <= 1100


def test_what_is_handed_out_holds_no_solution_no_hidden_test_and_no_output(assignment):
    path = RELEASE / assignment.name / f"{assignment.name}.ipynb"
    assert len(secrets(assignment)) > 20
    assert list(leaks(secrets(assignment), [path])) == []
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs")
        assert "### BEGIN" not in cell.source


def test_the_source_is_tidy_and_was_never_executed(assignment):
    path = SOURCE / assignment.name / f"{assignment.name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    assert tidy_notebooks.tidy(notebook) == notebook, "make format"
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)


def test_the_first_cell_says_goals_chapters_time_points_and_rules(assignment):
    text = assignment.notebook.cells[0].source
    assert re.match(r"# Assignment \d: [^\n]+\n\n[^#:\n]", text)
    assert re.findall(r"^- \*\*(.+?)\*\*", text, re.MULTILINE) == BULLETS
    tests, by_hand = (sum(cell.points for cell in cells) for cells in (assignment.tests, assignment.questions))
    assert f"**Points** {tests + by_hand}: {tests} by tests, {by_hand} for the written answer" in text
    assert re.search(r"\*\*Time\*\* \d+[–-]\d+ hours", text)
    assert all((ROOT / "book").glob(f"{chapter:02}-*.ipynb") for chapter in assignment.chapters)
    assert assignment.chapters


def test_there_are_four_to_eight_functions_in_two_or_three_parts_and_a_question_of_four_points(assignment):
    assert 4 <= len(assignment.functions) <= 8
    assert 2 <= len(assignment.parts) <= 3
    assert all(re.match(r"Part [A-C] · ", part) for part in assignment.parts)
    assert [cell.points for cell in assignment.questions] == [4]


def test_every_function_has_a_signature_with_types_and_a_docstring_that_students_see(assignment):
    for name, function in assignment.reference().items():
        assert function.__doc__
        assert set(function.__annotations__) == {
            *function.__code__.co_varnames[: function.__code__.co_argcount],
            "return",
        }
        (cell,) = (cell for cell in assignment.notebook.cells if identity(cell) == name)
        assert cell.source.index('"""') < cell.source.index("### BEGIN SOLUTION")


def test_every_test_cell_shows_something_and_hides_something_and_both_are_shared_checks(assignment):
    for cell in assignment.tests:
        for text in (cell.visible, cell.hidden):
            checks = set(re.findall(r"\bcheck_\w+", text))
            assert checks, f"no check in {cell.name}"
            assert all(hasattr(testing, check) for check in checks), checks


def test_the_marking_scheme_adds_up_to_the_points(assignment):
    for question in assignment.questions:
        given = [int(number) for number in re.findall(r"^- (\d) points?\b", question.visible, re.MULTILINE)]
        assert sum(given) == question.points


def test_students_see_where_pictures_and_links_lead(assignment):
    folder = RELEASE / assignment.name
    for cell in assignment.notebook.cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\((?!https?:)([^)#]+)", cell.source):
                assert (folder / target).resolve().is_file(), target
            for alt in re.findall(r"!\[([^\]]*)\]", cell.source):
                assert len(alt.split()) >= 8, alt


def test_what_the_grader_runs_imports_nothing_of_the_package_but_its_checks(assignment):
    for cell in assignment.notebook.cells:
        if cell.cell_type == "code" and is_given(cell) and EXPERIMENT not in cell.metadata.get("tags", []):
            assert set(re.findall(r"\bspacemeshlab[\w.]*", cell.source)) <= {"spacemeshlab.testing"}


def test_students_need_no_sphinx_to_read_it(assignment):
    prose = "\n".join(cell.source for cell in assignment.notebook.cells if cell.cell_type == "markdown")
    assert not re.search(r"^:::|\{\w+\}`|^```\{", prose, re.MULTILINE)

"""scripts/course.py: the doors of release, grade, feedback and check."""

from __future__ import annotations

import dataclasses
import json
import shutil

import course as script
import nbformat
import pytest
import tiny_course
import yaml

from spacemeshlab.course import hostile
from spacemeshlab.course.assignment import read_assignments
from spacemeshlab.course.sandbox import protection

ANSWERS = """
import torch

from spacemeshlab.course.answers import Answers

answers = Answers("1-tiny")
for name, factor in (("double", 2), ("count", 1), ("span", 1)):
    for shift in range(10):
        answers.wrong(name, f"plus {shift}")(lambda *_, shift=shift: shift)
for number in range(3):
    answers.right("double")(lambda x: x + x)
    answers.right("count")(lambda labels, classes: torch.stack([(labels == k).sum() for k in range(classes)]))
    answers.right("span")(lambda x: (min(x.tolist()), max(x.tolist())))
"""


HARMLESS = hostile.Result(hostile.ATTACKS[0], 0, "took more than 4 s", True, [])


@pytest.fixture
def source(tmp_path):
    """A folder of sources with a picture beside the notebook, and answers beside the folder."""
    folder = tiny_course.write_source(tmp_path / "source")
    (folder / "1-tiny" / "right-answer.png").write_bytes(b"picture")
    (folder / "1-tiny" / "notes.txt").write_text("for the teacher")
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "tiny_1.py").write_text(ANSWERS)
    return folder


def test_release_writes_the_notebook_and_its_pictures_and_nothing_else(call, source, tmp_path):
    out = tmp_path / "out"
    done = call(script, "release", "--source", source, "--out", out, "--repository", "https://example.org/x")
    assert (done.code, done.out, done.err) == (0, f"{out / '1-tiny' / '1-tiny.ipynb'}: 3 functions, 13 points\n", "")
    assert sorted(path.name for path in (out / "1-tiny").iterdir()) == ["1-tiny.ipynb", "right-answer.png"]
    notebook = nbformat.read(out / "1-tiny" / "1-tiny.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert "git+https://example.org/x" in notebook.cells[1].source


def test_grade_makes_tables_and_pages_and_feedback_brings_a_persons_points_into_them(call, refused, source, tmp_path):
    place, out = tmp_path / "week 1", tmp_path / "week 1-graded"
    place.mkdir()
    notebook = hostile.solved(read_assignments(source)["1-tiny"])
    tiny_course.cell(notebook, "question_1").source += "Because."
    (place / "ann_1-tiny.ipynb").write_text(json.dumps(notebook))
    (place / "ben_1-tiny.ipynb").write_text("no JSON")
    words = ("grade", place, "--source", source, "--jobs", "1")
    done = call(script, *words)
    assert done.code == 0
    assert "ben, ben_1-tiny.ipynb: not graded, expected a notebook, found a file that cannot be read" in done.out
    assert "2 submissions: 2 graded now, 0 before" in done.out
    assert f"tables in {out}, feedback in {out / 'feedback' / 'index.html'}" in done.out
    assert f"2 wait for a person: fill points and comment into {out / 'written.csv'}, then call feedback" in done.out
    assert ("warning: expected bubblewrap" in done.err) == (protection() != "bubblewrap")
    written = (out / "written.csv").read_text(encoding="utf-8")
    (out / "written.csv").write_text(written.replace("4,,", "4,3.5,Fine."), encoding="utf-8")
    assert "1 wait for a person" in call(script, "feedback", out, "--source", source).out
    assert (out / "totals.csv").read_text(
        encoding="utf-8"
    ) == "student,1-tiny,total,open\nann,12.5,12.5,\nben,,,1-tiny\n"
    assert "Fine." in (out / "feedback" / "ann" / "1-tiny.html").read_text(encoding="utf-8")
    assert "2 submissions: 0 graded now, 2 before" in call(script, *words).out
    (out / "written.csv").write_text(written.replace("4,,", "4,5,"), encoding="utf-8")
    assert "expected 0 to 4 points for ann, 1-tiny, question_1" in refused(script, "feedback", out, "--source", source)


def test_the_results_of_the_folder_one_is_in_lie_beside_it(monkeypatch, source, tmp_path):
    (tmp_path / "week").mkdir()
    (tmp_path / "week" / "ann.ipynb").write_text("{}")
    monkeypatch.chdir(tmp_path / "week")
    monkeypatch.setattr(script, "grade_all", lambda jobs, out, *_: pytest.fail(str(out)))
    monkeypatch.setattr("sys.argv", ["course.py", "grade", ".", "--source", str(source)])
    with pytest.raises(pytest.fail.Exception, match=f"{tmp_path}/week-graded$"):
        script.main()


def test_who_stops_it_is_told_that_nothing_is_lost(call, monkeypatch, source, tmp_path):
    def stopped(*_):
        raise KeyboardInterrupt

    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ann.ipynb").write_text("{}")
    monkeypatch.setattr(script, "grade_all", stopped)
    done = call(script, "grade", tmp_path / "in", "--source", source)
    assert done.code == 130
    assert done.err.splitlines()[-1] == "stopped; what is done is kept, and the same command does the rest"


@pytest.fixture
def check(call, source, tmp_path, monkeypatch):
    """``check(result)``: the outcome for the tiny assignment, its release and a page; an attack ends in ``result``."""
    words = ("--source", source, "--out", tmp_path / "release", "--repository", "")
    call(script, "release", *words)
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "index.html").write_text("<p>Nothing</p>")
    for module in (script, hostile):
        monkeypatch.setattr(module, "ATTACKS", module.ATTACKS[:1])

    def run(result=HARMLESS):
        monkeypatch.setattr(hostile, "attack", lambda *_: [result])
        return call(script, "check", *words, "--html", tmp_path / "html")

    return run


def test_check_finds_nothing_in_a_fair_assignment(check):
    done = check()
    assert (done.code, done.out) == (0, "1-tiny: in order\n1 of 1 attacks tried\n")


def test_check_names_everything_that_is_not_in_order(check, source, tmp_path):
    (tmp_path / "html" / "index.html").write_text("<pre>Nobody can say <b>why</b>, which is the answer.</pre>")
    shutil.copy(source / "1-tiny" / "1-tiny.ipynb", tmp_path / "release" / "1-tiny" / "1-tiny.ipynb")
    (tmp_path / "answers" / "tiny_1.py").write_text(ANSWERS + 'answers.right("span")(lambda x: None)\n')
    done = check(dataclasses.replace(HARMLESS, points=3))
    assert done.code == 2
    for line in (
        "error: expected a course in order, found\n  the right answer span: <lambda> loses test_span",
        "1-tiny.ipynb is old: make assignments",
        "1-tiny.ipynb holds 'return twice_everything'",
        "index.html holds 'Nobody can say why, which is the answer.'",
        "endless loop: 3 points, 'took more than 4 s'",
    ):
        assert line in done.err


def test_check_says_where_no_page_was_searched(check, tmp_path):
    shutil.rmtree(tmp_path / "html")
    assert f"no built book in {tmp_path / 'html'}: its pages are not searched for leaks" in check().out


def test_sources_and_releases_are_the_books_own_unless_others_are_named(monkeypatch):
    monkeypatch.setattr("sys.argv", ["course.py", "release"])
    found = script._arguments()
    assert (found.source, found.out) == (script.COURSE / "source", script.COURSE / "release")
    config = yaml.safe_load((script.ROOT / "_config.yml").read_text(encoding="utf-8"))["sphinx"]["config"]
    assert found.repository == config["html_theme_options"]["repository_url"].strip()

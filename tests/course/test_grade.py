"""A folder is graded once, whatever is in it and in whatever order, and no submission stops another one."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import pytest
from nbformat import from_dict
from tiny_course import cell

from spacemeshlab.course import grade as module
from spacemeshlab.course import gradebook
from spacemeshlab.course import student as student_module
from spacemeshlab.course.assignment import read_assignments
from spacemeshlab.course.feedback import page, write_feedback
from spacemeshlab.course.grade import FAILED, GRADED, UNREADABLE, grade_all, read_records, record_path, run
from spacemeshlab.course.hostile import solved
from spacemeshlab.course.submissions import Job, Submission, choose, find_submissions
from spacemeshlab.errors import UserError

COPIES = {
    "double": "from spacemeshlab import SpaceMeshLab as double",
    "count": "def count(*_):\n    import importlib as i\n    return i.import_module('spacemeshlab.metrics')",
    "span": "def span(x):\n    return __import__('spacemeshlab').metrics",
}


@pytest.fixture(scope="module")
def folder(source, tmp_path_factory):
    """Six students: one right, one who copied, no JSON, a link, no file, an empty notebook."""
    folder = tmp_path_factory.mktemp("submissions")
    notebook = solved(read_assignments(source)["1-tiny"])
    for student in ("ann", "ben", "cleo", "dora", "emil", "fay"):
        (folder / student).mkdir()
    (folder / "ann" / "a.ipynb").write_text(json.dumps(notebook))
    (folder / "dora" / "a.ipynb").symlink_to(folder / "ann" / "a.ipynb")
    for name, code in COPIES.items():
        cell(notebook, name).source = code
    (folder / "ben" / "1-tiny.ipynb").write_text(json.dumps(notebook))
    (folder / "cleo" / "1-tiny.ipynb").write_text("no JSON")
    (folder / "fay" / "x.ipynb").write_text('{"cells": [{"cell_type": "code", "source": "x = 1"}]}')
    return folder


@pytest.fixture(scope="module")
def graded(source, folder, tmp_path_factory):
    """The folder's records, graded by two processes."""
    out = tmp_path_factory.mktemp("graded")
    jobs = choose(find_submissions(folder), source, 0)
    assert [fresh for _, fresh in grade_all(jobs, out, 2)] == [True] * 6
    return out


def test_each_submission_has_its_record_whatever_the_others_are(graded):
    found = {each["student"]: each for each in read_records(graded)}
    assert {name: each["status"] for name, each in found.items()} == {
        "ann": GRADED,
        "ben": GRADED,
        **dict.fromkeys(("cleo", "dora", "emil", "fay"), UNREADABLE),
    }
    assert (found["ann"]["points"], found["ann"]["possible"], found["ben"]["points"]) == (9, 13, 0)
    assert found["ann"]["notes"] == ["question_1 is not answered"]
    assert "JSONDecodeError" in found["cleo"]["notes"][0]
    assert (
        found["dora"]["notes"]
        == found["emil"]["notes"]
        == ["expected a notebook, found no plain file: ask for it again"]
    )
    assert found["fay"]["notes"] == [
        "expected an answer to one of 1-tiny, found none of their functions: ask which it is"
    ]
    assert [found[name]["assignment"] for name in ("cleo", "dora", "fay")] == ["1-tiny", None, None]


def test_a_copied_answer_scores_nothing_and_the_feedback_says_why(graded, assignment):
    record = next(each for each in read_records(graded) if each["student"] == "ben")
    assert [each["points"] for each in record["cells"]] == [0, 0, 0, None]
    for each in record["cells"][:3]:
        assert "the answer must be your own: nothing can be imported from spacemeshlab here" in each["message"]
    assert "double imports from the package that it is to rebuild: from spacemeshlab import SpaceMeshLab" in str(
        record["notes"]
    )
    assert "imports spacemeshlab.metrics" in record["notes"]
    assert "the answer must be your own" in page(record, assignment)


def in_threads(workers):
    return ThreadPoolExecutor(max(1, workers))


def test_the_same_records_come_out_in_another_order_and_one_at_a_time(monkeypatch, graded, source, folder, tmp_path):
    monkeypatch.setattr(module, "_pool", in_threads)
    list(grade_all(choose(find_submissions(folder), source, 0)[::-1], tmp_path, 1))
    names = {path.relative_to(graded) for path in graded.rglob("*.json")}
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*.json")} == names
    for name in names:
        assert (tmp_path / name).read_text(encoding="utf-8") == (graded / name).read_text(encoding="utf-8")


@pytest.fixture
def quick(here, monkeypatch, source, folder, graded, tmp_path):
    """``quick(seed=0)``: the names that are graded again, in this process, in a copy of what was graded before."""
    monkeypatch.setattr(module, "_pool", in_threads)
    place, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(folder, place, symlinks=True)
    shutil.copytree(graded, out)

    def quick(seed=0, **options):
        jobs = choose(find_submissions(place), source, seed)
        return sorted(record["student"] for record, fresh in grade_all(jobs, out, 1, **options) if fresh)

    quick.place, quick.out = place, out
    return quick


def test_what_did_not_change_is_not_graded_again_and_what_did_is(quick, notebook, monkeypatch):
    assert quick() == []
    os.utime(quick.place / "ann" / "a.ipynb", (1, 1))
    assert quick() == []
    (quick.place / "cleo" / "1-tiny.ipynb").write_text(json.dumps(notebook))
    assert quick() == ["cleo"]
    assert next(each for each in read_records(quick.out) if each["student"] == "cleo")["points"] == 9
    assert quick() == []
    assert quick(seed=1) == ["ann", "ben", "cleo", "dora", "emil", "fay"]
    assert quick(seed=1) == []
    assert len(quick(seed=1, again=True)) == 6
    monkeypatch.setattr(module, "_checks", lambda: "mended")
    assert len(quick(seed=1)) == 6


def test_a_student_whose_folder_was_empty_is_no_longer_listed_once_there_is_a_file(quick, notebook):
    assert [each["file"] for each in read_records(quick.out) if each["student"] == "emil"] == ["emil"]
    (quick.place / "emil" / "emil.ipynb").write_text("no JSON")
    (quick.place / "emil" / "a.ipynb").write_text(json.dumps(notebook))
    assert quick() == ["emil", "emil"]
    assert [each["file"] for each in read_records(quick.out) if each["student"] == "emil"] == ["emil.ipynb", "a.ipynb"]
    (quick.place / "emil" / "emil.ipynb").unlink()
    assert quick() == []
    assert [each["file"] for each in read_records(quick.out) if each["student"] == "emil"] == ["a.ipynb"]


def test_a_record_that_is_cut_or_of_another_version_is_graded_again(quick, monkeypatch):
    record_path(quick.out, "fay", None, "x.ipynb").write_text('{"version"')
    assert quick() == ["fay"]
    monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    assert len(quick()) == 6


def test_an_interrupted_run_keeps_what_was_done(quick, source):
    shutil.rmtree(quick.out)
    jobs = choose(find_submissions(quick.place), source, 0)
    grading = grade_all(jobs, quick.out, 1)
    first, _ = next(grading)
    with pytest.raises(KeyboardInterrupt):
        grading.throw(KeyboardInterrupt)
    assert first in read_records(quick.out)
    left = quick()
    assert first["student"] not in left
    assert len(read_records(quick.out)) == 6


def no_process(_):
    raise OSError(11, "no more processes")


def test_a_machine_that_fails_is_no_zero_and_is_tried_again(quick, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(student_module, "Process", no_process)
        assert len(quick(again=True)) == 6
    failed = [each for each in read_records(quick.out) if each["status"] == FAILED]
    assert [each["student"] for each in failed] == ["ann", "ben"]
    assert "the grader failed (Unstarted: no process" in failed[0]["notes"][0]
    assert "points" not in failed[0]
    assert quick() == ["ann", "ben"]
    assert quick() == []


def test_a_fault_of_the_grader_itself_is_reported_and_costs_nobody_anything(quick, monkeypatch):
    def fault(*_):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(module, "prepare", fault)
    assert len(quick(again=True)) == 6
    assert {each["status"] for each in read_records(quick.out)} == {FAILED, UNREADABLE}


class Broken(ThreadPoolExecutor):
    """A pool whose processes are killed once one of them has to do with a submission of bob's."""

    broken = False

    def submit(self, run, job):
        if self.broken:
            raise BrokenProcessPool("submit")
        self.broken = job.submission.student == "bob"
        return super().submit(self._run, run, job)

    def _run(self, run, job):
        if self.broken:
            raise BrokenProcessPool("run")
        return run(job)


def test_a_killed_process_costs_one_submission_and_those_around_it_are_tried_again(
    monkeypatch, source, folder, tmp_path
):
    monkeypatch.setattr(module, "_pool", lambda _: Broken(1))
    path = folder / "cleo" / "1-tiny.ipynb"
    jobs = [Job(Submission(name, path), source, "1-tiny") for name in ("ann", "bob", "cleo")]
    found = {record["student"]: record for record, _ in grade_all(jobs, tmp_path, 2)}
    assert {name: record["status"] for name, record in found.items()} == {
        "ann": UNREADABLE,
        "bob": FAILED,
        "cleo": UNREADABLE,
    }
    assert "its process was killed" in found["bob"]["notes"][0]
    assert found["bob"]["sha256"] == found["ann"]["sha256"]
    assert len(read_records(tmp_path)) == 3


def test_signs_that_are_none_pass_through_records_tables_and_pages(quick, notebook, assignment):
    cell(notebook, "question_1").source = "**Your answer to question 1**\n\n\ud800 why"
    cell(notebook, "double").source = "def double(x):\n    raise ValueError('\\ud800')"
    (quick.place / "ann" / "a.ipynb").write_text(json.dumps(notebook))
    assert quick() == ["ann"]
    records = gradebook.update(quick.out)
    write_feedback(quick.out, records, {"1-tiny": assignment})
    assert "\\ud800 why" in (quick.out / "feedback" / "ann" / "1-tiny.html").read_text(encoding="utf-8")
    assert quick() == []


def test_older_files_are_named_in_the_record(here, source, notebook, tmp_path):
    (tmp_path / "a.ipynb").write_text(json.dumps(from_dict(notebook)))
    record = run(Job(Submission("ann", tmp_path / "a.ipynb", ("old.ipynb",)), source, "1-tiny"))
    assert record["notes"] == ["there are older files, which were not graded: old.ipynb"]


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"expected graded submissions in .*, found none: grade a folder first"):
        read_records(tmp_path)

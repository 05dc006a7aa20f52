"""In a folder of submissions every student is found once for each assignment, whatever files and folders are called."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest

from spacemeshlab.course.grade import record_path
from spacemeshlab.course.submissions import Submission, choose, find_submissions
from spacemeshlab.errors import UserError


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")


def found(folder):
    return {(each.student, each.path.relative_to(folder).as_posix()) for each in find_submissions(folder)}


def test_a_students_name_is_that_of_the_folder_or_the_first_part_of_the_file(tmp_path):
    touch(tmp_path, "ann/1-tiny.ipynb", "ben/deep/er/x.ipynb", "cleo_1-tiny.ipynb", "1-tiny.ipynb", "_x.ipynb")
    assert found(tmp_path) == {
        ("ann", "ann/1-tiny.ipynb"),
        ("ben", "ben/deep/er/x.ipynb"),
        ("cleo", "cleo_1-tiny.ipynb"),
        ("1-tiny", "1-tiny.ipynb"),
        ("_x", "_x.ipynb"),
    }


def test_endings_that_browsers_add_are_seen_through_and_what_systems_leave_behind_is_not_seen(tmp_path):
    touch(tmp_path, "ann/a.ipynb.txt", "ben/b.IPYNB", "cleo/c.ipynb.json")
    touch(tmp_path, "ann/.ipynb_checkpoints/a.ipynb", "__MACOSX/ann/._a.ipynb", ".git/x.ipynb", "ann/ipynb.txt")
    assert {path for _, path in found(tmp_path)} == {"ann/a.ipynb.txt", "ben/b.IPYNB", "cleo/c.ipynb.json"}


def test_a_student_who_handed_in_something_else_is_not_forgotten(tmp_path):
    touch(tmp_path, "ann/a.ipynb", "ben/answer.pdf", "graded/records/ann/1-tiny.json", "list.csv")
    (tmp_path / "cleo").mkdir()
    assert found(tmp_path) == {("ann", "ann/a.ipynb"), ("ben", "ben"), ("cleo", "cleo")}


def test_a_link_to_a_folder_elsewhere_is_not_followed(tmp_path):
    touch(tmp_path, "elsewhere/secret.ipynb", "in/ann/a.ipynb")
    (tmp_path / "in" / "ben").symlink_to(tmp_path / "elsewhere")
    assert ("ben", "ben/secret.ipynb") not in found(tmp_path / "in")


def test_no_folder_and_no_notebook_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"expected a folder of submissions, found none at .*/none: name the folder"):
        find_submissions(tmp_path / "none")
    touch(tmp_path, "ann/a.pdf")
    with pytest.raises(UserError, match=r"expected notebooks in .*, found none: unpack what"):
        find_submissions(tmp_path)


def test_a_folder_too_high_is_noticed_before_a_whole_class_is_taken_for_one_student(source, notebook, tmp_path):
    for name in ("ann", "ben"):
        (tmp_path / "submitted" / name).mkdir(parents=True)
        nbformat.write(notebook, tmp_path / "submitted" / name / "1-tiny.ipynb")
    with pytest.raises(UserError, match="expected a folder a student, found one folder submitted with several answers"):
        choose(find_submissions(tmp_path), source, 0)
    assert len(choose(find_submissions(tmp_path / "submitted"), source, 0)) == 2


def test_of_several_files_the_last_one_changed_counts_and_names_the_others(source, notebook, tmp_path):
    for name, time in (("new", 3), ("old", 1), ("middle", 2)):
        nbformat.write(notebook, tmp_path / f"ann_{name}.ipynb")
        os.utime(tmp_path / f"ann_{name}.ipynb", (time, time))
    (job,) = choose(find_submissions(tmp_path), source, 7)
    assert job.submission == Submission("ann", tmp_path / "ann_new.ipynb", ("ann_old.ipynb", "ann_middle.ipynb"))
    assert (job.source, job.assignment, job.seed) == (source, "1-tiny", 7)


def test_a_file_that_cannot_be_read_is_filed_under_the_assignment_in_its_name_or_under_its_own(source, tmp_path):
    touch(tmp_path, "ann/1-tiny (2).ipynb", "ben/x.ipynb", "ben/y.ipynb", "cleo/x.pdf")
    jobs = choose(find_submissions(tmp_path), source, 0)
    assert [(job.submission.student, job.submission.path.name, job.assignment) for job in jobs] == [
        ("ann", "1-tiny (2).ipynb", "1-tiny"),
        ("ben", "x.ipynb", None),
        ("ben", "y.ipynb", None),
        ("cleo", "cleo", None),
    ]


NAMES = [
    "ann",
    "../x",
    "=cmd()",
    "a/b",
    "a_b",
    "ü n",
    "..",
    ".",
    "",
    " ",
    "con|<script>",
    "x" * 200,
    "x" * 201,
    "名" * 80,
]
NAMES += ["名" * 79 + "x", "a\nb", "a\\nb", "'=cmd()", ":", "*", "𐀀" * 60]


def test_every_name_gives_a_place_of_its_own_inside_the_folder_of_records(tmp_path):
    paths = [record_path(tmp_path, name, "1-tiny", "x.ipynb") for name in NAMES]
    paths += [record_path(tmp_path, "ann", None, f"{name}.ipynb") for name in NAMES]
    for path in paths:
        assert path.resolve().parents[1] == (tmp_path / "records").resolve()
        path.with_name(f".{path.name}.part").parent.mkdir(parents=True, exist_ok=True)
        path.with_name(f".{path.name}.part").write_text("{}")
    assert len({str(path).lower() for path in paths}) == len(paths)


@pytest.mark.parametrize("name", [b"M\xfcller", b"a\nb", "\u202eevil".encode(), b"a\x1bb"])
def test_a_folder_whose_name_is_no_text_gives_a_student_whose_name_is_text(tmp_path, name):
    folder = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
    touch(folder, "a.ipynb")
    (each,) = find_submissions(tmp_path)
    assert each.student.isprintable()
    assert each.student.encode("utf-8")
    assert each.path.is_file()

"""The tables add up, the teacher's points stay, spreadsheets are read as they write, and no cell calculates."""

from __future__ import annotations

import csv
import json

import pytest

from spacemeshlab.course.grade import FAILED, GRADED, UNREADABLE, record_path, write_json
from spacemeshlab.course.gradebook import is_open, points, update
from spacemeshlab.course.judge import RIGHT, WRITTEN, WRONG
from spacemeshlab.course.submissions import printable
from spacemeshlab.errors import UserError

HEAD = "student,assignment,question,possible,points,comment\n"


def record(student="ann", assignment="1-tiny", first=3, message="", **about):
    cells = [
        {"cell": "test_double", "part": "A", "points": first, "possible": 3, "status": RIGHT if first else WRONG},
        {"cell": "question_1", "part": "B", "points": None, "possible": 4, "status": WRITTEN},
    ]
    cells = [{**cell, "message": message, "hidden": False} for cell in cells]
    base = {"student": student, "assignment": assignment, "file": f"{assignment}.ipynb", "status": GRADED, "notes": []}
    return {
        **base,
        "possible": 7,
        "cells": cells,
        "code": {"double": "SECRET"},
        "written": {"question_1": "SECRET"},
        **about,
    }


def unreadable(student="ben", assignment="1-tiny", status=UNREADABLE, file="x.ipynb"):
    return {"student": student, "assignment": assignment, "file": file, "status": status, "notes": ["no notebook"]}


@pytest.fixture
def book(tmp_path):
    """``book(*records)`` writes them and brings the tables up to date; ``.rows(name)`` reads one."""

    class Book:
        path, written = tmp_path, tmp_path / "written.csv"

        def __call__(self, *records):
            for each in records:
                write_json(record_path(tmp_path, each["student"], each["assignment"], each["file"]), each)
            return update(tmp_path)

        def rows(self, name):
            with open(tmp_path / name, encoding="utf-8", newline="") as file:
                return list(csv.DictReader(file))

        def fill(self, old, new):
            text = self.written.read_text(encoding="utf-8")
            assert old in text
            self.written.write_text(text.replace(old, new), encoding="utf-8")

    return Book()


def test_points_and_totals_add_up_and_open_ones_are_named(book):
    book(record(), record("ben", first=0, message="wrong"), record("ann", "2-many"), unreadable("cleo", None))
    book.fill("ben,1-tiny,question_1,4,,", "ben,1-tiny,question_1,4,2.5,good")
    book()
    assert book.rows("totals.csv") == [
        {"student": "ann", "1-tiny": "3", "2-many": "3", "total": "6", "open": "1-tiny 2-many"},
        {"student": "ben", "1-tiny": "2.5", "2-many": "", "total": "2.5", "open": ""},
        {"student": "cleo", "1-tiny": "", "2-many": "", "total": "", "open": "x.ipynb"},
    ]
    cells = [row for row in book.rows("points.csv") if row["student"] == "ben"]
    assert [(row["cell"], row["points"], row["possible"]) for row in cells] == [
        ("test_double", "0", "3"),
        ("question_1", "2.5", "4"),
    ]
    assert cells[0]["message"] == "wrong"
    (lost,) = (row for row in book.rows("points.csv") if row["student"] == "cleo")
    assert (lost["assignment"], lost["points"], lost["status"], lost["message"]) == (
        "x.ipynb",
        "",
        "not graded",
        "no notebook",
    )
    text = (book.path / "grades.json").read_text(encoding="utf-8")
    assert "SECRET" not in text
    assert [row["total"] for row in json.loads(text)["totals"]] == [6, 2.5, ""]
    assert [each["student"] for each in json.loads(text)["submissions"]] == ["ann", "ann", "ben", "cleo"]


@pytest.mark.parametrize("status", [UNREADABLE, FAILED])
def test_a_file_that_was_not_graded_has_no_points_and_no_zero(book, status):
    (found,) = book(unreadable(status=status))
    assert is_open(found)
    assert points(found) == 0
    assert book.rows("totals.csv") == [{"student": "ben", "1-tiny": "", "total": "", "open": "1-tiny"}]


def test_the_teachers_points_and_comments_stay_when_submissions_are_graded_again(book):
    book(record(), record("ben"))
    book.fill("ann,1-tiny,question_1,4,,", 'ann,1-tiny,question_1,4,1.5,"- short; -1 point\n=but right, ""nearly"""')
    for first in (3, 0, 3):
        found = book(record(first=first), record("cleo"))
        cell = found[0]["cells"][1]
        assert (cell["points"], cell["comment"]) == (1.5, '- short; -1 point\n=but right, "nearly"')
        assert points(found[0]) == 1.5 + first
    assert [row["student"] for row in book.rows("written.csv")] == ["ann", "ben", "cleo"]
    book(unreadable("ann"))
    assert book.rows("written.csv")[0]["points"] == "1.5"


def test_a_line_with_the_name_of_a_test_overrules_it_until_it_is_deleted(book):
    book(record(first=0))
    line = "ann,1-tiny,test_double,3,2,a fault of the test\n"
    for given, total in ((line, 2), (line.replace(",2,", ",,"), 0)):
        book.written.write_text(HEAD + given + "ann,1-tiny,question_1,4,,\n", encoding="utf-8")
        (found,) = book(record(first=0))
        assert points(found) == total
        assert book.rows("points.csv")[0]["points"] == str(total)
        assert [row["question"] for row in book.rows("written.csv")] == ["question_1", "test_double"]
    book.fill("test_double,3,,", "test_double,3,4,")
    with pytest.raises(UserError, match=r"expected 0 to 3 points for ann, 1-tiny, test_double in written.csv, found 4"):
        book()


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode(),
        lambda text: b"\xef\xbb\xbf" + text.replace(",", ";").replace("1.5", "1,5").encode(),
        lambda text: text.replace(",", ";").replace("1.5", "1,5").replace("\n", "\r\n").encode("cp1252"),
        lambda text: text.replace(",", "\t").encode("utf-16"),
        lambda text: text.replace(",", ";").replace("1.5", '"1,5"').replace("\n", "\r").encode("latin-1"),
        lambda text: (text + ",,,,,\n\n").encode(),
        lambda text: "\n".join(reversed(text.splitlines()[1:])).join([HEAD, "\n"]).encode(),
        lambda text: text.replace(",4,1.5", ",04.00, 1.5 ").encode(),
    ],
)
def test_what_spreadsheets_make_of_the_table_is_read_all_the_same(book, encode):
    book(record("Jürgen"), record("ann"))
    text = book.written.read_text(encoding="utf-8").replace(
        "Jürgen,1-tiny,question_1,4,,", "Jürgen,1-tiny,question_1,4,1.5,schön"
    )
    book.written.write_bytes(encode(text))
    first, second = (each["cells"][1] for each in book())
    assert (first["points"], first["comment"], second["points"]) == (1.5, "schön", None)
    assert book.written.read_text(encoding="utf-8") == HEAD + (
        "Jürgen,1-tiny,question_1,4,1.5,schön\nann,1-tiny,question_1,4,,\n"
    )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "ann,1-tiny,question_1,4,two,",
            r"expected a number or nothing as points in line 2 of .*, found 'two': mend that line",
        ),
        ("ann,1-tiny,question_1,4,2/4,", "found '2/4': mend that line"),
        (
            "ann,1-tiny,question_1,4,5,",
            "expected 0 to 4 points for ann, 1-tiny, question_1 in written.csv, found 5: mend",
        ),
        ("ann,1-tiny,question_1,4,-1,", "expected 0 to 4 points .*, found -1"),
        ("ann,1-tiny,question_1,4,nan,", "expected 0 to 4 points .*, found nan"),
        ("ann,1-tiny,question_1,4,inf,", "expected 0 to 4 points .*, found inf"),
        ("ann,1-tiny,question_1,4", r"expected the columns student, .* found others in line 2: mend that line"),
        ("ann,1-tiny,question_1,4,1,good,more", r"expected the columns .* found others in line 2: mend that line"),
        ("anne,1-tiny,question_1,4,1,", r"as they were in written.csv, found anne, 1-tiny, question_1: restore"),
        ("ann,01. Tiny,question_1,4,1,", r"as they were in written.csv, found ann, 01. Tiny, question_1: restore"),
        (
            "ann,1-tiny,question_1,4,1,\nann,1-tiny,question_1,4,2,",
            r"found ann, 1-tiny, question_1 twice: delete a line",
        ),
    ],
)
def test_a_line_that_is_no_grade_is_refused_by_name_and_no_table_is_touched(book, line, says):
    book(record())
    book.written.write_text(f"{HEAD}{line}\n", encoding="utf-8")
    before = {path: path.read_bytes() for path in book.path.glob("*.*")}
    with pytest.raises(UserError, match=says) as raised:
        book()
    assert "\n" not in str(raised.value)
    assert {path: path.read_bytes() for path in book.path.glob("*.*")} == before


def test_other_columns_are_refused(book):
    book(record())
    book.fill("question,", "exercise,")
    with pytest.raises(
        UserError, match="expected the columns student, assignment, question, possible, points, comment"
    ):
        book()


EVIL = ["=cmd()", "+1", "-1", "@SUM(1)", "\t=1", "x;=cmd()", 'x";\t@a', "'=x", "x\n=1"]


@pytest.mark.parametrize("text", EVIL)
def test_nothing_that_a_student_wrote_calculates_whichever_separator_a_spreadsheet_takes(book, text):
    for _ in range(3):  # what was calmed is not calmed again
        book(record(printable(text), message=f"{text};{text}"))
    for name in ("points.csv", "totals.csv", "written.csv"):
        for delimiter in ",;\t":
            with open(book.path / name, encoding="utf-8", newline="") as file:
                cells = [cell for row in csv.reader(file, delimiter=delimiter) for cell in row]
            assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
    assert len(book.rows("written.csv")) == 1


def test_points_of_a_student_whose_name_looks_like_a_formula_are_kept(book):
    names = ["=cmd()", "'=cmd()", "-x;+y"]
    book(*map(record, names))
    for place, _ in enumerate(names):
        rows = book.rows("written.csv")
        rows[place]["points"] = str(place)
        with open(book.written, "w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows(rows)
        book()
    assert sorted(each["cells"][1]["points"] for each in book()) == [0, 1, 2]


def test_signs_that_are_none_are_written_all_the_same(book):
    book(record(message="\ud800 \0"))
    assert "\\ud800" in (book.path / "points.csv").read_text(encoding="utf-8")

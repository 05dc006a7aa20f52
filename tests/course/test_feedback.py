"""A student reads points, reasons and the teacher's words, and nothing that anybody wrote is more than text."""

from __future__ import annotations

import html
import urllib.parse
from html.parser import HTMLParser

import pytest
from nbformat.v4 import new_code_cell
from tiny_course import cell

from spacemeshlab.course.feedback import SIGNS, WORDS, page, write_feedback
from spacemeshlab.course.grade import FAILED, UNREADABLE, record_path

EVIL = (
    """<script>alert(1)</script><img src=x onerror=alert(1)>"'><a href="javascript:alert(1)">{{ 7*7 }}{% x %}</style>"""
)


class Page(HTMLParser):
    """What a browser would make of a page: elements, their attributes, the visible text, the links."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words, self.links = set(), set(), [], []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.links += [value for name, value in attributes if name in ("href", "src")]

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def record(grade_here, notebook):
    """What became of a notebook with a wrong, an unfinished, a missing and an open answer."""
    cell(notebook, "double").source = "def double(x):\n    return 2 * x.abs()"
    cell(notebook, "count").source = "def count(labels, classes):\n    raise NotImplementedError"
    cell(notebook, "span").source = "spam = None"
    return grade_here(notebook) | {"student": "ann", "assignment": "1-tiny", "file": "answer.ipynb"}


def test_points_reasons_own_code_and_hints_are_there(record, assignment):
    text = Page(page(record, assignment)).text
    assert "Assignment 1: Tiny" in text
    assert "0 of 13 points so far: a written answer is still to be read" in text
    assert "double : not right yet expected the result -6 at (0,)" in text
    assert "A test said this that is not in your notebook" in text
    assert "def double(x): return 2 * x.abs()" in text
    assert "count : not written count is not written yet" in text
    assert "no function called span in the notebook: was it renamed or deleted?" in text
    assert "span is defined in no cell" in text
    assert "Question 1 Because. Still to be read by your teacher." in text
    assert "tensor([-3.0" not in text


def test_the_teachers_points_and_words_are_there_and_the_sum_has_them(record, assignment):
    record["cells"][-1] |= {"points": 2.5, "comment": "Nearly."}
    text = Page(page(record, assignment)).text
    assert "2.5 of 13 points Part" in text
    assert "2.5 of 4 points. Nearly." in text


def test_what_the_teacher_says_about_a_test_is_there_too(record, assignment):
    record["cells"][0] |= {"points": 3, "comment": "A fault of ours."}
    assert "Your teacher: A fault of ours." in Page(page(record, assignment)).text


def test_a_cell_that_failed_in_the_sandbox_is_named_with_its_error(grade_here, notebook, assignment):
    notebook.cells.append(new_code_cell("import no_such_package"))
    record = grade_here(notebook) | {"student": "ann", "assignment": "1-tiny", "file": "a.ipynb"}
    assert record["points"] == 9
    text = Page(page(record, assignment)).text
    assert "ModuleNotFoundError: No module named 'no_such_package'" in text.partition("Cells that ended in an error")[2]


@pytest.mark.parametrize("status", [UNREADABLE, FAILED])
def test_a_file_that_was_not_graded_shows_the_reason_and_no_points(assignment, status):
    about = {"student": "ann", "assignment": None, "file": "x.ipynb", "status": status, "notes": ["no notebook: ask"]}
    text = Page(page(about, None)).text
    assert "Not graded yet" in text
    assert "no notebook: ask" in text
    assert "points" not in text.partition("How this was graded")[0]


def test_every_status_has_a_word_and_a_sign_of_its_own():
    assert set(WORDS) == set(SIGNS)
    assert len(set(SIGNS.values())) == len(set(WORDS.values())) == len(WORDS)


def test_nothing_that_a_student_wrote_is_markup_on_any_page(grade_here, notebook, assignment, tmp_path):
    cell(notebook, "double").source = f"def double(x):\n    raise ValueError({EVIL!r})"
    cell(notebook, "count").source = f"def count(labels, classes):\n    return {EVIL!r}  # {EVIL}"
    cell(notebook, "span").source = f"from spacemeshlab import span  # {EVIL}"
    cell(notebook, "question_1").source = f"**Your answer to question 1**\n\n{EVIL}"
    record = grade_here(notebook) | {"student": EVIL, "assignment": "1-tiny", "file": EVIL}
    record["notes"].append(EVIL)
    record["cells"][-1]["comment"], record["cells"][-1]["points"] = EVIL, 1
    written = write_feedback(tmp_path, [record, record | {"assignment": None}], {"1-tiny": assignment})
    files = [path for path in (tmp_path / "feedback").rglob("*") if path.is_file()]
    assert sorted(files) == sorted([*written, tmp_path / "feedback" / "index.html"])
    for path in files:
        text = path.read_text(encoding="utf-8")
        found = Page(text)
        assert {"script", "img", "iframe", "object", "form", "svg"}.isdisjoint(found.tags)
        assert not any(name.startswith("on") for name in found.attributes)
        assert not any(link.partition(":")[0] in ("javascript", "data", "http", "https") for link in found.links)
        assert "default-src 'none'" in html.unescape(text)
        assert " ".join(EVIL.split()) in found.text
        assert text.count("</style>") == text.count("</script>") + 1 == 1


def test_the_teachers_page_leads_to_every_students_page_whatever_they_are_called(record, assignment, tmp_path):
    names = ["ann", "../x", "=cmd()", "ü n", "100% #1?", "a/b", "x" * 200]
    records = [record | {"student": name} for name in names]
    written = write_feedback(tmp_path, records, {"1-tiny": assignment})
    found = Page((tmp_path / "feedback" / "index.html").read_text(encoding="utf-8"))
    targets = [tmp_path / "feedback" / urllib.parse.unquote(link) for link in found.links]
    assert targets == written
    assert all(path.is_file() and path.resolve().is_relative_to(tmp_path / "feedback") for path in written)
    assert len(set(written)) == len(names)
    assert all(name in found.text for name in names)
    assert record_path(tmp_path, "ann", "1-tiny", "").stem == written[0].stem

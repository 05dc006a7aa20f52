"""The built book hands out assignments, says which chapter is graded, and gives no answer away."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import course
import pytest

from spacemeshlab.course.assignment import read_assignments
from spacemeshlab.course.leaks import READ, leaks, public_texts, secrets

ROOT = Path(__file__).resolve().parents[2]
ASSIGNMENTS = read_assignments(course.COURSE / "source")


class Links(HTMLParser):
    """The addresses on a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value for key, value in attributes if tag == "a" and key == "href" and value]


@pytest.fixture(scope="module")
def files(html: Path) -> list[Path]:
    return [path for path in sorted(html.rglob("*")) if path.suffix in READ and path.is_file()]


@pytest.fixture(scope="module")
def public() -> list[str]:
    return public_texts(ROOT)


@pytest.mark.parametrize("which", ASSIGNMENTS)
def test_no_page_source_or_index_of_the_search_holds_a_solution_or_a_hidden_test(which, files, public):
    hidden = secrets(ASSIGNMENTS[which], public)
    assert len(hidden) > 10
    assert list(leaks(hidden, files)) == []


def test_pages_sources_and_the_search_are_among_what_is_looked_through(html, files):
    names = {path.relative_to(html).as_posix() for path in files}
    assert {"searchindex.js", "book/assignments/release/1-miou/1-miou.html"} <= names
    assert any(name.startswith("_sources/book/assignments/release/1-miou/") for name in names)


def test_no_source_of_an_assignment_and_no_answer_is_a_page(html):
    index = (html / "searchindex.js").read_text(encoding="utf-8")
    for folder in ("assignments/source", "assignments/answers"):
        assert folder not in index
        assert not list(html.glob(f"**/{folder}"))


@pytest.mark.parametrize("which", ASSIGNMENTS)
def test_the_card_of_each_chapter_leads_to_the_assignment_that_is_about_it(which, html):
    for chapter in ASSIGNMENTS[which].chapters:
        (page,) = (html / "book").glob(f"{chapter:02}-*.html")
        card = page.read_text(encoding="utf-8").partition("chapter-card")[2].partition("</div>")[0]
        assert f"assignments/release/{which}/{which}.html" in card
        assert "<strong>Graded</strong>" in card


@pytest.mark.parametrize("which", ASSIGNMENTS)
def test_students_download_the_notebook_itself_from_its_page(which, html):
    page = html / "book" / "assignments" / "release" / which / f"{which}.html"
    sources = [link for link in Links(page.read_text(encoding="utf-8")).found if link.endswith(".ipynb")]
    assert sources
    handed_out = course.COURSE / "release" / which / f"{which}.ipynb"
    assert (page.parent / sources[0]).resolve().read_bytes() == handed_out.read_bytes()

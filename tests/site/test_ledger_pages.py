"""The ledger's pages in the built book: every entry once, with its status, its way to a test, and little weight."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "book" / "_extensions"))  # as Sphinx does with local extensions
claims, evidence, ledger = map(importlib.import_module, ("claims", "evidence", "ledger"))
ENTRIES = claims.load(ROOT)
PAGES = sorted(page.stem for page in (ROOT / "book").glob("ledger*.md"))
HEAVIEST = 200_000  # bytes of a page


@pytest.fixture(scope="module")
def shown(html) -> dict[str, BeautifulSoup]:
    """An entry's label -> its term, on whichever page."""
    soups = [
        BeautifulSoup((html / "book" / f"{page}.html").read_text(encoding="utf-8"), "html.parser") for page in PAGES
    ]
    terms = [term for soup in soups for term in soup.select("dl.ledger > dt")]
    assert len(terms) == len(ENTRIES)
    return {term["id"]: term for term in terms}


def test_every_entry_stands_on_a_page_with_its_status_in_words(shown):
    assert set(shown) == {f"ledger-{entry.id}" for entry in ENTRIES}
    for entry in ENTRIES:
        badge = shown[f"ledger-{entry.id}"].find(class_="ledger-status")
        assert badge.get_text() == ledger.status(ROOT, entry)


def test_an_entry_shows_what_tests_it_and_our_number(shown):
    for entry in ENTRIES:
        text = " ".join(shown[f"ledger-{entry.id}"].find_next_sibling("dd").get_text().split())
        ((form, test),) = entry.test.items()
        words = " ".join((test["prints"] if form == "cell" else test).split()).split(" && ")
        assert all(word in text for word in words), entry.id
        number = evidence.number(ROOT, entry)
        assert number == claims.NOT_RUN or " ".join(number.split()) in text, entry.id
        if form == "pytest":
            links = shown[f"ledger-{entry.id}"].find_next_sibling("dd").find_all("a")
            assert test.partition("[")[0] in [link.get_text() for link in links], entry.id


def test_the_ledgers_pages_are_light(html):
    for page in PAGES:
        assert (html / "book" / f"{page}.html").stat().st_size < HEAVIEST

"""The book in a zip works from a folder on another computer: equations in their fonts, figures, search."""

from __future__ import annotations

import shutil
import zipfile
from contextlib import nullcontext
from pathlib import Path

import publish
import pytest
from pypdf import PdfReader

CHAPTERS = ["book/index", "book/06-shuffle"]
FONTS = """() => [...document.fonts].filter(f => f.family.startsWith("MJX")).map(f => f.status)"""


@pytest.fixture(scope="module")
def published(browser, html, tmp_path_factory) -> Path:
    """A book of two chapters, with its PDF and its zip, made by the script itself."""
    book = tmp_path_factory.mktemp("published") / "html"
    shutil.copytree(html, book, ignore=shutil.ignore_patterns("downloads", "_sources", "_modules", "_downloads"))
    for page in (book / "book").glob("*.html"):
        if f"book/{page.stem}" not in CHAPTERS:
            page.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "chromium", lambda: nullcontext(browser))
        patch.setattr(publish, "reading_order", lambda: CHAPTERS)
        patch.setattr("sys.argv", ["publish.py", str(book)])
        publish.main()
    return book


@pytest.fixture(scope="module")
def unpacked(published, tmp_path_factory) -> Path:
    """The zip, unpacked in another folder, one with a space and a letter that addresses must escape."""
    folder = tmp_path_factory.mktemp("another") / "a folder é"
    zipfile.ZipFile(published / "downloads" / "spacemeshlab.zip").extractall(folder)
    return folder / "spacemeshlab"


def test_the_unpacked_book_opens_without_a_server(visit, unpacked):
    seen = visit()
    seen.page.goto((unpacked / "index.html").as_uri())
    seen.page.wait_for_url("**/book/index.html")
    seen.page.goto((unpacked / "book" / "06-shuffle.html").as_uri())
    seen.page.evaluate("() => MathJax.startup.promise.then(() => document.fonts.ready).then(() => true)")
    seen.page.evaluate("() => document.querySelectorAll('img').forEach(i => { i.loading = 'eager' })")
    seen.page.wait_for_function("() => [...document.images].every(i => i.complete)")
    fonts = seen.page.evaluate(FONTS)
    assert "loaded" in fonts
    assert "error" not in fonts
    assert seen.page.evaluate("() => document.querySelectorAll('mjx-container').length") > 10
    assert seen.page.evaluate("() => [...document.images].filter(i => !i.naturalWidth).map(i => i.src)") == []
    assert [url for url in seen.requests if not url.startswith((unpacked.as_uri(), "data:"))] == []
    assert seen.complaints == []
    assert seen.strangers == []


def test_the_unpacked_book_can_be_searched(visit, unpacked):
    seen = visit()
    seen.page.goto((unpacked / "search.html").as_uri() + "?q=pixel+shuffle")
    seen.page.wait_for_function("() => document.querySelector('#search-results a[href*=\"06-shuffle\"]')")
    assert seen.complaints == []


def test_the_pdf_has_a_bookmark_a_chapter_and_links_that_lead_inside(published):
    book = PdfReader(published / "downloads" / "spacemeshlab.pdf")
    titles = [mark.title for mark in book.outline]
    assert len(titles) == len(CHAPTERS)
    assert titles[1].startswith("Pixel shuffle")
    starts = [book.get_destination_page_number(mark) for mark in book.outline]
    assert starts[0] == 0 < starts[1] < len(book.pages)
    links = [link.get_object() for page in book.pages for link in page.get("/Annots", ())]
    inside = [link["/A"]["/D"][0].get_object() for link in links if link.get("/A", {}).get("/S") == "/GoTo"]
    assert book.pages[starts[1]].indirect_reference.get_object() in inside
    assert not [link["/A"]["/URI"] for link in links if str(link.get("/A", {}).get("/URI", "")).startswith("file:")]


def test_the_pdf_holds_the_text_the_pictures_and_no_navigation(published):
    book = PdfReader(published / "downloads" / "spacemeshlab.pdf")
    second = book.get_destination_page_number(book.outline[1])
    text = "\n".join(page.extract_text() for page in book.pages[second:])
    assert "Exercises" in text
    assert "Skip to main content" not in text
    assert "Contents" not in text.splitlines()
    assert sum(len(page.images) for page in book.pages[second:]) >= 3


def test_the_first_page_shows_the_downloads_once_they_are_there(published):
    text = (published / "book" / "index.html").read_text(encoding="utf-8")
    assert publish.HIDDEN not in text
    assert publish.SHOWN in text
    names = zipfile.ZipFile(published / "downloads" / "spacemeshlab.zip").namelist()
    assert "spacemeshlab/downloads/spacemeshlab.pdf" in names
    assert not [name for name in names if name.endswith(".zip")]

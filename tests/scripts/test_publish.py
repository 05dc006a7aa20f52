"""What is handed out: pages in order, a zip with the book, links that stay inside (printing: tests/site)."""

from __future__ import annotations

import zipfile
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import publish
import pytest
from pypdf import PdfReader, PdfWriter
from pypdf.annotations import Link
from pypdf.generic import DictionaryObject, NameObject, TextStringObject

from spacemeshlab.errors import UserError


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """The least that is a built book."""
    html = tmp_path / "html"
    for name in ("book/index.html", "_static/book.css", "downloads/old.zip", ".buildinfo"):
        (html / name).parent.mkdir(parents=True, exist_ok=True)
        (html / name).write_text(publish.HIDDEN, encoding="utf-8")
    return html


def linked(pages: int, address: str) -> PdfWriter:
    """A PDF of blank pages, the first with one link."""
    writer = PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(width=100, height=100)
    writer.add_annotation(0, Link(rect=(0, 0, 10, 10), url="https://example.org"))
    action = DictionaryObject({NameObject("/S"): NameObject("/URI"), NameObject("/URI"): TextStringObject(address)})
    writer.pages[0]["/Annots"][0].get_object()[NameObject("/A")] = action
    return writer


def the_link(writer: PdfWriter, folder: Path) -> tuple[PdfReader, dict]:
    """Write, read again, and give the one link."""
    writer.write(folder / "book.pdf")
    reader = PdfReader(folder / "book.pdf")
    return reader, reader.pages[0]["/Annots"][0].get_object()


def test_every_page_of_the_book_is_printed_once_in_the_order_of_the_side_bar():
    names = publish.reading_order()
    assert names[0] == "book/index"
    assert len(names) == len(set(names))
    chapters = [name for name in names if Path(name).name[:2].isdigit()]
    assert chapters == sorted(chapters)
    assert len(chapters) == 18
    assert names.index("book/api") + 1 == names.index("book/api-networks")  # a section follows its chapter


def test_a_link_to_a_page_of_the_book_leads_to_its_place_in_the_pdf(tmp_path):
    page = tmp_path / "a folder é" / "page.html"
    writer = linked(3, page.as_uri() + "#place")
    publish.lead_inside(writer, {page: 2})
    reader, link = the_link(writer, tmp_path)
    assert link["/A"]["/S"] == "/GoTo"
    assert link["/A"]["/D"][0].get_object() == reader.pages[2]


def test_a_link_to_another_file_of_this_machine_is_no_link_in_the_pdf(tmp_path):
    writer = linked(1, (tmp_path / "notebook.ipynb").as_uri())
    publish.lead_inside(writer, {})
    assert "/A" not in the_link(writer, tmp_path)[1]


def test_a_link_elsewhere_stays_as_it_is(tmp_path):
    writer = linked(1, "https://arxiv.org/abs/2103.13634")
    publish.lead_inside(writer, {})
    assert the_link(writer, tmp_path)[1]["/A"]["/URI"] == "https://arxiv.org/abs/2103.13634"


def test_the_zip_holds_the_book_below_one_folder_without_older_zips_and_hidden_files(book, tmp_path):
    publish.write_zip(book, tmp_path / "book.zip")
    assert sorted(zipfile.ZipFile(tmp_path / "book.zip").namelist()) == [
        "spacemeshlab/_static/book.css",
        "spacemeshlab/book/index.html",
    ]


def test_the_same_book_makes_the_same_zip(book, tmp_path):
    publish.write_zip(book, tmp_path / "one.zip")
    (book / "book" / "index.html").touch()
    publish.write_zip(book, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_without_a_built_book_it_says_how_to_build_one(refused, tmp_path):
    assert "found none: make html" in refused(publish, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_page_is_named_and_nothing_is_promised(refused, book, monkeypatch):
    @contextmanager
    def nobody():
        yield None

    monkeypatch.setattr(publish, "chromium", nobody)
    monkeypatch.setattr(publish, "reading_order", lambda: ["book/other"])
    assert "other.html, found none: make html" in refused(publish, book)
    assert publish.HIDDEN in (book / "book" / "index.html").read_text(encoding="utf-8")
    assert not (book / "downloads" / "spacemeshlab.zip").exists()


def test_without_a_browser_it_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr(publish.shutil, "which", lambda name: None)
    nowhere = SimpleNamespace(chromium=SimpleNamespace(executable_path="nowhere"))
    monkeypatch.setattr(publish, "sync_playwright", lambda: nullcontext(nowhere))
    with pytest.raises(UserError, match="expected Chromium, found none: apt-get install chromium"), publish.chromium():
        pass

"""In the built book chapter, module and test lead to one another, and what was measured stands where it should."""

from __future__ import annotations

import importlib
import json
import re
import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from bs4 import BeautifulSoup, Tag

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "book" / "_extensions"))  # as Sphinx does with local extensions
cards, relations, sentences = map(importlib.import_module, ("cards", "relations", "sentences"))
CHAPTERS = relations.chapters(ROOT)
MODULES = [path for path in relations.modules(ROOT) if path.startswith("spacemeshlab/")]
LEFT_OVER = re.compile(r"^(?:Shape|Reading|Args|Raises|Attributes|Returns):|``|:(?:class|func|mod|data):`|\|--")
HEAVIEST = 200_000  # bytes of a page of tests
SENTENCES = ("book/tests", "book/tests-book", "book/tests-course")


@cache
def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def article(html: Path, name: str) -> Tag:
    return soup(html / f"{name}.html").find("article")


def follow(html: Path, page: str, link: Tag) -> tuple[str, Tag]:
    """The page that a link leads to, and the place in it."""
    address, anchor = urldefrag(unquote(link["href"]))
    target = (html / f"{page}.html").parent / address if address else html / f"{page}.html"
    place = soup(target.resolve()).find(id=anchor) if anchor else soup(target.resolve()).find("article")
    assert place is not None, link["href"]
    return target.resolve().relative_to(html.resolve()).with_suffix("").as_posix(), place


def code(tag: Tag, text: str) -> Tag:
    """The link whose text is a file's name."""
    (found, *_) = [link for link in tag.find_all("a", href=True) if link.get_text() == text] or [None]
    assert found is not None, f"no link {text}"
    return found


def modules_section(html: Path, module: str) -> tuple[str, Tag]:
    name = f"module-{relations.dotted(module)}"
    for page in sorted((html / "book").glob("api*.html")):
        if place := soup(page).find(id=name):
            return f"book/{page.stem}", place.find_parent("section") or place
    raise AssertionError(f"no section on {module}")


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.docname)
def test_a_card_leads_to_modules_and_tests_which_lead_back(html, chapter):
    card = article(html, chapter.docname).find(class_="chapter-card")
    for path in chapter.modules + chapter.tests:
        page, place = follow(html, chapter.docname, code(card, path))
        assert place.name == "section"
        back = [follow(html, page, link)[0] for link in place.find(class_="belongs").find_all("a", href=True)]
        assert chapter.docname in back, f"{path} does not lead back"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_a_section_that_leads_to_its_tests(html, module):
    page, section = modules_section(html, module)
    for test in relations.tests_of(ROOT, module):
        where, place = follow(html, page, code(section, test))
        assert where in SENTENCES
        assert Path(test).name in place.find(["h2", "h3"]).get_text()


def test_shapes_and_readings_are_fields_and_no_markup_is_left_over(html):
    for page in sorted((html / "book").glob("api*.html")):
        for paragraph in soup(page).find("article").find_all("p"):
            text = paragraph.get_text()
            assert not LEFT_OVER.search(text), text
    _, section = modules_section(html, "spacemeshlab/models/metrocon.py")
    names = [term.get_text().strip().rstrip(":") for term in section.find_all("dt", class_=lambda name: name != "sig")]
    assert {"Parameters", "Attributes", "Shape", "Reading"} <= set(names)


def test_the_source_of_a_class_is_one_step_away(html):
    page, section = modules_section(html, "spacemeshlab/models/metrocon.py")
    link = section.find("a", class_="reference internal", href=lambda address: "_modules/" in address)
    where, place = follow(html, page, link)
    assert where == "_modules/spacemeshlab/models/metrocon"
    assert "class MetroCon2(nn.Module)" in place.get_text() or "ASPP_CHANNELS" in place.parent.get_text()


def test_the_pages_of_tests_have_every_sentence_once_and_are_light(html):
    wanted = [name for test in relations.tests(ROOT) for name in sentences.tests(ROOT / test)]
    shown = [item.get_text() for page in SENTENCES for item in article(html, page).select("details li")]
    assert sorted(shown) == sorted(map(sentences.sentence, wanted))
    for page in SENTENCES:
        assert (html / f"{page}.html").stat().st_size < HEAVIEST


def test_a_pitfall_leads_to_the_sentence_of_its_test(html):
    links = [link for link in article(html, "book/pitfalls").find_all("a", href=True) if "::" in link.get_text()]
    assert len(links) >= 20
    for link in links:
        page, place = follow(html, "book/pitfalls", link)
        assert page in SENTENCES
        assert place.get_text() == sentences.sentence(link.get_text().partition("::")[2])


def test_a_link_to_a_sentence_unfolds_its_list(visit, html):
    link = next(link for link in article(html, "book/pitfalls").find_all("a", href=True) if "::" in link.get_text())
    page = visit().open("book/pitfalls")
    page.get_by_role("link", name=link.get_text(), exact=True).first.click()
    page.wait_for_url("**/book/tests.html#t*")
    assert page.locator(f"#{urldefrag(link['href']).fragment}").is_visible()


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.docname)
def test_card_and_status_say_what_the_record_says(html, chapter):
    name = Path(chapter.docname).name
    record = json.loads((ROOT / cards.RECORDS).read_text(encoding="utf-8")).get(name)
    lines = [item.get_text().strip() for item in article(html, chapter.docname).select(".chapter-card li")]
    assert f"Last execution {cards.execution(record)}" in lines
    link = article(html, "book/status").find("a", href=f"{name}.html")
    cells = [cell.get_text() for cell in link.find_parent("tr").find_all("td")]
    assert cells[0] == f"{chapter.number} {chapter.title}".replace("*", "")
    assert cells[-1] == (record["commit"] if record else "–")


def test_every_file_of_results_can_be_downloaded_from_the_page_of_status(html):
    files = {path for path in (ROOT / "book" / "results").rglob("*.json") if path != ROOT / cards.RECORDS}
    links = article(html, "book/status").find_all("a", class_="download")
    assert {link.get_text() for link in links} == {path.relative_to(ROOT / "book/results").as_posix() for path in files}
    for link in links:
        assert (html / "book" / link["href"]).resolve().read_bytes() in {path.read_bytes() for path in files}

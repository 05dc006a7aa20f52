"""The search finds what a reader would ask for, from a server and from a folder."""

from __future__ import annotations

import pytest

FIRST = 5
RESULTS = "() => [...document.querySelectorAll('#search-results ul.search li a')].map(a => a.getAttribute('href'))"
DONE = "() => document.querySelector('#search-results .search-summary')?.textContent.match(/\\d/)"


def results(page, words: str) -> list[str]:
    """Type the words into the search page and press Enter; the addresses of what it finds, best first."""
    field = page.locator("main input[name=q], .bd-content input[name=q]").first
    field.fill(words)
    field.press("Enter")
    page.wait_for_function(DONE)
    page.wait_for_function("() => document.querySelectorAll('#search-results ul.search li').length")
    return page.evaluate(RESULTS)


@pytest.mark.parametrize(("words", "chapter"), [("pixel shuffle", "06-shuffle"), ("mIoU", "02-segmentation")])
def test_the_search_finds_a_word_s_chapter(visit, words, chapter):
    seen = visit()
    found = results(seen.open("search"), words)
    assert any(f"book/{chapter}.html" in address for address in found[:FIRST]), found[:FIRST]
    assert seen.complaints == []
    assert seen.strangers == []


def test_the_search_finds_nothing_where_there_is_nothing(visit):
    page = visit().open("search")
    field = page.locator("main input[name=q], .bd-content input[name=q]").first
    field.fill("xylophone")
    field.press("Enter")
    page.wait_for_function("() => document.querySelector('#search-results .search-summary')?.textContent.length > 30")
    assert page.evaluate(RESULTS) == []


def test_the_search_works_from_a_folder_without_a_complaint(visit, html):
    seen = visit()
    seen.page.goto((html.resolve() / "search.html").as_uri())
    found = results(seen.page, "pixel shuffle")
    assert any("book/06-shuffle.html" in address for address in found[:FIRST]), found[:FIRST]
    seen.page.goto((html.resolve() / "search.html").as_uri() + "?q=mIoU")
    seen.page.wait_for_function("() => document.querySelectorAll('#search-results ul.search li').length > 2")
    assert seen.complaints == []


def test_the_search_field_of_a_page_leads_to_the_results(visit):
    page = visit().open("book/index")
    page.keyboard.press("Control+k")
    page.keyboard.type("mIoU")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=mIoU")
    page.wait_for_function("() => document.querySelectorAll('#search-results ul.search li').length")

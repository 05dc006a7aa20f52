"""On paper a page is its text: no navigation, figures and equations there, hints open, nothing cut at the edge."""

from __future__ import annotations


def test_a_page_on_paper_has_no_navigation(look, name):
    assert look(name).paper["navigation"] == []


def test_a_page_on_paper_shows_every_figure_equation_and_hint(look, name):
    paper = look(name).paper
    assert paper["lost"] == []
    assert paper["equations"] == 0
    assert paper["folded"] == []


def test_nothing_is_cut_on_paper(look, name):
    paper = look(name).paper
    assert paper["cut"] == []
    assert paper["wide"] <= 0


def test_a_hint_that_is_folded_on_the_screen_is_open_on_paper(visit):
    page = visit().open("book/06-shuffle")
    hint = page.locator("details.sd-sphinx-override > :not(summary)").first
    assert not hint.evaluate("part => part.checkVisibility()")
    page.emulate_media(media="print")
    assert hint.evaluate("part => part.checkVisibility()")

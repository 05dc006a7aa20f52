"""Every page loads without a complaint and without a network, shows its equations and figures, and fits a phone."""

from __future__ import annotations

BROKEN = (
    """() => [...document.querySelectorAll("main img")].filter(i => !(i.complete && i.naturalWidth)).map(i => i.src)"""
)
MATH = """() => [document.querySelectorAll(".math").length, document.querySelectorAll("mjx-container").length,
  document.querySelectorAll("mjx-merror").length]"""
WIDE = """() => { const w = document.documentElement.clientWidth; return document.documentElement.scrollWidth - w }"""


def test_a_page_loads_alone_and_shows_its_equations_and_figures(visit, name):
    seen = visit()
    page = seen.open(name)
    if name == "index":  # goes on to the first page
        page.wait_for_url("**/book/index.html")
    page.evaluate("() => document.querySelectorAll('img').forEach(i => { i.loading = 'eager' })")
    page.wait_for_function("() => [...document.images].every(i => i.complete)")
    assert page.evaluate(BROKEN) == []
    formulas, rendered, failed = page.evaluate(MATH)
    assert rendered >= formulas
    assert failed == 0
    assert seen.complaints == []
    assert seen.strangers == []


def test_a_page_fits_a_phone(visit, name):
    page = visit(width=390, height=800).open(name)
    assert page.evaluate(WIDE) <= 0

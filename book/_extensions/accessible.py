"""What screen readers miss in the HTML of others: names for the side bar's folds, lists that are lists,
equations that scroll.

Found by axe-core (``tests/site/test_accessibility.py``), mended here for lack of a setting.
"""

from __future__ import annotations

import re

from bs4 import BeautifulSoup
from sphinx.application import Sphinx

PARAMETERS = re.compile(r"<dl>\s*((?:<dd><em class=\"sig-param\">.*?</dd>\s*)+)</dl>", re.DOTALL)
"""A signature on several lines is a definition list without a term."""

SCROLLING = """addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  const equations = document.querySelectorAll("mjx-container[display]");
  const mark = () => equations.forEach((box) => {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0; else box.removeAttribute("tabindex");
  });
  mark();
  addEventListener("resize", mark);
});"""
"""An equation wider than a phone scrolls, so the keyboard must reach it; the theme sees to boxes of code alone."""


def name_folds(tree: BeautifulSoup) -> BeautifulSoup:
    """Say what a fold of the side bar's tree folds: the pages below the link beside it."""
    for fold in tree.find_all("summary"):
        fold["aria-label"] = f"Pages below {fold.find_parent('li').find('a').get_text(strip=True)}"
    return tree


def _lines(found: re.Match) -> str:
    lines = found[1].replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>")
    return f'<span class="sig-lines">{lines}</span>'


def mend(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    context["body"] = PARAMETERS.sub(_lines, context.get("body", "")).replace('"doc-biblioentry"', '"listitem"')
    if 'class="math' in context["body"]:
        app.add_js_file(None, body=SCROLLING)
    make = context.get("generate_toctree_html")
    if make:

        def named(kind: str, **options: object) -> BeautifulSoup | str:
            tree = make(kind, **options)
            return name_folds(tree) if isinstance(tree, BeautifulSoup) else tree

        context["generate_toctree_html"] = named


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", mend, priority=700)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Long names in prose, such as those of tests, go on in the next line behind ``_``, ``/`` and ``::``."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

LONG = re.compile(r'<span class="pre">([^<]{20,})</span>')
JOINT = re.compile(r"(?:_+|/|::)(?=\w)")


def soften(html: str) -> str:
    """Gives long words in inline code the class ``long``, and behind their joints ``<wbr>``, which nobody copies."""
    return LONG.sub(lambda word: '<span class="pre long">' + JOINT.sub(r"\g<0><wbr/>", word[1]) + "</span>", html)


def soften_page(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    if context.get("body"):
        context["body"] = soften(context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", soften_page, priority=650)  # behind figures.py, which parses the page
    return {"parallel_read_safe": True, "parallel_write_safe": True}

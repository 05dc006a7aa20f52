"""The directive ``explorer``: a figure that comes alive where scripts run, and stays a picture elsewhere and on paper.

    :::{explorer} metrocon2
    :picture: _static/explorers/metrocon2.png
    :alt: what the picture shows

    The caption.
    :::

``_static/explorers/metrocon2.js`` builds the live part; it and the files it shares with the others are loaded on pages
that have an explorer, and nowhere else. They are plain scripts: browsers refuse modules from a folder on a disk.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

STATIC = Path(__file__).parents[1] / "_static" / "explorers"
SHARED = ("common.js", "street.js")
MARK = re.compile(r'class="[^"]*\bexplorer-([a-z0-9-]+)')


class Explorer(SphinxDirective):
    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {"picture": directives.unchanged_required, "alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if not (STATIC / f"{name}.js").is_file():
            known = ", ".join(sorted(path.stem for path in STATIC.glob("*.js") if path.name not in SHARED))
            raise self.error(f"expected an explorer out of {known}; got {name!r}")
        if not {"picture", "alt"} <= set(self.options):
            raise self.error("expected the options picture and alt")
        figure = nodes.figure(classes=["explorer", f"explorer-{name}"], align="default")
        figure += nodes.image(uri=self.options["picture"], alt=self.options["alt"])
        text, messages = self.parse_inline(" ".join(self.content), lineno=self.content_offset)
        figure += nodes.caption("", "", *text)
        self.set_source_info(figure)
        return [figure, *messages]


def load_scripts(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    names = dict.fromkeys(MARK.findall(context.get("body", "")))
    if names:
        app.add_css_file("explorers/explorers.css")
        for file in (*SHARED, *(f"{name}.js" for name in names)):
            app.add_js_file(f"explorers/{file}", loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("explorer", Explorer)
    app.connect("html-page-context", load_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

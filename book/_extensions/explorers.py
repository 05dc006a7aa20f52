"""The directive ``explorer``: a figure that comes alive where scripts run, and stays a picture elsewhere and on paper.

    :::{explorer} metrocon2
    :picture: _static/explorers/metrocon2.png
    :alt: what the picture shows

    The caption.
    :::

``_static/explorers/metrocon2.js`` builds the live part and ``metrocon2.css``, if there is one, dresses it. They and the
files they share with others are loaded on pages that have this explorer, and nowhere else. They are plain scripts:
browsers refuse modules from a folder on a disk.
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
        known = sorted(path.stem for path in STATIC.glob("*.js") if path.name not in SHARED)
        if name not in known:
            raise self.error(f"expected an explorer out of {', '.join(known)}; got {name!r}")
        if not {"picture", "alt"} <= set(self.options):
            raise self.error("expected the options picture and alt")
        figure = nodes.figure(classes=["explorer", f"explorer-{name}"], align="default")
        figure += nodes.image(uri=self.options["picture"], alt=self.options["alt"])
        caption = nodes.legend()  # a nodes.caption would get a number, which no other figure of the book has
        self.state.nested_parse(self.content, self.content_offset, caption)
        figure += caption
        self.set_source_info(figure)
        return [figure]


def files(name: str) -> list[str]:
    """What an explorer needs, in the order of loading; the street only if its script speaks of it."""
    script = (STATIC / f"{name}.js").read_text(encoding="utf-8")
    shared = ["explorers.css", "common.js", *(["street.js"] if "street" in script else [])]
    return [*shared, *(file for file in (f"{name}.css", f"{name}.js") if (STATIC / file).is_file())]


def load_scripts(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    names = MARK.findall(context.get("body", ""))
    for file in dict.fromkeys(file for name in names for file in files(name)):
        if file.endswith(".css"):
            app.add_css_file(f"explorers/{file}")
        else:
            app.add_js_file(f"explorers/{file}", loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("explorer", Explorer)
    app.connect("html-page-context", load_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

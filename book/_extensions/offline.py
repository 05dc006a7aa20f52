"""Pages that ask nobody: MathJax out of a package, the theme's few icons as CSS, nothing that a page does not use.

MathJax and its fonts are copied out of ``sphinx-mathjax-offline``, the files of one configuration and no others.
The theme draws its few icons with a script that holds the whole of Font Awesome; here each icon that the pages name
becomes a mask in ``_static/icons.css``.
"""

from __future__ import annotations

import base64
import importlib.util
import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

MATHJAX = ("tex-chtml.js", "output/chtml/fonts/woff-v2")
ICONS = "_static/icons.css"
FONT_AWESOME = re.compile(r'<script[^>]*src="([^"]*)_static/scripts/fontawesome\.js[^"]*"[^>]*></script>')
USED = re.compile(r"\bfa-solid (?:[\w-]+ )*?fa-(?!lg\b|solid\b)([a-z-]+)")
SEARCH = re.compile(r'\s*<script src="[^"]*(?:searchtools|language_data|searchindex)\.js[^"]*"></script>')
UNUSED = re.compile(r"sphinx-thebe|THEBE_JS_URL")
TABS = "design-tabs"
ALONE = 'if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;'
"""Search fetches the pages it found for a few words of each; from a folder on a disk browsers refuse that."""


def leave_out(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Drop scripts and style sheets that this page does not use, and those given twice."""
    body = context.get("body", "")
    for kind in ("script_files", "css_files"):
        kept: dict[str, object] = {}
        for file in context[kind]:
            text = f"{getattr(file, 'filename', '') or ''} {getattr(file, 'attributes', {}).get('body', '')}"
            if not UNUSED.search(text) and not (TABS in text and "sd-tab-set" not in body):
                kept.setdefault(text, file)
        context[kind] = list(kept.values())


def search_alone(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    if page == "search":
        app.add_js_file(None, body=ALONE)


def copy_mathjax(app: Sphinx) -> None:
    package = importlib.util.find_spec("sphinx-mathjax-offline")
    if package is None:
        raise ExtensionError("expected the package sphinx-mathjax-offline, found none: make setup")
    source, target = Path(package.origin).parent / "static" / "mathjax", Path(app.outdir, "_static", "mathjax")
    for name in MATHJAX:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)
        else:
            shutil.copy2(source / name, target / name)


def icon(script: str, name: str) -> str:
    """CSS for one icon, its outline taken out of Font Awesome's script.

    Raises:
        ExtensionError: there is no such icon.
    """
    found = re.findall(rf'[{{,]"?{name}"?:\[(\d+),(\d+),\[[^\]]*\],"\w+","([^"]+)"\]', script)
    if not found:
        raise ExtensionError(f"expected an icon of Font Awesome, found fa-{name}")
    width, height, outline = found[-1]  # the solid set stands last
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"><path d="{outline}"/></svg>'
    data = base64.b64encode(svg.encode()).decode()
    return f".fa-{name} {{ --icon: url(data:image/svg+xml;base64,{data}); }}\n"


def lighten(app: Sphinx) -> None:
    """Replace Font Awesome's script by the style sheet that stands for it, and leave the search's to its page."""
    folder = Path(app.outdir)
    script = folder / "_static" / "scripts" / "fontawesome.js"
    pages = {page: page.read_text(encoding="utf-8") for page in folder.rglob("*.html") if "_static" not in page.parts}
    theme = (folder / "_static" / "scripts" / "pydata-sphinx-theme.js").read_text(encoding="utf-8")
    used = {name for text in (*pages.values(), theme) for name in USED.findall(text)}
    shape = (
        ".fa-solid { display: inline-block; width: 1em; height: 1em; vertical-align: -0.125em;\n"
        "  background: currentColor;\n"
        "  -webkit-mask: var(--icon) center / contain no-repeat; mask: var(--icon) center / contain no-repeat; }\n"
        ".fa-lg { font-size: 1.25em; }\n"
        "@media (forced-colors: active) { .fa-solid { background: ButtonText; } }\n"
    )
    if script.is_file():
        outlines = script.read_text(encoding="utf-8")
        script.unlink()
        (folder / ICONS).write_text(shape + "".join(icon(outlines, name) for name in sorted(used)), encoding="utf-8")
    for page, text in pages.items():
        new = FONT_AWESOME.sub(rf'<link rel="stylesheet" href="\1{ICONS}" />', text)
        if page.name != "search.html":
            new = SEARCH.sub("", new)  # the index of all words is for the page that searches
        if new != text:
            page.write_text(new, encoding="utf-8")


def finish(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        copy_mathjax(app)
        lighten(app)


def setup(app: Sphinx) -> dict[str, bool]:
    app.config.mathjax_path = "mathjax/tex-chtml.js"
    app.config.mathjax3_config = {"options": {"enableMenu": False}}  # the menu's other outputs are not in the build
    app.connect("html-page-context", search_alone)
    app.connect("html-page-context", leave_out, priority=900)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Figures that load late and keep their place: each image gets its size, and all but the first ``loading="lazy"``."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from bs4 import BeautifulSoup
from PIL import Image
from sphinx.application import Sphinx


def size(path: Path) -> tuple[int, int] | None:
    """Width and height of a bitmap in pixels; nothing for drawings, which scale by themselves."""
    if path.suffix == ".svg" or not path.is_file():
        return None
    with Image.open(path) as image:
        return image.size


def dress(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """The first figure of a page loads with it, later ones when the reader comes near."""
    body = context.get("body")
    if not body or "<img" not in body:
        return
    soup = BeautifulSoup(body, "html.parser")
    known = {name: Path(source) for source, (_, name) in app.env.images.items()}
    for number, image in enumerate(soup.find_all("img")):
        name = Path(unquote(image["src"])).name
        image["decoding"] = "async"
        if number:
            image["loading"] = "lazy"
        found = size(Path(app.srcdir, known[name]) if name in known else Path(app.outdir, "_images", name))
        if found and not image.get("height") and not image.get("width"):
            image["width"], image["height"] = map(str, found)
    context["body"] = str(soup)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", dress, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Weigh what a first visit to each page asks for without scrolling, text as servers send it, gzip at level 6.

``python scripts/weigh.py [HTML]`` writes ``book/results/site.json``. HTML is what `make html` built.
"""

from __future__ import annotations

import datetime
import gzip
import json
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Browser
from publish import ROOT, chromium

from spacemeshlab.arguments import Parser
from spacemeshlab.checkpoint import write_atomically
from spacemeshlab.errors import UserError, exit_codes
from spacemeshlab.provenance import origin

TEXT = {".html", ".css", ".js", ".svg", ".json", ".txt"}
LIMIT = 1_000_000  # bytes
RESULT = ROOT / "book/results/site.json"


@cache
def weight(path: Path) -> int:
    """Bytes of a file on its way to a browser."""
    return len(gzip.compress(path.read_bytes(), 6)) if path.suffix in TEXT else path.stat().st_size


def first_visit(browser: Browser, page: Path) -> list[Path]:
    """The files that a page asks for before anybody scrolls, in a browser that has none of them."""
    tab, asked = browser.new_page(viewport={"width": 1300, "height": 900}), []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(page.as_uri(), wait_until="load")
    tab.evaluate("() => window.MathJax && MathJax.startup && MathJax.startup.promise.then(() => true)")
    tab.wait_for_load_state("networkidle")
    tab.close()
    return list(dict.fromkeys(Path(unquote(urlsplit(url).path)) for url in asked if url.startswith("file:")))


@exit_codes
def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("html", nargs="?", type=Path, default=ROOT / "_build/html", metavar="HTML")
    html = parser.parse_args().html.resolve()
    if not (found := sorted((html / "book").glob("*.html"))):
        raise UserError(f"expected the built book in {html}, found none: make html")
    with chromium() as browser:
        pages = {page.stem: sum(map(weight, first_visit(browser, page))) for page in found}
    record = {"date": datetime.date.today().isoformat(), "limit": LIMIT, "pages": pages, "origin": origin()}
    write_atomically(RESULT, lambda draft: draft.write_text(json.dumps(record, indent=2) + "\n"))
    print(f"heaviest: {max(pages, key=pages.get)} with {max(pages.values()) / 1000:.0f} kB of {LIMIT / 1000:.0f}")


if __name__ == "__main__":
    main()

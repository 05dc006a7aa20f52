"""Make the built book into what is handed out: a PDF, and a zip that works from a folder on another computer.

    python scripts/publish.py [HTML]            HTML: what `make html` built; default: _build/html

Chromium prints each page; the pages become one PDF with bookmarks, and links between them lead to each other. Both
files go to ``downloads/`` below the built book, and its first page shows the links to them.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from playwright.sync_api import Browser, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, NameObject
from tqdm import tqdm

from spacemeshlab.arguments import Parser
from spacemeshlab.checkpoint import write_atomically
from spacemeshlab.errors import UserError, exit_codes

ROOT = Path(__file__).resolve().parents[1]
NAME = "spacemeshlab"
HIDDEN, SHOWN = '<p class="downloads" hidden="">', '<p class="downloads">'
DAY = (2021, 6, 8, 0, 0, 0)  # the paper's; a zip of the same files is the same zip
STYLE = "font: 8px sans-serif; width: 100%; text-align: center; color: #555"
FOOTER = f'<div style="{STYLE}"><span class="title"></span> · <span class="pageNumber"></span></div>'


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, or the one that Playwright installed, without a window and without a word to anybody."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    words = "no-sandbox no-first-run force-color-profile=srgb disable-gpu disable-background-networking"
    flags = [f"--{word}" for word in f"{words} disable-component-update disable-sync".split()]
    with sync_playwright() as playwright:
        path = found or playwright.chromium.executable_path
        if not Path(path).is_file():
            raise UserError("expected Chromium, found none: apt-get install chromium, or playwright install chromium")
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        try:
            yield browser
        finally:
            browser.close()


def reading_order() -> list[str]:
    """The book's pages as ``_toc.yml`` orders them, without suffix."""

    def files(entry: dict) -> Iterator[str]:
        yield from filter(None, [entry.get("root"), entry.get("file")])
        for kind in ("parts", "chapters", "sections"):
            for below in entry.get(kind, ()):
                yield from files(below)

    return list(files(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))))


def print_page(browser: Browser, page: Path, target: Path) -> str:
    """Print one page of the book, light, equations set and figures loaded; returns its title."""
    tab = browser.new_page(color_scheme="light")
    tab.set_default_timeout(300_000)  # a busy machine
    tab.goto(page.as_uri(), wait_until="load")
    tab.evaluate("() => window.MathJax && MathJax.startup && MathJax.startup.promise.then(() => true)")
    tab.evaluate("() => { for (const image of document.images) image.loading = 'eager' }")
    tab.wait_for_function("() => [...document.images].every((image) => image.complete)")
    tab.evaluate("() => { for (const fold of document.querySelectorAll('details')) fold.open = true }")
    title = tab.inner_text("h1").rstrip("#").strip()
    tab.evaluate("title => { document.title = title }", title)
    look = {"print_background": True, "display_header_footer": True, "header_template": " ", "footer_template": FOOTER}
    margin = {"top": "16mm", "bottom": "18mm", "left": "14mm", "right": "14mm"}
    tab.pdf(path=target, format="A4", margin=margin, tagged=True, **look)
    tab.close()
    return title


def lead_inside(book: PdfWriter, starts: dict[Path, int]) -> None:
    """Let links from page to page of the book lead to the page's place in the PDF instead of a file on this disk."""
    for page in book.pages:
        for reference in page.get("/Annots", ArrayObject()):
            link = reference.get_object()
            action = link.get("/A", {})
            address = urlsplit(str(action.get("/URI", "")))
            start = starts.get(Path(unquote(address.path)))
            if address.scheme == "file" and start is None:  # a download, a page that is not in the PDF
                del link["/A"]
            elif address.scheme == "file":
                place = ArrayObject([book.pages[start].indirect_reference, NameObject("/Fit")])
                leads = {NameObject("/S"): NameObject("/GoTo"), NameObject("/D"): place}
                link[NameObject("/A")] = DictionaryObject(leads)


def write_pdf(html: Path, target: Path) -> int:
    """The whole book as one PDF with a bookmark a chapter; returns its number of pages."""
    book, starts, drafts = PdfWriter(), {}, target.parent / "pages"
    pages = [html / f"{name}.html" for name in reading_order()]
    if lost := [page for page in pages if not page.is_file()]:
        raise UserError(f"expected the page {lost[0]}, found none: make html")
    drafts.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for number, page in enumerate(tqdm(pages, desc="printing", unit="page")):
            draft = drafts / f"{number:02}.pdf"
            title = print_page(browser, page, draft)
            starts[page] = len(book.pages)
            book.append(PdfReader(draft), outline_item=title, import_outline=False)
    lead_inside(book, starts)
    book.add_metadata({"/Title": "SpaceMeshLab, the book", "/Author": "SpaceMeshLab contributors"})
    write_atomically(target, lambda draft: book.write(draft))
    shutil.rmtree(drafts)
    return len(book.pages)


def write_zip(html: Path, target: Path) -> None:
    """The built book without itself."""

    def fill(draft: Path) -> None:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path in sorted(html.rglob("*")):
                if path.is_file() and not path.name.startswith(".") and path.suffix not in (".zip", ".part"):
                    name = f"{NAME}/{path.relative_to(html).as_posix()}"
                    archive.writestr(zipfile.ZipInfo(name, DAY), path.read_bytes(), zipfile.ZIP_DEFLATED)

    write_atomically(target, fill)


@exit_codes
def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("html", nargs="?", type=Path, default=ROOT / "_build" / "html", metavar="HTML")
    html = parser.parse_args().html.resolve()
    first = html / "book" / "index.html"
    if not first.is_file():
        raise UserError(f"expected the built book in {html}, found none: make html")
    folder = html / "downloads"
    folder.mkdir(exist_ok=True)
    pages = write_pdf(html, folder / f"{NAME}.pdf")
    text = first.read_text(encoding="utf-8")
    first.write_text(text.replace(HIDDEN, SHOWN), encoding="utf-8")
    write_zip(html, folder / f"{NAME}.zip")
    print(f"{folder}: {NAME}.pdf with {pages} pages, and {NAME}.zip")


if __name__ == "__main__":
    main()

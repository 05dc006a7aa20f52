"""Every link, anchor, picture, script and download of every page leads somewhere; others are well-formed."""

from __future__ import annotations

import functools
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

NAMES = ("href", "src", "data", "poster", "xlink:href")
AFTER = "downloads"  # the folder that scripts/publish.py adds; its links are hidden until then


class Page(HTMLParser):
    """The places of a page that links can lead to, and the addresses it names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.places, self.addresses = {"", "top"}, []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = dict(attributes)
        self.places |= {known[key] for key in ("id", "name") if known.get(key)}
        self.addresses += [known[key] for key in NAMES if known.get(key) is not None]
        if known.get("http-equiv") == "Refresh":  # the first page goes on to the book's
            self.addresses.append(known["content"].partition("url=")[2])


@functools.cache
def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def broken(html: Path, page: Path, address: str) -> bool:
    """Whether an address on a page leads nowhere."""
    parts = urlsplit(address)
    if parts.scheme in ("http", "https"):
        return not parts.hostname or "." not in parts.hostname or " " in address
    if parts.scheme in ("data", "mailto"):
        return False
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if target.is_relative_to(html / AFTER) and not (html / AFTER).exists():
        return False
    if parts.scheme or not target.is_file() or not target.is_relative_to(html):
        return True
    return target.suffix == ".html" and unquote(parts.fragment) not in read(target).places


def test_every_address_on_a_page_leads_somewhere(html, name):
    page = html.resolve() / f"{name}.html"
    addresses = read(page).addresses
    assert addresses
    assert [address for address in dict.fromkeys(addresses) if broken(html.resolve(), page, address)] == []


def test_an_address_that_leads_nowhere_is_found(html, tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<h1 id="here">A page</h1>', encoding="utf-8")
    good = ("page.html#here", "#here", "#", "", "https://arxiv.org/abs/2103.13634", "data:image/png;base64,")
    bad = (
        "page.html#there",
        "#there",
        "other.html",
        "../page.html",
        "/page.html",
        "https://nowhere",
        "file:///page.html",
    )
    assert [address for address in (*good, *bad) if broken(tmp_path.resolve(), page.resolve(), address)] == list(bad)

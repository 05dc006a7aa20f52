"""The built book in a real browser, served from this machine and cut off from every other."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page
from publish import chromium

from spacemeshlab.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
HTML = Path(os.environ.get("SPACEMESHLAB_HTML", ROOT / "_build" / "html"))
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
SCRIPTS = Path(__file__).with_name("looks.js")
PAPER = 688  # CSS pixels between the margins of an A4 page
PHONE = 390


def missing(what: str, remedy: str) -> None:
    """Skip, and say why; in CI fail."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"expected {what}, found none: {remedy}")


@pytest.fixture(scope="session")
def html() -> Path:
    """The folder with the built book."""
    if not (HTML / "index.html").is_file():
        missing("the built book in _build/html", "make html")
    return HTML


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(chromium())
        except UserError:
            missing("Chromium", "apt-get install chromium, or .venv/bin/playwright install chromium")
        yield found


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def address(html: Path) -> Iterator[str]:
    """Where the book is served, without a slash at the end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(html)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


class Visit:
    """A page of the book, what its scripts complained about, and whom it tried to ask."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        self.complaints: list[str] = []
        self.strangers: list[str] = []
        self.requests: list[str] = []
        page.set_default_timeout(60_000)  # a busy machine
        page.on(
            "console", lambda message: message.type in ("error", "warning") and self.complaints.append(message.text)
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "response", lambda answer: answer.status >= 400 and self.complaints.append(f"{answer.status} {answer.url}")
        )
        page.route("**/*", self._guard)

    def _guard(self, route) -> None:
        url = route.request.url
        if url.startswith((self.address, "data:", "blob:", "file:")):
            self.requests.append(url)
            route.continue_()
        else:
            self.strangers.append(url)
            route.abort()

    def open(self, name: str) -> Page:
        """Go to ``book/09-metrocon2`` or ``search``, and wait until scripts and equations are done."""
        self.page.goto(f"{self.address}/{name}.html", wait_until="load")
        if name == "index":  # goes on to the first page
            self.page.wait_for_url("**/book/index.html")
        self.page.evaluate("() => window.MathJax && MathJax.startup && MathJax.startup.promise.then(() => true)")
        return self.page

    def start(self, name: str) -> None:
        """Go to a page, without waiting for its equations."""
        self.page.goto(f"{self.address}/{name}.html", wait_until="domcontentloaded")

    def files(self) -> list[str]:
        """What it asked of the book so far, each file once, relative to the built book."""
        paths = (unquote(urlsplit(url).path).lstrip("/") for url in self.requests if url.startswith(self.address))
        return list(dict.fromkeys(paths))


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Callable[..., Visit]]:
    """A function that opens a fresh browser window: ``visit(width=390, color_scheme="dark")``."""
    contexts = []

    def fresh(width: int = 1300, height: int = 900, **options: object) -> Visit:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        return Visit(context.new_page(), address)

    yield fresh
    for context in contexts:
        context.close()


@pytest.fixture
def seen(visit: Callable[..., Visit], request: pytest.FixtureRequest) -> Iterator[Visit]:
    """The page that the test's module names as ``PAGE``; in the end it has not complained, and asked nobody."""
    visited = visit()
    visited.start(request.module.PAGE)
    yield visited
    assert visited.complaints == []
    assert visited.strangers == []


def equip(page: Page) -> None:
    """Give a page what the tests ask it with: axe-core, and the functions of ``looks.js``."""
    for file in (AXE, SCRIPTS):
        page.evaluate(file.read_text(encoding="utf-8"))


@pytest.fixture(name="equip")
def _equip() -> Callable[[Page], None]:
    return equip


@dataclass
class Look:
    """What one visit to a page showed, on a screen, on paper, on a phone, by day and by night."""

    complaints: list[str]
    strangers: list[str]
    files: list[str]
    facts: dict
    paper: dict
    phone: dict
    axe: dict[str, list[dict]] = field(default_factory=dict)


def _look(visit: Visit, name: str) -> Look:
    page = visit.open(name)
    page.wait_for_load_state("networkidle")
    files = visit.files()
    page.evaluate("() => document.querySelectorAll('img').forEach(i => { i.loading = 'eager' })")
    page.wait_for_function("() => [...document.images].every(i => i.complete)")
    equip(page)
    facts = page.evaluate("() => Looks.facts()")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": PAPER, "height": 900})
    paper = page.evaluate("() => Looks.paper()")
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": PHONE, "height": 900})
    page.wait_for_timeout(500)  # the theme looks again which boxes scroll
    seen = Look([*visit.complaints], visit.strangers, files, facts, paper, page.evaluate("() => Looks.phone()"))
    page.evaluate("() => { Looks.thin(); Looks.theme('dark') }")
    seen.axe["dark, phone"] = page.evaluate("() => Looks.axe(['color-contrast', 'scrollable-region-focusable'])")
    page.evaluate("() => Looks.theme('light')")
    page.set_viewport_size({"width": 1300, "height": 900})
    seen.axe["light"] = page.evaluate("() => Looks.axe()")
    return seen


@pytest.fixture(scope="session")
def look(browser: Browser, address: str) -> Callable[[str], Look]:
    """What a page shows; each page is visited once, for all the tests that ask about it."""

    @functools.cache
    def once(name: str) -> Look:
        context = browser.new_context(
            viewport={"width": 1300, "height": 900}, color_scheme="light", reduced_motion="reduce"
        )
        try:
            return _look(Visit(context.new_page(), address), name)
        finally:
            context.close()

    return once


def pages() -> list[str]:
    """Every page of the built book, by its name without ``.html``."""
    found = sorted(path.relative_to(HTML).with_suffix("").as_posix() for path in HTML.rglob("*.html"))
    return [name for name in found if not name.startswith(("_static", "_sources", "_modules"))]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for ``name`` runs once for each page."""
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", pages() or ["index"])

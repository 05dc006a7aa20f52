"""The built book in a real browser, served from this machine and cut off from every other."""

from __future__ import annotations

import functools
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
HTML = Path(os.environ.get("SPACEMESHLAB_HTML", ROOT / "_build" / "html"))
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run", "--force-color-profile=srgb"),
)


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
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        if not found and not own.is_file():
            missing("Chromium", "apt-get install chromium, or .venv/bin/playwright install chromium")
        browser = playwright.chromium.launch(executable_path=found or str(own), args=list(FLAGS))
        yield browser
        browser.close()


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
        page.on(
            "console", lambda message: message.type in ("error", "warning") and self.complaints.append(message.text)
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "response", lambda answer: answer.status >= 400 and self.complaints.append(f"{answer.status} {answer.url}")
        )
        page.route("**/*", self._guard)

    def _guard(self, route) -> None:
        if route.request.url.startswith((self.address, "data:", "blob:", "file:")):
            route.continue_()
        else:
            self.strangers.append(route.request.url)
            route.abort()

    def open(self, name: str) -> Page:
        """Go to ``book/09-metrocon2`` or ``search``, and wait until scripts and equations are done."""
        self.page.goto(f"{self.address}/{name}.html", wait_until="load")
        self.page.evaluate("() => window.MathJax && MathJax.startup && MathJax.startup.promise.then(() => true)")
        return self.page


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


def pages() -> list[str]:
    """Every page of the built book, by its name without ``.html``."""
    found = sorted(path.relative_to(HTML).with_suffix("").as_posix() for path in HTML.rglob("*.html"))
    return [name for name in found if not name.startswith(("_static", "_sources"))]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for ``name`` runs once for each page."""
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", pages() or ["index"])

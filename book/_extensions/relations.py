"""Which chapter, module and test belong together: read from the chapters' cards and from file names, never typed twice.

A path is written as on a card: ``spacemeshlab/models/spam.py``, ``scripts/look.py``, ``tests/models/test_spam.py``.
"""

from __future__ import annotations

import ast
import functools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LINE = r"^- \*\*{}\*\*(.*(?:\n  .*)*)"
CHAPTERS = re.compile(r"\bchapters? (\d\d)(?: and (\d\d))?\)")


@dataclass(frozen=True)
class Chapter:
    """What the first cell of ``book/NN-topic.ipynb`` says."""

    docname: str
    title: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]

    @property
    def number(self) -> int:
        return int(Path(self.docname).name[:2])


@functools.cache
def chapters(root: Path) -> tuple[Chapter, ...]:
    """All chapters in the book's order."""
    return tuple(_chapter(path) for path in sorted((root / "book").glob("[0-9][0-9]-*.ipynb")))


def _chapter(path: Path) -> Chapter:
    text = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    paths = [
        tuple(name for name in re.findall(r"`([^`]+)`", line[1]) if "/" in name)
        for line in (re.search(LINE.format(word), text, flags=re.MULTILINE) for word in ("Module", "Test"))
    ]
    return Chapter(f"book/{path.stem}", text.partition("\n")[0].removeprefix("# "), *paths)


@functools.cache
def modules(root: Path) -> tuple[str, ...]:
    """The public modules and packages of the package, and the scripts."""
    files = [*sorted((root / "spacemeshlab").rglob("*.py")), *sorted((root / "scripts").glob("*.py"))]
    names = [path.relative_to(root).as_posix() for path in files]
    return tuple(name for name in names if not re.search(r"/_(?!_init__)", name))


@functools.cache
def tests(root: Path) -> tuple[str, ...]:
    """Every file of tests."""
    return tuple(path.relative_to(root).as_posix() for path in sorted((root / "tests").rglob("test_*.py")))


def dotted(module: str) -> str:
    """``spacemeshlab/models/spam.py`` -> ``spacemeshlab.models.spam``."""
    return module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@functools.cache
def modules_of(root: Path, test: str) -> tuple[str, ...]:
    """What a file of tests is about: the module that it is named after, else the package's that it imports.

    Nothing, for tests of the book, of the site, or of all scripts together.
    """
    if named := [module for module in modules(root) if _named_after(test, module)]:
        return (max(named, key=len),)
    return () if test.startswith(("tests/book/", "tests/site/", "tests/scripts/")) else _imported(root, test)


@functools.cache
def tests_of(root: Path, module: str) -> tuple[str, ...]:
    """The tests of a module: those about it; where there is none, all that import it. A package's are its modules'."""
    own = tuple(test for test in tests(root) if module in modules_of(root, test))
    if own or module.endswith("/__init__.py"):
        return own
    return tuple(test for test in tests(root) if module in _imported(root, test))


@functools.cache
def chapters_of(root: Path, path: str) -> tuple[Chapter, ...]:
    """The chapters with a module or a test on their card. For one on no card: those that the module's docstring names,
    the module's that a test is about, or those of the module that a script is called after."""
    if on_cards := tuple(chapter for chapter in chapters(root) if path in chapter.modules + chapter.tests):
        return on_cards
    if path.startswith("tests/"):
        return _chapters_of_any(root, modules_of(root, path)[:1])
    first = (ast.get_docstring(_tree(root, path)) or "").split("\n\n")[0]
    numbers = {int(number) for match in CHAPTERS.findall(first.replace("\n", " ")) for number in match if number}
    named = tuple(chapter for chapter in chapters(root) if chapter.number in numbers)
    return named or _chapters_of_any(root, _kin(path))


def _chapters_of_any(root: Path, paths: Iterable[str]) -> tuple[Chapter, ...]:
    known = [path for path in paths if path in modules(root)]
    return next((found for found in (chapters_of(root, path) for path in known) if found), ())


def _kin(path: str) -> list[str]:
    """Where to look for the chapter of a module that names none: its package; for a script, the module of its name."""
    folder, _, name = path.rpartition("/")
    if folder != "scripts":
        return [f"{folder}/__init__.py"] if name != "__init__.py" else []
    stem = name.removesuffix(".py")
    return [f"spacemeshlab/{stem}.py", f"spacemeshlab/{stem}/__init__.py", f"spacemeshlab/data/{stem}.py"]


def _named_after(test: str, module: str) -> bool:
    folder, _, name = test.removeprefix("tests/").rpartition("/")
    home, _, stem = module.removesuffix(".py").removeprefix("spacemeshlab/").rpartition("/")
    return folder == home and f"{name.removesuffix('.py')}_".startswith(f"test_{stem}_")


@functools.cache
def _imported(root: Path, test: str) -> tuple[str, ...]:
    """The modules that a file imports at its head; a package, if it takes something else than modules out of it."""
    names: set[str] = set()
    known = {dotted(module) for module in modules(root)}
    for node in _tree(root, test).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= parts | ({str(node.module)} if parts - known else set())
    return tuple(module for module in modules(root) if dotted(module).removeprefix("scripts.") in names)


@functools.cache
def _tree(root: Path, path: str) -> ast.Module:
    return ast.parse((root / path).read_text(encoding="utf-8"))

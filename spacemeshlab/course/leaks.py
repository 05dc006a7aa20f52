"""Does anything that students can read hold a solution, a hidden test or a marking scheme? Line by line, in any markup.

A line counts if it is long enough to mean something and stands nowhere in what is public anyway: the release itself,
the package, the chapters.
"""

from __future__ import annotations

import contextlib
import html
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from spacemeshlab.course.assignment import HIDDEN, SOLUTION, Assignment
from spacemeshlab.course.release import release

SHORTEST = 20
"""Characters, without spaces, of a line that can give something away."""
READ = (".html", ".ipynb", ".txt", ".js", ".json", ".md", ".csv", ".inv", ".xml", ".py")


def secrets(assignment: Assignment, public: Iterable[str] = ()) -> dict[str, str]:
    """What must not be seen, as :func:`squeeze` writes it -> as it stands in the source."""
    known = squeeze("\n".join([*public, *(cell.source for cell in release(assignment).cells)]))
    found = {}
    for cell in assignment.notebook.cells:
        for pattern in (SOLUTION, HIDDEN):
            for block in pattern.findall(cell.source + "\n"):
                for line in block.splitlines():
                    squeezed = squeeze(line)
                    if len(squeezed) >= SHORTEST and squeezed not in known:
                        found[squeezed] = line.strip()
    return found


def squeeze(text: str) -> str:
    """A text without anything that markup, editors or formatters may change."""
    return re.sub(r"[\s'\"`*\\]+", "", text)


def read(path: Path) -> str:
    """The words in a file, of JSON its strings; once as they stand there, and once without tags and entities."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix in (".ipynb", ".json"):
        with contextlib.suppress(ValueError, RecursionError):  # no JSON after all: its text then
            text = "\n".join(_strings(json.loads(text)))
    return "\n".join((html.unescape(text), html.unescape(re.sub(r"<[^>]*>", "", text))))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            yield "".join(value)
        else:
            for part in value if isinstance(value, list) else value.values():
                yield from _strings(part)


def leaks(hidden: dict[str, str], files: Iterable[Path], own: str = "") -> Iterator[str]:
    """Every secret that a file holds. ``own`` is a student's code: what stands there is not betrayed by being shown."""
    mine = squeeze(own)
    wanted = {secret: line for secret, line in hidden.items() if secret not in mine}
    for path in files:
        if path.suffix in READ and path.is_file():
            text = squeeze(read(path))
            for secret, line in wanted.items():
                if secret in text:
                    yield f"{path} holds {line!r}"


def public_texts(root: Path) -> list[str]:
    """What the book shows on purpose: the package, and the chapters."""
    files = [*sorted((root / "spacemeshlab").rglob("*.py")), *sorted((root / "book").glob("*.ipynb"))]
    return [read(path) for path in files]

"""What stands behind the ledger's entries: checked outputs of chapters, tests, and what was measured beside the paper.

:func:`problems` finds what an entry says and nothing bears out. :func:`number` and :func:`verdict` read the files of
results, so that a page shows new ones by being built again.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import relations
import sentences
import yaml
from claims import ARITHMETIC, CONFIRMED, CONTRADICTED, NOISE, NOT_RUN, Entry

from spacemeshlab.errors import UserError
from spacemeshlab.recipe import RECIPES, get_recipe
from spacemeshlab.results import Difference, Summary, difference, measured, student_t, summarise
from spacemeshlab.tables import TABLES, Row

THE_PAPERS = {1: "cityscapes", 2: "cityscapes", 4: "pascal-context"}
"""The recipe on whose data a table's own scores can be tested; table 3 needs the test server."""

UNCOMPARED = {"nbval-ignore-output", "nbval-skip", "raises-exception"}
TAG = re.compile(r"<[^>]+>")


def problems(root: Path, entry: Entry) -> Iterator[str]:
    """What is wrong with an entry: places that are not there, numbers that nobody wrote, a status that is not so."""
    (form, test), ours = *entry.test.items(), entry.ours or {}
    if entry.link not in pages(root):
        yield f"no page {entry.link} in the book"
    if form == "pytest" and not has_test(root, test):
        yield f"no test {test}"
    for cell in [place["cell"] for place in (entry.test, ours) if "cell" in place]:
        if not prints(root, cell["chapter"], cell["prints"]):
            yield f"no compared output of {cell['chapter']} holds {cell['prints']!r}"
    try:
        number(root, entry)
        found = verdict(root, entry)
    except UserError as error:
        yield str(error)
        return
    if found not in (None, entry.status):
        yield f"status {entry.status!r}, but the results say {found!r}"
    yield from _unfounded(entry, form, ours, found)


def _unfounded(entry: Entry, form: str, ours: Mapping[str, Any], found: str | None) -> Iterator[str]:
    """A status that nothing stands behind."""
    if entry.status == ARITHMETIC and form == "command":
        yield f"status {ARITHMETIC!r} with a command: give the cell or the test that computes it"
    if entry.status == NOISE and found is None:
        yield f"status {NOISE!r} without a step that was measured"
    if entry.status in (CONFIRMED, CONTRADICTED) and form == "command" and not ours:
        yield f"status {entry.status!r} of a command, without ours"


@functools.cache
def pages(root: Path) -> frozenset[str]:
    """The pages of the book below ``book/``, as a link names them."""

    def walk(part: dict) -> Iterator[str]:
        if "file" in part:
            yield part["file"].removeprefix("book/")
        for below in [*part.get("parts", []), *part.get("chapters", []), *part.get("sections", [])]:
            yield from walk(below)

    return frozenset(walk(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))))


def has_test(root: Path, node: str) -> bool:
    """Whether ``tests/…/test_x.py::test_name`` stands in that file; a case in brackets does not count."""
    file, _, name = node.partition("::")
    return file in relations.tests(root) and name.partition("[")[0] in sentences.tests(root / file)


def prints(root: Path, chapter: str, text: str) -> bool:
    """Whether the text, not inside a longer word or number, stands in one output of the chapter that nbval compares."""
    pattern = re.compile(rf"(?<!\w)(?<!\d[.,]){re.escape(' '.join(text.split()))}(?!\w)(?![.,]\d)")
    return len(text) > 2 and any(pattern.search(output) for output in compared(root, chapter))


@functools.cache
def compared(root: Path, chapter: str) -> tuple[str, ...]:
    """The texts that nbval compares in a chapter, in a line each."""
    path = root / "book" / f"{chapter}.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"] if path.is_file() else []
    found = []
    for cell in cells:
        if cell["cell_type"] == "code" and cell["execution_count"]:
            if not UNCOMPARED & set(cell["metadata"].get("tags", [])):
                found += [" ".join(text.split()) for output in cell["outputs"] for text in _texts(output)]
    return tuple(found)


def _texts(output: Mapping[str, Any]) -> Iterator[str]:
    yield "".join(output.get("text", ""))
    for kind in ("text/plain", "text/html"):
        yield TAG.sub(" ", "".join(output.get("data", {}).get(kind, "")))


def number(root: Path, entry: Entry) -> str:
    """Our number in words, out of the file that holds it; "" for an entry without one.

    Raises:
        UserError: there is no such file, key, row or recipe.
    """
    ((form, place),) = (entry.ours or {"": {}}).items()
    if form == "cell":
        return place["prints"]
    if form == "result":
        return _value(root, **place)
    if form == "row":
        return _on(place, scores(root, place))
    return _on(place, _step(root, place)) if form == "step" else ""


def _on(place: Mapping[str, Any], found: object) -> str:
    return f"{found} on {place['recipe']}" if found and str(found) != NOT_RUN else NOT_RUN


def _value(root: Path, file: str, key: list, format: str) -> str:
    path = root / "book" / "results" / f"{file}.json"
    try:
        found = functools.reduce(lambda part, name: part[name], key, json.loads(path.read_text(encoding="utf-8")))
        return format.format(found)
    except (OSError, ValueError, LookupError, TypeError):
        name = path.relative_to(root)
        raise UserError(f"expected {key} in {name}, found no such number: run what writes it") from None


def _row(place: Mapping[str, Any], name: str = "") -> Row:
    """The row that a place names, or another one: of its table, else of any."""
    rows = {row.name: row for table in TABLES.values() for row in table if name}
    rows |= {row.name: row for row in TABLES.get(place["table"], ())}
    if (name or place["row"]) not in rows or place["recipe"] not in RECIPES:
        raise UserError(f"expected a row and a recipe that there are, found {dict(place)}: mend the names")
    return rows[name or place["row"]]


def scores(root: Path, place: Mapping[str, Any], name: str = "") -> Summary:
    """What was measured of a row with a recipe."""
    row = _row(place, name)
    return summarise(measured(row, get_recipe(place["recipe"]), root / "book" / "results" / place["recipe"]))


def against(place: Mapping[str, Any]) -> str:
    """The row that a step is taken from: the one that it names, else the one that its row names."""
    other = place.get("against") or _row(place).against
    if not other:
        raise UserError(f"expected a row to compare {place['row']} with, found none: say against")
    return other


def _step(root: Path, place: Mapping[str, Any]) -> Difference | None:
    return difference(scores(root, place), scores(root, place, against(place)))


def verdict(root: Path, entry: Entry) -> str | None:
    """The status that results give a step, or a score of the paper on the paper's data; None where they have no say.

    A step is inside the noise if its interval reaches zero, and else confirmed if it is one upwards. A score is
    confirmed if the paper's one run could be one more of ours, by Student's interval for a further run.
    """
    ((form, place),) = (entry.ours or {"": {}}).items()
    if form == "step":
        step = _step(root, place)
        if step is None or step.margin is None:
            return NOT_RUN
        return NOISE if step.inside_the_noise else CONFIRMED if step.mean > 0 else CONTRADICTED
    if form == "row":
        row, found = _row(place), scores(root, place)
        if THE_PAPERS.get(row.table) != place["recipe"] or row.paper is None or found.sd is None:
            return NOT_RUN
        seeds = len(found.scores)
        margin = student_t(seeds - 1) * found.sd * math.sqrt(1 + 1 / seeds)
        return CONFIRMED if abs(found.mean - row.paper) <= margin else CONTRADICTED
    return None

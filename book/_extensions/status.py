"""Two tables of where the book's numbers come from: ``{executions}`` of notebooks, ``{results}`` of full runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import cards
import relations
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

WHOLE = {ord(" "): "\u00a0", ord("-"): "\u2011"}  # a date and "4 minutes" stay on one line


class Machines:
    """Letters for machines, since most lines of a table have the same."""

    def __init__(self) -> None:
        self.known: list[str] = []

    def letter(self, record: dict) -> str:
        versions = [f"{name} {record[name].partition('+')[0]}" for name in ("python", "torch") if name in record]
        words = ", ".join([cards.machine(record), *versions]).replace("python", "Python")
        if words not in self.known:
            self.known.append(words)
        return chr(ord("A") + self.known.index(words))


class Table(SphinxDirective):
    """A table whose cells are Markdown, and what its letters mean."""

    def table(
        self, head: Sequence[str], rows: Sequence[Sequence[str]], machines: Machines | None = None
    ) -> list[nodes.Node]:
        lines = [head, ["---"] * len(head), *rows]
        text = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" for cells in lines]
        for number, words in enumerate(machines.known if machines else []):
            text += ["", f"**{chr(ord('A') + number)}** {words}"]
        holder = nodes.Element()
        self.state.nested_parse(StringList(text, source=self.env.docname), self.content_offset, holder)
        return holder.children


class Executions(Table):
    """Each notebook: when it was last executed, how long that took, on what, from which commit."""

    def run(self) -> list[nodes.Node]:
        root, machines = Path(self.env.srcdir), Machines()
        self.env.note_dependency(cards.RECORDS)
        known = cards.records(root)
        rows = [
            [f"{{doc}}`{chapter.number} {chapter.title} </{chapter.docname}>`", *self.cells(record, machines)]
            for chapter in relations.chapters(root)
            for record in [known.get(Path(chapter.docname).name)]
        ]
        return self.table(["Chapter", "Executed", "Time", "Memory", "On", "Commit"], rows, machines)

    def cells(self, record: dict | None, machines: Machines) -> list[str]:
        if record is None:
            return [cards.MISSING, *["–"] * 4]
        needs = (cards.duration(record["seconds"]), cards.memory(record) or "–")
        words = [text.translate(WHOLE) for text in (record["date"], *needs)]
        return [*words, machines.letter(record), f"`{record['commit']}`"]


class Results(Table):
    """Each file of results: to download, and by which command it came about, on what, from which commit."""

    def run(self) -> list[nodes.Node]:
        root, machines = Path(self.env.srcdir), Machines()
        folder, rows = root / "book" / "results", []
        for path in sorted(folder.rglob("*.json")):
            if path != root / cards.RECORDS:
                self.env.note_dependency(path.relative_to(root).as_posix())
                rows += self.rows(path, path.relative_to(folder).as_posix(), machines)
        return self.table(["File", "Command", "On", "Commit"], rows, machines)

    def rows(self, path: Path, name: str, machines: Machines) -> Iterator[list[str]]:
        """A line for each command that wrote into the file."""
        found = list(origins(json.loads(path.read_text(encoding="utf-8"))))
        link = f"{{download}}`{name} </book/results/{name}>`"
        for number, one in enumerate(found or [{}]):
            command, commit = (f"`{one[key]}`" if key in one else "–" for key in ("command", "commit"))
            yield ["" if number else link, command, machines.letter(one) if "machine" in one else "–", commit]


def origins(found: object) -> Iterator[dict]:
    """Every record of a commit in a file of results, each once."""
    seen = []

    def walk(value: object) -> Iterator[dict]:
        if isinstance(value, dict) and "commit" in value:
            key = [value.get(name) for name in ("commit", "command", "machine")]
            if key not in seen:
                seen.append(key)
                yield value
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        for part in parts:
            yield from walk(part)

    yield from walk(found)


def read_again(app: Sphinx, env: object, added: set, changed: set, removed: set) -> list[str]:
    """The page of status, in every build: a new file of results changes none of those that it was made from."""
    return ["book/status"] if "book/status" in env.found_docs else []


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("env-get-outdated", read_again)
    app.add_directive("executions", Executions)
    app.add_directive("results", Results)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

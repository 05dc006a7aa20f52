"""A line on each chapter's card: when the chapter was last executed, how long that took, and on what.

The numbers come from ``book/results/executed.json``, which ``scripts/execute_book.py`` writes; a chapter without a
record says so.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

RECORDS = "book/results/executed.json"
MISSING = "not recorded"


def records(root: Path) -> dict[str, dict]:
    """A chapter's name -> its last execution."""
    path = root / RECORDS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def duration(seconds: float) -> str:
    """In seconds below two minutes, then in minutes."""
    return f"{seconds:.0f} s" if seconds < 119.5 else f"{seconds / 60:.0f} minutes"


def memory(record: dict) -> str:
    """The most memory that the kernel held; nothing where that was not measured."""
    return f"{record['memory_mib'] / 1024:.1f} GiB" if record.get("memory_mib") else ""


def machine(record: dict) -> str:
    """What it ran on, without the marks of trade: ``2 cores of Intel Xeon @ 2.80GHz, 1 thread``."""
    name = re.sub(r"\((?:R|TM|C)\)|\bProcessor\b|\bCPU\b", " ", record["machine"])
    cores = re.match(r"(\d+) cores of ", name)
    threads = record.get("threads")
    few = f", {threads} thread{'s' * (threads > 1)}" if cores and threads and threads != int(cores[1]) else ""
    return " ".join(name.split()) + few


def execution(record: dict | None) -> str:
    """What stands on the card after "Last execution"."""
    if record is None:
        return MISSING
    needs = " and ".join(filter(None, (duration(record["seconds"]), memory(record))))
    gpu = " (no GPU)" if " cores of " in record["machine"] else ""
    return f"{needs} on {machine(record)}{gpu}, {record['date']}"


class Card(SphinxTransform):
    """Puts the line behind the card's "Time"."""

    default_priority = 500

    def apply(self, **_: object) -> None:
        for card in self.document.findall(nodes.admonition):
            if "chapter-card" in card["classes"]:
                for item in card.findall(nodes.list_item):
                    if item.astext().startswith("Time"):
                        self.env.note_dependency(RECORDS)
                        line = execution(records(Path(self.env.srcdir)).get(Path(self.env.docname).name))
                        text = nodes.paragraph("", "", nodes.strong("", "Last execution"), nodes.Text(f" {line}"))
                        item.parent.insert(item.parent.index(item) + 1, nodes.list_item("", text))
                        break


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(Card)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

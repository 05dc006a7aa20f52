"""When each chapter was last executed, how long that took, and on what: a file that the book shows.

A chapter's own file stays the same from run to run, so these numbers stand beside it: in ``book/results/executed.json``
for the book as it is committed, in ``_build/executed/<recipe>/executed.json`` for other recipes.
"""

from __future__ import annotations

import json
import re
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import psutil

from spacemeshlab.checkpoint import write_atomically
from spacemeshlab.errors import UserError
from spacemeshlab.provenance import origin

FILE = "executed.json"
ORIGIN = ("machine", "threads", "python", "torch", "commit")
INTERVAL = 0.2  # seconds between two looks at the kernel


class Watch:
    """Seconds since it began, and the most memory that one process started since then has held.

    The kernel's own high-water mark is read while it lives (Linux); elsewhere ``memory_mib`` stays None. What it takes
    in its last :data:`INTERVAL` may be missed.
    """

    def __init__(self) -> None:
        self.memory_mib: int | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._start, self._end = time.monotonic(), None
        self._before = set(psutil.Process().children(recursive=True))
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end = time.monotonic()
        self._over.set()
        self._thread.join()

    @property
    def seconds(self) -> float:
        return (self._end or time.monotonic()) - self._start

    def _look(self) -> None:
        while not self._over.wait(INTERVAL):
            for process in set(psutil.Process().children(recursive=True)) - self._before:
                if (found := _high_water(process.pid)) is not None:
                    self.memory_mib = max(self.memory_mib or 0, found)


def _high_water(pid: int) -> int | None:
    """The most memory that a process has held, in MiB; None where the system does not tell."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), flags=re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) // 1024 if found else None


def place(folder: Path) -> Path:
    """The file of records in ``folder``; one that is spoilt is refused now, before an hour of work."""
    read(folder / FILE)
    return folder / FILE


def read(path: Path) -> dict[str, dict]:
    """What is recorded: a chapter's name -> its last execution. Nothing, where there is no file yet.

    Raises:
        UserError: the file holds something else.
    """
    if not path.is_file():
        return {}
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(record, dict) for record in records.values()):
            raise TypeError
    except (ValueError, TypeError, AttributeError):
        raise UserError(
            f"expected one record a chapter in {path}, found something else: delete or restore it"
        ) from None
    return records


def note(path: Path, chapter: str, recipe: str, watch: Watch) -> None:
    """Write one chapter's execution into ``path``; the other chapters' stay."""
    facts = origin()
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "seconds": round(watch.seconds, 1),
        "memory_mib": watch.memory_mib,
        **{key: facts[key] for key in ORIGIN},
        "recipe": recipe,
    }
    records = dict(sorted({**read(path), chapter: record}.items()))
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(records, indent=2) + "\n"
    write_atomically(path, lambda draft: draft.write_text(text, encoding="utf-8"))

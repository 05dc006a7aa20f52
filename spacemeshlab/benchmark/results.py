"""The file of results: parts that were measured at different times, each with an origin of its own, in one JSON."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from spacemeshlab.benchmark import growth, networks, operation, supply, targets
from spacemeshlab.benchmark.bench import SEED, Bench
from spacemeshlab.checkpoint import write_atomically
from spacemeshlab.errors import UserError
from spacemeshlab.provenance import origin

PARTS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "operation": operation.run,
    "networks": networks.run,
    "growth": growth.run,
    "metrics": supply.run_metrics,
    "data": supply.run_data,
}
"""Name -> what measures it."""

LIBRARIES = ("segmentation-models-pytorch", "torchmetrics")


def measure_part(part: str, bench: Bench) -> dict[str, Any]:
    """Measure one part: where, by which code and with which libraries; then what was found."""
    found = PARTS[part](bench)
    libraries = {library: version(library) for library in LIBRARIES}
    return {"origin": origin() | libraries, "device": bench.device.type, "seed": SEED, **found}


def file_name(device: torch.device) -> str:
    """``cpu.json``, or the GPU's name in small letters and hyphens."""
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return re.sub(r"[^a-z0-9]+", "-", machine.lower()).strip("-") + ".json"


def prepare(path: Path, quick: bool) -> None:
    """Find out before anything is measured whether the results can be written to ``path``.

    Raises:
        UserError: no folder can be made there, no file written, or the file holds something else.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(0, "Is a directory")
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"expected to write {path}, but {reason}: choose another file with --out") from None
    read(path, quick)


def read(path: Path, quick: bool) -> dict[str, Any]:
    """What earlier calls left in ``path``; no parts if there is no file.

    Raises:
        UserError: another kind of file, or full results where quick ones are to be written, or the reverse.
    """
    if not path.exists():
        return {"quick": quick, "parts": {}}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        kind, _ = found["quick"], found["parts"]
    except (ValueError, KeyError, TypeError, UnicodeDecodeError):
        raise UserError(f"expected results in {path}, found something else: choose another file with --out") from None
    if kind != quick:
        kinds = {True: "results of --quick", False: "results of a full run"}
        raise UserError(f"expected {kinds[quick]} in {path}, found {kinds[kind]}: choose another file with --out")
    return found


def merge(path: Path, quick: bool, part: str, found: dict[str, Any]) -> dict[str, Any]:
    """Put one part into the file, in place of an earlier one; the other parts stay. Returns the whole."""
    parts = read(path, quick)["parts"] | {part: found}
    ordered = {name: parts[name] for name in PARTS if name in parts}
    whole = {"quick": quick, "targets": targets.check(ordered), "parts": ordered}
    text = json.dumps(whole, indent=1) + "\n"
    write_atomically(path, lambda draft: draft.write_text(text, encoding="utf-8"))
    return whole

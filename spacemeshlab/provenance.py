"""Where a number came from: commit, machine, command."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import torch
import torchvision


def origin() -> dict[str, str | int]:
    """Commit, command, machine and versions of this process, for result files. Holds no path and no host name."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "commit": commit(),
        "command": " ".join(["python", _relative(sys.argv[0]), *(_relative(word) for word in sys.argv[1:])]),
        "machine": f"{len(gpus)} x {gpus[0]}" if gpus else f"{os.cpu_count()} cores of {_processor()}",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }


def commit() -> str:
    """The checkout's commit, with ``-dirty`` when the package differs from it; "unknown" outside a checkout."""
    package = Path(__file__).parent
    try:
        name = _git(package, "rev-parse", "--short=12", "HEAD")
        return f"{name}-dirty" if _git(package, "status", "--porcelain", "--", ".") else name
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _relative(word: str) -> str:
    """A path as seen from the checkout, also in ``--option=path``; outside it, only its last part is kept."""
    option, equals, value = word.rpartition("=")
    path = Path(value)
    if not path.is_absolute():
        return word
    root = Path(__file__).parents[1]
    return option + equals + (str(path.relative_to(root)) if path.is_relative_to(root) else path.name)

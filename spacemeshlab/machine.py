"""How much memory this process may use: the machine's, or less where a container or a batch system sets a limit.

A machine reports all its memory to a process in a container too, although the kernel ends the process at the
container's limit. The limits stand in the files of the process's control groups, of version 1 or 2 of that interface.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

_TABLE, _MOUNT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = ("memory.max", "memory.current", "inactive_file")


def memory_free() -> int:
    """Bytes that this process can still ask for; files that the kernel only keeps as a cache count as free."""
    return max(0, min(psutil.virtual_memory().available, *(limit - used for limit, used in _groups())))


def memory_total() -> int:
    """Bytes that this process could use on an idle machine."""
    return min(psutil.virtual_memory().total, *(limit for limit, _ in _groups()))


def _groups() -> Iterator[tuple[int, int]]:
    """(limit, used) of this process's control groups and those around them; one without limit at the end."""
    for line in _TABLE.read_text().splitlines() if _TABLE.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        mount, names = (_MOUNT / "memory", _V1) if controllers else (_MOUNT, _V2)
        inner = Path(path.lstrip("/"))
        for folder in (inner, *inner.parents):  # "." is the last of the parents, and all that a container may see
            if (group := _read(mount / folder, *names)) is not None:
                yield group
    yield 2**63, 0


def _read(folder: Path, limit: str, usage: str, cached: str) -> tuple[int, int] | None:
    try:
        total, used = (int((folder / name).read_text()) for name in (limit, usage))
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return total, used - int(stat.get(cached, 0))
    except (OSError, ValueError):  # no such group here, or "max": no limit
        return None

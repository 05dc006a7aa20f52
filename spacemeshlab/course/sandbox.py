"""Where a submission runs: a process with no network, no files but its own scratch, and limits on all that it uses.

With bubblewrap it sees the Python installation, read only, and an empty folder; nothing else of the disk is there.
Without it the same limits hold, but the disk is what the teacher's account can reach: :func:`protection` says which.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil

HERE = Path(__file__).parent
PROGRAM = ("worker.py", "wire.py", "confine.py")
MIB = 2**20
WARNING = (
    "warning: expected bubblewrap, found {found}. Submissions run with limits on time, memory, processes, output and "
    "network, but can read and change what you can: install bubblewrap, or grade in a container"
)


@dataclass(frozen=True)
class Limits:
    """What a submission may use. Seconds are of the clock, but ``processor``; memory and files are in bytes."""

    start: float = 120.0
    cell: float = 30.0
    call: float = 20.0
    whole: float = 600.0
    processor: int = 900
    memory: int = 2048 * MIB
    scratch: int = 64 * MIB
    processes: int = 16
    output: int = 64 * 1024


@functools.cache
def protection() -> str:
    """``bubblewrap`` where it works on this machine, else why it does not."""
    if sys.platform != "linux":
        return f"none: it needs Linux, and this is {sys.platform}"
    if shutil.which("bwrap") is None:
        return "none on this machine"
    with tempfile.TemporaryDirectory() as folder:
        command = [*_wrap(Path(folder), Limits()), sys.executable, "-I", "-c", "pass"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment("/tmp"))
    said = done.stderr.strip().splitlines()[-1:] or ["no word"]
    return "bubblewrap" if done.returncode == 0 else f"one that does not work here ({said[0]})"


def warn() -> None:
    """Say on stderr, before students' code runs, that nothing but limits holds it; silent with bubblewrap."""
    if (found := protection()) != "bubblewrap":
        print(WARNING.format(found=found), file=sys.stderr)


def _wrap(program: Path, limits: Limits) -> list[str]:
    """bubblewrap's command: an empty root with the system's libraries and this Python, nothing of anybody's home."""
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    for name, value in _environment("/tmp").items():
        command += ["--setenv", name, value]
    for folder in ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin"):
        if os.path.islink(folder):
            command += ["--symlink", os.readlink(folder), folder]
        elif os.path.isdir(folder):
            command += ["--ro-bind", folder, folder]
    for name in ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "fonts"):
        command += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    command += ["--proc", "/proc", "--dev", "/dev", "--size", str(limits.scratch), "--tmpfs", "/tmp"]
    for folder in dict.fromkeys((sys.base_prefix, sys.prefix, os.path.dirname(os.path.realpath(sys.executable)))):
        if not folder.startswith(("/usr/bin", "/bin")) and folder != "/usr":
            command += ["--ro-bind", folder, folder]
    if HERE.parent.is_relative_to(sys.prefix):  # installed, not from a checkout: its answers are out of sight
        command += ["--tmpfs", str(HERE.parent)]
    command += ["--ro-bind", str(program), "/grader"]
    command += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]  # else files there fill the memory
    return command


def _environment(scratch: str) -> dict[str, str]:
    """Nothing of the teacher's environment: keys and passwords often lie there."""
    names = ("HOME", "TMPDIR", "MPLCONFIGDIR", "IPYTHONDIR", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR")
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        **threads,
        **kept,
        **dict.fromkeys(names, scratch),
    }


class Process:
    """A student's process, running; ``close()`` ends it and all that it started."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.written, self.output = limits, 0, b""
        self._folder = tempfile.TemporaryDirectory(prefix="submission-")
        self.scratch, program = Path(self._folder.name) / "scratch", Path(self._folder.name) / "grader"
        self.scratch.mkdir()
        program.mkdir()
        for name in PROGRAM:
            shutil.copy(HERE / name, program / name)
        safe = protection() == "bubblewrap"
        place = Path("/grader") if safe else program
        bounds = {"memory": limits.memory, "seconds": limits.processor, "file": limits.scratch}
        command = [sys.executable, "-I", "-X", "utf8", str(place / "worker.py"), json.dumps(bounds)]
        options = {} if safe else {"cwd": self.scratch}
        self._popen = subprocess.Popen(
            [*_wrap(program, limits), *command] if safe else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(str(self.scratch)),
            start_new_session=True,
            **options,
        )
        self.requests, self.answers = self._popen.stdin.fileno(), self._popen.stdout.fileno()
        os.set_blocking(self.requests, False)  # nobody waits for a process that reads nothing
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self) -> None:
        """Read what the process prints, so that it never waits, and keep the first of it."""
        with contextlib.suppress(OSError, ValueError):
            while part := os.read(self._popen.stderr.fileno(), 1 << 16):
                self.written += len(part)
                if len(self.output) < self.limits.output:
                    self.output += part

    def trouble(self) -> str:
        """What the process and its children use too much of; "" if nothing."""
        memory = count = 0
        for process in self._family():
            with contextlib.suppress(psutil.Error):
                memory, count = memory + process.memory_info().rss, count + 1
        if count > self.limits.processes:
            return f"it started {count} processes"
        if memory > 2 * self.limits.memory:
            return f"it used more than {2 * self.limits.memory // MIB} MiB of memory"
        return ""

    def _family(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            parent = psutil.Process(self._popen.pid)
            return [parent, *parent.children(recursive=True)]
        return []

    def close(self) -> None:
        """End everything, and remove the scratch folder."""
        for process in reversed(self._family()):
            with contextlib.suppress(psutil.Error):
                process.kill()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, 9)
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        self._folder.cleanup()

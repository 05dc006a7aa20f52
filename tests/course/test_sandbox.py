"""What a submission can see, use and leave behind: next to nothing."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import psutil
import pytest
import torch

import spacemeshlab
from spacemeshlab.course import sandbox, wire
from spacemeshlab.course.sandbox import Limits, Process, protection
from spacemeshlab.course.student import Code, Student

PROBES = """
import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)

def environment(): return dict(os.environ)
def exists(path): return os.path.exists(path)
def listing(path): return sorted(os.listdir(path))
def processes(): return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
def write(path, size):
    with open(path, "wb") as file: file.write(bytes(size))
    return os.path.getsize(path)
def kernel(name, *args):
    "A call below Python: 0 or more, or minus the error's number."
    result = getattr(libc, name)(*args)
    return result if result >= 0 else -ctypes.get_errno()
def connect(): socket.create_connection(("127.0.0.1", 9), timeout=1)
def interfaces(): return [line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line]
def package():
    del sys.meta_path[0]
    import spacemeshlab.metrics
def sources(): return sorted(name for name in sys.modules if name.partition(".")[0] == "spacemeshlab")
def private(size): return len(bytearray(size))
"""
NAMES = [
    "environment",
    "exists",
    "listing",
    "processes",
    "write",
    "kernel",
    "connect",
    "interfaces",
    "package",
    "sources",
]


LIMITS = Limits(memory=512 * 2**20, scratch=2**20)


@pytest.fixture(scope="module")
def inside():
    """Functions that look around in a sandbox."""
    os.environ["SECRET_TOKEN"] = "abc"
    try:
        with Student([Code("probes", PROBES)], LIMITS) as student:
            yield student.functions([*NAMES, "private"])
    finally:
        del os.environ["SECRET_TOKEN"]


def test_in_ci_the_protection_is_bubblewrap(bubblewrap):
    assert protection() == "bubblewrap"


def test_nothing_of_the_teachers_environment_is_there(inside):
    found = inside["environment"]()
    assert "SECRET_TOKEN" not in found
    assert found["HOME"] == found["TMPDIR"] != os.environ.get("HOME")


def test_no_module_of_the_package_and_no_test_is_in_the_process(inside):
    assert inside["sources"]() == []


def test_memory_is_bounded(inside):
    assert inside["private"](2**20) == 2**20
    with pytest.raises(MemoryError):
        inside["private"](2**30)


def test_a_file_is_bounded(inside):
    with pytest.raises(OSError, match=r"too large|No space"):
        inside["write"]("file", 2**21)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("fork", ()),
        ("kill", (1, 9)),
        ("memfd_create", (b"x", 0)),
        ("unshare", (0x10000000,)),
        ("shmget", (0, 4096, 0o1600)),
    ],
)
def test_the_kernel_refuses_other_programs_signals_and_memory_that_nobody_counts(inside, seccomp, name, args):
    assert inside["kernel"](name, *args) == -1  # EPERM


def test_there_is_no_network(inside, bubblewrap):
    assert inside["interfaces"]() == ["lo"]
    with pytest.raises(PermissionError, match="not allowed: to use the network"):
        inside["connect"]()


def test_the_disk_holds_python_and_an_empty_folder_and_nothing_of_anybody(inside, bubblewrap, tmp_path):
    home, checkout = Path.home(), Path(spacemeshlab.__file__).parents[1]
    roots = {
        path.parts[1] for path in (Path(sys.prefix), Path(sys.base_prefix), Path(os.path.realpath(sys.executable)))
    }
    system = {"bin", "dev", "etc", "grader", "lib", "lib32", "lib64", "proc", "sbin", "tmp", "usr"}
    assert set(inside["listing"]("/")) <= system | roots
    assert {"wire.py", tmp_path.name}.isdisjoint(inside["listing"]("/tmp"))
    assert not inside["exists"](str(tmp_path))
    assert not inside["exists"](str(checkout / "spacemeshlab"))
    assert not inside["exists"](str(home / ".bashrc"))
    assert not inside["exists"]("/etc/passwd")
    assert inside["listing"]("/grader") == ["confine.py", "wire.py", "worker.py"]


@pytest.mark.parametrize("path", ["/grader/worker.py", "/usr/x", "/dev/shm/x", torch.__file__, "/x"])
def test_nothing_but_the_empty_folder_can_be_written(inside, bubblewrap, path):
    with pytest.raises(OSError, match=r"Read-only|Permission|No space"):
        inside["write"](path, 1)


def test_no_process_but_its_own_can_be_seen(inside, bubblewrap):
    assert len(inside["processes"]()) <= 2


def test_the_package_cannot_be_imported_by_going_round_the_importer(inside, bubblewrap):
    with pytest.raises(ModuleNotFoundError, match="spacemeshlab"):
        inside["package"]()


def test_the_end_leaves_no_process_no_folder_and_no_open_file(seccomp):
    process = Process(Limits())
    assert wire.receive(process.answers)["locked"] is True
    folder, family = process.scratch.parent, process._family()
    assert folder.is_dir()
    assert family
    process.close()
    assert not folder.exists()
    assert psutil.wait_procs(family, timeout=30)[1] == []
    for file in (process.requests, process.answers):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(file)


def test_too_many_processes_and_too_much_memory_are_seen_from_outside():
    process = Process(Limits(processes=0))
    assert "processes" in process.trouble()
    process.limits = Limits(memory=0)
    assert "memory" in process.trouble()
    process.limits = Limits()
    assert process.trouble() == ""
    process.close()
    assert process.trouble() == ""


@pytest.mark.parametrize(
    ("platform", "which", "command", "said"),
    [
        ("darwin", "/usr/bin/bwrap", [sys.executable], "none: it needs Linux, and this is darwin"),
        ("linux", None, [], "none on this machine"),
        (
            "linux",
            "/usr/bin/bwrap",
            ["sh", "-c", "echo no permission >&2; exit 1"],
            "one that does not work here (no permission)",
        ),
        ("linux", "/usr/bin/bwrap", ["false"], "one that does not work here (no word)"),
    ],
)
def test_a_machine_without_bubblewrap_is_told_from_one_where_it_does_not_work(
    monkeypatch, platform, which, command, said
):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(shutil, "which", lambda _: which)
    monkeypatch.setattr(sandbox, "_wrap", lambda *_: command)
    assert protection.__wrapped__() == said
    assert said in sandbox.WARNING.format(found=said)


def test_without_bubblewrap_the_limits_hold_all_the_same(monkeypatch, seccomp):
    monkeypatch.setattr(sandbox, "protection", lambda: "none on this machine")
    with Student([Code("probes", PROBES)], LIMITS) as student:
        found = student.functions([*NAMES, "private"])
        assert "SECRET_TOKEN" not in found["environment"]()
        assert found["kernel"]("fork") == -1
        with pytest.raises(MemoryError):
            found["private"](2**30)
        with pytest.raises(PermissionError, match="network"):
            found["connect"]()
        assert not Path(found["environment"]()["HOME"]).is_relative_to(Path.home())

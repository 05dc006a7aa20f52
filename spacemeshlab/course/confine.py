"""What a student's process can no longer do once it is confined, for good: limits, and a filter in the kernel.

It is copied beside `worker.py`, and loaded without the package.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

STARTED = "not allowed: to start another program"
CONNECTED = "not allowed: to use the network"
FORBIDDEN = {
    **dict.fromkeys(
        ("os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"), STARTED
    ),
    **dict.fromkeys(("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto"), CONNECTED),
    **dict.fromkeys(("os.kill", "os.killpg", "signal.pthread_kill"), "not allowed: to end other programs"),
}
REFUSED = (
    *("fork", "vfork", "execve", "execveat", "ptrace", "io_uring_setup", "bpf", "perf_event_open", "userfaultfd"),
    *("kill", "tkill", "pidfd_send_signal", "process_vm_writev", "pidfd_getfd"),
    *("unshare", "setns", "mount", "memfd_create", "memfd_secret", "shmget", "keyctl"),
)
"""Calls of the kernel: other programs, signals to them, and memory or files that no limit counts."""


def forbid(note: Callable[[str], None]) -> None:
    """Say in words, in Python, what the kernel refuses anyway. Hooks cannot be taken away again."""

    def hook(event: str, _: tuple) -> None:
        if event in FORBIDDEN:
            note(FORBIDDEN[event])
            raise PermissionError(FORBIDDEN[event])

    sys.addaudithook(hook)


def limit(limits: dict[str, int]) -> None:
    """Bound memory, processor time, files and output of this process for good."""
    used = 0
    with contextlib.suppress(OSError):
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        used = int(status["VmData"].split()[0]) * 1024
    wanted = {
        "RLIMIT_DATA": used + limits["memory"],
        "RLIMIT_CPU": limits["seconds"],
        "RLIMIT_FSIZE": limits["file"],
        "RLIMIT_NOFILE": 256,
        "RLIMIT_CORE": 0,
    }
    for name, value in wanted.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def lock() -> bool:
    """Let the kernel refuse new processes and programs, signals to others, and sockets; False where it cannot."""
    try:
        import pyseccomp as seccomp
    except Exception:  # not Linux, or no libseccomp
        return False
    errno = seccomp.ERRNO(1)  # EPERM
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    for name in REFUSED:
        with contextlib.suppress(Exception):  # not every machine has every call
            rules.add_rule(errno, name)
    rules.add_rule(errno, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, 0x10000, 0))  # without CLONE_THREAD
    rules.add_rule(seccomp.ERRNO(38), "clone3")  # ENOSYS: the C library then takes clone
    rules.add_rule(errno, "tgkill", seccomp.Arg(0, seccomp.NE, os.getpid()))
    rules.add_rule(errno, "socket", seccomp.Arg(0, seccomp.NE, 1))  # AF_UNIX
    rules.load()
    return True

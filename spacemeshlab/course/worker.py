"""A student's process: runs the notebook's cells, then calls the functions in it as the grader asks.

It is started by :mod:`spacemeshlab.course.sandbox` as a program of its own, on this file and `wire.py` only. There is
no test in it and no package to copy an answer from; what it says is plain data, and the grader believes none of it.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib.abc
import importlib.machinery
import json
import linecache
import os
import random
import resource
import sys
import traceback
import types
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import torch
import wire
from IPython.core.inputtransformer2 import TransformerManager
from torch import nn

PACKAGE = "spacemeshlab"
IMPORTED = (
    f"the answer must be your own: nothing can be imported from {PACKAGE} here but its checks; write the function "
    "yourself, with torch"
)
STARTED = "not allowed: to start another program"
CONNECTED = "not allowed: to use the network"
FORBIDDEN = {
    **dict.fromkeys(
        ("os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"), STARTED
    ),
    **dict.fromkeys(("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto"), CONNECTED),
    **dict.fromkeys(("os.kill", "os.killpg", "signal.pthread_kill"), "not allowed: to end other programs"),
}
KEPT = 16
"""Calls whose gradients can still be asked for."""
notes: list[str] = []


def note(text: str) -> None:
    if text not in notes:
        notes.append(text)


class NoAnswers(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives ``spacemeshlab.testing`` with checks that do nothing, as the grader has its own, and no other module."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] != PACKAGE:
            return None
        if name not in (PACKAGE, f"{PACKAGE}.testing"):
            note(f"imports {name}")
            raise ImportError(IMPORTED)
        return importlib.machinery.ModuleSpec(name, self, is_package=name == PACKAGE)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return Checks(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


class Checks(types.ModuleType):
    """A module of which each ``check_…`` can be called and does nothing."""

    def __getattr__(self, name: str) -> Callable:
        if name.startswith("__"):
            raise AttributeError(name)
        if not name.startswith("check_"):
            note(f"imports {self.__name__}.{name}")
            raise ImportError(IMPORTED)
        return lambda *_, **__: None


class Shell:
    """What is left of IPython: magics and commands of the shell are read, and do nothing."""

    def __getattr__(self, name: str) -> Callable:
        return lambda *_, **__: None


class Student:
    """The namespace of a notebook."""

    def __init__(self) -> None:
        self.main = types.ModuleType("__main__")
        sys.modules["__main__"] = self.main
        self.names = self.main.__dict__
        self.names.update(get_ipython=Shell, display=lambda *_, **__: None)
        self.transform = TransformerManager().transform_cell
        self.calls: dict[int, tuple[list[torch.Tensor], list[torch.Tensor]]] = {}

    def cell(self, source: str, label: str) -> dict:
        """Run one cell; what it defined before an error stays."""
        name = f"<{label}>"
        text = self.transform(source)
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec"), self.names)
        return {}

    def names_of(self, names: Sequence[str]) -> dict:
        return {"names": [name for name in names if callable(self.names.get(name))]}

    def call(self, name: str, args: tuple, kwargs: dict, handle: int) -> dict:
        """Call a function; what it made of its arguments goes back too."""
        given = (args, kwargs)
        tensors = list(wire.tensors_in(given))
        inputs = [tensor for tensor in tensors if tensor.requires_grad and handle]
        with torch.set_grad_enabled(bool(handle)):
            value = self.names[name](*args, **kwargs)
        outputs = list(wire.tensors_in(value))
        if any(isinstance(part, nn.Module) for part in (value if isinstance(value, list | tuple) else [value])):
            raise TypeError("the function returned a module, not tensors")
        tracked = [bool(handle) and tensor.requires_grad for tensor in outputs]
        if any(tracked):
            self.calls[handle] = ([out for out, kept in zip(outputs, tracked, strict=True) if kept], inputs)
            self.calls.pop(handle - KEPT, None)
        modes = [module.training for module in wire.modules_in(given)]
        return {"value": value, "tensors": tensors, "modes": modes, "tracked": tracked}

    def backward(self, handle: int, grads: list[torch.Tensor]) -> dict:
        """Gradients of an earlier call's inputs; None where an input had no part in it."""
        outputs, inputs = self.calls[handle]
        return {"grads": list(torch.autograd.grad(outputs, inputs, grads, retain_graph=True, allow_unused=True))}


def explain(error: BaseException) -> dict:
    """An error as text: its type, what it says, and the last line of the student's own code in it."""
    try:
        said = str(error)
    except BaseException:
        said = "no text"
    if isinstance(error, SyntaxError):
        said, line = str(error.msg), f"line {error.lineno}: {str(error.text or '').strip()}"
    else:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith("<")]
        line = f"line {frames[-1].lineno}: {frames[-1].line}" if frames else ""
    kind = next(kind for kind in type(error).__mro__ if kind.__module__ == "builtins")
    if kind.__name__ != type(error).__name__:
        said = f"{type(error).__name__}: {said}"
    return {"error": kind.__name__, "said": said[:2000], "line": line[:200]}


def answer(student: Student, request: dict) -> bytes:
    """Do what was asked, and put the result, or the error in its place, into a message."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  a student may draw from it
    torch.manual_seed(0)
    number = request.pop("number")
    operation = {"cell": student.cell, "names": student.names_of, "call": student.call, "backward": student.backward}
    try:
        found = operation[request.pop("do")](**request)
        return wire.pack({**found, "number": number, "notes": list(notes)})
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: a student's exit() ends nothing
        return wire.pack({**explain(error), "number": number, "notes": list(notes)})


def forbid() -> None:
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
    names = ("fork", "vfork", "execve", "execveat", "kill", "tkill", "pidfd_send_signal", "ptrace", "io_uring_setup")
    for name in names:
        with contextlib.suppress(Exception):  # not every machine has every call
            rules.add_rule(errno, name)
    rules.add_rule(errno, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, 0x10000, 0))  # without CLONE_THREAD
    rules.add_rule(seccomp.ERRNO(38), "clone3")  # ENOSYS: the C library then takes clone
    rules.add_rule(errno, "tgkill", seccomp.Arg(0, seccomp.NE, os.getpid()))
    rules.add_rule(errno, "socket", seccomp.Arg(0, seccomp.NE, 1))  # AF_UNIX
    rules.load()
    return True


def main() -> None:
    limits = json.loads(sys.argv[1])
    requests, answers = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.dup2(2, 1)  # what is printed goes where errors go
    torch.set_num_threads(1)
    os.environ["MPLBACKEND"] = "Agg"
    with contextlib.suppress(Exception):
        import matplotlib.pyplot  # noqa: F401  it asks other programs for fonts, which will not be allowed
    sys.meta_path.insert(0, NoAnswers())
    student = Student()
    limit(limits)
    locked = lock()
    forbid()
    builtins.input = lambda *_: ""
    sys.argv = [""]
    wire.send(answers, wire.pack({"number": 0, "locked": locked}))
    with contextlib.suppress(wire.Closed):
        while True:
            wire.send(answers, answer(student, wire.unpickle(requests)))
    os._exit(0)


if __name__ == "__main__":
    main()

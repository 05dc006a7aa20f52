"""A student's process: runs the notebook's cells, then calls the functions in it as the grader asks.

It is started by :mod:`spacemeshlab.course.sandbox` as a program of its own, on this file, `wire.py` and `confine.py`
only. There is no test in it and no package to copy an answer from; what it says is plain data, and the grader believes
none of it.
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
import sys
import traceback
import types
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from IPython.core.inputtransformer2 import TransformerManager
from torch import nn

if __package__:
    from spacemeshlab.course import confine, wire
else:  # a program of its own, without the package
    sys.path.insert(0, str(Path(__file__).parent))
    import confine
    import wire

PACKAGE = "spacemeshlab"
IMPORTED = (
    f"the answer must be your own: nothing can be imported from {PACKAGE} here but its checks; write the function "
    "yourself, with torch"
)
KEPT = 256
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
    """What is left of IPython: magics and commands of the shell do nothing, but for the Python in ``%%time``."""

    def __init__(self, run: Callable[[str], None]) -> None:
        self._run = run

    def run_cell_magic(self, name: str, _: str, cell: str) -> None:
        if name in ("time", "capture", "prun"):
            self._run(cell)

    def run_line_magic(self, name: str, line: str, *_: object) -> None:
        if name in ("time", "prun"):
            self._run(line)

    def __getattr__(self, name: str) -> Callable:
        return lambda *_, **__: None


class Notebook:
    """The namespace of a notebook."""

    def __init__(self) -> None:
        self.main = types.ModuleType("__main__")
        sys.modules["__main__"] = self.main
        self.names = self.main.__dict__
        self.names.update(get_ipython=lambda: Shell(self.run), display=lambda *_, **__: None)
        self.transform = TransformerManager().transform_cell
        self.label = ""
        self.functions: dict[str, Callable] = {}
        self.calls: dict[int, tuple[list[torch.Tensor], list[torch.Tensor]]] = {}

    def cell(self, source: str, label: str) -> dict:
        """Run one cell; what it defined before an error stays."""
        self.label = f"<{label}>"
        try:
            self.run(source)
        finally:  # a function whose name is taken for its result later is still there
            self.functions |= {name: value for name, value in list(self.names.items()) if callable(value)}
        return {}

    def run(self, source: str) -> None:
        text = self.transform(source)
        linecache.cache[self.label] = (len(text), None, text.splitlines(keepends=True), self.label)
        exec(compile(text, self.label, "exec"), self.names)

    def names_of(self, names: Sequence[str]) -> dict:
        return {"names": [name for name in names if name in self.functions]}

    def call(self, name: str, args: tuple, kwargs: dict, handle: int, grad: bool) -> dict:
        """Call a function; what it made of its arguments goes back too."""
        given = (args, kwargs)
        tensors = list(wire.tensors_in(given))
        inputs = [tensor for tensor in tensors if tensor.requires_grad and handle]
        with torch.set_grad_enabled(grad):
            value = self.functions[name](*args, **kwargs)
        outputs = list(wire.tensors_in(value))
        if any(isinstance(part, nn.Module) for part in (value if isinstance(value, list | tuple) else [value])):
            raise TypeError("the function returned a module, not tensors")
        tracked = [bool(handle) and tensor.requires_grad for tensor in outputs]
        if any(tracked):
            self.calls[handle] = ([out for out, kept in zip(outputs, tracked, strict=True) if kept], inputs)
            self.calls.pop(handle - KEPT, None)
        modes = [module.training for module in wire.modules_in(given)]
        return {"value": value, "tensors": tensors, "modes": modes, "tracked": tracked}

    def backward(self, handle: int, grads: list[torch.Tensor | None]) -> dict:
        """Gradients of an earlier call's inputs; None where an input had no part in the outputs that have one."""
        outputs, inputs = self.calls[handle]
        outputs = [out for out, grad in zip(outputs, grads, strict=True) if grad is not None]
        grads = [grad for grad in grads if grad is not None]
        return {"grads": list(torch.autograd.grad(outputs, inputs, grads, retain_graph=True, allow_unused=True))}


def explain(error: BaseException) -> dict:
    """An error as text: its type, what it says, and the last line of the student's own code in it."""
    try:
        quoted = isinstance(error, KeyError) and len(error.args) == 1 and isinstance(error.args[0], str)
        said = error.args[0] if quoted else str(error)  # KeyError says repr
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


def answer(notebook: Notebook, request: dict) -> bytes:
    """Do what was asked, and put the result, or the error in its place, into a message."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  a student may draw from it
    torch.manual_seed(0)
    number = request.pop("number")
    operation = {
        "cell": notebook.cell,
        "names": notebook.names_of,
        "call": notebook.call,
        "backward": notebook.backward,
    }
    try:
        found = operation[request.pop("do")](**request)
        return wire.pack({**found, "number": number, "notes": list(notes)})
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: a student's exit() ends nothing
        return wire.pack({**explain(error), "number": number, "notes": list(notes)})


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
    notebook = Notebook()
    confine.limit(limits)
    locked = confine.lock()
    confine.forbid(note)
    builtins.input = lambda *_: ""
    sys.argv = [""]
    wire.send(answers, wire.pack({"number": 0, "locked": locked}))
    with contextlib.suppress(wire.Closed):
        while True:
            wire.send(answers, answer(notebook, wire.unpickle(requests)))
    os._exit(0)


if __name__ == "__main__":
    main()

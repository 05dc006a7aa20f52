"""Submissions that mean harm, to prove that none is done: each costs its own cell, and a line says what happened.

Every attack stands where an answer should stand. ``SECRET`` in its text becomes the path of a file beside the grader
that a submission must neither read nor change.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent

import nbformat
from nbformat import NotebookNode

from spacemeshlab.course.assignment import TEST, Assignment, identity
from spacemeshlab.course.grade import grade
from spacemeshlab.course.judge import RIGHT
from spacemeshlab.course.release import release
from spacemeshlab.course.sandbox import Limits, protection
from spacemeshlab.course.submissions import Submission

QUICK = Limits(cell=5, call=4, whole=240)
"""Limits under which an endless loop is soon over."""


@dataclass(frozen=True)
class Attack:
    """What a function does instead of answering, and what the outcome's message must say."""

    name: str
    code: str
    says: str
    sandbox: bool = False  # only bubblewrap can stop it


ATTACKS = (
    Attack("endless loop", "while True: pass", "took more than 4 s"),
    Attack("sleep that no signal ends", "import time; time.sleep(10**6)", "took more than 4 s"),
    Attack("memory bomb", "hoard = [bytearray(2**28) for _ in range(10**4)]", "MemoryError|took more than"),
    Attack(
        "memory bomb of tensors", "hoard = [torch.ones(2**26) for _ in range(10**4)]", "allocate memory|took more than"
    ),
    Attack("fork bomb", "import os\nwhile True: os.fork()", "not allowed: to start another program"),
    Attack(
        "fork bomb below Python",
        "import ctypes\nfound = {ctypes.CDLL(None).fork() for _ in range(1000)}\nraise RuntimeError(f'forked {found}')",
        r"forked \{-1\}",
    ),
    Attack(
        "bomb of threads",
        """
        import threading, time
        for _ in range(10**5): threading.Thread(target=time.sleep, args=(99,), daemon=True).start()
        """,
        "can't start new thread|took more than|ended its own process",
    ),
    Attack("another program", "import subprocess; subprocess.run(['touch', 'SECRET'])", "to start another program"),
    Attack("os._exit", "import os; os._exit(0)", "ended its own process"),
    Attack("exit", "exit()", "ended its own process"),
    Attack("crash", "import ctypes; ctypes.string_at(0)", "ended its own process"),
    Attack("signal to the grader", "import os; os.kill(os.getppid(), 9)", "not allowed: to end other programs"),
    Attack("reading the grade book", "return open('SECRET').read()", "No such file", sandbox=True),
    Attack("deleting files", "import os; os.remove('SECRET')", "No such file", sandbox=True),
    Attack("deleting Python", "import os; os.remove(torch.__file__)", "Read-only file system", sandbox=True),
    Attack(
        "full disk", "with open('f', 'wb') as f:\n    while True: f.write(bytes(2**20))", "too large|No space|Errno"
    ),
    Attack(
        "patching torch, assert and pytest",
        """
        import builtins, sys, types
        for name in ("allclose", "equal", "isclose"): setattr(torch, name, lambda *a, **k: True)
        torch.testing.assert_close = lambda *a, **k: None
        torch.Tensor.__eq__ = torch.Tensor.__ne__ = lambda *a: True
        builtins.AssertionError = type("Mild", (Warning,), {})
        sys.modules["pytest"] = types.SimpleNamespace(raises=lambda *a: None)
        return "patched"
        """,
        "found str|expected|ended in",
    ),
    Attack(
        "reading the tests from the frames",
        """
        import gc, sys
        frame, found = sys._getframe(), set()
        while frame:
            found |= {name for name in (*frame.f_globals, *frame.f_locals) if name in ("judge", "hidden", "Assignment")}
            frame = frame.f_back
        for thing in gc.get_objects():
            if type(thing).__name__ == "function" and (thing.__module__ or "").startswith("spacemeshlab"):
                found.add(thing.__name__)
        raise RuntimeError(f"found {sorted(found)}")
        """,
        r"found \[\]",
    ),
    Attack(
        "searching the disk for tests",
        """
        import os
        found = []
        for folder, inner, files in os.walk("/"):
            inner[:] = [name for name in inner if name not in ("usr", "proc", "site-packages")]
            found += [name for name in files if name.endswith((".ipynb", ".csv")) or "answers" in name]
        raise RuntimeError(f"found {found}")
        """,
        r"found \[\]",
        sandbox=True,
    ),
    Attack("forged results on the output", "print('16 of 16 points'); return 'right'", "found str|expected|ended in"),
    Attack(
        "forged answers to the grader",
        """
        import json, os, struct
        text = json.dumps({"!": "dict", "parts": [["points", 16]]}).encode()
        for fd in range(3, 40):
            try: os.write(fd, struct.pack("<QQ", len(text), 0) + text)
            except OSError: pass
        """,
        "cannot be read|expected|ended",
    ),
    Attack(
        "an answer that wants to run here",
        "return type('Evil', (), {'__reduce__': lambda self: (print, ('harm',))})()",
        "a Evil, which is neither",
    ),
    Attack("an answer without end", "loop = []; loop.append(loop); return loop", "nested more than|recursion depth"),
    Attack("an answer of 400 MB", "return torch.zeros(10**8)", "cannot be read|allocate memory|took more than"),
    Attack("a GB of output", "for _ in range(1024): print('x' * 2**20)", "expected|took more than"),
    Attack("a socket", "import socket; socket.create_connection(('127.0.0.1', 9))", "not allowed: to use the network"),
    Attack("the answer from the package", "from spacemeshlab import SpaceMeshLab", "the answer must be your own"),
)


@dataclass(frozen=True)
class Result:
    """How an attack ended: its cell's points and message, whether an honest answer beside it kept its points."""

    attack: Attack
    points: float
    message: str
    honest: bool
    notes: list[str]

    @property
    def problem(self) -> str:
        """What went wrong for the teacher; "" if nothing did."""
        if self.points or not self.honest or not re.search(self.attack.says, self.message):
            kept = "" if self.honest else " and an honest answer lost its points"
            return f"{self.attack.name}: {self.points:g} points, {self.message!r}{kept}"
        return ""


def solved(assignment: Assignment) -> NotebookNode:
    """The notebook of a student who wrote what the source says; the written question is left open."""
    notebook = release(assignment)
    solutions = {identity(cell): cell.source for cell in assignment.notebook.cells}
    for cell in notebook.cells:
        if identity(cell) in assignment.functions:
            cell.source = solutions[identity(cell)]
    return notebook


def attack(assignment: Assignment, attacks: tuple[Attack, ...], folder: Path) -> Iterator[Result]:
    """Grade notebooks in which all functions but the last do harm; several attacks share one."""
    secret = folder / "gradebook-SECRET.csv"
    honest, size = assignment.functions[-1], len(assignment.functions) - 1
    for start in range(0, len(attacks), size):
        batch = dict(zip(assignment.functions, attacks[start : start + size], strict=False))
        secret.write_text("student,points\n", encoding="utf-8")
        path = folder / f"{assignment.name}.ipynb"
        notebook = solved(assignment)
        for cell in notebook.cells:
            if identity(cell) in batch:
                code = dedent(batch[identity(cell)].code).strip().replace("SECRET", str(secret))
                cell.source = f"def {identity(cell)}(*args, **kwargs):\n{indent(code, '    ')}\n"
        nbformat.write(notebook, path)
        record = grade(Submission("mallory", path), assignment, limits=QUICK)
        harmless = secret.is_file() and secret.read_text(encoding="utf-8") == "student,points\n"
        outcomes = {cell["cell"].removeprefix(TEST): cell for cell in record["cells"]}
        kept = outcomes[honest]["status"] == RIGHT and harmless
        for function, one in batch.items():
            cell = outcomes[function]
            yield Result(one, cell["points"], cell["message"], kept, record["notes"])


def attack_all(assignment: Assignment) -> tuple[int, list[str]]:
    """Try the attacks that this machine's protection is made for: how many, and what went wrong."""
    possible = tuple(one for one in ATTACKS if protection() == "bubblewrap" or not one.sandbox)
    with tempfile.TemporaryDirectory() as folder:
        results = list(attack(assignment, possible, Path(folder)))
    return len(possible), [result.problem for result in results if result.problem]

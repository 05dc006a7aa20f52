"""The tiny assignment, a student's notebook for it, and what stands for a sandbox where none is needed."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_course
from nbformat import NotebookNode

from spacemeshlab.course import student as student_module
from spacemeshlab.course import wire, worker
from spacemeshlab.course.assignment import Assignment, read_assignments
from spacemeshlab.course.grade import grade
from spacemeshlab.course.hostile import solved
from spacemeshlab.course.sandbox import protection
from spacemeshlab.course.submissions import Submission


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    """The folder of sources. Do not write into it."""
    return tiny_course.write_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="session")
def assignment(source) -> Assignment:
    return read_assignments(source)[tiny_course.NAME]


@pytest.fixture
def notebook(assignment) -> NotebookNode:
    """The notebook of a student who solved all of it, the question included. Yours to spoil."""
    notebook = solved(assignment)
    tiny_course.cell(notebook, "question_1").source = "**Your answer to question 1** (keep this line)\n\nBecause."
    return notebook


def _lacks(what: str) -> None:
    """A machine may lack a part of the sandbox, but not that of CI."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(what)


@pytest.fixture(scope="session")
def bubblewrap() -> None:
    """Only with bubblewrap."""
    if protection() != "bubblewrap":
        _lacks(f"bubblewrap: {protection()}")


@pytest.fixture(scope="session")
def seccomp() -> None:
    """Only where the kernel can be told what to refuse."""
    try:
        import pyseccomp  # noqa: F401
    except Exception as error:  # it looks for a library of the system
        _lacks(f"pyseccomp: {error}")


class Here:
    """What a sandbox's Process is to a Student, as a thread of this process: no limits, the same messages."""

    def __init__(self, limits: object) -> None:
        self.written, self.output = 0, b""
        self._requests, self.requests = os.pipe()
        self.answers, self._answers = os.pipe()
        worker.notes.clear()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            notebook = worker.Notebook()
            with contextlib.suppress(wire.Closed), open(os.devnull, "w") as nowhere:
                notebook.names["print"] = lambda *words, **options: print(*words, **{**options, "file": nowhere})
                wire.send(self._answers, wire.pack({"number": 0}))
                while True:
                    wire.send(self._answers, worker.answer(notebook, wire.unpickle(self._requests)))
        finally:
            os.close(self._answers)

    def trouble(self) -> str:
        return ""

    def close(self) -> None:
        os.close(self.requests)
        self._thread.join()
        for file in (self._requests, self.answers):
            os.close(file)


@pytest.fixture
def here(monkeypatch) -> None:
    """No sandbox and no new process: two seconds less for each student."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.setattr(student_module, "Process", Here)


@pytest.fixture
def grade_here(here, assignment, tmp_path) -> Callable[..., dict]:
    """``grade_here(notebook, version=4)``: the record of a notebook, graded in this process."""

    def run(notebook: NotebookNode, name: str = "answer.ipynb") -> dict:
        path = tmp_path / name
        path.write_text(json.dumps(notebook), encoding="utf-8")  # as it is: nbformat would mend it
        return grade(Submission("ann", path), assignment)

    return run

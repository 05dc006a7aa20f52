"""A student's process: cells in any order, and a fresh process after one that hangs, ends itself or forges answers."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import pytest
import torch

from spacemeshlab.course import student as module
from spacemeshlab.course import wire
from spacemeshlab.course.judge import Refused, Stopped, Unstarted
from spacemeshlab.course.sandbox import Limits
from spacemeshlab.course.student import Code, Student

SHORT = Limits(cell=4, call=3)
HARM = """
import os, signal, struct, sys, threading, time

def echo(x): return x
def die(): os._exit(0)
def wait(): time.sleep(99)
def shout():
    for _ in range(11): print("x" * 2**20)
def freeze():
    def later():
        time.sleep(0.3)
        signal.raise_signal(signal.SIGSTOP)
    threading.Thread(target=later, daemon=True).start()
def forge():
    text = b'{"!": "dict", "parts": [["number", 1], ["points", 16]]}'
    for file in range(3, 40):
        try: os.write(file, struct.pack("<QQ", len(text), 0) + text)
        except OSError: pass
"""
NAMES = ["echo", "die", "wait", "shout", "freeze", "forge", "late"]


@pytest.fixture(scope="module")
def harmful():
    cells = [Code("first", HARM, ("echo",)), Code("endless", "import time\ntime.sleep(99)", ("late",))]
    with Student(cells, SHORT) as student:
        yield SimpleNamespace(student=student, **student.functions(NAMES))


def test_a_cell_without_end_is_left_out_and_all_others_count(harmful):
    assert "endless was left out: it took more than 4 s" in harmful.student.notes
    assert harmful.echo(3) == 3
    with pytest.raises(Refused, match="endless ended in a process that had to be ended"):
        harmful.late()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("die", "it ended its own process"),
        ("wait", "it took more than 3 s"),
        ("forge", "it gave an answer that cannot be read"),
    ],
)
def test_a_call_that_does_not_come_back_is_stopped_and_the_next_one_is_answered(harmful, name, why):
    with pytest.raises(Stopped, match=f"^{why}$"):
        getattr(harmful, name)()
    assert harmful.echo((name, 1)) == (name, 1)


def test_a_process_that_stops_reading_is_ended_although_more_is_sent_than_a_pipe_holds(harmful):
    harmful.freeze()
    time.sleep(1)
    with pytest.raises(Stopped, match="it read nothing for 3 s"):
        harmful.echo(torch.zeros(10**6))


def test_a_flood_of_prints_is_noted_and_stops_nobody(harmful):
    harmful.shout()
    assert harmful.echo(1) == 1
    assert "it printed more than 10 MiB, which nobody kept" in harmful.student.notes


def test_gradients_of_a_process_that_is_gone_are_no_crash(harmful):
    out = harmful.echo(torch.ones(1, requires_grad=True))
    with pytest.raises(Stopped):
        harmful.die()
    with pytest.raises(Stopped, match="its process had ended before the gradients were asked for"):
        out.sum().backward()


@pytest.fixture
def run(here):
    """``run(cells, names)``: functions, errors and notes of cells given as texts, run in this process."""

    def run(*cells, names=("f", "g")):
        codes = [
            Code(f"cell {i}", text, tuple(name for name in names if f"{name} =" in text))
            for i, text in enumerate(cells)
        ]
        with Student(codes) as student:
            functions = student.functions(names)
            return {name: function(1) for name, function in functions.items()}, student.errors, student.notes

    return run


def test_cells_that_failed_are_tried_again_when_all_others_have_run(run):
    found, errors, _ = run("f = lambda x: helper(x)\nh = helper", "def helper(x): return x + 1")
    assert (found, errors) == ({"f": 2}, {})


def test_a_cell_that_failed_is_not_tried_again_if_a_later_one_defines_the_same(run):
    found, errors, _ = run("f = lambda x: 'old'\nnone", "f = lambda x: 'new'")
    assert found == {"f": "new"}
    assert errors == {"cell 0": "NameError: name 'none' is not defined (line 2: none)"}


@pytest.mark.parametrize(
    "text", ["exit()", "import sys; sys.exit(3)", "raise SystemExit", "quit()", "raise KeyboardInterrupt"]
)
def test_a_cell_that_wants_to_end_everything_ends_nothing(run, text):
    found, errors, notes = run("f = lambda x: 'before'", text, "g = lambda x: 'after'")
    assert found == {"f": "before", "g": "after"}
    assert list(errors) == ["cell 1"]
    assert notes == []


def test_what_a_cell_defined_before_its_error_is_there_and_what_it_did_not_is_explained(here):
    cells = [Code("one", "f = lambda x: x\n1 / 0\ng = 2", ("f", "g")), Code("two", "h = (", ("h",))]
    with Student(cells) as student:
        functions = student.functions(["f", "g", "h", "i"])
        assert functions["f"](1) == 1
        assert "i" not in functions
        with pytest.raises(Refused, match=r"one ended in ZeroDivisionError: division by zero \(line 2: 1 / 0\)"):
            functions["g"](1)
        with pytest.raises(Refused, match=r"two ended in SyntaxError: '\(' was never closed \(line 1: h = \(\)"):
            functions["h"](1)


def test_a_notebook_whose_time_is_over_says_so_for_every_function(here):
    with Student([Code("one", "f = lambda x: x", ("f",))], Limits(whole=-1)) as student:
        functions = student.functions(["f"])
        with pytest.raises(Refused, match="the whole notebook took more than -1 s"):
            functions["f"](1)


class Silent:
    """A process that ends before it says anything."""

    output = b"some words\nbwrap: no room\n"

    def __init__(self, _):
        self.answers, writer = os.pipe()
        os.close(writer)

    def close(self):
        os.close(self.answers)


def fails(_):
    raise BlockingIOError(11, "Resource temporarily unavailable")


@pytest.mark.parametrize(("process", "why"), [(Silent, "bwrap: no room"), (fails, "BlockingIOError")])
def test_a_machine_that_gives_no_process_is_no_fault_of_the_student(monkeypatch, process, why):
    monkeypatch.setattr(module, "Process", process)
    with Student([]) as student, pytest.raises(Unstarted, match=f"no process for the submission: {why}"):
        student.functions(["f"])


def test_notes_are_kept_once_and_not_without_end(here):
    with Student([]) as student:
        student.functions([])
        for number in range(200):
            student._note(f"note {number % 100}")
        assert student.notes == [f"note {number}" for number in range(50)]


def test_an_answer_to_another_question_is_not_taken(here, monkeypatch):
    with Student([Code("one", "f = lambda x: x")]) as student:
        f = student.functions(["f"])["f"]
        monkeypatch.setattr(wire, "pack", lambda value, pack=wire.pack: pack({**value, "number": 7}))
        with pytest.raises(Stopped, match="cannot be read"):
            f(1)

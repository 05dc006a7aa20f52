"""How far a run is, on a terminal, in a notebook and in a log file."""

from __future__ import annotations

import sys

import pytest

import spacemeshlab.progress as module
from spacemeshlab.progress import Progress, in_notebook


def test_a_log_file_gets_whole_lines_now_and_then_and_one_at_the_end(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with Progress("run", 100, start=20) as shown:
        for done in range(21, 101):
            now[0] += 1
            shown.update(done, loss=f"{done / 100:.2f}")
    out = capsys.readouterr().out
    assert out.splitlines() == [
        "run 50/100, loss 0.50, 1 s a step, 00:50 left",
        "run 80/100, loss 0.80, 1 s a step, 00:20 left",
        "run 100/100, loss 1.00, 1 s a step, 00:00 left",
    ]
    assert "\r" not in out


def test_values_stay_until_they_are_replaced(capsys):
    with Progress("run", 2) as shown:
        shown.update(1, loss="1.0", mIoU="0.5")
        shown.update(2, loss="0.9")
    assert capsys.readouterr().out.startswith("run 2/2, loss 0.9, mIoU 0.5, ")


@pytest.mark.parametrize("where", ["terminal", "notebook"])
def test_a_terminal_and_a_notebook_get_a_bar_that_redraws_itself(capsys, monkeypatch, where):
    if where == "terminal":
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    else:
        monkeypatch.setattr(module, "in_notebook", lambda: True)
    with Progress("run", 4, start=1) as shown:
        shown.update(2, loss="0.7")
        shown.update(4)
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    last = out.strip().split("\r")[-1]
    assert last.startswith("run: 100%")
    assert "4/4" in last
    assert "loss=0.7" in last


@pytest.mark.parametrize("terminal", [False, True])
def test_nothing_is_shown_when_nothing_is_asked_for(capsys, monkeypatch, terminal):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    with Progress("run", 1, show=False) as shown:
        shown.update(1, loss="0.7")
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_test_is_no_notebook():
    assert not in_notebook()

"""A signal sets a flag, for as long as somebody asks; every process hears of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

import spacemeshlab.stop as module
from spacemeshlab.stop import SIGNALS, StopRequest, stop_without

CPU = torch.device("cpu")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_and_the_process_lives(number):
    with StopRequest() as stop:
        assert not stop.agreed(CPU)
        os.kill(os.getpid(), number)
        assert stop.agreed(CPU)
        assert stop.signal == number


def test_afterwards_signals_do_what_they_did_before():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("outer"))
    try:
        with StopRequest() as stop:
            pass
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == ["outer"]
    assert stop.signal == 0


def test_outside_the_main_thread_nothing_is_listened_to_and_nothing_fails():
    found = []

    def run() -> None:
        with StopRequest() as stop:
            found.append(stop.agreed(CPU))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [False]


def test_what_another_process_heard_counts_too(monkeypatch):
    monkeypatch.setattr(module, "world_size", lambda: 2)
    monkeypatch.setattr(module, "add_up", lambda tensor: tensor + signal.SIGTERM)
    with StopRequest() as stop:
        assert stop.agreed(CPU)
        assert stop.signal == 0


def test_a_process_whose_asker_is_gone_or_killed_is_asked_to_stop(monkeypatch):
    monkeypatch.setattr(module, "_WATCH_SECONDS", 0.01)
    asker = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with StopRequest() as stop:
        stop_without(asker.pid)
        time.sleep(0.1)
        assert not stop.signal
        asker.kill()  # nobody has taken note of its end yet: the kernel still lists it
        wait_for_signal(stop)
        assert stop.signal == signal.SIGTERM
        asker.wait()
        stop.signal = 0
        stop_without(asker.pid)
        wait_for_signal(stop)
        assert stop.signal == signal.SIGTERM


def wait_for_signal(stop):
    for _ in range(500):
        if stop.signal:
            return
        time.sleep(0.01)

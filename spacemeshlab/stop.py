"""A machine that is about to be taken away says so with a signal; a run then saves and ends (chapter 13).

SIGTERM comes from schedulers, clouds and ``kill``; SIGUSR1 from SLURM's ``--signal=USR1@60``. The step in progress is
finished first: a checkpoint is always a state between two steps.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Self

import psutil
import torch

from spacemeshlab.distributed import add_up, world_size

SIGNALS = (signal.SIGTERM, getattr(signal, "SIGUSR1", signal.SIGTERM))

_WATCH_SECONDS = 0.5


class StopRequest:
    """While it is entered, the signals set a flag instead of ending the process.

    Attributes:
        signal: the number of the signal that came, or 0.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # nobody else may listen
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: object) -> None:
        self.signal = number

    def agreed(self, device: torch.device) -> bool:
        """Whether any process was asked to stop. Every process must ask, at the same step."""
        if world_size() == 1:
            return bool(self.signal)
        return bool(add_up(torch.tensor(self.signal, device=device)).item())


def stop_without(process: int) -> None:
    """End this process as SIGTERM would, with everything saved, as soon as ``process`` is gone: it waits for this one.

    A process that is killed cannot end those that it started; they would go on, and nobody would know of them.
    """

    def watch() -> None:
        while _lives(process):
            time.sleep(_WATCH_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _lives(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

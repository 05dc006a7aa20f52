"""How far a run is: a bar on a terminal and in a notebook, lines in a log file (chapter 13).

A bar redraws itself with carriage returns. In a file, where nothing is ever redrawn, it would be one endless line.
"""

from __future__ import annotations

import sys
import time
from typing import Self

from tqdm import tqdm

LINE_SECONDS = 30.0
"""Between two lines in a log file."""


class Progress:
    """Shows iterations done, the latest values, speed and the time left.

    Args:
        name: of what is running.
        total: iterations at the end.
        start: iterations done before this process.
        show: False shows nothing.
    """

    def __init__(self, name: str, total: int, start: int = 0, show: bool = True) -> None:
        self.name, self.total, self.start, self.show = name, total, start, show
        self.values: dict[str, str] = {}
        self._redraws = sys.stdout.isatty() or in_notebook()

    def __enter__(self) -> Self:
        self._started = self._spoke = time.monotonic()
        self._bar = tqdm(
            total=self.total,
            initial=self.start,
            desc=self.name,
            disable=not (self.show and self._redraws),
            mininterval=1 if sys.stdout.isatty() else 10,
            file=sys.stdout,
        )
        return self

    def update(self, done: int, **values: str) -> None:
        """``done`` iterations are behind; ``values`` stay shown until they are replaced."""
        self.values |= values
        if self._redraws:
            self._bar.set_postfix(self.values, refresh=False)
            self._bar.update(done - self._bar.n)
        elif self.show and (done >= self.total or time.monotonic() - self._spoke >= LINE_SECONDS):
            self._spoke = time.monotonic()
            print(self.line(done, self._spoke - self._started), flush=True)

    def line(self, done: int, seconds: float) -> str:
        """One line of a log file, ``seconds`` after the start."""
        speed = seconds / max(1, done - self.start)
        left = tqdm.format_interval(speed * (self.total - done))
        shown = "".join(f", {name} {value}" for name, value in self.values.items())
        return f"{self.name} {done}/{self.total}{shown}, {speed:.3g} s a step, {left} left"

    def __exit__(self, *_: object) -> None:
        self._bar.close()


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None

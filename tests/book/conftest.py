"""What tests of several pages share."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from spacemeshlab.arguments import Parser


class Understood(BaseException):
    """A parser had no objection; nothing is run."""

    def __init__(self, found: object) -> None:
        self.found = found


@pytest.fixture
def parse(monkeypatch):
    """``parse(script, words)`` is what the script's own parser makes of the words."""

    def stop_after(method):
        def parse(self, *given):
            raise Understood(method(self, *given))

        return parse

    for name in ("parse_args", "parse_intermixed_args"):
        monkeypatch.setattr(Parser, name, stop_after(getattr(Parser, name)))

    def run(script: str, words: list[str]) -> object:
        module = importlib.import_module(Path(script).stem)
        monkeypatch.setattr(sys, "argv", [script, *words])
        with pytest.raises(Understood) as understood:
            module.main()
        return understood.value.found

    return run

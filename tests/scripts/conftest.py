"""One finished run of the smallest network for the scripts that need one, and a way to call a script."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from spacemeshlab.recipe import get_recipe
from spacemeshlab.train import train

SMALL = ("crop=32x64", "rates=1,2", "batch_size=2", "iterations=2", "validate_every=2", "scale=1")
"""The least that a network can be trained with."""


@dataclass
class Outcome:
    """What a script left: exit code and text."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., Outcome]:
    """``call(script, *words)`` runs a script's ``main`` as the command line would, without a new process."""

    def run(script: ModuleType, *words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", [script.__file__, *map(str, words)])
        code = 0
        try:
            script.main()
        except SystemExit as stopped:
            code = stopped.code
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(call: Callable[..., Outcome]) -> Callable[..., str]:
    """``refused(script, *words)`` checks exit code 2 and a single line on stderr, and returns that line."""

    def run(script: ModuleType, *words: object) -> str:
        outcome = call(script, *words)
        assert outcome.code == 2
        assert outcome.err.startswith("error: ")
        assert outcome.err.count("\n") == 1
        return outcome.err.strip()

    return run


@pytest.fixture(scope="session")
def run_dir(toycity_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the tiny ToyCity: real network, two steps. Do not write into it."""
    return train(get_recipe("toycity", SMALL), toycity_dir, tmp_path_factory.mktemp("runs") / "small", progress=False)

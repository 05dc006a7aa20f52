"""What every test file can ask for: data that others share, a tiny ToyCity, and a clean start of random numbers."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from spacemeshlab.data import toycity

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure() -> None:
    """Ctrl-C is Ctrl-C, also for tests that a shell has started in the background, where it is ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tiny tensors gain nothing from threads, and sums then have one order."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with real data: SPACEMESHLAB_SHARED, or ``shared`` beside the checkout."""
    folder = Path(os.environ.get("SPACEMESHLAB_SHARED") or ROOT.parent / "shared")
    if not folder.is_dir():
        message = f"no folder {folder}: set SPACEMESHLAB_SHARED to the folder that holds data/camvid"
        (pytest.fail if os.environ.get("SPACEMESHLAB_REQUIRE_SHARED") == "1" else pytest.skip)(message)
    return folder


@pytest.fixture(scope="session")
def toycity_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ToyCity of 4 + 2 scenes, 64x128, in Cityscapes' layout. Do not write into it."""
    return toycity.generate(tmp_path_factory.mktemp("data") / "toycity", train=4, val=2, size=(64, 128), progress=False)

"""What the diagnosis is tried on: a file's own ``sound`` network, and the tiny ToyCity."""

from __future__ import annotations

import copy

import pytest

from spacemeshlab.data import open_dataset
from spacemeshlab.data.transforms import eval_transform


@pytest.fixture
def net(sound):
    """A copy to break."""
    return copy.deepcopy(sound)


@pytest.fixture(scope="session")
def dataset(toycity_dir):
    return open_dataset("cityscapes", toycity_dir, "val", eval_transform())

"""Tiny data sets that the tests write themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def _write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture
def write() -> Callable[[Path, np.ndarray], None]:
    """Write an array (H, W) or (H, W, 3) uint8 as an image file."""
    return _write


@pytest.fixture
def camvid_root(tmp_path: Path) -> Path:
    """Ten .jpg images of 24 x 32 in train; image i is grey 20 i, its label is class i everywhere, void in row 0."""
    for index in range(10):
        _write(tmp_path / "train" / f"scene_{index}.jpg", np.full((24, 32, 3), 20 * index, dtype=np.uint8))
        label = np.full((24, 32), index, dtype=np.uint8)
        label[0] = 11
        _write(tmp_path / "trainannot" / f"scene_{index}.png", label)
    return tmp_path


@pytest.fixture
def cityscapes_root(tmp_path: Path) -> Path:
    """Two cities in train; every label file holds the ids 0..33, one a column."""
    label = np.tile(np.arange(34, dtype=np.uint8), (5, 1))
    for city in ("aachen", "zurich"):
        stem = f"{city}_000000_000019"
        _write(
            tmp_path / "leftImg8bit" / "train" / city / f"{stem}_leftImg8bit.png",
            np.zeros((5, 34, 3), dtype=np.uint8),
        )
        _write(tmp_path / "gtFine" / "train" / city / f"{stem}_gtFine_labelIds.png", label)
    return tmp_path

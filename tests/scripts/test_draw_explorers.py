"""scripts/draw_explorers.py: the street says what ToyCity says, the pictures what they claim, and all are current."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import draw_explorers as script
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from spacemeshlab.data.labels import CITYSCAPES
from spacemeshlab.data.toycity import scene

FOLDER = Path(__file__).resolve().parents[2] / "book" / "_static" / "explorers"


@pytest.fixture(autouse=True)
def _no_windows():
    mpl.use("Agg")
    yield
    plt.close("all")


def data(text: str) -> dict:
    return json.loads(re.search(r"street = (\{.*\});\n$", text, flags=re.DOTALL)[1])


@pytest.fixture
def committed() -> dict:
    return data((FOLDER / "street.js").read_text(encoding="utf-8"))


def test_the_street_of_the_book_is_the_one_that_the_script_writes(committed):
    fresh = data(script.street())
    assert {**committed, "image": None} == {**fresh, "image": None}


def test_the_streets_picture_is_small_and_looks_like_the_scene(committed):
    kind, _, encoded = committed["image"].partition(",")
    content = base64.b64decode(encoded)
    assert kind == "data:image/webp;base64"
    assert len(content) < 25_000
    shown = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=float)
    assert np.abs(shown - scene(7, "val")[0]).mean() < 6  # of 255


def test_the_streets_cells_hold_what_their_pixels_hold(committed):
    ids = scene(7, "val")[1]
    assert (committed["rows"] * 16, committed["columns"] * 16) == ids.shape
    for index, classes in enumerate(committed["cells"]):
        row, column = divmod(index, committed["columns"])
        pixels = ids[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
        share = [(pixels == CITYSCAPES.file_values[k]).mean() for k in classes]
        assert share == sorted(share, reverse=True)
        assert all(part > 0.1 for part in share)
        counted = sum((pixels == value).mean() for value in CITYSCAPES.file_values)
        assert bool(classes) == (counted > 0.5), (row, column)


def test_classes_on_a_cell_stand_by_size_and_void_does_not_stand_at_all():
    cell = np.repeat([5, 2, 255, 11], [60, 100, 80, 16])
    assert script.classes_on(cell) == [2, 5]
    assert script.classes_on(np.repeat([255, 2], [200, 56])) == []


def test_the_picture_of_the_taps_counts_as_chapter_09_does():
    below = script.metrocon2().axes[3:]
    titles = [ax.get_title() for ax in below]
    assert [title.split(",")[0] for title in titles] == ["25 cells", "49 cells", "1369 cells"]
    for ax, title in zip(below, titles, strict=True):
        squares = [patch.get_xy() for patch in ax.patches[:-2]]  # without the frame of the middle
        inside = sum(0 <= row < 16 and 0 <= column < 32 for column, row in squares)
        assert title == f"{len(squares)} cells, {inside} inside the map"


def test_the_picture_of_the_shuffle_has_each_number_three_times():
    words = [text.get_text() for text in script.shuffle().axes[0].texts]
    numbers = sorted(int(word) for word in words if word.isdigit())
    assert numbers == sorted([*range(32)] * 3)


def test_every_explorer_has_a_small_picture_of_the_size_that_the_script_draws(tmp_path):
    script.setup()
    script.write(tmp_path)
    assert {path.stem for path in tmp_path.glob("*.png")} == set(script.PICTURES)
    for name in script.PICTURES:
        assert (FOLDER / f"{name}.js").is_file()
        fresh, kept = (Image.open(folder / f"{name}.png").convert("RGB") for folder in (tmp_path, FOLDER))
        assert kept.size == fresh.size
        difference = np.abs(np.asarray(kept, dtype=float) - np.asarray(fresh, dtype=float)).mean()
        assert difference < 2, f"python scripts/draw_explorers.py: {name}.png is out of date"
        assert (FOLDER / f"{name}.png").stat().st_size < 150_000

"""scripts/predict.py: two files a photograph, of its size, in the data set's colours and label values."""

from __future__ import annotations

import numpy as np
import predict as script
import pytest
from PIL import Image

from spacemeshlab.data.labels import CITYSCAPES


@pytest.fixture
def photographs(tmp_path):
    """A PNG and a JPEG of odd sizes, in different folders."""
    random = np.random.default_rng(0)
    paths = [tmp_path / "a" / "street.png", tmp_path / "b" / "square.jpg"]
    for path, size in zip(paths, [(37, 50, 3), (64, 41, 3)], strict=True):
        path.parent.mkdir()
        Image.fromarray(random.integers(256, size=size, dtype=np.uint8)).save(path)
    return paths


def test_each_photograph_gets_an_overlay_and_a_palette_file_of_its_own_size(call, run_dir, photographs, tmp_path):
    outcome = call(script, run_dir, *photographs, "--out", tmp_path / "new" / "out")
    assert (outcome.code, outcome.out) == (0, f"done: 4 files in {tmp_path / 'new' / 'out'}\n")
    names = {path.name for path in (tmp_path / "new" / "out").iterdir()}
    assert names == {f"{stem}_{kind}.png" for stem in ("street", "square") for kind in ("overlay", "labels")}
    for path in photographs:
        overlay, labels = (
            Image.open(tmp_path / "new" / "out" / f"{path.stem}_{kind}.png") for kind in ("overlay", "labels")
        )
        assert overlay.size == labels.size == Image.open(path).size
        assert (overlay.mode, labels.mode) == ("RGB", "P")
        values = np.asarray(labels)
        assert set(np.unique(values)) <= set(CITYSCAPES.file_values)
        colours = CITYSCAPES.colours[CITYSCAPES.to_index[values]]
        assert np.array_equal(np.asarray(labels.convert("RGB")), colours)


def test_tta_predicts_too(call, run_dir, photographs, tmp_path):
    assert call(script, run_dir, photographs[0], "--out", tmp_path / "out", "--tta").code == 0
    assert Image.open(tmp_path / "out" / "street_labels.png").size == (50, 37)


def test_a_missing_or_broken_image_or_run_is_one_line_and_nothing_is_written(refused, run_dir, photographs, tmp_path):
    out = ("--out", tmp_path / "out")
    assert "none.png: expected an image, found no such file" in refused(
        script, run_dir, photographs[0], tmp_path / "none.png", *out
    )
    (tmp_path / "text.png").write_text("no image")
    assert "text.png: expected a complete image, found 8 bytes" in refused(script, run_dir, tmp_path / "text.png", *out)
    assert "expected a checkpoint at" in refused(script, tmp_path / "none", photographs[0], *out)
    assert not (tmp_path / "out").exists()


def test_two_images_that_would_get_the_same_files_are_refused(refused, run_dir, photographs, tmp_path):
    twin = photographs[1].with_name("street.jpg")
    photographs[1].rename(twin)
    line = refused(script, run_dir, photographs[0], twin, "--out", tmp_path / "out")
    assert f"images with different names, found {photographs[0]} and {twin}: label them one by one" in line

"""scripts/predict.py: two files a photograph, of its size, in the data set's colours and label values."""

from __future__ import annotations

import functools

import numpy as np
import predict as script
import pytest
import torch
from PIL import Image

import spacemeshlab.predict as module
from spacemeshlab.data.labels import CITYSCAPES
from spacemeshlab.pictures import overlay, read_photograph
from spacemeshlab.predict import load_network

load_once = functools.cache(load_network)


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch):
    """The same network for all tests: building it takes longer than everything else here."""
    monkeypatch.setattr(script, "load_network", load_once)


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
    assert "none.png: expected a picture, found no such file" in refused(
        script, run_dir, photographs[0], tmp_path / "none.png", *out
    )
    (tmp_path / "text.png").write_text("no image")
    line = refused(script, run_dir, photographs[0], tmp_path / "text.png", *out)
    assert "text.png: expected a complete picture, found 8 bytes" in line
    assert "expected a checkpoint at" in refused(script, tmp_path / "none", photographs[0], *out)
    assert not (tmp_path / "out").exists()


def test_two_images_that_would_get_the_same_files_are_refused(refused, run_dir, photographs, tmp_path):
    twin = photographs[1].with_name("street.jpg")
    photographs[1].rename(twin)
    line = refused(script, run_dir, photographs[0], twin, "--out", tmp_path / "out")
    assert f"images with different names, found {photographs[0]} and {twin}: label them one by one" in line


def test_the_files_hold_what_the_network_predicts_for_the_upright_picture(call, run_dir, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    random = np.random.default_rng(0)
    path = tmp_path / "turned.png"
    Image.fromarray(random.integers(256, size=(20, 34, 4), dtype=np.uint8)).save(path, exif=exif)
    assert call(script, run_dir, path, "--out", tmp_path / "out", "--window", "16x16").code == 0
    image = read_photograph(path)
    assert image.shape == (3, 34, 20)
    prediction = load_once(run_dir, "last").predict(image, window=(16, 16))
    labels = np.asarray(Image.open(tmp_path / "out" / "turned_labels.png"))
    assert np.array_equal(labels, CITYSCAPES.to_file_value[prediction.numpy()])
    shown = np.asarray(Image.open(tmp_path / "out" / "turned_overlay.png"))
    assert np.array_equal(shown, np.asarray(overlay(image, prediction, CITYSCAPES)))


def test_a_safetensors_file_or_the_best_checkpoint_labels_too(call, run_dir, photographs, tmp_path):
    ways = {"last": (run_dir,), "file": (run_dir / "model.safetensors",), "best": (run_dir, "--checkpoint", "best")}
    for name, (source, *options) in ways.items():
        assert call(script, source, photographs[0], "--out", tmp_path / name, *options).code == 0
    same, other = (np.asarray(Image.open(tmp_path / name / "street_labels.png")) for name in ("last", "file"))
    assert np.array_equal(same, other)
    assert (tmp_path / "best" / "street_labels.png").exists()


def test_a_folder_stands_for_the_pictures_in_it(call, run_dir, photographs, tmp_path):
    folder = photographs[0].parent
    for name in ("notes.txt", ".hidden.png"):
        (folder / name).write_text("no picture")
    (folder / "more.png").mkdir()
    Image.new("L", (16, 16)).save(folder / "UPPER.TIF")
    outcome = call(script, run_dir, folder, photographs[0], photographs[1], "--out", tmp_path / "out")
    assert outcome.code == 0
    assert f"{folder}: 1 other files left out, such as notes.txt\n" in outcome.out
    assert outcome.out.endswith(f"done: 6 files in {tmp_path / 'out'}\n")
    assert {path.name[:-11] for path in (tmp_path / "out").glob("*_labels.png")} == {"UPPER", "street", "square"}


def test_a_folder_without_pictures_is_one_line(refused, run_dir, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "photo.heic").write_bytes(b"0")
    line = refused(script, run_dir, tmp_path / "a", "--out", tmp_path / "out")
    assert f"{tmp_path / 'a'}: expected pictures (.avif .bmp" in line
    assert "found none and 1 other files: name the folder" in line


def test_pictures_are_never_replaced_by_results(refused, run_dir, photographs, tmp_path):
    folder = photographs[0].parent
    line = refused(script, run_dir, folder, "--out", folder)
    assert f"expected --out outside the pictures, got their folder {folder}: choose another" in line
    second = folder / "street_overlay.png"
    Image.new("RGB", (4, 4)).save(second)
    before = second.read_bytes()
    line = refused(script, run_dir, photographs[0], second, "--out", folder)
    assert f"expected to keep the picture {second}, but --out would replace it" in line
    assert second.read_bytes() == before
    assert {path.name for path in folder.iterdir()} == {"street.png", "street_overlay.png"}


def test_a_folder_that_cannot_be_made_is_one_line(refused, run_dir, photographs, tmp_path):
    line = refused(script, run_dir, photographs[0], "--out", photographs[1])
    assert f"expected to make the folder {photographs[1]}, found File exists: choose another --out" in line


@pytest.mark.parametrize("text", ["768", "768x", "x768", "axb", "0x768", "15x768", "-16x32", "16x32x64"])
def test_a_window_that_is_none_is_one_line(refused, run_dir, photographs, tmp_path, text):
    line = refused(script, run_dir, photographs[0], "--out", tmp_path / "out", f"--window={text}")
    assert f"--window: expected HEIGHTxWIDTH such as 768x768, both at least 16, got {text!r}" in line


def test_tiles_and_frames_are_said(call, run_dir, tmp_path, monkeypatch):
    frames = [Image.new("RGB", (60, 40), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    arguments = (script, run_dir, tmp_path / "moving.gif", "--out", tmp_path / "out")
    assert "labelled in" not in call(*arguments).out
    monkeypatch.setattr(module, "WHOLE", 2000)
    monkeypatch.setattr(module, "TILE", (32, 48))
    outcome = call(*arguments)
    assert outcome.code == 0
    assert f"{tmp_path / 'moving.gif'}: 2 frames or pages, read the first\n" in outcome.out
    assert f"{tmp_path / 'moving.gif'}: 40x60 pixels are labelled in 4 tiles\n" in outcome.out
    assert Image.open(tmp_path / "out" / "moving_labels.png").size == (60, 40)


def test_too_little_memory_on_the_gpu_is_one_line(call, run_dir, photographs, tmp_path, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    monkeypatch.setattr(module, "predict_logits", full)
    outcome = call(script, run_dir, photographs[0], "--out", tmp_path / "out")
    assert outcome.code == 2
    assert outcome.err.endswith("a smaller --window, such as 256x256, or leave out --tta\n")  # after the bar
    assert "error: " in outcome.err
    assert list((tmp_path / "out").iterdir()) == []

"""ToyCity: deterministic, complete, in Cityscapes' layout, and its label maps are its polygons."""

import hashlib
import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from spacemeshlab.data import toycity
from spacemeshlab.data.labels import CITYSCAPES, IGNORE_INDEX
from spacemeshlab.errors import UserError

SIZE = (128, 256)
SCRIPT = Path(__file__).parents[2] / "scripts" / "toycity.py"


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    """A ToyCity of 8 + 4 scenes."""
    return toycity.generate(tmp_path_factory.mktemp("data") / "city", 8, 4, SIZE, progress=False)


def digest(*parts):
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


def label_maps(city, split):
    return [np.asarray(Image.open(path)) for path in sorted(city.glob(f"gtFine/{split}/*/*_gtFine_labelIds.png"))]


def test_the_layout_and_the_names_are_those_of_cityscapes(city):
    found = sorted(str(path.relative_to(city)) for path in city.rglob("*") if path.is_file())
    expected = ["toycity.json"]
    for split, name, count in (("train", "toyburg", 8), ("val", "toyford", 4)):
        for index in range(count):
            scene = f"{split}/{name}/{name}_{index:06d}_000019"
            expected += [f"leftImg8bit/{scene}_leftImg8bit.png", f"gtFine/{scene}_gtFine_labelIds.png"]
            expected += [f"gtFine/{scene}_gtFine_polygons.json"]
    assert found == sorted(expected)


def test_pictures_are_rgb_and_label_maps_8_bit_of_the_size_asked_for(city):
    for path in city.rglob("*.png"):
        with Image.open(path) as picture:
            assert (picture.size, picture.mode) == (SIZE[::-1], "RGB" if "leftImg8bit" in path.name else "L"), path


def test_a_scene_depends_neither_on_the_count_nor_the_order_nor_the_global_random_state(city, tmp_path):
    np.random.seed(5)  # noqa: NPY002 - the point of the test
    other = toycity.generate(tmp_path / "other", 2, 1, SIZE, progress=False)
    files = [path for path in sorted(other.rglob("*_*")) if path.is_file()]
    assert len(files) == 9
    for path in files:
        assert path.read_bytes() == (city / path.relative_to(other)).read_bytes(), path
    picture, labels, _ = toycity.scene(5, "train", SIZE)
    again = toycity.scene(5, "train", SIZE)
    assert digest(picture, labels) == digest(*again[:2])
    stored = city / "leftImg8bit" / "train" / (toycity.stem("train", 5) + toycity.IMAGE_SUFFIX)
    np.testing.assert_array_equal(picture, np.asarray(Image.open(stored)))


def test_seed_split_and_index_each_make_another_scene():
    scenes = [(0, "train", 0), (1, "train", 0), (0, "val", 0), (0, "train", 1)]
    digests = {digest(toycity.scene(index, split, (64, 128), seed)[1]) for index, split, seed in scenes}
    assert len(digests) == len(scenes)


@pytest.mark.parametrize("split", ["train", "val"])
def test_all_19_classes_occur_in_four_scenes_in_a_row(city, split):
    maps = label_maps(city, split)
    for start in range(0, len(maps), 4):
        counts = np.bincount(np.stack(maps[start : start + 4]).ravel(), minlength=256)
        missing = [
            name for name, value in zip(CITYSCAPES.classes, CITYSCAPES.file_values, strict=True) if counts[value] < 8
        ]
        assert missing == []


def test_every_label_is_known_some_pixels_are_void_and_large_things_dominate(city):
    index = CITYSCAPES.to_index[np.stack(label_maps(city, "train"))]
    assert index.min() >= 0
    assert 0.0 < np.mean(index == IGNORE_INDEX) < 0.15
    share = np.bincount(index[index != IGNORE_INDEX], minlength=19) / index.size
    assert set(np.argsort(share)[-2:]) == {CITYSCAPES.classes.index("road"), CITYSCAPES.classes.index("building")}
    assert share[CITYSCAPES.classes.index("vegetation")] > 0.04


def test_the_polygons_of_the_json_file_give_the_label_map_exactly(city):
    for path in sorted(city.rglob("*_gtFine_polygons.json")):
        content = json.loads(path.read_text())
        assert (content["imgHeight"], content["imgWidth"]) == SIZE
        canvas = Image.new("L", SIZE[::-1], 0)
        for item in content["objects"]:
            polygon = [tuple(point) for point in item["polygon"]]
            ImageDraw.Draw(canvas).polygon(polygon, fill=toycity.LABEL_IDS[item["label"]])
        labels = np.asarray(Image.open(str(path).replace("polygons.json", "labelIds.png")))
        np.testing.assert_array_equal(np.asarray(canvas), labels)


def runs(mask):
    """Lengths of the horizontal runs of True in a mask (H, W)."""
    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    return np.nonzero(edges < 0)[1] - np.nonzero(edges > 0)[1]


@pytest.mark.parametrize(("label", "widest"), [("pole", 2), ("traffic light", 4)])
def test_poles_and_traffic_lights_are_thin(city, label, widest):
    widths = np.concatenate([runs(labels == toycity.LABEL_IDS[label]) for labels in label_maps(city, "train")])
    assert 1 <= np.median(widths) <= widest


def test_the_picture_shows_what_the_labels_say():
    """Sky is brighter than road; edges of the labels are edges of the picture."""
    contrast = []
    for index in range(4):
        picture, labels, _ = toycity.scene(index, "val", SIZE)
        grey = picture.astype(float).mean(axis=2)
        assert grey[labels == 23].mean() > grey[labels == 7].mean()
        step, border = np.abs(np.diff(grey, axis=1)), np.diff(labels.astype(int), axis=1) != 0
        contrast.append(step[border].mean() / step[~border].mean())
    assert min(contrast) > 2.0


def test_an_existing_city_with_the_same_parameters_is_kept(city):
    before = {path: path.stat().st_mtime_ns for path in city.rglob("*")}
    assert toycity.generate(city, 8, 4, SIZE, progress=False) == city
    assert {path: path.stat().st_mtime_ns for path in city.rglob("*")} == before


def test_other_parameters_are_refused_and_nothing_is_touched(city):
    found = r"train 9.* found .*train 8, val 4, size 128x256, seed 0: choose another folder, or delete"
    with pytest.raises(UserError, match=found):
        toycity.generate(city, 9, 4, SIZE, progress=False)


def test_a_folder_that_is_no_toycity_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match=r"holds no toycity.json: choose another folder"):
        toycity.generate(tmp_path, 1, 1, SIZE, progress=False)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_a_city_with_a_missing_file_is_named(tmp_path):
    out = toycity.generate(tmp_path / "city", 1, 0, (64, 128), progress=False)
    path = next(out.rglob("*_labelIds.png"))
    path.unlink()
    with pytest.raises(UserError, match=re.escape(f"{path} is missing")):
        toycity.generate(out, 1, 0, (64, 128), progress=False)


def test_an_interrupted_run_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(toycity, "shade", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        toycity.generate(tmp_path / "city", 1, 0, (64, 128), progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(100, 256), (128, 250), (48, 128), (64, 112)])
def test_a_size_that_does_not_fit_is_an_error_with_a_remedy(size, tmp_path):
    with pytest.raises(UserError, match=rf"at least 64x128; got {size[0]}x{size[1]}: choose size \d+x\d+"):
        toycity.generate(tmp_path / "city", 1, 1, size, progress=False)


def test_wrong_counts_and_splits_are_errors(tmp_path):
    with pytest.raises(UserError, match="train must be 0 or more, got -1"):
        toycity.generate(tmp_path / "city", -1, 1, SIZE, progress=False)
    with pytest.raises(UserError, match="expected a split out of train, val; got 'test'"):
        toycity.scene(0, "test")


def test_a_place_where_no_folder_can_be_made_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"expected to make .*file/city, found: not a directory: choose another folder"):
        toycity.generate(tmp_path / "file" / "city", 1, 1, SIZE, progress=False)


def test_the_command_writes_a_city(tmp_path, monkeypatch, capsys):
    arguments = [str(tmp_path / "city"), "--train", "1", "--val", "1", "--size", "64x128", "--seed", "3"]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    assert "1 scenes to train on, 1 to validate on" in capsys.readouterr().out
    assert json.loads((tmp_path / "city" / "toycity.json").read_text())["seed"] == 3


def test_the_command_says_what_is_wrong_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(tmp_path / "city"), "--size", "big"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert capsys.readouterr().err == "error: --size expects HxW, got 'big': try --size 256x512\n"

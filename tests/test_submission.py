"""An archive for the test server: built once, resumed, and every way to be refused found before the upload."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official
from PIL import Image
from torch import nn

from spacemeshlab import submission
from spacemeshlab.data import toycity
from spacemeshlab.data.dataset import read_image
from spacemeshlab.data.labels import CAMVID, CITYSCAPES
from spacemeshlab.data.transforms import normalise
from spacemeshlab.errors import UserError
from spacemeshlab.predict import TrainedNetwork
from spacemeshlab.recipe import get_recipe
from spacemeshlab.submission import CITIES, SIZE, SOURCE_FILE, build_submission, check_submission, split_images

GOOD = np.array([[7, 8, 11, 33], [26, 26, 31, 32]], dtype=np.uint8)


class Pointwise(nn.Conv2d):
    """The smallest segmentation network: a 1×1 convolution. ``asked`` counts the images that it labelled."""

    def __init__(self):
        super().__init__(3, 19, 1)
        self.asked = 0

    def forward(self, images):
        self.asked += 1
        return {"out": super().forward(images)}


@pytest.fixture
def trained():
    recipe = get_recipe("toycity", ["scale=1"])
    return TrainedNetwork(Pointwise(), recipe, CITYSCAPES, 1, 1.0, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


@pytest.fixture
def root(toycity_dir, tmp_path):
    """Two images in a split test, without any label file, as somebody has it who downloaded only images."""
    shutil.copytree(toycity_dir / "leftImg8bit" / "val", tmp_path / "data" / "leftImg8bit" / "test")
    return tmp_path / "data"


def png(values=GOOD, mode=None, kind="PNG"):
    file = io.BytesIO()
    image = Image.fromarray(values)
    if mode == "P":
        image.putpalette(list(range(256)) * 3)
    elif mode:
        image = image.convert(mode)
    image.save(file, kind)
    return file.getvalue()


@pytest.fixture
def small_test_set(monkeypatch):
    """A test set of three images of 4x2, so that a whole archive is quickly made."""
    monkeypatch.setattr(submission, "CITIES", {"berlin": 2, "bonn": 1})
    monkeypatch.setattr(submission, "SIZE", (4, 2))
    return ["berlin_000000_000019", "berlin_000001_000019", "bonn_000000_000019"]


@pytest.fixture
def pack(small_test_set, tmp_path):
    """``pack({name: bytes or None})`` makes a good archive with these entries in place of, or beside, its own."""

    def make(changes=()):
        entries = {f"{frame}_leftImg8bit.png": png() for frame in small_test_set} | dict(changes)
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for name, content in entries.items():
                if content is not None:
                    archive.writestr(name, content)
        return tmp_path / "a.zip"

    return make


def names(path):
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def pixels(path, name):
    with zipfile.ZipFile(path) as archive, archive.open(name) as file, Image.open(file) as image:
        assert image.mode == "L"
        return np.asarray(image)


def test_an_archive_holds_one_grey_png_of_evaluation_ids_for_each_image(trained, root, tmp_path):
    built = build_submission(trained, root, tmp_path / "a.zip")
    images = split_images(root)
    assert built == (2, 0, 0, "2 images: not Cityscapes' 1,525")
    assert names(tmp_path / "a.zip") == [path.name for path in images.values()]
    for path in images.values():
        classes = trained.net(normalise(read_image(path))[None])["out"][0].argmax(0)
        values = pixels(tmp_path / "a.zip", path.name)
        assert np.array_equal(values, CITYSCAPES.to_file_value[classes.numpy()])
        assert set(np.unique(values)) <= set(CITYSCAPES.file_values)  # no train id, no 255


def test_the_official_script_finds_each_file_and_reads_palette_files_by_index(trained, root, tmp_path):
    build_submission(trained, root, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    arguments = SimpleNamespace(predictionPath=str(tmp_path / "unpacked"), predictionWalk=None)
    for frame, image in split_images(root).items():
        assert official.getPrediction(arguments, f"{frame}_gtFine_labelIds.png").endswith(image.name)
    (tmp_path / "p.png").write_bytes(png(mode="P"))
    assert np.array_equal(np.array(Image.open(tmp_path / "p.png")), GOOD)  # its two lines, np.array(Image.open(...))


def test_a_stopped_build_goes_on_where_it_was(trained, root, tmp_path):
    build_submission(trained, root, tmp_path / "a.zip")
    whole = (tmp_path / "a.zip").read_bytes()
    first, second = (path.name for path in split_images(root).values())
    (tmp_path / "a" / second).unlink()
    (tmp_path / "a.zip").unlink()
    kept, trained.net.asked = (tmp_path / "a" / first).stat().st_mtime_ns, 0
    assert build_submission(trained, root, tmp_path / "a.zip")[:3] == (1, 1, 0)
    assert trained.net.asked == 1
    assert (tmp_path / "a" / first).stat().st_mtime_ns == kept
    assert {*names(tmp_path / "a.zip")} == {first, second}
    assert len((tmp_path / "a.zip").read_bytes()) == len(whole)


@pytest.mark.parametrize("change", ["weights", "views", "images"])
def test_predictions_of_other_weights_views_or_images_are_made_again(trained, root, tmp_path, change):
    build_submission(trained, root, tmp_path / "a.zip")
    if change == "weights":
        with torch.no_grad():
            trained.net.bias[3] += 100
    if change == "images":
        toycity.generate(tmp_path / "other", train=1, val=2, size=(64, 128), seed=1, progress=False)
        shutil.rmtree(root)
        shutil.copytree(tmp_path / "other" / "leftImg8bit" / "val", root / "leftImg8bit" / "test")
    assert build_submission(trained, root, tmp_path / "a.zip", tta=change == "views")[:3] == (2, 0, 2)
    if change == "weights":
        assert (pixels(tmp_path / "a.zip", names(tmp_path / "a.zip")[0]) == CITYSCAPES.file_values[3]).all()


def test_the_record_beside_the_predictions_says_where_they_come_from(trained, root, tmp_path):
    build_submission(trained, root, tmp_path / "a.zip", tta=True)
    source = json.loads((tmp_path / "a" / SOURCE_FILE).read_text())
    assert source["views"] == "test, whole image, scales 0.5 0.75 1 1.25 1.5 1.75 + flip, logits averaged"
    assert set(source) == {"weights", "images", "views"}


def test_somebody_elses_pictures_are_never_touched(trained, root, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "holiday.png").write_bytes(png())
    with pytest.raises(UserError, match=r"a to be new or .*, found holiday.png and no predicted_by.json: choose"):
        build_submission(trained, root, tmp_path / "a.zip")
    assert (tmp_path / "a" / "holiday.png").read_bytes() == png()
    assert not (tmp_path / "a.zip").exists()


def test_other_classes_and_other_names_are_refused_before_anything_is_written(trained, root, tmp_path):
    with pytest.raises(UserError, match=r"expected a file ….zip to write, got .*a.tar: choose another name"):
        build_submission(trained, root, tmp_path / "a.tar")
    trained.labels = CAMVID
    with pytest.raises(UserError, match="classes of Cityscapes, found CamVid: name a run of the recipe cityscapes"):
        build_submission(trained, root, tmp_path / "a.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_the_test_set_has_1525_images_in_six_cities():
    assert (len(CITIES), sum(CITIES.values()), SIZE) == (6, 1525, (2048, 1024))


def test_all_1525_names_pass_flat_or_in_folders_with_or_without_a_suffix(monkeypatch, tmp_path):
    monkeypatch.setattr(submission, "SIZE", (4, 2))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for city, count in CITIES.items():
            archive.mkdir(city)
            for index in range(count):
                folder, suffix = ("", "_leftImg8bit") if index % 2 else (f"{city}/", "")
                archive.writestr(f"{folder}{city}_{index:06d}_000019{suffix}.png", png(mode=("P", None)[index % 2]))
    assert check_submission(tmp_path / "a.zip") == "1525 images: all of Cityscapes' test set"


FIRST = "berlin_000000_000019_leftImg8bit.png"
FAULTS = {
    "missing": ({FIRST: None}, r"berlin_\*.png: expected 2 files, found 1: mend"),
    "twice": ({"x/berlin_000000_000019.png": png()}, f"x/berlin_000000_000019.png: expected one file .*also {FIRST}"),
    "other image": ({"paris_000000_000019.png": png()}, "paris_000000_000019.png: expected files of the test images"),
    "junk": ({"__MACOSX/._a": b"junk"}, r"__MACOSX/._a: expected a name CITY_SSSSSS_FFFFFF\*.png, found another"),
    "colours": ({FIRST: png(mode="RGB")}, f"{FIRST}: expected one channel of 8 bits, found Pillow mode RGB"),
    "alpha": ({FIRST: png(mode="LA")}, "expected one channel of 8 bits, found Pillow mode LA"),
    "16 bits": ({FIRST: png(GOOD.astype(np.uint16))}, "expected one channel of 8 bits, found Pillow mode I;16"),
    "size": ({FIRST: png(GOOD.T.copy())}, f"{FIRST}: expected 4x2 .columns x rows., found 2x4"),
    "void": ({FIRST: png(GOOD | 255)}, f"{FIRST}: expected the label ids 7 8 11 .* 33, found also 255"),
    "unlabeled": ({FIRST: png(GOOD * 0)}, f"{FIRST}: expected the label ids 7 8 11 .* 33, found also 0"),
    "train ids": ({FIRST: png(GOOD % 7)}, r"found also 0 1 3 4 5 \(are these train ids\?\)"),
    "jpeg": ({FIRST: png(kind="JPEG")}, f"{FIRST}: expected a PNG, found JPEG"),
    "cut": ({FIRST: png()[:50]}, f"{FIRST}: expected a complete PNG, found one that does not decode"),
    "text": ({FIRST: b"text"}, f"{FIRST}: expected a complete PNG, found one that does not decode"),
}


@pytest.mark.parametrize(("changes", "line"), FAULTS.values(), ids=FAULTS)
def test_every_kind_of_fault_is_one_line_that_names_the_file(pack, changes, line):
    with pytest.raises(UserError, match=line) as caught:
        check_submission(pack(changes))
    assert str(caught.value).startswith(str(pack()))
    assert "\n" not in str(caught.value)


def test_a_good_archive_passes_and_folders_do_not_count(pack):
    assert check_submission(pack({"berlin/": b""})) == "3 images: all of Cityscapes' test set"


def test_of_many_faults_three_are_spelled_out_and_the_others_counted(pack):
    with pytest.raises(UserError, match=r"a: .*; b: .*; c: .*, found another; and 2 more faults: mend this and build"):
        check_submission(pack({name: b"" for name in "abcde"}))


def test_names_and_sizes_are_the_data_sets_where_it_is_given(pack, trained, root, tmp_path):
    build_submission(trained, root, tmp_path / "b.zip")
    images = split_images(root)
    assert check_submission(tmp_path / "b.zip", images) == "2 images: not Cityscapes' 3"  # of the small test set
    first = next(iter(images))
    with pytest.raises(UserError, match=rf"{first}\*.png: expected one for each image, found none"):
        check_submission(pack(), images)
    with pytest.raises(UserError, match=f"{FIRST}: expected files of the test images only"):
        check_submission(pack({f"{frame}.png": png(np.full((64, 128), 7, np.uint8)) for frame in images}), images)
    small = {f"{frame}.png": png() for frame in images} | {path: None for path in names(pack())}
    with pytest.raises(UserError, match=rf"zip: {first}.png: expected 128x64 .*, found 4x2; .*128x64"):
        check_submission(pack(small), images)


def test_what_is_no_archive_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"expected a zip archive at .*a.zip, found no such file: build it again"):
        check_submission(tmp_path / "a.zip")
    (tmp_path / "a.zip").write_text("text")
    with pytest.raises(UserError, match=r"expected a zip archive at .*a.zip, found another kind of file, or a cut one"):
        check_submission(tmp_path / "a.zip")


def test_a_damaged_entry_is_found(pack):
    path = pack()
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 6] ^= 255
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{FIRST}: expected a complete PNG, found one that does not decode"):
        check_submission(path)


def test_a_folder_without_images_is_one_line(tmp_path):
    (tmp_path / "leftImg8bit" / "test").mkdir(parents=True)
    with pytest.raises(UserError, match=r"expected images CITY/CITY_SSSSSS_FFFFFF_leftImg8bit.png, found 0 files"):
        split_images(tmp_path)
    with pytest.raises(UserError, match=r"expected the folder .*val, found only test"):
        split_images(tmp_path, "val")

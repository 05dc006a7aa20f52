"""CamVid as .jpg and as .png, and what damaged files look like to a user."""

from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from spacemeshlab.data import CamVid, open_dataset
from spacemeshlab.errors import UserError


def test_jpg_images_are_paired_with_png_labels(camvid_root):
    dataset = open_dataset("camvid", camvid_root, "train")
    assert len(dataset) == 10
    image, target = dataset[3]
    assert (image.shape, image.dtype, target.dtype) == ((3, 24, 32), torch.uint8, torch.int64)
    assert image.float().mean().item() == pytest.approx(60, abs=1)
    assert target[0].unique().tolist() == [255]
    assert target[1:].unique().tolist() == [3]


def test_png_images_as_in_the_public_folder_work_too(camvid_root):
    for path in sorted((camvid_root / "train").iterdir()):
        Image.open(path).save(path.with_suffix(".png"))
        path.unlink()
    dataset = CamVid(camvid_root, "train")
    assert [image.name for image, _ in dataset.files] == [f"scene_{index}.png" for index in range(10)]
    assert dataset[3][0].float().mean().item() == pytest.approx(60, abs=1)


def test_the_same_image_as_jpg_and_png_is_refused(camvid_root, write):
    write(camvid_root / "train" / "scene_4.png", np.zeros((24, 32, 3), dtype=np.uint8))
    with pytest.raises(UserError, match=r"scene_4\.png: expected one file of this name, found also scene_4\.jpg"):
        CamVid(camvid_root, "train")


def test_a_split_without_labels_is_refused(camvid_root):
    (camvid_root / "val").mkdir()
    with pytest.raises(UserError, match=r"expected the folder .*/valannot, found only train, trainannot, val in"):
        CamVid(camvid_root, "val")


@pytest.mark.parametrize("keep", [0.02, 0.5, 0.97])
@pytest.mark.parametrize(("folder", "name"), [("train", "scene_0.jpg"), ("trainannot", "scene_0.png")])
def test_a_truncated_file_is_an_error_that_names_it(camvid_root, write, folder, name, keep):
    path = camvid_root / folder / name
    noise = np.random.default_rng(0).integers(0, 11, (24, 32, 3) if folder == "train" else (24, 32), dtype=np.uint8)
    write(path, noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * (len(data) - 30))])  # a PNG's last 20 bytes hold no pixels
    with pytest.raises(
        UserError, match=rf"{folder}/{name}: expected a complete image, found \d+ bytes .*: restore it"
    ) as caught:
        CamVid(camvid_root, "train")[0]
    assert "\n" not in str(caught.value)
    assert str(caught.value).count(name) == 1


def test_a_file_that_vanished_after_opening_is_named(camvid_root):
    dataset = CamVid(camvid_root, "train")
    (camvid_root / "train" / "scene_7.jpg").unlink()
    with pytest.raises(UserError, match=r"scene_7\.jpg: expected an image, found no such file"):
        dataset[7]


def test_image_and_label_of_different_sizes_are_refused_with_both_sizes(camvid_root, write):
    write(camvid_root / "trainannot" / "scene_2.png", np.zeros((20, 30), dtype=np.uint8))
    expected = r"scene_2\.png: expected the size of its image scene_2\.jpg, 24x32 \(rows x columns\), found 20x30"
    with pytest.raises(UserError, match=expected):
        CamVid(camvid_root, "train")[2]


def test_label_values_of_the_32_class_files_are_refused_and_listed(camvid_root, write):
    label = np.zeros((24, 32), dtype=np.uint8)
    label[5, :3] = (12, 31, 31)
    write(camvid_root / "trainannot" / "scene_6.png", label)
    expected = r"scene_6\.png: expected CamVid label values 0-11, 255, found also 12, 31: use the 11-class label files"
    with pytest.raises(UserError, match=expected):
        CamVid(camvid_root, "train")[6]


def test_a_sixteen_bit_label_does_not_pass_as_void(camvid_root):
    Image.fromarray(np.full((24, 32), 300, dtype=np.uint16)).save(camvid_root / "trainannot" / "scene_1.png")
    with pytest.raises(UserError, match=r"scene_1\.png: expected CamVid label values 0-11, 255, found also 300"):
        CamVid(camvid_root, "train")[1]


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_other_eight_bit_photographs_become_rgb(camvid_root, mode):
    picture = Image.new("RGB", (32, 24), (102, 102, 102)).convert(mode)
    (camvid_root / "train" / "scene_0.jpg").unlink()
    picture.save(camvid_root / "train" / "scene_0.jpg", format="JPEG" if mode == "CMYK" else "PNG")
    image, _ = CamVid(camvid_root, "train")[0]
    assert image.shape == (3, 24, 32)
    assert (image.int() - 102).abs().max() <= 3


def test_a_sixteen_bit_photograph_is_refused(camvid_root):
    path = camvid_root / "train" / "scene_0.jpg"
    Image.fromarray(np.zeros((24, 32), dtype=np.uint16)).save(path, format="PNG")
    with pytest.raises(UserError, match=r"scene_0\.jpg: expected 8 bits a channel, found Pillow mode I;16"):
        CamVid(camvid_root, "train")[0]


def test_a_test_split_in_the_public_form_is_read_like_the_others(camvid_root, write):
    label = np.tile(np.arange(12, dtype=np.uint8), (6, 1))
    write(camvid_root / "test" / "Seq05VD_f00000.png", np.full((6, 12, 3), 9, dtype=np.uint8))
    write(camvid_root / "testannot" / "Seq05VD_f00000.png", label)
    dataset = open_dataset("camvid", camvid_root, "test")
    image, target = dataset[0]
    assert image.unique().tolist() == [9]
    assert target[0].tolist() == [*range(11), 255]
    assert CamVid.official["test"] == (233,)
    assert dataset.origin == "CamVid, 1 test image (not the published split, which has 233)"


@pytest.mark.parametrize("value", [*range(12, 32), 254])
def test_every_value_of_the_32_class_files_above_void_is_refused(camvid_root, write, value):
    label = np.full((24, 32), 11, dtype=np.uint8)
    label[23, 31] = value
    write(camvid_root / "trainannot" / "scene_6.png", label)
    with pytest.raises(UserError, match=rf"found also {value}: use the 11-class label files .*, not the 32-class"):
        CamVid(camvid_root, "train")[6]


@pytest.mark.parametrize(("split", "count"), [("train", 367), ("val", 101)])
def test_the_real_photographs_have_the_published_counts_and_values(shared_dir, split, count):
    dataset = CamVid(shared_dir / "data" / "camvid", split)
    assert len(dataset) == count
    assert CamVid.official[split] == (count,)
    assert dataset.origin == f"CamVid, {count} {split} images"
    seen = set()
    for index in range(0, count, 40):
        image, target = dataset[index]
        assert image.shape == (3, 360, 480)
        assert target.shape == (360, 480)
        seen |= set(target.unique().tolist())
    assert seen == {*range(11), 255}


def test_the_real_validation_photographs_are_one_video_and_training_has_other_parts_of_it(shared_dir):
    def frames(split):
        names = (image.stem.split("_") for image, _ in CamVid(shared_dir / "data" / "camvid", split).files)
        return [(video, int(frame.lstrip("f"))) for video, frame in names]  # 0016E5_07959, 0006R0_f00930

    train, val = frames("train"), sorted(frames("val"))
    assert Counter(video for video, _ in val) == {"0016E5": 101}
    assert Counter(video for video, _ in train) == {"0001TP": 62, "0006R0": 101, "0016E5": 204}
    assert not [frame for frame in train if val[0] <= frame <= val[-1]]

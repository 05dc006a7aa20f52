"""Cityscapes' layout: finding pairs, mapping ids, and a clear line for each mistake."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from spacemeshlab.data import Cityscapes, open_dataset
from spacemeshlab.data.labels import CITYSCAPES
from spacemeshlab.errors import UserError


def label_file(root, city="aachen"):
    return root / "gtFine" / "train" / city / f"{city}_000000_000019_gtFine_labelIds.png"


def image_file(root, city="aachen"):
    return root / "leftImg8bit" / "train" / city / f"{city}_000000_000019_leftImg8bit.png"


def test_pairs_are_found_in_all_cities_and_sorted(cityscapes_root):
    dataset = Cityscapes(cityscapes_root, "train")
    assert len(dataset) == 2
    assert dataset.files == [
        (image_file(cityscapes_root, city), label_file(cityscapes_root, city)) for city in ("aachen", "zurich")
    ]
    assert dataset.labels is CITYSCAPES


def test_label_ids_become_class_indices_without_any_train_id_file(cityscapes_root):
    image, target = open_dataset("cityscapes", str(cityscapes_root), "train")[0]
    assert (image.shape, image.dtype) == ((3, 5, 34), torch.uint8)
    assert (target.shape, target.dtype) == ((5, 34), torch.int64)
    assert target[0, [7, 8, 26, 33]].tolist() == [0, 1, 13, 18]
    assert target[0, [0, 6, 9, 30]].tolist() == [255] * 4
    assert target.unique().tolist() == [*range(19), 255]


def test_other_files_beside_the_pairs_are_ignored(cityscapes_root):
    for suffix in ("color.png", "instanceIds.png", "polygons.json"):
        label_file(cityscapes_root).with_name(f"aachen_000000_000019_gtFine_{suffix}").touch()
    image_file(cityscapes_root).with_name("._aachen_000000_000019_leftImg8bit.png").touch()
    assert len(Cityscapes(cityscapes_root, "train")) == 2


def test_the_transform_gets_image_and_target(cityscapes_root):
    dataset = Cityscapes(cityscapes_root, "train", lambda image, target: (image.shape, target.shape))
    assert dataset[1] == ((3, 5, 34), (5, 34))


def test_a_missing_root_is_named(tmp_path):
    with pytest.raises(UserError, match=r"folder .*/nowhere, found no such folder: unpack leftImg8bit_trainvaltest"):
        Cityscapes(tmp_path / "nowhere", "train")


def test_a_missing_split_is_named_with_those_that_are_there(cityscapes_root):
    with pytest.raises(UserError, match=r"expected the folder .*leftImg8bit/val, found only train in .*leftImg8bit:"):
        Cityscapes(cityscapes_root, "val")


def test_missing_labels_are_told_from_missing_images(cityscapes_root):
    shutil.rmtree(cityscapes_root / "gtFine")
    with pytest.raises(UserError, match=r"expected the folder .*gtFine/train, found only leftImg8bit in"):
        Cityscapes(cityscapes_root, "train")


def test_an_empty_root_says_that_no_folder_was_found(tmp_path):
    with pytest.raises(UserError, match=r"leftImg8bit/train, found no folder in .*toycity\.py"):
        Cityscapes(tmp_path, "train")


def test_an_empty_split_is_refused(tmp_path):
    (tmp_path / "leftImg8bit" / "train").mkdir(parents=True)
    (tmp_path / "gtFine" / "train").mkdir(parents=True)
    with pytest.raises(UserError, match=r"leftImg8bit/train: expected files \*_leftImg8bit\.png, found none: unpack"):
        Cityscapes(tmp_path, "train")


def test_an_image_without_label_is_named_with_the_label_that_is_missing(cityscapes_root):
    label_file(cityscapes_root, "zurich").unlink()
    expected = (
        r"zurich_000000_000019_leftImg8bit\.png: expected its partner .*zurich_000000_000019_gtFine_labelIds\.png"
    )
    with pytest.raises(UserError, match=expected):
        Cityscapes(cityscapes_root, "train")


def test_a_label_without_image_is_named_and_the_others_counted(cityscapes_root):
    for number in range(3):
        shutil.copy(
            label_file(cityscapes_root), label_file(cityscapes_root).with_name(f"a_{number}_gtFine_labelIds.png")
        )
    expected = (
        r"a_0_gtFine_labelIds\.png: expected its partner .*aachen/a_0_leftImg8bit\.png, .* \(and 2 more like it\)"
    )
    with pytest.raises(UserError, match=expected):
        Cityscapes(cityscapes_root, "train")


def test_train_id_files_in_the_place_of_label_ids_are_recognised_by_their_255(cityscapes_root, write):
    train_ids = np.full((5, 34), 255, dtype=np.uint8)
    train_ids[:, :19] = np.arange(19)
    write(label_file(cityscapes_root), train_ids)
    expected = r"aachen.*labelIds\.png: expected Cityscapes label values 0-33, found also 255: .* not train ids"
    with pytest.raises(UserError, match=expected):
        Cityscapes(cityscapes_root, "train")[0]


def test_a_colour_file_in_the_place_of_labels_is_refused(cityscapes_root, write):
    write(label_file(cityscapes_root), np.zeros((5, 34, 3), dtype=np.uint8))
    with pytest.raises(UserError, match=r"labelIds\.png: expected one channel of label values, found a RGB file"):
        Cityscapes(cityscapes_root, "train")[0]


def test_sixteen_bit_instance_files_are_refused_with_the_values_found(cityscapes_root):
    Image.fromarray(np.full((5, 34), 26001, dtype=np.uint16)).save(label_file(cityscapes_root))
    with pytest.raises(UserError, match=r"found also 26001: the label file must hold label ids"):
        Cityscapes(cityscapes_root, "train")[0]


def test_a_palette_file_is_read_by_index_not_by_colour(cityscapes_root):
    picture = Image.fromarray(np.full((5, 34), 26, dtype=np.uint8))
    picture.putpalette([200] * 768)
    picture.save(label_file(cityscapes_root))
    assert Image.open(label_file(cityscapes_root)).mode == "P"
    _, target = Cityscapes(cityscapes_root, "train")[0]
    assert target.unique().tolist() == [13]


def test_an_unknown_data_set_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(
        UserError,
        match=r"expected a data set out of cityscapes, camvid, pascal-context, pascal-context-60; got 'kitti'",
    ):
        open_dataset("kitti", tmp_path, "train")


def test_the_test_split_of_the_download_is_all_void(cityscapes_root, write):
    image = cityscapes_root / "leftImg8bit" / "test" / "berlin" / "berlin_000000_000019_leftImg8bit.png"
    write(image, np.zeros((5, 34, 3), dtype=np.uint8))
    label = np.zeros((5, 34), dtype=np.uint8)
    label[3:] = (1, 2, 3) * 11 + (1,)  # ego vehicle, border, out of region of interest: all that is drawn there
    write(cityscapes_root / "gtFine" / "test" / "berlin" / "berlin_000000_000019_gtFine_labelIds.png", label)
    _, target = open_dataset("cityscapes", cityscapes_root, "test")[0]
    assert (target == 255).all()


def test_the_test_split_may_lie_there_without_labels(cityscapes_root, write):
    for city in ("munich", "berlin"):
        image = cityscapes_root / "leftImg8bit" / "test" / city / f"{city}_000000_000019_leftImg8bit.png"
        write(image, np.full((5, 34, 3), 7, dtype=np.uint8))
    dataset = Cityscapes(cityscapes_root, "test", lambda image, target: (image, target))
    assert [(image.parent.name, label) for image, label in dataset.files] == [("berlin", None), ("munich", None)]
    image, target = dataset[1]
    assert image.unique().tolist() == [7]
    assert (target.shape, target.dtype, type(target).__name__) == ((5, 34), torch.int64, "Mask")
    assert (target == 255).all()


def test_a_test_split_with_neither_images_nor_labels_is_refused(cityscapes_root):
    (cityscapes_root / "leftImg8bit" / "test").mkdir()
    with pytest.raises(UserError, match=r"leftImg8bit/test: expected files \*_leftImg8bit\.png, found none"):
        Cityscapes(cityscapes_root, "test")


def test_a_test_split_whose_labels_are_there_in_part_is_refused(cityscapes_root, write):
    image = cityscapes_root / "leftImg8bit" / "test" / "berlin" / "berlin_000000_000019_leftImg8bit.png"
    write(image, np.zeros((5, 34, 3), dtype=np.uint8))
    (cityscapes_root / "gtFine" / "test").mkdir()
    with pytest.raises(UserError, match=r"berlin_000000_000019_leftImg8bit\.png: expected its partner .*labelIds\.png"):
        Cityscapes(cityscapes_root, "test")


def test_the_published_counts_are_known_and_subsets_say_so(cityscapes_root, monkeypatch):
    assert Cityscapes.official == {"train": (2975,), "val": (500,), "test": (1525,)}
    published = "(not the published split, which has 2,975)"
    assert Cityscapes(cityscapes_root, "train").origin == f"Cityscapes, 2 train images {published}"
    monkeypatch.setattr(Cityscapes, "official", {"train": (2,)})
    assert Cityscapes(cityscapes_root, "train").origin == "Cityscapes, 2 train images"

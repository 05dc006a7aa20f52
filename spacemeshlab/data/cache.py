"""Decoded images and labels kept on disk, so that an epoch does not decode every PNG again (chapter 03).

    ROOT/.decoded/NAME OF THE LABEL SET/<the image's path below ROOT>.safetensors

Each file holds one pair as uint8, uncompressed: the kernel maps it into memory, and several loader processes share it.
It also holds a stamp of what it was made from. A file whose stamp is not today's, or that was cut, is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from spacemeshlab.data.labels import LabelSet
from spacemeshlab.errors import UserError

FOLDER = ".decoded"
_FORMAT = "1"  # another number makes every file again; to be raised when decoding itself changes

Tensors = tuple[torch.Tensor, torch.Tensor]


class DecodedCache:
    """Pairs that were decoded once.

    Args:
        root: the data set's folder; the files go below ``root/.decoded``.
        labels: the label set that the targets are indices of.
    """

    def __init__(self, root: str | Path, labels: LabelSet) -> None:
        self.root = Path(root)
        self.folder = self.root / FOLDER / labels.name
        self._table = hashlib.sha256(labels.to_index.tobytes()).hexdigest()

    def read(self, image: Path, label: Path | None, decode: Callable[[], Tensors]) -> Tensors:
        """Return what ``decode()`` returns, from the cache if it holds this pair.

        Shape:
            image (3, H, W) uint8, target (H, W) int64, as ``decode`` gives them

        Raises:
            UserError: what ``decode`` raises; the folder can't be written, or the disk is full.
        """
        stamp = self._stamp(image, label)
        if stamp is None:  # a file is missing: decoding says it in the data set's own words
            return decode()
        path = self.path(image)
        if (found := _load(path, stamp)) is not None:
            return found
        pair = decode()
        self._store(path, pair, stamp)
        return pair

    def path(self, image: Path) -> Path:
        """Where the pair of this image is kept."""
        inside = image.is_relative_to(self.root)
        below = image.relative_to(self.root) if inside else image.absolute().relative_to(image.absolute().anchor)
        return self.folder / below.with_name(f"{below.name}.safetensors")

    def _stamp(self, image: Path, label: Path | None) -> str | None:
        """What a decoded pair depends on, in one string; None if a file is missing."""
        try:
            image_file, label_file = _state(image), "" if label is None else _state(label)
        except OSError:
            return None
        return json.dumps([_FORMAT, image_file, label_file, self._table])

    def _store(self, path: Path, pair: Tensors, stamp: str) -> None:
        """Write beside ``path``, then move: readers see no file or a whole one. Each writer has a draft of its own."""
        image, target = pair
        pixels = image.permute(1, 2, 0).contiguous()  # (3, H, W) -> (H, W, 3), as decoders and the resizing like it
        tensors = {"image": pixels, "target": target.to(torch.uint8)}  # class indices and 255 fit in 8 bits
        data = safetensors.torch.save(tensors, metadata={"stamp": stamp})
        draft = path.with_name(f".{os.getpid()}-{secrets.token_hex(4)}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with open(draft, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(draft, path)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(
                f"expected to keep decoded images in {self.root / FOLDER}, found that {path.name} can't be written "
                f"there ({(error.strerror or str(error)).lower()}): set cache=false, or let the folder grow"
            ) from None


def _state(path: Path) -> str:
    status = path.stat()
    return f"{path.name} {status.st_size} {status.st_mtime_ns}"


def _load(path: Path, stamp: str) -> Tensors | None:
    """The pair in this file; None if there is none, it was cut, it is of another kind, or it has another stamp."""
    try:
        with safe_open(path, framework="pt") as file:
            if file.metadata() != {"stamp": stamp}:
                return None
            image, target = file.get_tensor("image"), file.get_tensor("target")
            return image.permute(2, 0, 1), target.to(torch.int64)  # (H, W, 3) -> (3, H, W)
    except (OSError, SafetensorError):
        return None

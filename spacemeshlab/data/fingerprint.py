"""A short name for exactly these data, so that two scores can be known to be of the same images and labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def fingerprint(files: Iterable[tuple[Path, Path | None]]) -> str:
    """The first 16 hexadecimal digits of a SHA-256 over a split's files, in their order.

    It covers the name and the size of every image, and the name and the contents of every label file. Contents of
    images would take minutes to read where the data are large; an image that was encoded again has another size.

    Args:
        files: (image, label) paths, as ``files`` of a :class:`~spacemeshlab.data.dataset.SegmentationDataset`.
    """
    digest = hashlib.sha256()
    for image, label in files:
        digest.update(f"{image.name}\0{image.stat().st_size}\0".encode())
        if label is not None:
            digest.update(f"{label.name}\0".encode() + hashlib.sha256(label.read_bytes()).digest())
    return digest.hexdigest()[:16]

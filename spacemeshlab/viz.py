"""The pictures that several chapters share. Each function draws with matplotlib and returns the figure.

Colours of classes come from the data set's :class:`~spacemeshlab.data.labels.LabelSet`; everything else uses Okabe and
Ito's colours, which colour-blind readers can tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch
from torch import Tensor

from spacemeshlab.data.labels import IGNORE_INDEX, LabelSet

BLUE, ORANGE, GREEN, PINK, SKY, RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
PARTS = ("backbone", "spam", "exchange", "context", "decoder", "aux")
"""Parts of :func:`network_map` that can be lit."""

_INK, _FAINT = "#222222", "#B5B5B5"


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
    figure, ax = plt.subplots(figsize=(10, 3.9))
    ax.set(xlim=(0, 16.2), ylim=(-0.55, 5.6))
    ax.set_axis_off()
    drawing = _Map(ax, set(lit) or set(PARTS))
    drawing.draw()
    return figure


class _Map:
    """Draws :func:`network_map`: the backbone below, the memo above, context and decoder at the right."""

    def __init__(self, ax: Axes, lit: set[str]) -> None:
        self.ax, self.lit = ax, lit
        self.colours = dict(zip(PARTS, (BLUE, GREEN, GREEN, ORANGE, PINK, SKY), strict=True))

    def draw(self) -> None:
        self.box("", 0.1, 2.2, 1.3, 1.2, "image", "3 × H × W")
        blocks = (("64", "4"), ("256", "4"), ("512", "8"), ("1024", "16"), ("2048", "16"))
        memo = ("4", "16", None, "4", "8")
        for index, ((width, stride), channels) in enumerate(zip(blocks, memo, strict=True)):
            x = 2.0 + 1.95 * index
            self.box("backbone", x, 0.6, 1.5, 1.2, f"block {index + 1}", f"{width} at 1/{stride}")
            if index:
                self.arrow("backbone", (x - 0.45, 1.2), (x, 1.2))
            if channels is None:
                continue
            self.box("spam", x, 3.8, 1.5, 1.2, "SpaM block", f"{channels} at 1/1")
            if index:
                self.arrow("spam", (x - (2.4 if index == 3 else 0.45), 4.4), (x, 4.4))
            self.arrow("exchange", (x + 0.5, 1.8), (x + 0.5, 3.8), "up")
            self.arrow("exchange", (x + 1.0, 3.8), (x + 1.0, 1.8), "down")
        self.line("backbone", (0.75, 2.2), (0.75, 1.2), (2.0, 1.2))
        self.line("spam", (0.75, 3.4), (0.75, 4.4), (2.0, 4.4))
        self.box("context", 11.75, 0.6, 1.7, 1.2, "MetroCon²", "1296 at 1/16")
        self.arrow("context", (11.3, 1.2), (11.75, 1.2))
        self.box("decoder", 12.0, 3.0, 1.7, 1.4, "decoder", "81 + 128\nat 1/4")
        self.arrow("decoder", (12.85, 1.8), (12.85, 3.0), "up")
        self.arrow("decoder", (11.3, 4.2), (12.0, 4.0))
        self.box("", 14.6, 3.1, 1.5, 1.2, "logits", "K × H × W")
        self.arrow("decoder", (13.7, 3.7), (14.6, 3.7))
        self.box("aux", 11.75, -0.5, 1.7, 0.85, "auxiliary", "K at 1/16")
        self.line("aux", (10.55, 0.6), (10.55, -0.08), (11.75, -0.08))

    def colour(self, part: str) -> str:
        return self.colours[part] if part in self.lit else _FAINT

    def box(self, part: str, x: float, y: float, width: float, height: float, title: str, shape: str) -> None:
        on = not part or part in self.lit
        edge = _INK if not part else self.colour(part)
        face = "white" if not part or not on else edge + "2A"
        self.ax.add_patch(
            FancyBboxPatch((x, y), width, height, "round,pad=0,rounding_size=0.15", fc=face, ec=edge, lw=1.6)
        )
        ink, middle = (_INK if on else "#8A8A8A"), x + width / 2
        lines = shape.count("\n") + 1
        self.ax.text(
            middle, y + height * (0.66 + 0.06 * (lines - 1)), title, ha="center", va="center", color=ink, fontsize=9
        )
        self.ax.text(middle, y + height * 0.3, shape, ha="center", va="center", color=ink, fontsize=8)

    def arrow(self, part: str, start: tuple[float, float], end: tuple[float, float], label: str = "") -> None:
        self.ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": self.colour(part), "lw": 1.5})
        if label:
            side = 0.1 if label == "down" or part == "decoder" else -0.1
            x, y = (start[0] + end[0]) / 2 + side, (start[1] + end[1]) / 2
            on = part in self.lit
            self.ax.text(
                x,
                y,
                label,
                rotation=90,
                ha="left" if side > 0 else "right",
                va="center",
                fontsize=7.5,
                color=_INK if on else "#8A8A8A",
            )

    def line(self, part: str, *points: tuple[float, float]) -> None:
        xs, ys = zip(*points[:-1], strict=True)
        self.ax.plot(xs, ys, color=self.colour(part), lw=1.5)
        self.arrow(part, points[-2], points[-1])

"""Draw the pictures in book/_static that belong to no chapter: cover, map of the network, class colours.

python scripts/draw_static.py [OUT]        default: book/_static
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure

from spacemeshlab.book import setup
from spacemeshlab.data.labels import CAMVID, CITYSCAPES, LabelSet
from spacemeshlab.data.toycity import scene
from spacemeshlab.viz import network_map


def palette(labels: LabelSet, columns: int = 5) -> Figure:
    """A swatch for each class, with its index and name."""
    rows = -(-len(labels) // columns)
    figure, ax = plt.subplots(figsize=(9, 0.45 * rows + 0.3))
    for index, (name, colour) in enumerate(zip(labels.classes, labels.palette, strict=True)):
        x, y = index % columns, index // columns
        ax.add_patch(plt.Rectangle((x, y), 0.22, 0.7, color=[part / 255 for part in colour]))
        ax.text(x + 0.27, y + 0.35, f"{index} {name}", va="center")
    ax.set(title=labels.name, xlim=(0, columns), ylim=(rows, 0))
    ax.set_axis_off()
    return figure


def cover(cell: int = 8) -> Figure:
    """A street on its way to labels: from left to right the cells become discs of their class's colour."""
    picture, labels, _ = scene(7, "val")
    picture, labels = picture[32:224], labels[32:224]  # (192, 512)
    rows, columns = labels.shape[0] // cell, labels.shape[1] // cell
    centres = labels[cell // 2 :: cell, cell // 2 :: cell]
    colours = np.full((*centres.shape, 3), 0.0)
    for value, colour in zip(CITYSCAPES.file_values, CITYSCAPES.palette, strict=True):
        colours[centres == value] = np.array(colour) / 255
    grown = np.clip((np.arange(columns) / columns - 0.25) / 0.5, 0, 1)
    grown = 1.5 * cell * grown**2 * (3 - 2 * grown)  # diameter; 1.5 cells cover the corners
    x, y = np.meshgrid((np.arange(columns) + 0.5) * cell - 0.5, (np.arange(rows) + 0.5) * cell - 0.5)
    size = np.broadcast_to(grown, x.shape).ravel()
    figure = plt.figure(figsize=(16, 6), dpi=100, layout="none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.imshow(picture, interpolation="bicubic")
    places = np.column_stack([x.ravel(), y.ravel()])
    discs = EllipseCollection(size, size, np.zeros_like(size), units="xy", offsets=places, transOffset=ax.transData)
    discs.set_facecolor(colours.reshape(-1, 3))
    ax.add_collection(discs)
    ax.set(xlim=(-0.5, labels.shape[1] - 0.5), ylim=(labels.shape[0] - 0.5, -0.5))
    ax.set_axis_off()
    return figure


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "book" / "_static"
    setup()
    plt.rcParams["svg.hashsalt"] = "spacemeshlab"  # the same file from the same code
    pictures = {"network": network_map(), "cityscapes": palette(CITYSCAPES), "camvid": palette(CAMVID)}
    for name, figure in pictures.items():
        figure.savefig(out / f"{name}.svg", metadata={"Date": None, "Creator": None})
    cover().savefig(out / "cover.webp", pad_inches=0, pil_kwargs={"quality": 80, "method": 6})

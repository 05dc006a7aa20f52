"""Draw the pictures in book/_static that belong to no chapter: the map of the network and the class colours.

python scripts/draw_static.py [OUT]        default: book/_static
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from spacemeshlab.book import setup
from spacemeshlab.data.labels import CAMVID, CITYSCAPES, LabelSet
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


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "book" / "_static"
    setup()
    plt.rcParams["svg.hashsalt"] = "spacemeshlab"  # the same file from the same code
    pictures = {"network": network_map(), "cityscapes": palette(CITYSCAPES), "camvid": palette(CAMVID)}
    for name, figure in pictures.items():
        figure.savefig(out / f"{name}.svg", metadata={"Date": None, "Creator": None})

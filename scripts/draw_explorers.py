"""Write what the book's explorers are made of: the street that they share, and their pictures for paper.

python scripts/draw_explorers.py [OUT]        default: book/_static/explorers
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import sys
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch.nn.functional import pixel_shuffle

from spacemeshlab.book import setup
from spacemeshlab.data.labels import CITYSCAPES
from spacemeshlab.data.toycity import scene
from spacemeshlab.diagram import BLUE, GREEN, INK, ORANGE, Diagram

CELL = 16  # pixels of the image to a side of a cell, at output stride 16


def street() -> str:
    """A script that holds the street: its picture, and for each cell the classes on it, the largest first."""
    picture, ids, _ = scene(7, "val")
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "webp", quality=75, method=6)
    rows, columns = ids.shape[0] // CELL, ids.shape[1] // CELL
    cells = CITYSCAPES.to_index[ids].reshape(rows, CELL, columns, CELL).swapaxes(1, 2).reshape(-1, CELL**2)
    data = {
        "image": "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode(),
        "rows": rows,
        "columns": columns,
        "classes": CITYSCAPES.classes,
        "palette": ["#{:02x}{:02x}{:02x}".format(*colour) for colour in CITYSCAPES.palette],
        "cells": [classes_on(cell) for cell in cells],
    }
    return (
        "/* Written by scripts/draw_explorers.py. `cells` has the classes that cover more than a tenth of each cell,\n"
        "   row by row, the largest first; none where most of it is not counted. */\n"
        f'"use strict";\n\nwindow.SpaceMeshLab.street = {json.dumps(data, separators=(",", ":"))};\n'
    )


def classes_on(cell: np.ndarray) -> list[int]:
    """Class indices that cover more than a tenth of a cell, the largest first."""
    count = np.bincount(cell, minlength=256)
    order = [int(index) for index in np.argsort(-count, kind="stable") if count[index] > cell.size / 10]
    return [] if order[:1] == [255] else [index for index in order if index != 255]


def metrocon2() -> Figure:
    """Three choices of pairs, and below each where their taps land around one cell of the street."""
    picture, cell = scene(7, "val")[0], (6, 26)
    choices = {
        "ASPP: 6, 12, 18 and a 1×1": [(0, 0), (6, 6), (12, 12), (18, 18)],
        "All pairs of 6, 12, 18": list(itertools.product((6, 12, 18), repeat=2)),
        "All pairs of 1 to 18": list(itertools.product(range(1, 19), repeat=2)),
    }
    figure, axes = plt.subplots(2, 3, figsize=(10, 5.4), height_ratios=(1, 1.25))
    for (title, pairs), (above, below) in zip(choices.items(), axes.T, strict=True):
        rates = [pair for pair in pairs if min(pair)]
        above.scatter(*np.transpose(rates)[::-1], 34, ORANGE, marker="s", edgecolor=INK, linewidth=0.4)
        above.set(title=title, xlabel="column rate", ylabel="row rate", xlim=(0.3, 18.7), ylim=(18.7, 0.3), aspect=1)
        above.set(xticks=(1, 6, 12, 18), yticks=(1, 6, 12, 18))
        count = Counter(place for pair in pairs for place in taps(pair, cell))
        shade(below, picture, count, cell)
        inside = sum(
            0 <= row < picture.shape[0] // CELL and 0 <= column < picture.shape[1] // CELL for row, column in count
        )
        below.set_title(f"{len(count)} cells, {inside} inside the map", y=-0.14)
    return figure


def taps(pair: tuple[int, int], cell: tuple[int, int]) -> list[tuple[int, int]]:
    """Rows and columns at which a filter looks; a 1×1 convolution is one of rate 0."""
    steps = [sorted({-rate, 0, rate}) for rate in pair]
    return [(cell[0] + v, cell[1] + h) for v, h in itertools.product(*steps)]


def shade(ax: Axes, picture: np.ndarray, count: Counter, cell: tuple[int, int]) -> None:
    """The street amid its padding, and in orange each cell that is looked at."""
    ax.imshow(picture, extent=(0, picture.shape[1] / CELL, picture.shape[0] / CELL, 0), zorder=0)
    for (row, column), number in count.items():
        alpha = 0.5 + 0.4 * np.log(number) / np.log(324)
        ax.add_patch(plt.Rectangle((column, row), 1, 1, fc=ORANGE, ec=INK, lw=0.3, alpha=alpha))
    ax.add_patch(plt.Rectangle(cell[::-1], 1, 1, fc="none", ec="black", lw=2.4))
    ax.add_patch(plt.Rectangle(cell[::-1], 1, 1, fc="none", ec="white", lw=1))
    ax.spines[:].set_visible(False)
    ax.set(xlim=(-8, 45), ylim=(26, -12), xticks=[], yticks=[], facecolor="#EEEEEE")


def shuffle() -> Figure:
    """Eight channels of 2×2 and the two channels of 4×4 that they become, in two orders; one number is followed."""
    x = torch.arange(32.0).view(8, 2, 2)
    orders = {
        "PyTorch's order: y[c, 2p + u, 2q + v] = x[4c + 2u + v, p, q]": x,
        "TensorFlow's order: y[c, 2p + u, 2q + v] = x[2(2u + v) + c, p, q]": x[[0, 2, 4, 6, 1, 3, 5, 7]],
    }
    sheet = Diagram(16, 7.2, title="One number in two orders: 6 stands at x[1, 1, 0]")
    ahead, tint = torch.arange(8) // 4, np.array([BLUE, GREEN])
    for k, channel in enumerate(x):
        at = (0.4 + 1.6 * (k % 4), 5.4 - 2.6 * (k // 4))
        sheet.text((at[0] + 0.6, at[1] + 0.25), f"channel {k}", size=8)
        sheet.numbers(at, channel, 0.6, np.where(channel.flatten() == 6, ORANGE, tint[ahead[k]]))
    for top, (words, ordered) in zip((6.4, 2.8), orders.items(), strict=True):
        sheet.arrow((6.9, 3.8), (8.5, top - 1.2))
        sheet.text((12.2, top + 0.25), words)
        for c, y in enumerate(pixel_shuffle(ordered, 2)):
            faces = np.where(y.flatten() == 6, ORANGE, tint[y.flatten().int() // 16])
            sheet.numbers((8.9 + 3.4 * c, top), y, 0.6, faces)
    return sheet.figure


PICTURES = {"metrocon2": metrocon2, "shuffle": shuffle}
"""Name of an explorer -> what draws its picture."""


def write(out: Path) -> None:
    """The street and all pictures, into a folder."""
    (out / "street.js").write_text(street(), encoding="utf-8")
    for name, draw in PICTURES.items():
        buffer = io.BytesIO()
        draw().savefig(buffer, dpi=150)
        plt.close("all")
        Image.open(buffer).convert("RGB").quantize(128).save(out / f"{name}.png", optimize=True)


if __name__ == "__main__":
    setup()
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "book" / "_static" / "explorers")

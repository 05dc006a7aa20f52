"""Draw the pictures in book/_static that belong to no chapter: cover, map of the network, colours as eyes see them.

python scripts/draw_static.py [OUT]        default: book/_static
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import EllipseCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from spacemeshlab.book import setup
from spacemeshlab.data.labels import CAMVID, CITYSCAPES, LabelSet
from spacemeshlab.data.toycity import scene
from spacemeshlab.diagram import BLUE, GREEN, ORANGE, PINK, RED, SKY
from spacemeshlab.viz import network_map

PALETTE = {"blue": BLUE, "orange": ORANGE, "green": GREEN, "pink": PINK, "sky": SKY, "red": RED}
MISSING_CONES = {  # Machado, Oliveira and Fernandes 2009, Table 1 at severity 1: linear RGB as it is -> as it is seen
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(rgb: np.ndarray) -> np.ndarray:
    """sRGB (..., 3) in 0..1 -> amounts of light."""
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def seen(rgb: np.ndarray, vision: str) -> np.ndarray:
    """sRGB (..., 3) in 0..1 as an eye sees it that lacks one kind of cone; any other word leaves it."""
    if vision not in MISSING_CONES:
        return rgb
    light = np.clip(linear(rgb) @ np.array(MISSING_CONES[vision]).T, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def lab(rgb: np.ndarray) -> np.ndarray:
    """sRGB (..., 3) in 0..1 -> CIELAB under daylight (D65)."""
    t = linear(rgb) @ TO_XYZ.T / TO_XYZ.sum(1)
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """CIEDE2000 between CIELAB colours (..., 3), in the notation of Sharma, Wu and Dalal 2005."""
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(one, -1, 0), np.moveaxis(other, -1, 0)
    c = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    stretch = 1.5 - np.sqrt(c / (c + 25**7)) / 2
    c1, c2 = np.hypot(a1 * stretch, b1), np.hypot(a2 * stretch, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1 * stretch)), np.degrees(np.arctan2(b2, a2 * stretch))
    turn = (h2 - h1 + 180) % 360 - 180
    lightness, c, h = (l1 + l2) / 2, (c1 + c2) / 2, np.where(c1 * c2 > 0, h1 + turn / 2, h1 + h2) % 360
    weights = {1: (-0.17, -30), 2: (0.24, 0), 3: (0.32, 6), 4: (-0.2, -63)}
    t = 1 + sum(weight * np.cos(np.radians(k * h + at)) for k, (weight, at) in weights.items())
    light = (l2 - l1) / (1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2))
    chroma = (c2 - c1) / (1 + 0.045 * c)
    hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2) / (1 + 0.015 * c * t)
    rotation = -2 * np.sqrt(c**7 / (c**7 + 25**7)) * np.sin(np.radians(60 * np.exp(-(((h - 275) / 25) ** 2))))
    return np.sqrt(light**2 + chroma**2 + hue**2 + rotation * chroma * hue)


def closest(colours: dict[str, tuple[float, ...]], vision: str) -> list[tuple[float, str, str]]:
    """All pairs of named sRGB colours with their CIEDE2000 distance in an eye, the most alike first."""
    as_seen = {name: lab(seen(np.array(colour), vision)) for name, colour in colours.items()}
    pairs = itertools.combinations(colours, 2)
    return sorted((float(difference(as_seen[one], as_seen[other])), one, other) for one, other in pairs)


def visions() -> Figure:
    """Three palettes as four kinds of eyes see them, with the pair that each finds hardest to tell apart."""
    palettes = {"The book's colours": {name: to_rgb(colour) for name, colour in PALETTE.items()}}
    palettes |= {f"{labels.name}: the data set's class colours": named(labels) for labels in (CAMVID, CITYSCAPES)}
    kinds = ["all three cones", *MISSING_CONES]
    figure, axes = plt.subplots(3, figsize=(10, 9))
    for ax, (title, colours) in zip(axes, palettes.items(), strict=True):
        ax.imshow(np.stack([seen(np.array(list(colours.values())), kind) for kind in kinds]), aspect="auto")
        ax.set_title(title, loc="left")
        ax.set_xticks(range(len(colours)), colours, rotation=30, ha="right")
        ax.set_yticks(range(4), kinds)
        ax.set_yticks(np.arange(3) + 0.5, minor=True)
        ax.grid(which="minor", axis="y", color="white", linewidth=4)
        ax.tick_params(which="both", length=0)
        for row, kind in enumerate(kinds):
            distance, one, other = closest(colours, kind)[0]
            ax.text(len(colours) - 0.4, row, f"{distance:.0f}: {one}, {other}", va="center", fontsize=9)
        ax.spines[:].set_visible(False)
    return figure


def named(labels: LabelSet) -> dict[str, tuple[float, ...]]:
    """Each class's colour in 0..1."""
    return {name: tuple(np.array(rgb) / 255) for name, rgb in zip(labels.classes, labels.palette, strict=True)}


def palette(labels: LabelSet, columns: int = 5) -> Figure:
    """A swatch for each class, with its index and name."""
    rows = -(-len(labels) // columns)
    figure, ax = plt.subplots(figsize=(9, 0.45 * rows + 0.3))
    for index, (name, colour) in enumerate(named(labels).items()):
        x, y = index % columns, index // columns
        ax.add_patch(plt.Rectangle((x, y), 0.22, 0.7, color=colour))
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
    colours = CITYSCAPES.colours[CITYSCAPES.to_index[centres]] / 255  # (h, w) -> (h, w, 3)
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
    pictures = {labels.name.lower(): palette(labels) for labels in (CITYSCAPES, CAMVID)}
    pictures |= {"network": network_map(), "visions": visions()}
    for name, figure in pictures.items():
        figure.savefig(out / f"{name}.svg", metadata={"Date": None, "Creator": None})
    cover().savefig(out / "cover.webp", pad_inches=0, pil_kwargs={"quality": 80, "method": 6})

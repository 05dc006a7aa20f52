"""One way to draw architecture: boxes, arrows and grids of numbers, for every chapter the same.

A :class:`Diagram` is a sheet of paper with coordinates, x to the right and y upwards. It is as wide as the
page's column, however many units that is; with about 16 units the words fit boxes of 1.5 × 1.2.

    sheet = Diagram(16, 3)
    sheet.box(0.5, 1, 1.5, 1.2, "feature", "256 at 1/4")
    sheet.box(5.5, 1, 1.5, 1.2, "memo", "16 at 1/1", colour=GREEN)
    sheet.arrow((2, 1.6), (5.5, 1.6), label="shuffle")
    plt.show()
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyBboxPatch, Rectangle
from numpy.typing import ArrayLike

BLUE, ORANGE, GREEN, PINK, SKY, RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
"""Okabe and Ito's colours, which colour-blind readers can tell apart."""

INK, FAINT, DIM = "#222222", "#B5B5B5", "#8A8A8A"
_INCHES = 10  # as wide as the book's column; 160 dots an inch are sharp there, and on paper
_DPI = 160

Point = tuple[float, float]


class Diagram:
    """A sheet ``width`` × ``height`` units large, always as wide as the page's column.

    Attributes:
        figure: the matplotlib figure; ``ax`` its only axes, for what the methods here do not draw.
    """

    def __init__(self, width: float, height: float, title: str = "") -> None:
        inches = (_INCHES, _INCHES * height / width + (0.3 if title else 0))
        self.figure, self.ax = plt.subplots(figsize=inches, dpi=_DPI)
        self.ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
        self.ax.set_axis_off()
        if title:
            self.ax.set_title(title)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        title: str,
        note: str = "",
        colour: str | None = BLUE,
        lit: bool = True,
    ) -> None:
        """A box with its lower left corner at (x, y): what it is, and below it a shape, as in "1296 at 1/16".

        Args:
            title: one line.
            note: one line or several, smaller.
            colour: of the edge, and pale inside; None for a plain white box.
            lit: False draws it in grey.
        """
        edge = (colour or INK) if lit else FAINT
        face = _pale(edge) if colour and lit else "white"
        self.ax.add_patch(
            FancyBboxPatch((x, y), width, height, "round,pad=0,rounding_size=0.15", fc=face, ec=edge, lw=1.6)
        )
        ink, middle, lines = (INK if lit else DIM), x + width / 2, note.count("\n") + 1
        at = 0.66 + 0.06 * (lines - 1) if note else 0.5
        self.text((middle, y + height * at), title, colour=ink, size=9)
        self.text((middle, y + height * 0.3), note, colour=ink, size=8)

    def arrow(self, *points: Point, colour: str = INK, label: str = "", side: int = 1, lit: bool = True) -> None:
        """An arrow through the points, with its head at the last one.

        Args:
            points: two or more.
            label: stands beside the last segment's middle, along it.
            side: 1 above or to the right of a segment, -1 below or to the left.
            lit: False draws it in grey.
        """
        colour = colour if lit else FAINT
        if len(points) > 2:
            self.ax.plot(*zip(*points[:-1], strict=True), color=colour, lw=1.5, solid_joinstyle="round")
        (x0, y0), (x1, y1) = points[-2:]
        style = {"arrowstyle": "-|>", "color": colour, "lw": 1.5, "shrinkA": 0, "shrinkB": 0}
        self.ax.annotate("", (x1, y1), (x0, y0), arrowprops=style)
        upright = abs(y1 - y0) > abs(x1 - x0)
        self.ax.annotate(
            label,
            ((x0 + x1) / 2, (y0 + y1) / 2),
            xytext=(4 * side, 0) if upright else (0, 3 * side),
            textcoords="offset points",
            rotation=90 if upright else 0,
            ha=("left" if side > 0 else "right") if upright else "center",
            va="center" if upright else ("bottom" if side > 0 else "top"),
            fontsize=7.5,
            color=INK if lit else DIM,
        )

    def text(self, at: Point, words: str, colour: str = INK, size: float = 9, align: str = "center") -> None:
        """Words with their middle at a point; ``align`` "left" or "right" puts that side there."""
        self.ax.text(*at, words, ha=align, va="center", color=colour, fontsize=size)

    def numbers(
        self,
        at: Point,
        table: ArrayLike,
        cell: float = 0.5,
        colours: Sequence[str] | None = None,
        digits: int = 0,
        size: float = 8,
    ) -> None:
        """A grid of numbers (rows, columns) with its upper left corner at a point.

        Args:
            at: upper left corner, so that row 0 is on top, as in a printed tensor.
            table: two dimensions; NaN leaves a cell empty.
            cell: side of one cell.
            colours: a colour for each cell, row by row; white where it is left out.
            digits: shown after the point.
        """
        table = np.asarray(table, dtype=float)
        faces = np.full(table.size, "white", dtype=object) if colours is None else np.asarray(colours, dtype=object)
        for (row, column), value in np.ndenumerate(table):
            x, y = at[0] + column * cell, at[1] - (row + 1) * cell
            face = faces[row * table.shape[1] + column]
            self.ax.add_patch(
                Rectangle((x, y), cell, cell, fc=_pale(face) if face != "white" else face, ec=INK, lw=0.7)
            )
            if not np.isnan(value):
                self.text((x + cell / 2, y + cell / 2), f"{value:.{digits}f}", size=size)


def _pale(colour: str) -> tuple[float, ...]:
    """A tint of a colour that black text stays readable on."""
    return tuple(1 - 0.3 * (1 - part) for part in to_rgb(colour))

"""Write what the confusion explorer of chapter 02 is made of: the labels in its script, and its picture for paper.

python scripts/draw_confusion.py [OUT]        default: book/_static/explorers
"""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from spacemeshlab import metrics
from spacemeshlab.book import setup
from spacemeshlab.data.labels import CITYSCAPES, IGNORE_INDEX
from spacemeshlab.diagram import BLUE, ORANGE, Diagram

CLASSES = ("sky", "building", "pole", "road", "car")
PALETTE = [CITYSCAPES.palette[CITYSCAPES.classes.index(name)] for name in CLASSES]
ROAD, POLE = CLASSES.index("road"), CLASSES.index("pole")
LABELS = """
0000000000000000
1110000020000111
1111020020011111
1111120020011111
1111121121111211
1114421121144211
3333333323333333
33333......33333
"""
"""Eight rows of sixteen cells, by class index; a point does not count: the bonnet of the camera's own car."""


def truth() -> np.ndarray:
    """The labels as class indices: (8, 16), 255 where nothing counts."""
    rows = LABELS.replace(".", "x").split()
    return np.array([[IGNORE_INDEX if letter == "x" else int(letter) for letter in row] for row in rows])


def poleness() -> np.ndarray:
    """A made-up probability of *pole* for each cell, in hundredths: the true poles blurred by 1 2 1, with noise."""
    padded = np.pad((truth() == POLE).astype(float), 1)
    rows = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4  # (10, 18) -> (8, 18)
    blurred = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4  # (8, 18) -> (8, 16)
    noise = np.random.default_rng(0).normal(0, 0.15, blurred.shape)
    return np.round(100 * np.clip(1.4 * blurred + noise, 0, 1)).astype(int)


def predictions() -> dict[str, np.ndarray]:
    """Three imperfect answers, made by the rules of the explorer's buttons and of its threshold."""
    perfect = np.where(truth() == IGNORE_INDEX, ROAD, truth())
    gone = perfect.copy()
    for column in range(1, gone.shape[1]):
        gone[:, column] = np.where(gone[:, column] == POLE, gone[:, column - 1], gone[:, column])
    return {
        "the poles gone": gone,
        "shifted by one cell": np.concatenate([perfect[:, :1], perfect[:, :-1]], axis=1),
        "pole where p is at least 0.5": np.where(poleness() >= 50, POLE, gone),
    }


def data() -> str:
    """The line of the script that holds the numbers."""
    return json.dumps(
        {
            "classes": CLASSES,
            "palette": PALETTE,
            "columns": truth().shape[1],
            "truth": truth().flatten().tolist(),
            "poleness": poleness().flatten().tolist(),
        },
        separators=(",", ":"),
    )


def fill(script: str) -> str:
    """A script with its numbers brought up to date."""
    return re.sub(r"(?<=const DATA = ).*(?=;)", data(), script)


def picture() -> Figure:
    """The truth and three predictions, with the confusion matrix of each below it."""
    sheet = Diagram(16, 6.2, title="One truth, three predictions, and what the two scores say")
    for index, (title, labels) in enumerate(({"ground truth": truth()} | predictions()).items()):
        x = 0.1 + 4 * index
        sheet.text((x + 1.8, 5.9), title)
        cells(sheet, (x, 5.65), labels, 0.225)
        if index:
            counted = metrics.confusion_matrix(torch.from_numpy(labels), torch.from_numpy(truth()), len(CLASSES))
            matrix(sheet, (x + 1, 3.15), counted, index == 1)
    for k, name in enumerate((*CLASSES, "not counted")):
        labels = np.array([[k if k < len(CLASSES) else IGNORE_INDEX]])
        cells(sheet, (0.5, 3.3 - 0.45 * k), labels, 0.32)
        sheet.text((1.0, 3.14 - 0.45 * k), name, align="left")
    sheet.ax.add_patch(Rectangle((0.5, 0.28), 0.32, 0.32, fc="white", ec=ORANGE, lw=2))
    sheet.text((1.0, 0.44), "wrong", align="left")
    return sheet.figure


def cells(sheet: Diagram, at: tuple[float, float], labels: np.ndarray, size: float) -> None:
    """A label map in the classes' colours; where a whole map is given, wrong cells have a frame."""
    for (row, column), k in np.ndenumerate(labels):
        x, y = at[0] + column * size, at[1] - (row + 1) * size
        rgb = PALETTE[k] if k != IGNORE_INDEX else (0, 0, 0)
        sheet.ax.add_patch(Rectangle((x, y), size, size, fc=np.array(rgb) / 255, ec="white", lw=0.4))
        if k != IGNORE_INDEX:
            ink = "black" if np.dot(rgb, (0.299, 0.587, 0.114)) > 110 else "white"
            sheet.text((x + size / 2, y + size / 2), str(k), colour=ink, size=24 * size)
        if labels.shape == truth().shape and k != truth()[row, column] != IGNORE_INDEX:
            frame = (x + 0.02, y + 0.02), size - 0.04, size - 0.04
            sheet.ax.add_patch(Rectangle(*frame, fc="none", ec=ORANGE, lw=1.6, zorder=3))


def matrix(sheet: Diagram, at: tuple[float, float], counted: torch.Tensor, named: bool) -> None:
    """A confusion matrix, rows the truth, with the IoU of each row's class, and the two scores below."""
    score = metrics.iou(counted).tolist()
    hits = [BLUE if row == column else "white" for row in range(5) for column in range(5)]
    sheet.numbers(at, counted, 0.46, hits, size=7.5)
    for k, value in enumerate(score):
        if named:
            sheet.text((at[0] - 0.1, at[1] - 0.23 - 0.46 * k), CLASSES[k], align="right", size=7.5)
        sheet.text((at[0] + 0.23 + 0.46 * k, at[1] + 0.2), str(k), size=7.5)
        sheet.text((at[0] + 2.4, at[1] - 0.23 - 0.46 * k), f"{value:.2f}", align="left", size=7.5)
    sheet.text((at[0] + 2.4, at[1] + 0.2), "IoU", align="left", size=7.5)
    words = f"accuracy {metrics.pixel_accuracy(counted):.2f}, mIoU {metrics.mean_iou(counted):.2f}"
    sheet.text((at[0] + 1.2, at[1] - 2.7), words, size=10)


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "book" / "_static" / "explorers"
    setup()
    script = out / "confusion.js"
    script.write_text(fill(script.read_text(encoding="utf-8")), encoding="utf-8")
    buffer = io.BytesIO()
    picture().savefig(buffer, dpi=150)
    Image.open(buffer).convert("RGB").quantize(128).save(out / "confusion.png", optimize=True)

"""The few lines that every chapter needs: a common start, ToyCity on disk, numbers of full runs."""

from __future__ import annotations

import json
import random
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from spacemeshlab.data import toycity
from spacemeshlab.doctor import check_packages
from spacemeshlab.errors import UserError
from spacemeshlab.viz import BLUE, GREEN, ORANGE, PINK, RED, SKY


def setup(seed: int = 0) -> None:
    """Start a chapter: check the packages, seed Python, NumPy and PyTorch, print to three digits, dress the figures.

    Raises:
        UserError: a package that is missing or too old; says how to mend it, and on a hosted notebook not by pip.
    """
    for finding in check_packages():
        if finding.kind == "problem":
            raise UserError(f"expected the packages that the chapters need, found {finding.text}: {finding.remedy}")
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  libraries still draw from the global generator
    torch.manual_seed(seed)
    torch.set_printoptions(precision=3, sci_mode=False)
    np.set_printoptions(precision=3, suppress=True)
    plt.rcParams.update(
        {
            "axes.prop_cycle": plt.cycler(color=(BLUE, ORANGE, GREEN, PINK, SKY, RED)),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlesize": "medium",
            "figure.constrained_layout.use": True,
            "figure.dpi": 100,
            "font.size": 10,
            "image.cmap": "viridis",
            "image.interpolation": "nearest",
            "savefig.bbox": "tight",
        }
    )


def ensure_toycity(root: str | Path) -> Path:
    """Generate ToyCity in ``root`` unless it is there already; prints nothing.

    Raises:
        UserError: ``root`` holds something else.
    """
    return toycity.generate(root, progress=False)


def load_results(name: str, folder: str | Path = "results") -> dict:
    """Read the numbers of a full run out of ``folder/name.json`` (chapters run in ``book/``).

    Raises:
        UserError: there is no such file, or it is not JSON.
    """
    path = Path(folder) / f"{name}.json"
    if not path.is_file():
        there = ", ".join(sorted(file.stem for file in Path(folder).glob("*.json"))) or "nothing"
        raise UserError(f"expected results in {path}, found {there} in {folder}: run the experiment that writes it")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"expected JSON in {path}, found line {error.lineno}: {error.msg}; restore the file") from None

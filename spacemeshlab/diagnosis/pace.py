"""Does a network learn more slowly than another, at its rate or at others? Read from the logs of runs (chapter 15).

Runs of one recipe and one seed see the same batches in the same order. So their losses are compared step by step, and
the luck of the batch falls out of the difference.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from spacemeshlab.checkpoint import RunDirectory, read_recipe
from spacemeshlab.errors import UserError
from spacemeshlab.recipe import Recipe

WINDOW = 100
"""Iterations whose losses are averaged: single ones jump."""

MAY_DIFFER = ("name", "spam", "attention", "context", "rates", "variant", *RunDirectory.free)
"""Fields of a recipe that say what learns, or nothing; the others say from what and how."""


def check_twins(baseline: Recipe, ours: Recipe) -> None:
    """Raise UserError unless both learn from the same batches in the same way."""
    one, other = baseline.as_dict(), ours.as_dict()
    differ = [key for key in one if key not in MAY_DIFFER and one[key] != other[key]]
    if differ:
        found = ", ".join(f"{key}={one[key]} and {other[key]}" for key in differ)
        raise UserError(
            f"expected a pair of runs of one recipe and seed, found {found}: give each of ours its baseline"
        )


def curve(run_dir: str | Path, window: int = WINDOW) -> dict[str, dict[int, float]]:
    """A run's log: the mean training ``loss`` of each window, by its last iteration, and ``val_miou``, in 0..1.

    Raises:
        UserError: no log, or one that holds something else.
    """
    path = Path(run_dir) / "metrics.jsonl"
    losses: dict[int, list[float]] = {}
    scores: dict[int, float] = {}
    try:
        for line in map(json.loads, path.read_text().splitlines()):
            if "loss" in line:
                losses.setdefault(math.ceil(line["iteration"] / window) * window, []).append(line["loss"])
            if "val_miou" in line:
                scores[line["iteration"]] = line["val_miou"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"expected a run's log in {path}, found none that can be read: train there first") from None
    if not losses:
        raise UserError(f"expected losses in {path}, found none: train for at least ten iterations")
    return {"loss": {end: fmean(values) for end, values in losses.items()}, "val_miou": scores}


def last_loss(network: Mapping[str, Any]) -> float:
    """The mean training loss of the last window, of something with a ``curve``."""
    loss = network["curve"]["loss"]
    return loss[max(loss)]


def steps(baseline: Mapping[str, Mapping[int, float]], ours: Mapping[str, Mapping[int, float]]) -> dict[str, Any]:
    """``ours`` minus ``baseline`` at every iteration that both :func:`curve` s have."""
    return {
        name: {end: value - baseline[name][end] for end, value in ours[name].items() if end in baseline[name]}
        for name in ("loss", "val_miou")
    }


def learning_rates(run_dirs: Iterable[str | Path]) -> list[dict[str, Any]]:
    """Runs that differ in their learning rate, by network, iterations and rate: what they ended with.

    Raises:
        UserError: as :func:`curve`, or a run that was never validated.
    """
    rows = []
    for folder in map(Path, run_dirs):
        recipe, found = read_recipe(folder), curve(folder)
        if not found["val_miou"]:
            raise UserError(f"expected a validation in the log of {folder}, found none: train it to its end")
        ends = {name: found[name][max(found[name])] for name in ("loss", "val_miou")}
        network = f"spam={recipe.spam} attention={recipe.attention} context={recipe.context}".lower()
        names = {"run": folder.name, "network": network, "iterations": recipe.iterations, "lr": recipe.lr}
        rows.append(names | {"seed": recipe.seed} | ends)
    return sorted(rows, key=lambda row: [row[key] for key in ("network", "iterations", "lr", "seed")])

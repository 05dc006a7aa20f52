"""Does a network learn more slowly than another, or generalise worse? Read from the logs of runs (chapter 15).

Runs of one recipe and one seed see the same batches in the same order. So their losses are compared step by step, and
the luck of the batch falls out of the difference.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
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


def steps(baseline: Mapping[str, Mapping[int, float]], ours: Mapping[str, Mapping[int, float]]) -> dict[str, Any]:
    """``ours`` minus ``baseline`` at every iteration that both :func:`curve` s have."""
    return {
        name: {end: value - baseline[name][end] for end, value in ours[name].items() if end in baseline[name]}
        for name in ("loss", "val_miou")
    }


def verdict(differences: Sequence[Mapping[str, Mapping[int, float]]]) -> str:
    """What :func:`steps` of several seeds say at their ends, in words, and how many seeds are on which side.

    A score that is lower with a training loss that is higher: it learns more slowly. Lower with a loss that is lower,
    too: it generalises worse. Nothing is said where the seeds disagree; and three that agree are no proof either.
    """
    loss, score = ([one[name][max(one[name])] for one in differences if one[name]] for name in ("loss", "val_miou"))
    lower, higher = sum(value < 0 for value in loss), sum(value > 0 for value in score)
    words = "the seeds disagree"
    if score and higher == len(score):
        words = "scores higher"
    elif score and not higher and 0 not in score and lower in (0, len(loss)):
        words = "generalises worse" if lower else "learns more slowly"
    return f"{words}: training loss lower in {lower} of {len(loss)} seeds, mIoU higher in {higher} of {len(score)}"


def compare(pairs: Iterable[tuple[str, str]], curves: Mapping[str, Any]) -> list[dict[str, Any]]:
    """:func:`steps` of every pair of names, baseline and ours, and a :func:`verdict` for each kind of network.

    Args:
        pairs: names that end in ``-seed`` and a number are of one kind up to there.
        curves: name -> :func:`curve`.
    """
    kinds: dict[str, list[dict[str, Any]]] = {}
    for one, other in pairs:
        step = {"baseline": one, "ours": other} | steps(curves[one], curves[other])
        kinds.setdefault(other.rpartition("-seed")[0] or other, []).append(step)
    return [{"network": kind, "verdict": verdict(found), "steps": found} for kind, found in kinds.items()]


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

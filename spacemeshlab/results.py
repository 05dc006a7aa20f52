"""What was measured beside the paper's tables, and what it amounts to (chapters 15 and 16).

:func:`measured` finds the results of exactly a row's recipe, of any seed; :func:`summarise` and :func:`difference` say
what they amount to, :func:`compare` prints a table. Nothing is filled in: a row without a result is "not run", and a
difference never stands without its noise. Scores in per cent.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy import stats

from spacemeshlab.errors import UserError
from spacemeshlab.evaluate import describe, protocol
from spacemeshlab.recipe import Recipe
from spacemeshlab.tables import TABLES, Row, identity


def measured(row: Row, recipe: Recipe, folder: str | Path) -> list[dict[str, Any]]:
    """Results of a row: what ``scripts/evaluate.py`` wrote about finished runs of its recipe, a seed each, by seed.

    Args:
        row: whose changes, split and views count.
        recipe: what the row changes, such as ``RECIPES["toycity"]``; its seed does not count.
        folder: of JSON files; those that are no results are passed over.

    Raises:
        UserError: two results of one seed: one of them would be chosen by its file's name.
    """
    found: dict[int, tuple[Path, dict[str, Any]]] = {}
    wanted = identity(row.recipe(recipe)), describe(row.split, **protocol(recipe, row.tta)), "last"
    for path in sorted(Path(folder).glob("*.json")):
        result = _read(path)
        if result is None or (*_training(result), result["checkpoint"]) != wanted:
            continue
        seed = result["recipe"]["seed"]
        if seed in found:
            raise UserError(
                f"expected one result of {row.name} with seed {seed} in {folder}, found {found[seed][0].name} and "
                f"{path.name}: keep one of them"
            )
        found[seed] = path, result
    return [found[seed][1] for seed in sorted(found)]


def _training(result: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The experiment behind a result and its protocol; no experiment if it had not ended, or is of another version."""
    try:
        recipe = Recipe.from_dict(result["recipe"])
    except UserError:
        return None, ""
    return identity(recipe) if result["iteration"] == recipe.iterations else None, result["protocol"]


def _read(path: Path) -> dict[str, Any] | None:
    """A result of ``scripts/evaluate.py``; None for another kind of file."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"expected JSON in {path}, found something else: restore the file, or delete it") from None
    keys = {"recipe", "miou", "protocol", "iteration", "checkpoint"}
    return result if isinstance(result, dict) and keys <= result.keys() and result["miou"] is not None else None


@dataclass(frozen=True)
class Summary:
    """Scores of one row. ``scores``: seed -> mIoU in per cent; ``sd``: the sample's, None below two seeds."""

    scores: Mapping[int, float]

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.scores.values()) if self.scores else None

    @property
    def sd(self) -> float | None:
        return statistics.stdev(self.scores.values()) if len(self.scores) > 1 else None

    def __str__(self) -> str:
        if not self.scores:
            return "not run"
        if self.sd is None:
            return f"{self.mean:.1f} (1 seed)"
        return f"{self.mean:.1f} ± {self.sd:.1f} ({len(self.scores)} seeds)"


@dataclass(frozen=True)
class Difference:
    """Of two rows, seed by seed: mean, and half the width of its 95 % interval (None with fewer than two seeds)."""

    seeds: int
    mean: float
    margin: float | None

    @property
    def inside_the_noise(self) -> bool | None:
        """Whether the interval reaches zero; None if one seed leaves it unknown."""
        return None if self.margin is None else abs(self.mean) <= self.margin

    @property
    def verdict(self) -> str:
        """In three words."""
        return {None: "noise unknown", True: "inside the noise", False: "outside the noise"}[self.inside_the_noise]

    def __str__(self) -> str:
        return f"{self.mean:+.1f}{'' if self.margin is None else f' ± {self.margin:.1f}'}, {self.verdict}"


@dataclass(frozen=True)
class Cost:
    """What a row's runs took: mean minutes of training, most GiB of memory, weights; None where no result says it."""

    minutes: float | None
    memory_gib: float | None
    parameters: int | None


def summarise(results: Iterable[Mapping[str, Any]]) -> Summary:
    """Mean and spread of what :func:`measured` found."""
    return Summary({result["recipe"]["seed"]: 100 * result["miou"] for result in results})


def by_class(results: Iterable[Mapping[str, Any]], names: Iterable[str]) -> dict[str, Summary]:
    """The same for the IoU of single classes, such as pole, sign and fence; of two rows' :func:`difference` pairs them.

    Args:
        results: what :func:`measured` found.
        names: classes of their data set.

    Returns:
        A summary a name; a seed in which the class has no IoU, being nowhere, is left out of it.

    Raises:
        UserError: a name that is no class; lists the classes.
    """
    found: dict[str, dict[int, float]] = {name: {} for name in names}
    for result in results:
        for name, scores in found.items():
            if name not in result["iou"]:
                raise UserError(
                    f"expected classes out of {', '.join(result['iou'])}; got {name!r}: choose some of these"
                )
            if result["iou"][name] is not None:
                scores[result["recipe"]["seed"]] = 100 * result["iou"][name]
    return {name: Summary(scores) for name, scores in found.items()}


def cost(results: Sequence[Mapping[str, Any]]) -> Cost:
    """What the runs behind ``results`` took. Older results say their minutes alone."""

    def known(key: str) -> list[Any]:
        return [result[key] for result in results if result.get(key) is not None]

    minutes = known("training_minutes")
    return Cost(
        statistics.fmean(minutes) if minutes else None,
        max(known("memory_gib"), default=None),
        max(known("parameters"), default=None),
    )


def difference(one: Summary, other: Summary) -> Difference | None:
    """``one`` minus ``other`` over the seeds that both have, paired by seed; None if they share none.

    The interval is Student's: the mean of n differences ± t · sd / √n, with t for 95 % and n − 1 degrees of freedom.
    Rule: a difference is *inside the noise* when this interval reaches zero.
    """
    steps = [one.scores[seed] - other.scores[seed] for seed in one.scores if seed in other.scores]
    if not steps:
        return None
    margin = None
    if len(steps) > 1:
        margin = student_t(len(steps) - 1) * statistics.stdev(steps) / math.sqrt(len(steps))
    return Difference(len(steps), statistics.fmean(steps), margin)


def student_t(degrees: int, level: float = 0.95) -> float:
    """The t for which Student's distribution has ``level`` of its mass in −t..t."""
    return float(stats.t.ppf((1 + level) / 2, degrees))


def compare(table: int | str, recipe: Recipe, folder: str | Path) -> str:
    """A table for the eye, at most 120 columns wide.

    The paper's scores and steps; the measured ones, each step with its 95 % interval and what follows from it; and what
    a run took: minutes, GiB, millions of weights.
    """
    rows = {row.name: row for row in TABLES[table]}
    found = {name: measured(row, recipe, folder) for name, row in rows.items()}
    scores = {name: summarise(results) for name, results in found.items()}
    lines = [("row", "paper", "step", "measured", "paired step", "minutes", "GiB", "M weights")]
    for name, row in rows.items():
        other, took = rows.get(row.against), cost(found[name])
        step = difference(scores[name], scores[other.name]) if other else None
        theirs = row.paper - other.paper if other and None not in (row.paper, other.paper) else None
        lines.append(
            (
                name,
                _number(row.paper, ".1f"),
                _number(theirs, "+.1f"),
                str(scores[name]),
                "" if step is None else str(step),
                _number(took.minutes, ".1f"),
                _number(took.memory_gib, ".2f"),
                _number(took.parameters and took.parameters / 1e6, ".2f"),
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _number(value: float | None, form: str) -> str:
    """``value`` as it is printed; nothing if it is not known."""
    return "" if value is None else format(value, form)

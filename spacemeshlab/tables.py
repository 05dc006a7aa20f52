"""The paper's tables as data, and what was measured beside them (paper section 3; chapters 15 and 16).

A :class:`Row` says what a row changes in a recipe. :func:`measured` finds the results of exactly that recipe, of any
seed; :func:`summarise` and :func:`difference` say what they amount to, :func:`compare` prints a table. Nothing is
filled in: a row without a result is "not run", and a difference never stands without its noise. Scores in per cent.
"""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy import stats

from spacemeshlab.checkpoint import RunDirectory
from spacemeshlab.errors import UserError
from spacemeshlab.evaluate import describe, protocol
from spacemeshlab.recipe import Recipe

BASELINE = ("spam=false", "attention=true", "context=aspp")  # without SpaM there is nothing for attention to change
SPAM = ("spam=true", "attention=false", "context=aspp")
ATTENTION = ("spam=true", "attention=true", "context=aspp")
METROCON2 = ("spam=true", "attention=true", "context=metrocon2")
SPACEMESHLAB = (*METROCON2, "rates=1-18")

_PAPERS = Recipe().backbone
_NO_CHANGE = ("name", "seed", "validate_every", *RunDirectory.free)  # fields that do not make it another experiment


@dataclass(frozen=True)
class Row:
    """One of the paper's own rows.

    Attributes:
        table: its number in the paper.
        name: short, unique in its table.
        title: in words.
        overrides: what it says about the network, as ``key=value`` for a recipe.
        tta: with MS + flip.
        paper: the paper's mIoU in per cent, one run.
        against: name of the row of the same table that differs in one thing; "" for none.
        backbone: the paper's.
        split: scored on "val" or "test".
    """

    table: int
    name: str
    title: str
    overrides: tuple[str, ...]
    tta: bool
    paper: float
    against: str = ""
    backbone: str = _PAPERS
    split: str = "val"

    def recipe(self, base: Recipe, seed: int | None = None) -> Recipe:
        """What this row trains: ``base`` with the row's changes, and the row's backbone if ``base`` has the paper's.

        A small recipe keeps its own backbone in every row, so there a ResNet-50 row and its ResNet-101 twin are one.
        """
        backbone = [f"backbone={self.backbone}"] if base.backbone == _PAPERS else []
        return base.override([*self.overrides, *backbone, *([] if seed is None else [f"seed={seed}"])])


@dataclass(frozen=True)
class Quoted:
    """A row that the paper quotes from others, all with MS + flip; ``key`` is its entry in references.bib."""

    table: int
    method: str
    key: str
    paper: float


TABLE_1 = (
    Row(1, "r50", "DeepLabV3+", BASELINE, False, 77.4, "", "resnet50"),
    Row(1, "r50-spam", "+ SpaM", SPAM, False, 78.2, "r50", "resnet50"),
    Row(1, "r50-attention", "+ SCA, CCA", ATTENTION, False, 78.7, "r50-spam", "resnet50"),
    Row(1, "r101", "DeepLabV3+", BASELINE, False, 78.1),
    Row(1, "r101-tta", "DeepLabV3+, MS + flip", BASELINE, True, 79.5, "r101"),
    Row(1, "r101-spam", "+ SpaM", SPAM, False, 78.9, "r101"),
    Row(1, "r101-attention", "+ SCA, CCA", ATTENTION, False, 79.4, "r101-spam"),
    Row(1, "r101-attention-tta", "+ SCA, CCA, MS + flip", ATTENTION, True, 80.5, "r101-attention"),
)
TABLE_2 = (
    Row(2, "aspp", "ASPP", ATTENTION, False, 79.4),
    Row(2, "aspp-tta", "ASPP, MS + flip", ATTENTION, True, 80.5, "aspp"),
    Row(2, "rates-3", "{6, 12, 18}², depth 144", (*METROCON2, "rates=6,12,18"), False, 79.8, "aspp"),
    Row(2, "rates-9", "{1..9}², depth 16", (*METROCON2, "rates=1-9"), False, 80.4, "rates-3"),
    Row(2, "rates-18", "{1..18}², depth 4", SPACEMESHLAB, False, 80.8, "rates-9"),
    Row(2, "rates-18-tta", "{1..18}², depth 4, MS + flip", SPACEMESHLAB, True, 81.8, "rates-18"),
)
TABLE_3 = (
    Row(3, "spacemeshlab", "SpaceMeshLab", SPACEMESHLAB, False, 80.9, split="test"),
    Row(3, "spacemeshlab-tta", "SpaceMeshLab, MS + flip", SPACEMESHLAB, True, 82.0, "spacemeshlab", split="test"),
)
TABLE_4 = (
    Row(4, "deeplabv3plus-tta", "DeepLabV3+, MS + flip", BASELINE, True, 51.7),
    Row(4, "spacemeshlab", "SpaceMeshLab", SPACEMESHLAB, False, 52.8),
    Row(4, "spacemeshlab-tta", "SpaceMeshLab, MS + flip", SPACEMESHLAB, True, 53.5, "deeplabv3plus-tta"),
)
TABLES: dict[int, tuple[Row, ...]] = {1: TABLE_1, 2: TABLE_2, 3: TABLE_3, 4: TABLE_4}
"""The paper's own rows, table by table, in its order."""

QUOTED: tuple[Quoted, ...] = (
    Quoted(3, "FCN-8s", "long2015fcn", 65.3),
    Quoted(3, "DeepLabv2", "chen2017deeplab", 70.4),
    Quoted(3, "RefineNet", "lin2017refinenet", 73.6),
    Quoted(3, "DUC", "wang2018duc", 77.6),
    Quoted(3, "PSPNet", "zhao2017pspnet", 78.4),
    Quoted(3, "DenseASPP", "yang2018denseaspp", 80.6),
    Quoted(3, "DANet", "fu2019danet", 81.5),
    Quoted(3, "SpyGR", "li2020spygr", 81.6),
    Quoted(4, "FCN", "long2015fcn", 37.8),
    Quoted(4, "DeepLabv2", "chen2017deeplab", 45.7),
    Quoted(4, "PSPNet", "zhao2017pspnet", 47.8),
    Quoted(4, "DANet", "fu2019danet", 52.6),
    Quoted(4, "SpyGR", "li2020spygr", 52.8),
)
"""The rows of tables 3 and 4 that are others', as the paper prints them."""


def run_name(recipe: Recipe) -> str:
    """What the rows of a recipe differ in, and the seed: a name for files. Rows that share a run share its name."""
    gates = ["spam", *(["attention"] if recipe.attention else [])] if recipe.spam else []
    rates = ".".join(map(str, recipe.rates))
    if len(recipe.rates) > 1 and recipe.rates == tuple(range(recipe.rates[0], recipe.rates[-1] + 1)):
        rates = f"{recipe.rates[0]}-{recipe.rates[-1]}"
    context = "aspp" if recipe.context == "aspp" else f"metrocon2-{rates}"
    return "-".join([recipe.backbone, *gates, context, f"seed{recipe.seed}"])


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


def identity(recipe: Recipe) -> dict[str, Any]:
    """What makes a recipe the experiment that it is: its values without name, seed and what changes no number.

    What a network does not have counts for nothing: attention without SpaM, rates without MetroCon².
    """
    values = {key: value for key, value in dataclasses.asdict(recipe).items() if key not in _NO_CHANGE}
    if not recipe.spam:
        values["attention"] = None
    if recipe.context != "metrocon2":
        values["rates"] = None
    return values


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

    def __str__(self) -> str:
        if self.margin is None:
            return f"{self.mean:+.1f}, noise unknown"
        return f"{self.mean:+.1f} ± {self.margin:.1f}, {'inside' if self.inside_the_noise else 'outside'} the noise"


def summarise(results: Iterable[Mapping[str, Any]]) -> Summary:
    """Mean and spread of what :func:`measured` found."""
    return Summary({result["recipe"]["seed"]: 100 * result["miou"] for result in results})


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


def compare(table: int, recipe: Recipe, folder: str | Path) -> str:
    """A table for the eye: the paper's scores and steps, and the measured ones beside them."""
    rows = {row.name: row for row in TABLES[table]}
    found = {name: summarise(measured(row, recipe, folder)) for name, row in rows.items()}
    lines = [("row", "paper", "step", "measured", "step")]
    for name, row in rows.items():
        step = difference(found[name], found[row.against]) if row.against else None
        paper = f"{row.paper - rows[row.against].paper:+.1f}" if row.against else ""
        lines.append((name, f"{row.paper:.1f}", paper, str(found[name]), "" if step is None else str(step)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)

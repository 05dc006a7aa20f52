"""The paper's tables as data, and the ablations that it lacks (paper section 3; chapters 15 and 16).

A :class:`Row` says what a row changes in a recipe. What was measured of it is :mod:`spacemeshlab.results`' business.
Scores in per cent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from spacemeshlab.checkpoint import RunDirectory
from spacemeshlab.errors import UserError
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
    """One of the paper's own rows, or of the ablations that it lacks.

    Attributes:
        table: its number in the paper, or "ablations".
        name: short, unique in its table.
        title: in words.
        overrides: what it says about the network, as ``key=value`` for a recipe.
        tta: with MS + flip.
        paper: the paper's mIoU in per cent, one run; None where it names none.
        against: name of the row of the same table that differs in one thing; "" for none.
        backbone: the paper's.
        split: scored on "val" or "test".
    """

    table: int | str
    name: str
    title: str
    overrides: tuple[str, ...]
    tta: bool
    paper: float | None
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


def _ablation(name: str, title: str, *overrides: str) -> Row:
    return Row("ablations", name, title, overrides or (*SPACEMESHLAB, f"variant={name}"), False, None, "spacemeshlab")


ABLATIONS = (
    Row("ablations", "spacemeshlab", "SpaceMeshLab", SPACEMESHLAB, False, 80.8),  # the run of table 2's rates-18
    _ablation("no-spam", "without SpaM", "spam=false", *SPACEMESHLAB[1:]),
    _ablation("fixed-score", "scores that stay 1"),
    _ablation("score-before-norm", "scores before the norm"),
    _ablation("concatenation", "exchange by concatenation"),
    _ablation("one-head", "gates of one head"),
    _ablation("two-heads", "gates of two heads"),
    _ablation("to-memo", "only the memo listens"),
    _ablation("to-backbone", "only the backbone listens"),
)
TABLES: dict[int | str, tuple[Row, ...]] = {1: TABLE_1, 2: TABLE_2, 3: TABLE_3, 4: TABLE_4, "ablations": ABLATIONS}
"""The paper's own rows, table by table, in its order; behind them what its tables leave open."""

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


def choose(rows: Iterable[Row], names: Iterable[str] | None) -> list[Row]:
    """The rows called ``names``, in that order; all of them without names.

    Raises:
        UserError: a name that no row has; lists those that there are.
    """
    known = {row.name: row for row in rows}
    for name in names or []:
        if name not in known:
            raise UserError(f"expected rows out of {', '.join(known)}; got {name!r}: choose some of these")
    return [known[name] for name in dict.fromkeys(names or known)]


def run_name(recipe: Recipe) -> str:
    """What the rows of a recipe differ in, and the seed: a name for files. Rows that share a run share its name."""
    gates = ["spam", *(["attention"] if recipe.attention else [])] if recipe.spam else []
    rates = ".".join(map(str, recipe.rates))
    if len(recipe.rates) > 1 and recipe.rates == tuple(range(recipe.rates[0], recipe.rates[-1] + 1)):
        rates = f"{recipe.rates[0]}-{recipe.rates[-1]}"
    context = "aspp" if recipe.context == "aspp" else f"metrocon2-{rates}"
    variant = [] if recipe.variant == "none" else [recipe.variant]
    return "-".join([recipe.backbone, *gates, context, *variant, f"seed{recipe.seed}"])


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

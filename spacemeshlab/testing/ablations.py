"""Checks of the tools of an ablation: paired scores, and rows that differ in one thing (chapter 15)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spacemeshlab.testing.contracts import check_refuses, fail
from spacemeshlab.testing.mistakes import check_number, check_parts, named_mistake


def naive_paired_difference(ours: Sequence[float], baseline: Sequence[float]) -> tuple[float, float]:
    """The definition: mean and sample standard deviation of the differences; NaN for the deviation of a single one."""
    steps = [one - other for one, other in zip(ours, baseline, strict=True)]
    mean = sum(steps) / len(steps)
    spread = sum((step - mean) ** 2 for step in steps)
    return mean, math.sqrt(spread / (len(steps) - 1)) if len(steps) > 1 else math.nan


def check_paired_difference(
    function: Callable[[list[float], list[float]], tuple[float, float]],
    ours: Sequence[float] = (77.9, 79.3, 78.4),
    baseline: Sequence[float] = (77.4, 78.6, 78.0),
) -> None:
    """``function(ours, baseline)`` is mean and sample standard deviation of the differences, seed by seed.

    Compared with :func:`naive_paired_difference`: one pair has no deviation (NaN), lists of two lengths are refused
    with a ValueError. A failure names the mistake where it is a common one.
    """
    lists = list(ours), list(baseline)
    if len(ours) != len(baseline):
        what = f"a ValueError for {len(ours)} scores against {len(baseline)}"
        hint = "compare the lengths first, and raise ValueError(...): zip stops at the shorter list without a word"
        check_refuses(lambda: function(*lists), what, hint)
        return
    found = function(*lists)
    if lists != (list(ours), list(baseline)):
        fail("both lists unchanged", "other scores in them after the call", "a list's sort() works on the list itself")
    parts = check_parts(found, "a mean and a standard deviation", "return mean, sd")
    mean, sd = (check_number(part, what) for part, what in zip(parts, ("the mean", "the deviation"), strict=True))
    expected = naive_paired_difference(ours, baseline)
    limit = 1e-5 * max(1.0, *map(abs, (*ours, *baseline)))
    for what, want, got in zip(("a mean", "a standard deviation"), expected, (mean, sd), strict=True):
        if math.isnan(want) != math.isnan(got) or abs(got - want) > limit:
            pairs = f"of {len(ours)} difference{'s' * (len(ours) > 1)}"
            hint = _pair_diagnosis(mean, sd, ours, baseline, limit)
            fail(f"{what} of {want:.4g} {pairs}", f"{got:.4g}", hint)


def _pair_diagnosis(mean: float, sd: float, ours: Sequence[float], baseline: Sequence[float], limit: float) -> str:
    """The common mistake that gives exactly this mean and deviation, in words."""
    n, (right, spread) = len(ours), naive_paired_difference(ours, baseline)
    if n < 2:
        return "one difference has a mean but no spread, and 0 would claim certainty: float('nan')"

    def same(one: tuple[float, float], other: tuple[float, float]) -> bool:
        return all(abs(a - b) <= limit for a, b in zip(one, other, strict=True))

    alone = [naive_paired_difference(row, [0.0] * n)[1] for row in (ours, baseline)]
    mistakes = {
        "the difference is ours minus baseline": (-right, spread),
        "divide by n - 1: this is the deviation of a whole population (numpy's default)":
            (right, spread * math.sqrt((n - 1) / n)),
        "subtract seed by seed first: this is the deviation of two rows that have nothing to do with each other":
            (right, math.hypot(*alone)),
        "this is the deviation of one row, not of the differences": (right, alone[0]),
        "this is the variance: its root is missing": (right, spread**2),
        "this is the error of the mean; the deviation of the differences is not divided by √n":
            (right, spread / math.sqrt(n)),
        "the scores are paired by seed, in the order given: do not sort them":
            naive_paired_difference(sorted(ours), sorted(baseline)),
        "keep the sign of a difference": naive_paired_difference(
            [abs(a - b) for a, b in zip(ours, baseline, strict=True)], [0.0] * n),
        "this is a difference relative to the baseline: subtract only": naive_paired_difference(
            [a / b - 1 if b else math.inf for a, b in zip(ours, baseline, strict=True)], [0.0] * n),
    }  # fmt: skip
    otherwise = "write down the differences, seed by seed, then take their mean"
    if abs(mean - right) <= limit:
        otherwise = "the mean is right: for the deviation square each difference minus the mean, and divide by n - 1"
    return named_mistake((mean, sd), (right, spread), mistakes, otherwise, same)


RECIPE = {"spam": False, "lr": 0.01, "context": "aspp", "iterations": 80_000, "crop": 768}
"""Two recipes that share lr and iterations: what :func:`check_changed_fields` compares if nothing else is said."""
OTHER = {"spam": True, "lr": 0.01, "context": "metrocon2", "iterations": 80_000, "crop": 512}


def check_changed_fields(
    function: Callable[[dict, dict], list[str]],
    recipe: Mapping[str, Any] = RECIPE,
    other: Mapping[str, Any] = OTHER,
) -> None:
    """``function(recipe, other)`` lists, in alphabetical order, the keys in which two dictionaries differ.

    A failure names the keys that are missing or too many, or says that their order is not alphabetical.
    """
    pair = copy.deepcopy(dict(recipe)), copy.deepcopy(dict(other))
    found = function(*pair)
    if pair != (recipe, other):
        fail(
            "both dictionaries unchanged", "other entries in them after the call", "pop and update change a dictionary"
        )
    if not isinstance(found, list | tuple):
        fail("a list of keys", type(found).__name__, "sorted(...) gives a list, of whatever you put in")
    for key in found:
        if not isinstance(key, str):
            fail("a list of keys", f"{key!r} in it", "return the names of the fields alone")
    wanted = [key for key in sorted({*recipe, *other}) if _differs(key, recipe, other)]
    for key in wanted:
        if key not in found:
            hint = "compare the two values"
            if not (key in recipe and key in other):
                hint = "a key that only one of the two has makes a difference, even if its value there is None"
            fail(f"{key!r} among the changed fields", str(list(found)), hint)
    for key in found:
        if key not in wanted:
            fail(f"only {wanted}", f"{key!r} as well", "both have it, with the same value")
    if list(found) != wanted:
        fail(f"{wanted}", f"{list(found)}", "each key once, in alphabetical order: sorted(...)")


def _differs(key: str, recipe: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return key not in recipe or key not in other or recipe[key] != other[key]

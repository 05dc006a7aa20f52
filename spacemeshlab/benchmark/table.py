"""Results as text, at most 100 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

WIDTH = 100
_HEAD = ("case", "median", "least", "most", "images/s", "GFLOP/s", "roof", "MiB peak", "M param.", "G mul-add")
_WIDTHS = (25, 7, 7, 7, 8, 8, 5, 8, 8, 9)


def part_lines(part: str, found: dict[str, Any]) -> Iterator[str]:
    """One part: where it was measured, its ceilings, then setting by setting the cases and the ratios."""
    source = found["origin"]
    yield f"== {part}: {source['machine']}"
    yield f"   {source['threads']} threads, torch {source['torch']}, commit {source['commit']}"
    for name, value in found.get("ceilings", {}).items():
        yield f"   ceiling {name} {value:,.1f}"
    for title, setting in found["settings"].items():
        yield f"-- {title} ({setting['repeats']} rounds)"
        yield _line(_HEAD)
        for name, row in setting["cases"].items():
            yield _line(_cells(name, row)) if row["status"] == "run" else _left_out(name, row["reason"])
        for pair, ratio in setting["ratios"].items():
            yield f"   {pair} = {ratio['median']:.3g} ({ratio['min']:.3g} to {ratio['max']:.3g})"
    for name, exponents in found.get("exponents", {}).items():
        yield f"   {name} grows as pixels to the power " + ", ".join(f"{e} ({what})" for what, e in exponents.items())


def target_lines(targets: list[dict[str, Any]]) -> Iterator[str]:
    """The design's targets that were measured, two lines each."""
    for target in targets:
        verdict = "met" if target["met"] else "MISSED"
        yield f"target {target['what']}"
        yield f"   {verdict}: {target['value']:.5g} {target['sense']} {target['bound']:.4g}"


def _line(cells: tuple[str, ...]) -> str:
    first, *others = (cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))
    return first.strip().ljust(_WIDTHS[0]) + " ".join(others)


def _left_out(name: str, reason: str) -> str:
    start = f"{name:<{_WIDTHS[0]}} not run: "
    return start + textwrap.shorten(reason, WIDTH - len(start), placeholder=" ...")


def _cells(name: str, row: dict[str, Any]) -> tuple[str, ...]:
    share = row.get("share_of_product", row.get("share_of_copy"))
    return (
        name,
        *(_seconds(row["seconds"][key]) for key in ("median", "min", "max")),
        _number(row.get("images_per_second")),
        _number(row.get("gflop_per_second")),
        "" if share is None else f"{share:.0%}",
        _number(row.get("peak_bytes"), 2**20),
        _number(row.get("parameters"), 1e6),
        _number(row.get("multiply_adds"), 1e9),
    )


def _seconds(value: float) -> str:
    """Three digits and the unit that fits."""
    for unit, size in (("s", 1), ("ms", 1e-3)):
        if value >= 0.9995 * size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e6:.3g} us"


def _number(value: float | None, unit: float = 1) -> str:
    return "" if value is None else f"{value / unit:,.1f}"

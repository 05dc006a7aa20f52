"""What every part of the benchmark shares: the device, its measured ceilings, and a table of cases (chapter 18)."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from spacemeshlab.benchmark.measure import Call, Seconds, measure, memory, ratios, spread

SEED = 0
WARMUP_ON_GPU = 2
"""Calls of each case before anything is measured: cuDNN tries its algorithms, Triton compiles. CPUs need none."""


@dataclass(frozen=True)
class Case:
    """One thing to measure.

    Attributes:
        call: does it once; what it returns counts as its result.
        facts: what is known without measuring: ``parameters``, ``multiply_adds``, ``images``, ``about`` …
    """

    call: Call
    facts: dict[str, Any] = field(default_factory=dict)


def not_run(reason: str) -> dict[str, str]:
    """The row of a case that was left out."""
    return {"status": "not run", "reason": reason}


@dataclass(frozen=True)
class Bench:
    """Where and how large: ``quick`` asks for the smallest sizes that still exercise everything."""

    device: torch.device
    quick: bool = False

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    def compare(
        self,
        cases: Mapping[str, Case],
        pairs: Iterable[tuple[str, str]],
        repeats: int,
        dtype: torch.dtype | None = None,
        left_out: Mapping[str, str] | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Measure cases in turn.

        Args:
            cases: what to measure, by name.
            pairs: names (slow, fast) whose ratio is wanted; pairs with a case that is not measured are skipped.
            repeats: rounds.
            dtype: what the multiply–adds are done in; chooses the ceiling. None if they are not counted.
            left_out: name -> reason of the cases that are not run.

        Returns:
            the setting, ready for JSON, and each case's result. The call that measures the memory also warms up.
        """
        repeats = 2 if self.quick else repeats
        for _ in range(WARMUP_ON_GPU if self.on_gpu else 0):
            for case in cases.values():
                case.call()
        results, used = {}, {}
        for name, case in cases.items():
            results[name], used[name] = memory(case.call, self.device)
        seconds = measure({name: case.call for name, case in cases.items()}, repeats, self.device)
        rows = {name: self.row(case.facts | used[name], seconds[name], dtype) for name, case in cases.items()}
        rows |= {name: not_run(reason) for name, reason in (left_out or {}).items()}
        return self.setting(rows, seconds, pairs, repeats), results

    def setting(
        self, rows: dict[str, Any], seconds: Seconds, pairs: Iterable[tuple[str, str]], repeats: int
    ) -> dict[str, Any]:
        """Rows that were measured together, and their ratios."""
        return {"repeats": repeats, "cases": rows, "ratios": ratios(seconds, pairs)}

    def row(self, facts: dict[str, Any], seconds: list[float], dtype: torch.dtype | None = None) -> dict[str, Any]:
        """One case: seconds, what is known of it, and the rates and the share of the ceiling that follow."""
        times = spread(seconds)
        row = {"status": "run", "seconds": times, **facts}
        if "images" in facts:
            row["images_per_second"] = round(facts["images"] / times["median"], 3)
        if dtype is not None and "multiply_adds" in facts:
            row["gflop_per_second"] = round(2 * facts["multiply_adds"] / times["median"] / 1e9, 3)
            row["share_of_product"] = round(
                row["gflop_per_second"] / product_ceiling(self.device, dtype, self.quick), 4
            )
        if "bytes_moved" in facts:
            row["share_of_copy"] = round(
                facts["bytes_moved"] / times["median"] / 1e9 / copy_ceiling(self.device, self.quick), 4
            )
        return row

    def ceilings(self, dtypes: Iterable[torch.dtype] = ()) -> dict[str, float]:
        """What this machine reaches at best; shares are shares of these."""
        products = {
            f"product_{name(dtype)}_gflop_per_second": product_ceiling(self.device, dtype, self.quick)
            for dtype in dtypes
        }
        return {**products, "copy_gb_per_second": copy_ceiling(self.device, self.quick)}


@functools.cache
def product_ceiling(device: torch.device, dtype: torch.dtype, quick: bool) -> float:
    """GFLOP/s of the fastest of five products of two large square matrices."""
    side = 256 if quick else 8192 if device.type == "cuda" else 4096
    a, b, out = (torch.randn(side, side, device=device).to(dtype) for _ in range(3))
    return round(2 * side**3 / _fastest(lambda: torch.mm(a, b, out=out), device) / 1e9, 3)


@functools.cache
def copy_ceiling(device: torch.device, quick: bool) -> float:
    """GB/s, read and written, of the fastest of five copies of a tensor larger than the caches."""
    size = 2**20 if quick else 2**31 if device.type == "cuda" else 2**28
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    return round(2 * size / _fastest(lambda: target.copy_(source), device) / 1e9, 3)


def _fastest(call: Call, device: torch.device) -> float:
    call()
    return min(measure({"ceiling": call}, 5, device)["ceiling"])


def name(dtype: torch.dtype) -> str:
    """``torch.float32`` -> ``"float32"``."""
    return str(dtype).removeprefix("torch.")

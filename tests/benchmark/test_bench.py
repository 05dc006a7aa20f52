"""A comparison of cases becomes one setting: rows with rates and shares, ratios, and reasons for what is missing."""

from __future__ import annotations

import json

import pytest
import torch

from spacemeshlab.benchmark import bench as module
from spacemeshlab.benchmark.bench import Bench, Case

QUICK = Bench(torch.device("cpu"), quick=True)


@pytest.fixture
def _ceilings(monkeypatch):
    """A machine of 100 GFLOP/s and 10 GB/s."""
    monkeypatch.setattr(module, "product_ceiling", lambda *_: 100.0)
    monkeypatch.setattr(module, "copy_ceiling", lambda *_: 10.0)


@pytest.mark.usefixtures("_ceilings")
def test_rates_and_shares_follow_from_the_median():
    facts = {"images": 8, "multiply_adds": 10**10, "bytes_moved": 10**9}
    row = QUICK.row(facts, [0.25, 0.5, 4.0], torch.float32)
    assert row == {
        "status": "run",
        "seconds": {"median": 0.5, "min": 0.25, "max": 4.0},
        **facts,
        "images_per_second": 16.0,
        "gflop_per_second": 40.0,
        "share_of_product": 0.4,
        "share_of_copy": 0.2,
    }


def test_what_is_not_known_is_not_made_up():
    assert QUICK.row({}, [1.0]) == {"status": "run", "seconds": {"median": 1.0, "min": 1.0, "max": 1.0}}


def test_a_comparison_holds_rows_ratios_results_and_what_was_left_out():
    calls = []
    cases = {name: Case(lambda name=name: calls.append(name) or torch.ones(256), {"images": 1}) for name in "ab"}
    done, results = QUICK.compare(cases, [("a", "b"), ("a", "c")], repeats=9, left_out={"c": "no such machine"})
    assert done["repeats"] == 2
    assert sorted(calls) == ["a"] * 3 + ["b"] * 3  # for the memory, and twice for the time
    assert done["cases"]["c"] == {"status": "not run", "reason": "no such machine"}
    assert [done["cases"][name]["result_bytes"] for name in "ab"] == [1024, 1024]
    assert list(done["ratios"]) == ["a / b"]
    assert done["ratios"]["a / b"]["min"] <= done["ratios"]["a / b"]["median"] <= done["ratios"]["a / b"]["max"]
    assert torch.equal(results["a"], torch.ones(256))
    json.dumps(done, allow_nan=False)


def test_without_quick_the_rounds_are_those_asked_for():
    calls = []
    done, _ = Bench(torch.device("cpu")).compare({"a": Case(lambda: calls.append("a"))}, [], repeats=4)
    assert (done["repeats"], len(calls)) == (4, 5)


def test_the_ceilings_are_positive_rates_one_for_each_type():
    found = QUICK.ceilings([torch.float32, torch.bfloat16])
    assert list(found) == [
        "product_float32_gflop_per_second",
        "product_bfloat16_gflop_per_second",
        "copy_gb_per_second",
    ]
    assert all(value > 0 for value in found.values())

"""The file of results: parts merged, targets checked, nothing overwritten by mistake; and the table of it."""

from __future__ import annotations

import json

import pytest
import torch

from spacemeshlab.benchmark import results, table, targets
from spacemeshlab.benchmark.targets import MEMORY_BYTES, Target
from spacemeshlab.errors import UserError

LARGE = "forward 1x2048x64x128 float32"


def part(**settings) -> dict:
    source = {"machine": "2 cores of Some Processor", "threads": 2, "torch": "2", "commit": "0123456789ab"}
    return {"origin": source, "settings": settings}


def setting(ratio: float, extra: int) -> dict:
    times = {"median": 0.0123, "min": 0.01, "max": 99.9}
    row = {"status": "run", "seconds": times, "extra_bytes": extra, "peak_bytes": 2**20, "multiply_adds": 10**9}
    cases = {"gemm": row, "triton": {"status": "not run", "reason": "no GPU here " * 20}}
    return {"repeats": 3, "cases": cases, "ratios": {"loop / gemm": {"median": ratio, "min": 1.0, "max": 20.0}}}


def test_parts_are_merged_in_the_order_of_the_parts_and_replaced_one_by_one(tmp_path):
    path = tmp_path / "new" / "cpu.json"
    results.prepare(path, quick=False)
    results.merge(path, False, "metrics", {"n": 1})
    results.merge(path, False, "operation", {"n": 2})
    whole = results.merge(path, False, "metrics", {"n": 3})
    assert json.loads(path.read_text()) == whole
    assert whole == {"quick": False, "targets": [], "parts": {"operation": {"n": 2}, "metrics": {"n": 3}}}
    assert list(whole["parts"]) == ["operation", "metrics"]
    assert [file.name for file in path.parent.iterdir()] == ["cpu.json"]


@pytest.mark.parametrize(("quick", "kind"), [(True, "a full run"), (False, "--quick")])
def test_quick_and_full_results_never_share_a_file(tmp_path, quick, kind):
    path = tmp_path / "cpu.json"
    results.merge(path, not quick, "metrics", {"n": 1})
    before = path.read_text()
    with pytest.raises(UserError, match=rf"found results of {kind}: choose another file with --out"):
        results.prepare(path, quick)
    assert path.read_text() == before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"parts": {}}', '"quick"'])
def test_a_file_that_holds_something_else_is_refused_and_kept(tmp_path, text):
    path = tmp_path / "notes.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"expected results in .*notes\.json, found something else: choose another"):
        results.prepare(path, quick=False)
    assert path.read_text() == text


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"expected to write .*file/cpu\.json, but .*choose another file with --out"):
        results.prepare(tmp_path / "file" / "cpu.json", quick=False)
    with pytest.raises(UserError, match="but is a directory: choose another"):
        results.prepare(tmp_path, quick=False)


def test_the_file_is_called_cpu_or_as_the_gpu(monkeypatch):
    assert results.file_name(torch.device("cpu")) == "cpu.json"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA GeForce RTX 4090 (24GB)")
    assert results.file_name(torch.device("cuda")) == "nvidia-geforce-rtx-4090-24gb.json"


def test_a_part_says_where_it_was_measured_and_with_what(monkeypatch):
    monkeypatch.setitem(results.PARTS, "metrics", lambda bench: {"settings": {}})
    found = results.measure_part("metrics", results.Bench(torch.device("cpu"), quick=True))
    assert {"commit", "machine", "threads", "torch", "command", *results.LIBRARIES} <= set(found["origin"])
    assert (found["device"], found["seed"], found["settings"]) == ("cpu", 0, {})


def test_targets_are_checked_against_their_bounds_and_skipped_where_nothing_was_measured():
    parts = {"operation": part(**{LARGE: setting(ratio=9.5, extra=MEMORY_BYTES + 1)})}
    assert targets.check(parts) == [
        {"what": f"{LARGE}: loop / gemm", "value": 9.5, "sense": ">=", "bound": 9, "met": True},
        {"what": f"{LARGE}: gemm extra_bytes", "value": 2**29 + 1, "sense": "<=", "bound": 2**29, "met": False},
    ]
    assert targets.check({}) == []


def test_a_target_finds_its_number_by_its_place():
    target = Target("operation", LARGE, "cases|gemm|seconds|median", "<=", 1)
    assert target.find({"operation": part(**{LARGE: setting(1.0, 0)})}) == 0.0123
    assert (
        Target("operation", LARGE, "cases|triton|seconds|median", "<=", 1).find(
            {"operation": part(**{LARGE: setting(1.0, 0)})}
        )
        is None
    )


def test_the_table_fits_into_100_columns_and_says_what_was_not_run():
    found = part(**{LARGE: setting(9.5, 1)}) | {"ceilings": {"copy_gb_per_second": 12.34}}
    found["exponents"] = {"gemm": {"seconds": 1.01, "peak_bytes": 0.5}}
    lines = [*table.part_lines("operation", found), *table.target_lines(targets.check({"operation": found}))]
    assert max(map(len, lines)) <= table.WIDTH == 100
    text = "\n".join(lines)
    for wanted in (
        "== operation: 2 cores of Some Processor",
        "ceiling copy_gb_per_second 12.3",
        f"-- {LARGE} (3 rounds)",
        "12.3 ms",
        "99.9 s",
        "not run: no GPU here",
        "loop / gemm = 9.5 (1 to 20)",
        "gemm grows as pixels to the power 1.01 (seconds), 0.5 (peak_bytes)",
        "met: 9.5 >= 9",
    ):
        assert wanted in text, wanted


@pytest.mark.parametrize(
    ("seconds", "text"), [(12.345, "12.3 s"), (0.9999, "1 s"), (0.0456, "45.6 ms"), (7e-6, "7 us")]
)
def test_times_have_three_digits_and_a_unit_that_fits(seconds, text):
    assert table._seconds(seconds) == text

"""The tables of what runs will cost show the file's numbers, and say whose they are."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "book" / "_extensions"))  # as Sphinx does with local extensions
estimated = importlib.import_module("estimated")
FOUND = json.loads((ROOT / estimated.FILE).read_text(encoding="utf-8"))
PAGE = (ROOT / "book" / "eight-gpus.md").read_text(encoding="utf-8")


def ends(cell: str) -> list[float]:
    return [float(end) for end in cell.split(estimated.JOINED)]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("table", ["1", "2", "4", "ablations"])
def test_a_line_a_run_has_its_rows_size_and_hours(table, precision):
    head, lines = estimated.by_run(FOUND, table, precision)
    runs = [run for run in FOUND["runs"].values() if table in run["rows"]]
    assert len(lines) == len(runs) > 0
    for run, line in zip(runs, lines, strict=True):
        assert len(line) == len(head)
        assert re.findall(r"`([\w-]+)`", line[0]) == run["rows"][table]
        sizes = [run["weights"] / 1e6, run["multiply_adds"] / 1e12, run["memory"] / 2**30]
        assert [float(cell) for cell in line[1:4]] == pytest.approx(sizes, abs=0.05)
        one, three = ends(line[head.index("A100: hours")]), ends(line[head.index("A100: hours") + 1])
        assert one == pytest.approx(run["hours"][precision]["A100"], rel=0.05)
        assert three == pytest.approx([3 * end for end in run["hours"][precision]["A100"]], rel=0.05)


def test_the_sums_have_every_table_and_all_runs_once():
    head, lines = estimated.in_sum(FOUND, "32-true")
    assert [line[0] for line in lines] == [estimated.NAMES[table] for table in FOUND["tables"]]
    assert set(estimated.NAMES) == set(FOUND["tables"])
    assert lines[-1][:2] == ["**All of them**", str(3 * len(FOUND["runs"]))]
    assert ends(lines[-1][-1]) == pytest.approx(FOUND["tables"]["all"]["hours"]["32-true"]["H100"], rel=0.05)
    assert head[-2:] == ["H100: GPU hours", "on 8 of them"]


def test_the_assumed_rates_are_shown_with_their_shares():
    head, lines = estimated.rates(FOUND)
    assert head == ["GPU", "bfloat16", "TF32", "float32"]
    assert lines[0][:2] == ["A100", "312 TFLOP/s, 10 to 40 %"]


@pytest.mark.parametrize(
    ("given", "text"), [([2.94, 10.94], "2.9–11"), ([0.3214, 1.93], "0.3–1.9"), ([9.96, 829.0], "10–829")]
)
def test_a_range_has_two_digits_or_whole_hours(given, text):
    assert estimated.span(given).replace("\u2060", "") == text


def test_the_page_says_that_all_of_it_is_calculated_and_types_no_hour_or_gib():
    assert "Calculated, not measured" in PAGE
    assert "scripts/estimate.py" in PAGE
    assert not re.findall(r"\d+(?:\.\d+)? (?:GiB|hours?|minutes)\b", PAGE)
    assert {source in PAGE for source in (gpu["source"] for gpu in FOUND["gpus"].values())} == {True}

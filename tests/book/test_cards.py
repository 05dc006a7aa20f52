"""What the cards and the page of status say is what was measured."""

from __future__ import annotations

import importlib
import json
import re
import sys
from datetime import date
from pathlib import Path

import pytest
import tidy_notebooks

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "book" / "_extensions"))  # as Sphinx does with local extensions
cards, status = map(importlib.import_module, ("cards", "status"))
CHAPTERS = [path.stem for path in tidy_notebooks.chapters(ROOT)]
RESULTS = sorted(path for path in (ROOT / "book" / "results").rglob("*.json") if path != ROOT / cards.RECORDS)
LAPTOP = {"machine": "2 cores of Intel(R) Xeon(R) Processor @ 2.80GHz", "threads": 2, "date": "2026-11-23"}


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_has_a_record_of_its_last_execution(name):
    record = cards.records(ROOT).get(name)
    assert record, f"run scripts/execute_book.py {name}"
    assert set(record) == {"date", "seconds", "memory_mib", "machine", "threads", "python", "torch", "commit", "recipe"}
    assert date.fromisoformat(record["date"])
    assert record["seconds"] > 0
    assert record["recipe"] == "toycity"
    assert re.fullmatch(r"[0-9a-f]{12}(-dirty)?|unknown", record["commit"])


def test_there_is_no_record_of_a_chapter_that_is_gone():
    assert set(cards.records(ROOT)) <= set(CHAPTERS)


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (None, "not recorded"),
        (
            {**LAPTOP, "seconds": 23.4, "memory_mib": 922},
            "23 s and 0.9 GiB on 2 cores of Intel Xeon @ 2.80GHz (no GPU), 2026-11-23",
        ),
        (
            {**LAPTOP, "seconds": 119.4, "memory_mib": None, "threads": 1},
            "119 s on 2 cores of Intel Xeon @ 2.80GHz, 1 thread (no GPU), 2026-11-23",
        ),
        (
            {**LAPTOP, "seconds": 200.0, "memory_mib": 2048, "machine": "1 x NVIDIA H200"},
            "3 minutes and 2.0 GiB on 1 x NVIDIA H200, 2026-11-23",
        ),
    ],
)
def test_the_line_on_a_card_says_how_long_and_on_what(record, line):
    assert cards.execution(record) == line


def test_without_a_file_nothing_is_recorded(tmp_path):
    assert cards.records(tmp_path) == {}


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.name)
def test_a_file_of_results_says_from_which_commit_and_on_what_machine(path):
    found = list(status.origins(json.loads(path.read_text(encoding="utf-8"))))
    assert found
    assert all({"commit", "machine"} <= set(one) for one in found)


def test_an_origin_is_found_at_any_depth_and_named_once():
    one, two = {"commit": "a", "command": "x"}, {"commit": "b", "command": "x"}
    assert list(status.origins({"runs": [one, {"of": two}], "again": dict(one)})) == [one, two]


def test_equal_machines_share_a_letter():
    machines = status.Machines()
    records = [{**LAPTOP, "torch": "2.14.1+cpu"}, {**LAPTOP, "torch": "2.14.1+cu130"}, {**LAPTOP, "torch": "2.15"}]
    assert [machines.letter(record) for record in records] == ["A", "A", "B"]
    assert machines.known[0] == "2 cores of Intel Xeon @ 2.80GHz, torch 2.14.1"

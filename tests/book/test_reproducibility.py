"""The summary of the reproduction: its form, a checklist without gaps, and no result typed by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "book" / "reproducibility.md").read_text(encoding="utf-8")
SUMMARY, CHECKLIST = PAGE.split("\n## The checklist\n")
POINTS = re.findall(r"^\| (?!For |---)(.+?) \| \*\*(.+?)\*\* \| (.+) \|$", CHECKLIST, flags=re.MULTILINE)
SECTIONS = [
    "Scope of reproducibility",
    "Methodology",
    "Results",
    "What was easy",
    "What was difficult",
    "Communication with original authors",
    "How to add your runs",
]
PARTS = {"Models and algorithms": 3, "Theoretical claims": 2, "Datasets": 5, "Code": 5, "Results": 6}
"""Of the Machine Learning Reproducibility Checklist, version 2.0: its parts, and how many points each has."""


def test_the_page_is_in_the_book_and_has_the_challenges_form():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    assert "book/reproducibility" in [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    assert re.findall(r"^## (.*)", SUMMARY, flags=re.MULTILINE) == SECTIONS


def test_the_checklist_has_every_point():
    parts = re.split(r"^### ", CHECKLIST, flags=re.MULTILINE)[1:]
    found = {part.partition("\n")[0]: len(re.findall(r"^\| (?!For |---)", part, flags=re.MULTILINE)) for part in parts}
    assert found == PARTS
    assert len(POINTS) == sum(PARTS.values())


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point[0][:30])
def test_a_point_is_answered_and_says_where_to_look(point):
    _, answer, where = point
    assert answer in ("yes", "no", "not applicable")
    named = re.findall(r"\]\(([\w-]+\.(?:md|ipynb))\)", where)
    paths = re.findall(r"`((?:spacemeshlab|scripts|tests)/[\w/]+\.py|[\w.]+\.(?:toml|lock))`", where)
    assert named or paths or re.search(r"\bcolumn \*\w+\*|\btables above\b", where) or answer == "no"
    assert all((ROOT / "book" / page).is_file() for page in named)
    assert all((ROOT / path).is_file() for path in paths)


def test_every_claim_is_linked_to_the_ledger_and_every_command_to_its_page():
    assert {"ledger.md", "eight-gpus.md", "status.md"} <= set(re.findall(r"\]\(([\w-]+\.md)\)", SUMMARY))


def test_results_and_verdicts_are_rendered_and_not_typed():
    prose = re.sub(r"^:::.*?^:::$|^```.*?^```$", "", SUMMARY, flags=re.DOTALL | re.MULTILINE)
    assert not re.findall(r"\d+\.\d", prose)
    assert not re.findall(r"±|\b(?:confirmed|contradicted|outside the noise)\b(?! nor)", prose.replace("mean ±", ""))
    assert prose.count("inside the noise") == 1  # where it is defined
    tables = re.findall(r"^:::\{measured\} (.+)\n:recipe: (.+)$", SUMMARY, flags=re.MULTILINE)
    assert tables == [("1 2", "camvid-small"), ("1 2", "camvid-small"), ("ablations", "camvid-small")]

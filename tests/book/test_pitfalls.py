"""The page on what goes wrong: twenty items of one form, each held by tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

from spacemeshlab.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "book" / "pitfalls.md").read_text(encoding="utf-8")
TITLES = re.findall(r"^### (\d+)\. \S.*$", PAGE, flags=re.MULTILINE)
ITEMS = [re.split(r"^##? ", part, flags=re.MULTILINE)[0] for part in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]]
BULLETS = ["You see", "Why", "Here", "You can", "Test"]
MOST_WORDS = 90
NAMED = re.findall(r"`([^`\s]+\.py::[^`\s]+)`", PAGE)


def functions(file: Path) -> dict[str, ast.FunctionDef]:
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return {node.name: node for node in body if isinstance(node, ast.FunctionDef)}


def test_the_page_is_in_the_book_and_has_twenty_numbered_items():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    assert "book/pitfalls" in [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    assert TITLES == [str(number) for number in range(1, 21)]
    assert len(ITEMS) == 20


@pytest.mark.parametrize("item", ITEMS, ids=range(1, len(ITEMS) + 1))
def test_an_item_has_five_parts_few_words_and_a_test(item):
    assert re.findall(r"^- \*\*(.+?)\*\*", item, flags=re.MULTILINE) == BULLETS
    text, tests = item.split("- **Test** ")
    words = [word for word in text.partition("\n")[2].split() if word != "-"]
    assert len(words) <= MOST_WORDS, f"{len(words)} words"
    assert re.fullmatch(r"`tests/[\w/]+\.py::test_\w+`(,\n  `tests/[\w/]+\.py::test_\w+`)*", tests.strip())


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_the_page_names_exists_and_is_not_always_skipped(name):
    file, function = name.split("::")
    found = functions(ROOT / file)
    assert function in found
    marks = [ast.unparse(decorator).partition("(")[0] for decorator in found[function].decorator_list]
    assert not {"pytest.mark.skip", "pytest.mark.xfail"} & set(marks)


def test_no_test_holds_two_items():
    assert len(NAMED) >= 20
    assert sorted(NAMED) == sorted(set(NAMED))


def test_scripts_options_and_overrides_that_the_page_names_exist():
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "scripts").glob("*.py"))
    sources += "".join(path.read_text(encoding="utf-8") for path in (ROOT / "spacemeshlab").rglob("*.py"))
    scripts = set(re.findall(r"(scripts/\w+\.py)(?!::)\b", PAGE))
    assert {script for script in scripts if not (ROOT / script).is_file()} == set()
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    assert {option for option in options if not re.search(rf"{option}\b(?!-)", sources)} == set()
    overrides = set(re.findall(r"`(\w+)=\w+`", PAGE)) - {"weights_only"}  # torch.load's
    assert overrides <= set(Recipe.__dataclass_fields__)
    assert min(len(scripts), len(options), len(overrides)) >= 3

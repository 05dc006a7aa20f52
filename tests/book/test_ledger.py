"""The ledger: each entry is sound, is tested by what is there, and has the status that the results give it."""

from __future__ import annotations

import copy
import importlib
import json
import re
import shlex
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from nbformat import v4
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from spacemeshlab.errors import UserError
from spacemeshlab.recipe import RECIPES, get_recipe
from spacemeshlab.tables import QUOTED, TABLES

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "book" / "_extensions"))  # as Sphinx does with local extensions
claims, evidence, ledger = map(importlib.import_module, ("claims", "evidence", "ledger"))
ENTRIES = claims.load(ROOT)
COMMANDS = {entry.id: entry.test["command"] for entry in ENTRIES if "command" in entry.test}
PAGES = sorted((ROOT / "book").glob("ledger*.md"))
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
MEASURED = re.compile(r"\b\d+\.\d+|\b\d+(?= ?(?:%|points?\b|mIoU|GiB|MiB|minutes|seconds|ms\b))")

CLAIM = {
    **{"id": "spam-helps", "kind": "claim", "where": "Table 1, row 6", "quote": "78.9", "link": "09-x"},
    **{"claim": "SpaM helps.", "status": "not run", "test": {"cell": {"chapter": "09-x", "prints": "1,296 in all"}}},
}
STEP = {"step": {"table": 1, "row": "r101-spam", "recipe": "toycity"}}


@pytest.fixture
def book(tmp_path) -> Path:
    """A small book: a chapter with checked and unchecked outputs, a test, and scores of two rows with three seeds."""
    written = [
        ("there are\n1,296 in all", 1, []),
        ("never compared", None, []),
        ("took a while", 2, ["nbval-ignore-output"]),
    ]
    cells = [
        v4.new_code_cell(outputs=[v4.new_output("stream", text=text)], execution_count=number, metadata={"tags": tags})
        for text, number, tags in written
    ]
    for name in ("book/results/toycity", "tests", "spacemeshlab", "scripts"):
        (tmp_path / name).mkdir(parents=True)
    nbformat.write(v4.new_notebook(cells=[v4.new_markdown_cell("# Nine"), *cells]), tmp_path / "book" / "09-x.ipynb")
    (tmp_path / "tests" / "test_x.py").write_text("def test_a(): ...\n")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/index\nchapters: [{file: book/09-x}]\n")
    (tmp_path / "book" / "results" / "speed.json").write_text('{"times": [1, {"ratio": 2.5}]}')
    return tmp_path


def write_scores(book: Path, steps: list[float]) -> None:
    """Results of ToyCity's baseline, 40 %, and of its twin with SpaM, better by a step a seed."""
    rows = {row.name: row for row in TABLES[1]}
    for seed, step in enumerate(steps):
        for name, score in (("r101", 0.4), ("r101-spam", 0.4 + step / 100)):
            recipe = rows[name].recipe(RECIPES["toycity"], seed)
            (path,) = (ROOT / "book/results/toycity").glob("resnet18-aspp-seed0.json")
            known = json.loads(path.read_text())
            result = known | {"recipe": recipe.as_dict(), "miou": score, "seed": seed}
            (book / "book/results/toycity" / f"{name}-{seed}.json").write_text(json.dumps(result))


def entry(**changes: object) -> object:
    return claims.Entry(**{**CLAIM, **changes})


def wrong(book: Path, **changes: object) -> str:
    return "; ".join(evidence.problems(book, entry(**changes)))


def malformed(*entries: dict) -> str:
    return "; ".join(claims.malformed(list(entries)))


def test_the_ledger_is_there_and_every_part_of_it_is_on_a_page_of_the_book():
    assert {each.part for each in ENTRIES} == set(claims.PARTS)
    shown = [part for page in PAGES for part in re.findall(r"^:::\{ledger\} (\S+)$", page.read_text(), re.MULTILINE)]
    assert sorted(shown) == sorted(claims.PARTS)
    assert {page.stem for page in PAGES} <= evidence.pages(ROOT)


@pytest.mark.parametrize("each", ENTRIES, ids=lambda each: each.id)
def test_an_entry_is_borne_out_by_what_it_names(each):
    assert list(evidence.problems(ROOT, each)) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_of_an_entry_is_understood_and_makes_the_number_that_is_awaited(parse, name):
    (ours,) = [each.ours or {} for each in ENTRIES if each.id == name]
    made = set()
    for command in COMMANDS[name].split(" && "):
        python, script, *words = shlex.split(command)
        assert python in ("python", ".venv/bin/python")
        assert script.startswith("scripts/")
        found = parse(script, words)
        if getattr(found, "recipe", None):
            get_recipe(found.recipe, getattr(found, "overrides", None) or getattr(found, "override", []))
        if "reproduce.py" in command:
            table = found.table.removeprefix("table")
            rows = {row.name for row in TABLES[int(table) if table.isdecimal() else table]}
            assert set(found.rows or []) <= rows
            made |= {(found.recipe, row) for row in found.rows or rows}
    for place in [ours[form] for form in ("row", "step") if form in ours and made]:
        needed = [place["row"], *([evidence.against(place)] if "step" in ours else [])]
        assert {(place["recipe"], row) for row in needed} <= made


def test_a_measured_number_in_prose_is_a_cells_or_the_papers_own():
    scores = {str(row.paper) for row in [*QUOTED, *(row for rows in TABLES.values() for row in rows)]}
    for each in ENTRIES:
        cells = [form["cell"]["prints"] for form in (each.test, each.ours or {}) if "cell" in form]
        known = scores | set(NUMBER.findall(" ".join([*each.quotes, *cells])))
        assert set(MEASURED.findall(f"{each.reading} {each.if_wrong}")) <= known, each.id


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "Spam Helps"}, "kebab-case"),
        ({"kind": "rumour"}, "kind 'rumour'"),
        ({"status": "proved"}, "status 'proved'"),
        ({"test": {}}, "no test"),
        ({"test": {"command": "a", "pytest": "b"}}, "test is not exactly one of"),
        ({"test": {"cell": {"chapter": "09-x", "prints": 1296}}}, "test is not exactly one of"),
        ({"test": {"cell": {"chapter": "09-x"}}}, "test is not exactly one of"),
        ({"ours": "45.1"}, "ours is not exactly one of"),
        ({"ours": {"number": 45.1}}, "ours is not exactly one of"),
        ({"ours": {"row": {**STEP["step"], "against": "r101"}}}, "ours is not exactly one of"),
        ({"quote": ""}, "no quote"),
        ({"quote": ["78.9", 5]}, "quote is no text"),
        ({"kind": "reading"}, "no reading, if_wrong"),
        ({"kind": "contradiction"}, "no reading"),
        ({"number": 45.1}, "unknown number"),
    ],
)
def test_what_is_no_entry_is_refused_and_says_why(changes, message):
    assert malformed(CLAIM) == ""
    assert message in malformed({**CLAIM, **changes})
    for key in claims.REQUIRED:
        assert f"no {key}" in malformed({name: value for name, value in CLAIM.items() if name != key})


def test_two_entries_of_one_name_are_refused(tmp_path):
    assert malformed(CLAIM, copy.deepcopy(CLAIM)) == "spam-helps 2 times"
    (tmp_path / "book").mkdir()
    (tmp_path / claims.LEDGER).write_text(yaml.safe_dump([CLAIM, CLAIM]))
    with pytest.raises(UserError, match="spam-helps 2 times: mend them"):
        claims.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"link": "10-y"}, "no page 10-y"),
        ({"test": {"pytest": "tests/test_x.py::test_b"}}, "no test tests/test_x.py::test_b"),
        ({"test": {"pytest": "tests/test_y.py::test_a"}}, "no test tests/test_y.py::test_a"),
        ({"test": {"cell": {"chapter": "09-x", "prints": "296 in all"}}}, "no compared output of 09-x"),
        ({"test": {"cell": {"chapter": "09-x", "prints": "took a while"}}}, "no compared output of 09-x"),
        ({"test": {"cell": {"chapter": "09-x", "prints": "never compared"}}}, "no compared output of 09-x"),
        ({"test": {"cell": {"chapter": "10-y", "prints": "1,296"}}}, "no compared output of 10-y"),
        ({"ours": {"cell": {"chapter": "09-x", "prints": "1,297"}}}, "no compared output of 09-x"),
        ({"ours": {"result": {"file": "speed", "key": ["times", 2], "format": "{}"}}}, "no such number"),
        ({"ours": {"result": {"file": "size", "key": ["times", 1], "format": "{}"}}}, "no such number"),
        ({"ours": {"result": {"file": "speed", "key": ["times", 1], "format": "{:.1f}"}}}, "no such number"),
        ({"ours": {"row": {**STEP["step"], "row": "r102"}}}, "a row and a recipe that there are"),
        ({"ours": {"row": {**STEP["step"], "recipe": "moon"}}}, "a row and a recipe that there are"),
        ({"ours": {"step": {**STEP["step"], "row": "r101"}}}, "a row to compare r101 with"),
        ({"status": "confirmed by arithmetic", "test": {"command": "python scripts/x.py"}}, "with a command"),
        ({"status": "confirmed", "test": {"command": "python scripts/x.py"}}, "without ours"),
        ({"status": "contradicted", "test": {"command": "python scripts/x.py"}}, "without ours"),
        ({"status": "inside the noise"}, "without a step that was measured"),
    ],
)
def test_what_nothing_bears_out_is_found(book, changes, message):
    assert wrong(book) == ""
    assert message in wrong(book, **changes)


def test_a_number_is_found_where_the_entry_says(book):
    write_scores(book, [1.0, 1.2, 1.1])
    assert evidence.number(book, entry()) == ""
    assert evidence.number(book, entry(ours=entry().test)) == "1,296 in all"
    place = {"file": "speed", "key": ["times", 1, "ratio"], "format": "{:.1f} ×"}
    assert evidence.number(book, entry(ours={"result": place})) == "2.5 ×"
    assert evidence.number(book, entry(ours={"row": STEP["step"]})) == "41.1 ± 0.1 (3 seeds) on toycity"
    assert evidence.number(book, entry(ours=STEP)).startswith("+1.1 ± 0.2")
    other = {**STEP["step"], "row": "r101", "against": "r101-spam"}
    assert evidence.number(book, entry(ours={"step": other})).startswith("-1.1 ± 0.2")


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ([], "not run"),
        ([2.0], "not run"),
        ([1.0, 1.2, 1.1], "confirmed"),
        ([-1.0, -1.2, -1.1], "contradicted"),
        ([1.0, -1.2, 1.1], "inside the noise"),
    ],
)
def test_the_status_of_a_step_is_what_its_interval_says_and_no_other_passes(book, steps, status):
    write_scores(book, steps)
    for word in claims.STATUSES:
        found = wrong(book, ours=STEP, status=word)
        assert found == "" if word == status else f"but the results say {status!r}" in found


def test_a_score_is_confirmed_on_the_papers_own_data_only(book, monkeypatch):
    write_scores(book, [38.6, 39.0, 38.8])  # 78.8 on average, and the paper has 78.9
    assert evidence.verdict(book, entry(ours={"row": STEP["step"]})) == "not run"
    monkeypatch.setitem(evidence.THE_PAPERS, 1, "toycity")
    assert evidence.verdict(book, entry(ours={"row": STEP["step"]})) == "confirmed"
    write_scores(book, [36.6, 37.0, 36.8])
    assert evidence.verdict(book, entry(ours={"row": STEP["step"]})) == "contradicted"


def test_a_page_shows_every_entry_of_its_part_and_a_new_result_when_it_is_built_again(book):
    reading = {
        **CLAIM,
        "id": "a-reading",
        "kind": "reading",
        "where": "Section 2",
        "reading": "Two.",
        "if_wrong": "*More*.",
    }
    first = {**CLAIM, "ours": STEP}
    (book / claims.LEDGER).write_text(yaml.safe_dump([first, reading], allow_unicode=True))
    labels = "\n".join(f"({'ledger-part-' + part})=\n## {part}\n\nText.\n" for part in claims.PARTS)
    page = f"# Page\n\n:::{{ledger}}\n:::\n\n:::{{ledger}} table-1\n:::\n\n:::{{ledger}} reading\n:::\n\n{labels}"
    (book / "book" / "ledger.md").write_text(page)
    before = build(book)
    assert [term["id"] for term in before.select("dl.ledger > dt")] == ["ledger-spam-helps", "ledger-a-reading"]
    assert before.find(id="ledger-spam-helps").get_text().startswith("not run SpaM helps.")
    assert "How we read it. Two." in before.get_text()
    assert "If that is wrong. More." in before.get_text()
    assert before.find_all("tr")[-1].find("td").get_text() == "2 entries"
    write_scores(book, [1.0, 1.2, 1.1])
    after = build(book)
    assert after.find(id="ledger-spam-helps").get_text().startswith("confirmed SpaM helps.")
    assert "ours: +1.1 ± 0.2" in after.get_text()


def build(book: Path) -> BeautifulSoup:
    settings = {
        "extensions": ["myst_nb", "ledger"],
        "myst_enable_extensions": ["colon_fence"],
        "root_doc": "book/ledger",
    }
    settings |= {"nb_execution_mode": "off", "html_theme": "basic", "exclude_patterns": ["out"]}
    out = book / "out"
    with patch_docutils(), docutils_namespace():  # or the next application finds what this one registered
        Sphinx(book, None, out, out, "html", confoverrides=settings, status=None).build()
    return BeautifulSoup((out / "book" / "ledger.html").read_text(encoding="utf-8"), "html.parser")

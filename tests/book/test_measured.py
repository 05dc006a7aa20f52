"""Tables of what was measured say what the files of results say, and never a number where there is none."""

from __future__ import annotations

import importlib
import json
import math
import statistics
import sys
from pathlib import Path

import pytest
from scipy import stats

from spacemeshlab.errors import UserError
from spacemeshlab.evaluate import describe, protocol
from spacemeshlab.recipe import get_recipe
from spacemeshlab.tables import TABLES, choose, run_name

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "book" / "_extensions"))  # as Sphinx does with local extensions
measured = importlib.import_module("measured")
SMALL = get_recipe("camvid-small")
ROWS = measured.together(["1", "2"])
COMMITTED = [(name, table, row) for name in ("toycity", "camvid-small") for table in (1, 2) for row in TABLES[table]]


def result(name: str, seed: int, miou: float, rows=ROWS, **more) -> dict:
    """What scripts/evaluate.py writes, as far as the tables read it."""
    row = rows[name]
    recipe = row.recipe(SMALL, seed)
    about = {"recipe": recipe.as_dict(), "iteration": recipe.iterations, "checkpoint": "last", "miou": miou}
    iou = {"pole": miou / 2, "sign": None, "fence": miou}
    return about | {"protocol": describe("val", **protocol(recipe, row.tta)), "iou": iou} | more


@pytest.fixture
def files(tmp_path):
    """``files(results…)`` writes them into a folder of their own; returns what was found there of every row."""

    def write(*results: dict):
        for number, one in enumerate(results):
            (tmp_path / f"{number}.json").write_text(json.dumps(one))
        return {name: measured.results.measured(row, SMALL, tmp_path) for name, row in ROWS.items()}

    return write


def lines(found, names, against=("own",)) -> dict[str, list[str]]:
    """A row's name -> its cells behind the label."""
    chosen = choose(ROWS.values(), names)
    head, cells = measured.by_row(chosen, found, against)
    assert all(len(line) == len(head) for line in cells)
    return {row.name: line[1:] for row, line in zip(chosen, cells, strict=True)}


@pytest.mark.parametrize(("recipe", "table", "row"), COMMITTED, ids=lambda part: getattr(part, "name", str(part)))
def test_a_measured_cell_is_the_mean_and_deviation_of_the_files_of_that_name(recipe, table, row):
    base, folder = get_recipe(recipe), ROOT / "book" / "results" / recipe
    stem = run_name(row.recipe(base, 0)).removesuffix("0")
    paths = [folder / f"{stem}{seed}{'-tta' * row.tta}.json" for seed in range(20)]
    scores = [100 * json.loads(path.read_text())["miou"] for path in paths if path.is_file()]
    wanted = "*not run*" if not scores else f"{statistics.fmean(scores):.1f} (1 seed)"
    if len(scores) > 1:
        wanted = f"{statistics.fmean(scores):.1f} ± {statistics.stdev(scores):.1f} ({len(scores)} seeds)"
    found = {row.name: measured.results.measured(row, base, folder), row.against: []}
    assert measured.by_row([row], found, ["own"])[1][0][1:3] == [f"{row.paper:.1f}", wanted]


def test_without_files_every_cell_says_so_and_the_papers_number_stays(files):
    found = lines(files(), ["r101", "r101-spam"], ["own", "r101"])
    assert found["r101"] == ["78.1", "*not run*", "–", "–", "–", "–", "–"]
    assert found["r101-spam"] == ["78.9", "*not run*", "*not run*", "*not run*", "–", "–", "–"]


def test_a_step_is_paired_by_seed_and_has_students_interval_and_its_verdict(files):
    scores = {"r101": (0.40, 0.42, 0.44), "r101-spam": (0.43, 0.46, 0.47), "rates-18": (0.50, 0.30, 0.42)}
    found = files(*(result(name, seed, miou) for name, each in scores.items() for seed, miou in enumerate(each)))
    steps = [100 * (b - a) for a, b in zip(scores["r101"], scores["r101-spam"], strict=True)]
    margin = stats.t.ppf(0.975, 2) * statistics.stdev(steps) / math.sqrt(3)
    assert margin < statistics.fmean(steps)  # the example is one outside the noise
    cells = lines(found, ["r101", "r101-spam", "rates-18"], ["own", "above", "r101"])
    wanted = f"{statistics.fmean(steps):+.1f} ± {margin:.1f}, outside the noise"
    assert cells["r101-spam"][1:5] == ["45.3 ± 2.1 (3 seeds)", wanted, wanted, wanted]
    assert cells["rates-18"][2] == "*not run*"  # its own row of the table, rates-9
    assert cells["rates-18"][3].endswith("inside the noise")
    assert cells["rates-18"][3] != cells["rates-18"][4]


def test_one_seed_has_no_deviation_and_its_step_no_verdict(files):
    found = files(result("r101", 0, 0.4), result("r101-spam", 0, 0.41))
    assert lines(found, ["r101-spam"])["r101-spam"][:3] == ["78.9", "41.0 (1 seed)", "+1.0, noise unknown"]


def test_a_run_that_had_not_ended_or_was_scored_otherwise_does_not_count(files):
    early, other = result("r101", 0, 0.4, iteration=599), result("r101", 1, 0.4, protocol="val, scale 1")
    assert lines(files(early, other), ["r101"])["r101"][1] == "*not run*"


def test_costs_are_the_mean_of_minutes_the_highest_peak_and_millions_of_weights(files):
    costs = [{"training_minutes": 10.0, "memory_gib": 1.2}, {"training_minutes": 14.2, "memory_gib": 1.5}]
    found = files(*(result("r101", seed, 0.4, parameters=12_345_678, **cost) for seed, cost in enumerate(costs)))
    assert lines(found, ["r101"])["r101"][-3:] == ["12", "1.5", "12.3"]


def test_what_an_older_file_does_not_say_stays_open(files):
    assert lines(files(result("r101", 0, 0.4, memory_gib=None)), ["r101"])["r101"][-3:] == ["–", "–", "–"]


def test_classes_have_their_mean_and_deviation_and_undefined_ones_none(files):
    found = files(result("r101", 0, 0.4), result("r101", 1, 0.5))
    head, cells = measured.by_class(choose(ROWS.values(), ["r101", "aspp"]), found, ["pole", "sign", "fence"])
    assert head == ["Row", "Seeds", "pole", "sign", "fence"]
    assert cells[0] == ["`r101` DeepLabV3+", "2", "22.5 ± 3.5", "–", "45.0 ± 7.1"]
    assert cells[1][1:] == ["0", *["*not run*"] * 3]


def test_a_class_that_one_seed_lacks_says_how_many_seeds_have_it(files):
    found = files(result("r101", 0, 0.4, iou={"pole": None}), result("r101", 1, 0.5, iou={"pole": 0.25}))
    assert measured.by_class(choose(ROWS.values(), ["r101"]), found, ["pole"])[1][0][1:] == ["2", "25.0 (1 seed)"]


def test_an_ablation_has_no_number_of_the_papers():
    rows = measured.together(["ablations"])
    head, cells = measured.by_row([*rows.values()], {name: [] for name in rows}, ["own"])
    numbers = {line[0].split("`")[1]: line[head.index("Paper")] for line in cells}
    assert numbers.pop("spacemeshlab") == "80.8"
    assert set(numbers.values()) == {"–"}


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: measured.together(["5"]), r"tables out of 1, 2, 3, 4, ablations, found '5'"),
        (lambda: measured.known(SMALL, ["lamp"]), r"classes out of sky, .*, found 'lamp'"),
        (lambda: measured.step({"r101": []}, "r101", "r18"), r"above or a row out of r101, found 'r18'"),
    ],
)
def test_a_wrong_name_is_refused_with_the_right_ones(call, line):
    with pytest.raises(UserError, match=line):
        call()


@pytest.fixture
def build(tmp_path):
    """``build()`` builds a page with one table, the first time and again, and returns its text."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    (tmp_path / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'book' / '_extensions')!r})\n"
        "extensions = ['myst_nb', 'measured']\nmyst_enable_extensions = ['colon_fence']\nnb_execution_mode = 'off'\n"
    )
    options = ":recipe: camvid-small\n:rows: r101, r101-spam\n:against: above\n"
    (tmp_path / "index.md").write_text(f"# Table\n\n:::{{measured}} 1\n{options}:::\n")
    places = (tmp_path, tmp_path, tmp_path / "out", tmp_path / "doctrees", "text")

    def run() -> str:
        with patch_docutils(), docutils_namespace():
            Sphinx(*places, status=None, warningiserror=True).build()
        return (tmp_path / "out" / "index.txt").read_text()

    return run


def test_a_new_file_is_on_the_page_after_the_next_build(build, tmp_path):
    assert build().count("not run") == 3  # two scores and one step
    folder = tmp_path / "book" / "results" / "camvid-small"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text(json.dumps(result("r101", 0, 0.4)))
    text = build()
    assert text.count("not run") == 2
    assert "40.0 (1 seed)" in text

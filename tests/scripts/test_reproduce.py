"""scripts/reproduce.py: rows and seeds to runs, results and a table; finished things are skipped."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
import reproduce as script

from spacemeshlab.errors import UserError
from spacemeshlab.recipe import RECIPES, Recipe
from spacemeshlab.tables import TABLE_1, TABLE_2, TABLE_4, run_name

TINY = ("crop=32x64", "batch_size=2", "iterations=2", "validate_every=2", "scale=1")
CITYSCAPES, TOY = RECIPES["cityscapes"], RECIPES["toycity"]


@pytest.fixture
def words(toycity_dir, tmp_path):
    """The command's words for rows of the smallest run."""

    def words(table, *more, **places):
        places = {"data-root": toycity_dir, "runs": tmp_path / "runs", "results": tmp_path / "results"} | places
        found = [table, "--recipe", "toycity"]
        for name, place in places.items():
            found += [f"--{name}", place]
        for pair in TINY:
            found += ["--override", pair]
        return [*found, *more]

    return words


@pytest.fixture
def pretend(monkeypatch):
    """Training and scoring that take no time: a list of what was trained, and results with a score of the seed."""
    trained = []

    def train(recipe, data, folder):
        trained.append(run_name(recipe))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "recipe.json").write_text(json.dumps({"recipe": recipe.as_dict()}))
        return folder

    def evaluate(folder, data, file, tta, workers):
        recipe = Recipe.from_dict(json.loads((folder / "recipe.json").read_text())["recipe"])
        views = script_protocol(recipe, tta)
        score = {"miou": 0.5 + recipe.seed / 100, "seed": recipe.seed, "iteration": 2, "checkpoint": "last"}
        file.write_text(json.dumps(score | {"protocol": views, "recipe": recipe.as_dict()}))

    monkeypatch.setattr(script, "train", train)
    monkeypatch.setattr(script, "evaluate", evaluate)
    return trained


def script_protocol(recipe, tta):
    from spacemeshlab.evaluate import describe, protocol

    return describe("val", **protocol(recipe, tta))


def test_rows_that_share_a_network_share_a_run_and_seeds_come_one_after_the_other():
    found = script.jobs([*TABLE_1], CITYSCAPES, [0, 1])
    assert len(found) == 2 * 6
    assert [job.recipe.seed for job in found] == [0] * 6 + [1] * 6
    by_name = {run_name(job.recipe): [row.name for row in job.rows] for job in found}
    assert by_name["resnet101-aspp-seed1"] == ["r101", "r101-tta"]
    assert by_name["resnet101-spam-attention-aspp-seed0"] == ["r101-attention", "r101-attention-tta"]
    assert by_name["resnet50-spam-aspp-seed0"] == ["r50-spam"]


def test_a_small_recipe_trains_a_network_once_whatever_the_papers_backbone():
    found = script.jobs([*TABLE_1], TOY, [0, 0])
    assert [[row.name for row in job.rows] for job in found] == [
        ["r50", "r101-tta"],
        ["r50-spam"],
        ["r50-attention", "r101-attention-tta"],
    ]


def test_runs_of_one_seed_differ_in_the_network_only():
    for rows in (TABLE_1, TABLE_2, TABLE_4):
        recipes = [job.recipe.as_dict() for job in script.jobs([*rows], TOY, [3])]
        network = {"backbone", "spam", "attention", "context", "rates"}
        rest = [{key: value for key, value in recipe.items() if key not in network} for recipe in recipes]
        assert all(one == rest[0] for one in rest)
        assert rest[0]["seed"] == 3


def test_unknown_rows_are_refused_with_the_list_of_those_that_exist():
    with pytest.raises(UserError, match=r"expected rows out of r50, r50-spam, .*; got 'r18': choose some of these"):
        script.choose(TABLE_1, ["r50", "r18"])
    assert [row.name for row in script.choose(TABLE_1, ["r101", "r50", "r101"])] == ["r101", "r50"]


@pytest.mark.slow
def test_a_row_is_trained_and_scored_and_a_second_call_finds_everything_done(call, words, tmp_path):
    command = words("table1", "--rows", "r101-tta", "--seeds", 0)
    first = call(script, *command)
    assert first.code == 0, first.err
    name = "resnet18-aspp-seed0"
    assert (tmp_path / "runs" / name / "model.safetensors").is_file()
    (file,) = (tmp_path / "results").iterdir()
    result = json.loads(file.read_text())
    assert file.name == f"{name}-tta.json"
    assert "scales 0.5 0.75" in result["protocol"]
    assert result["scored"]["command"].startswith("python scripts/evaluate.py ")
    assert str(tmp_path) not in json.dumps(result)
    assert f"[1/1] {name}: MS + flip {100 * result['miou']:.1f} %" in first.out
    second = call(script, *command)
    assert (second.code, "has its results already" in second.out) == (0, True)
    assert second.out.splitlines()[-9:] == first.out.splitlines()[-9:]
    assert re.search(r"^r101-spam +78\.9 +\+0\.8 +not run$", second.out, flags=re.MULTILINE)


def test_what_is_done_is_skipped_and_what_is_missing_is_run(call, words, pretend):
    assert call(script, *words("table1", "--rows", "r101-spam", "--seeds", 0)).code == 0
    assert pretend == ["resnet18-spam-aspp-seed0"]
    outcome = call(script, *words("table1", "--rows", "r101", "r101-spam", "--seeds", 0, 1))
    assert pretend[1:] == ["resnet18-aspp-seed0", "resnet18-aspp-seed1", "resnet18-spam-aspp-seed1"]
    assert "[2/4] resnet18-spam-aspp-seed0: has its results already" in outcome.out
    assert "50.5 ± 0.7 (2 seeds)" in outcome.out
    call(script, *words("table1", "--rows", "r101-tta", "--seeds", 0))
    assert pretend[-1] == "resnet18-aspp-seed0"  # the run is there, its other protocol was not: train() finds it ended


def test_a_result_of_another_name_counts(call, words, pretend, tmp_path):
    call(script, *words("table1", "--rows", "r101", "--seeds", 0))
    (tmp_path / "results" / "resnet18-aspp-seed0.json").rename(tmp_path / "results" / "deeplabv3plus.json")
    assert "has its results already" in call(script, *words("table1", "--rows", "r101", "--seeds", 0)).out
    assert len(pretend) == 1


def test_a_row_that_fails_is_one_line_and_the_others_go_on(call, words, pretend, monkeypatch):
    def fail_with_spam(recipe, *rest):
        if recipe.spam:
            raise UserError("expected a finite loss, found nan: lower lr")
        return trained(recipe, *rest)

    trained = script.train
    monkeypatch.setattr(script, "train", fail_with_spam)
    outcome = call(script, *words("table1", "--rows", "r101-spam", "r101", "--seeds", 0))
    assert outcome.code == 2
    assert "[1/2] resnet18-spam-aspp-seed0: FAILED: expected a finite loss, found nan: lower lr\n" in outcome.out
    assert pretend == ["resnet18-aspp-seed0"]


def test_another_recipes_result_is_never_overwritten(call, words, pretend, tmp_path):
    call(script, *words("table1", "--rows", "r101", "--seeds", 0))
    file = tmp_path / "results" / "resnet18-aspp-seed0.json"
    before = file.read_text()
    outcome = call(script, *words("table1", "--rows", "r101", "--seeds", 0, "--override", "lr=0.02"))
    assert outcome.code == 2
    assert f"expected {file} to be free, found another recipe's result: choose another --results" in outcome.out
    assert (file.read_text(), len(pretend)) == (before, 1)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("a warning\nerror: expected a checkpoint at x, found none: train first\n", "none: expected a checkpoint at x"),
        ("", "none: no word"),
    ],
)
def test_a_score_that_fails_is_told_in_the_words_of_evaluate(monkeypatch, tmp_path, said, expected):
    answer = subprocess.CompletedProcess([], 2, "", said)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    with pytest.raises(UserError, match=f"expected a score of {tmp_path}, found {expected}"):
        script.evaluate(tmp_path, tmp_path, tmp_path / "result.json", False, 0)


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--override", "seed=3"), "the rows and --seeds decide spam, attention, context, rates, seed, got seed=3"),
        (("--rows", "r18"), "expected rows out of r50, "),
        (("--seeds", "-1"), "seed must be at least 0, got -1"),
        (("--seeds", "one"), "invalid int value: 'one'"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_trained(refused, words, pretend, more, line, tmp_path):
    assert line in refused(script, *words("table1", *more))
    assert not pretend
    assert not (tmp_path / "results").exists()


def test_missing_data_is_one_line_not_one_a_row(refused, words, pretend, tmp_path):
    line = refused(script, *words("table2", **{"data-root": tmp_path / "none"}))
    assert f"expected the data set's folder {tmp_path / 'none'}" in line
    assert not pretend


def test_table_3_is_left_to_the_test_server(refused):
    assert "invalid choice: 'table3'" in refused(script, "table3", "--recipe", "cityscapes")

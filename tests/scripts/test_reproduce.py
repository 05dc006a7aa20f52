"""scripts/reproduce.py: rows and seeds to runs, results and a table; finished things are skipped."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys

import pytest
import reproduce as script

from spacemeshlab import reproduce as module
from spacemeshlab.errors import UserError
from spacemeshlab.evaluate import describe, protocol
from spacemeshlab.recipe import Recipe
from spacemeshlab.submission import check_submission, split_images
from spacemeshlab.tables import TABLES, run_name

TINY = ("crop=32x64", "batch_size=2", "iterations=2", "validate_every=2", "scale=1")


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

    def train(recipe, data, folder, progress):
        trained.append(run_name(recipe))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "recipe.json").write_text(json.dumps({"recipe": recipe.as_dict()}))
        return folder

    def score(folder, data, split, tta, workers):
        recipe = Recipe.from_dict(json.loads((folder / "recipe.json").read_text())["recipe"])
        found = {"miou": 0.5 + recipe.seed / 100, "seed": recipe.seed, "iteration": 2, "checkpoint": "last"}
        return found | {"protocol": describe(split, **protocol(recipe, tta)), "recipe": recipe.as_dict()}

    monkeypatch.setattr(module, "train", train)
    monkeypatch.setattr(module, "score", score)
    monkeypatch.setattr(module, "in_a_process", module.run)
    return trained


@pytest.mark.slow
def test_a_row_is_trained_and_scored_in_a_process_of_its_own_and_a_second_call_finds_everything_done(
    call, words, tmp_path
):
    command = words("table1", "--rows", "r101-tta", "--seeds", 0)
    first = call(script, *command)
    assert first.code == 0, first.err
    name = "resnet18-aspp-seed0"
    assert (tmp_path / "runs" / name / "model.safetensors").is_file()
    assert int((tmp_path / "runs" / name / "lock").read_text()) != os.getpid()
    (file,) = (tmp_path / "results").iterdir()
    result = json.loads(file.read_text())
    assert file.name == f"{name}-tta.json"
    assert "scales 0.5 0.75" in result["protocol"]
    for origin in (result["trained"], result["scored"]):
        assert origin["command"].startswith("python scripts/reproduce.py table1 --recipe toycity ")
    assert str(tmp_path) not in json.dumps(result)
    assert f"[1/1] {name}: MS + flip {100 * result['miou']:.1f} %" in first.out
    second = call(script, *command)
    assert (second.code, "has its results already" in second.out) == (0, True)
    assert second.out.splitlines()[-9:] == first.out.splitlines()[-9:]
    assert re.search(r"^r101-spam +78\.9 +\+0\.8 +not run$", second.out, flags=re.MULTILINE)


@pytest.mark.slow
def test_every_row_of_every_table_that_needs_no_server_is_trained_and_scored(call, words, tmp_path, monkeypatch):
    """For real but for the processes: each would load PyTorch again."""
    trained = []

    def run(job, base, places):
        done = module.run(job, base, places, progress=False)
        trained.append(job.recipe.variant)
        shutil.rmtree(places.runs / job.name)  # hundreds of megabytes, fourteen times
        return done

    monkeypatch.setattr(module, "in_a_process", run)
    once = ("--override", "iterations=1", "--override", "validate_every=1", "--seeds", 1)
    for table in ("table1", "table2", "table4", "ablations"):
        outcome = call(script, *words(table, *once))
        assert (outcome.code, "FAILED" in outcome.out) == (0, False), outcome.out
        lines = {line.split()[0]: line for line in outcome.out.splitlines()}
        for row in TABLES[script.NAMES[table]]:
            assert re.search(r"\d \(1 seed\) .*\d\.\d\d +\d\d\.\d\d$", lines[row.name]), lines[row.name]
    assert len(trained) == 14
    assert len(set(trained)) == 8  # none and the seven variants
    results = [json.loads(file.read_text()) for file in (tmp_path / "results").iterdir()]
    assert len({result["trained"]["data"] for result in results}) == 1
    assert len({result["parameters"] for result in results}) > 5


@pytest.mark.slow
def test_table_3_trains_one_seed_and_makes_archives_for_the_test_server(
    call, words, toycity_dir, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "in_a_process", module.run)
    data = shutil.copytree(toycity_dir, tmp_path / "data")
    shutil.copytree(data / "leftImg8bit" / "val", data / "leftImg8bit" / "test")
    outcome = call(script, *words("table3", "--seeds", 4, 5, **{"data-root": data}))
    assert outcome.code == 0, outcome.err
    name = "resnet18-spam-attention-metrocon2-1-18-seed4"
    archives = [tmp_path / "runs" / f"{name}-test{end}.zip" for end in ("", "-tta")]
    for archive in archives:
        assert check_submission(archive, split_images(data, "test")).startswith("2 images")
    said = ", ".join(
        f"{views} {archive} (2 images: not Cityscapes' 1,525)"
        for views, archive in zip(("one view", "MS + flip"), archives, strict=True)
    )
    assert f"[1/1] {name}: {said}\n" in outcome.out
    assert "upload each archive at https://www.cityscapes-dataset.com: its server alone has the labels" in outcome.out
    assert re.search(r"^spacemeshlab-tta +82\.0 +\+1\.1 +not run$", outcome.out, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("recipe", "line"),
    [
        ("toycity", "leftImg8bit/test, found only train, val in"),
        ("camvid-small", "expected a recipe of Cityscapes, whose server scores this table, got camvid-small: try"),
    ],
)
def test_table_3_without_cityscapes_test_images_is_one_line_before_anything_is_trained(
    refused, words, pretend, monkeypatch, recipe, line
):
    if recipe != "toycity":
        monkeypatch.setattr(module, "open_dataset", lambda *_: None)
    command = [recipe if word == "toycity" else word for word in words("table3")]
    assert line in refused(script, *command)
    assert not pretend


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


def test_without_ray_the_runs_go_one_after_the_other_and_several_at_once_are_refused_in_one_line(
    call, refused, words, pretend, monkeypatch
):
    monkeypatch.setitem(sys.modules, "ray", None)  # import ray fails
    command = words("table1", "--rows", "r101", "r101-spam", "--seeds", 0, 1)
    for more in (("--workers", 2), ("--address", "auto")):
        assert "found none: pip install -e .[cluster], or leave" in refused(script, *command, *more)
    assert not pretend
    assert call(script, *command).code == 0
    assert pretend == [f"resnet18-{name}-seed{seed}" for seed in (0, 1) for name in ("aspp", "spam-aspp")]


def test_an_ablation_is_a_row_like_others(call, words, pretend, tmp_path):
    outcome = call(script, *words("ablations", "--rows", "to-memo", "no-spam", "--seeds", 3))
    assert pretend == ["resnet18-spam-attention-metrocon2-1-18-to-memo-seed3", "resnet18-metrocon2-1-18-seed3"]
    assert "ablations, toycity, backbones resnet18" in outcome.out
    assert re.search(r"^to-memo +53\.0 \(1 seed\)$", outcome.out, flags=re.MULTILINE)


def test_a_row_that_fails_is_one_line_and_the_others_go_on(call, words, pretend, monkeypatch):
    def fail_with_spam(recipe, *rest):
        if recipe.spam:
            raise UserError("expected a finite loss, found nan: lower lr")
        return trained(recipe, *rest)

    trained = module.train
    monkeypatch.setattr(module, "train", fail_with_spam)
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
    ("more", "line"),
    [
        (
            ("--override", "seed=3"),
            "the rows and --seeds decide spam, attention, context, rates, variant, seed, got seed=3",
        ),
        (("--override", "variant=one-head"), "rates, variant, seed, got variant=one-head"),
        (("--workers", "-1"), "argument --workers: expected 0 or more, got -1"),
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

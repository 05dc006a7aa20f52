"""scripts/train.py: from a recipe's name to a finished run, or one line and exit code 2."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import train as script

from spacemeshlab.recipe import RECIPES, Recipe

from .conftest import SMALL


def test_a_recipe_is_trained_to_its_end_and_a_second_call_has_nothing_left_to_do(call, toycity_dir, tmp_path):
    words = ("toycity", "--data-root", toycity_dir, "--run-dir", tmp_path / "run", *SMALL)
    first = call(script, *words)
    assert (first.code, first.out.splitlines()[-1]) == (0, f"done: {tmp_path / 'run'}")
    assert (tmp_path / "run" / "model.safetensors").is_file()
    stated = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert Recipe.from_dict(stated["recipe"]).override([]) == RECIPES["toycity"].override(SMALL)
    assert stated["origin"]["command"].startswith("python scripts/train.py toycity --data-root toycity --run-dir run ")
    assert str(tmp_path) not in json.dumps(stated)
    assert f"resuming {tmp_path / 'run'} at iteration 2 of 2" in call(script, *words).out


def test_folders_default_to_the_recipes_name(call, monkeypatch):
    asked = []
    monkeypatch.setattr(script, "train", lambda recipe, *folders: asked.append((recipe.name, *map(str, folders))))
    for words in (["toycity"], ["camvid-cpu", "lr=0.1"], ["lr=0.1", "camvid", "--run-dir", "here"][1:]):
        assert call(script, *words).code == 0
    assert asked == [
        ("toycity", "data/toycity", "runs/toycity"),
        ("camvid-cpu", "data/camvid", "runs/camvid-cpu"),
        ("camvid", "data/camvid", "here"),
    ]


def test_overrides_may_stand_before_and_after_options(call, monkeypatch):
    asked = []
    monkeypatch.setattr(script, "train", lambda recipe, *_: asked.append((recipe.lr, recipe.seed)))
    call(script, "toycity", "lr=0.5", "--data-root", "x", "seed=3")
    assert asked == [(0.5, 3)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["toytown"],
            "expected a recipe out of cityscapes, pascal-context, toycity, camvid, camvid-cpu, camvid-small; got",
        ),
        (["toycity", "learning_rate=1"], "expected key=value with one of the keys name, dataset, backbone"),
        (["toycity", "iterations=many"], "iterations expects a whole number, got 'many'"),
        (["toycity", "crop=100x100"], "crop must be positive multiples of 16, got 100x100: try crop=96x96"),
    ],
)
def test_a_recipe_or_value_that_does_not_exist_is_one_line(refused, words, expected):
    assert expected in refused(script, *words)


def test_a_missing_data_set_is_one_line_and_makes_no_run(refused, tmp_path):
    line = refused(script, "toycity", "--data-root", tmp_path / "none", "--run-dir", tmp_path / "run")
    assert f"expected the data set's folder {tmp_path / 'none'}, found no such folder" in line
    assert not (tmp_path / "run").exists()


def test_another_recipes_run_is_one_line_that_names_the_difference(refused, toycity_dir, run_dir):
    line = refused(script, "toycity", "--data-root", toycity_dir, "--run-dir", run_dir, *SMALL, "lr=0.5")
    assert "lr=0.05 there, 0.5 asked for" in line


def test_from_the_shell_a_mistake_exits_with_2_and_without_a_traceback():
    done = subprocess.run(
        [sys.executable, Path(script.__file__), "toytown"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: expected a recipe out of ")
    assert done.stderr.count("\n") == 1

"""scripts/evaluate.py: one JSON object, label files that Cityscapes' own script scores alike, clear refusals."""

from __future__ import annotations

import copy
import json
import shutil

import evaluate as script
import numpy as np
import pytest
import torch
from PIL import Image

from spacemeshlab.data.labels import CITYSCAPES
from spacemeshlab.recipe import Recipe, get_recipe

from .conftest import SMALL


def result(outcome) -> dict:
    """The last line; ``NaN`` is no JSON."""
    assert outcome.code == 0
    return json.loads(outcome.out.splitlines()[-1], parse_constant=pytest.fail)


def test_the_last_line_says_score_protocol_and_where_the_run_came_from(call, run_dir, toycity_dir, tmp_path):
    found = result(call(script, run_dir, "--data-root", toycity_dir, "--result", tmp_path / "new" / "score.json"))
    assert 0 <= found["miou"] <= 1
    assert tuple(found["iou"]) == CITYSCAPES.classes
    assert found["miou"] == pytest.approx(np.mean([score for score in found["iou"].values() if score is not None]))
    assert found["images"] == 2
    assert found["protocol"] == {"split": "val", "window": None, "scales": [1.0], "flip": False}
    assert Recipe.from_dict(found["recipe"]) == get_recipe("toycity", SMALL)
    assert (found["seed"], found["iteration"], found["checkpoint"]) == (0, 2, "last")
    assert found["training_minutes"] >= 0
    assert {"commit", "machine"} <= set(found["trained"]) & set(found["scored"])
    assert json.loads((tmp_path / "new" / "score.json").read_text()) == found
    assert str(toycity_dir) not in json.dumps(found)


def test_the_score_is_the_one_that_training_logged(call, run_dir, toycity_dir):
    logged = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    found = result(call(script, run_dir, "--data-root", toycity_dir, "--checkpoint", "best"))
    assert found["checkpoint"] == "best"
    assert found["miou"] == pytest.approx(logged[-1]["val_miou"])


def test_saved_labels_hold_label_ids_only_and_the_official_script_gives_the_same_score(
    call, run_dir, toycity_dir, tmp_path
):
    official = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    found = result(call(script, run_dir, "--data-root", toycity_dir, "--save-labels", tmp_path / "labels"))
    truths = sorted((toycity_dir / "gtFine" / "val").glob("*/*_gtFine_labelIds.png"))
    predictions = sorted((tmp_path / "labels").iterdir())
    assert [path.name for path in predictions] == [
        path.name.replace("gtFine_labelIds", "leftImg8bit") for path in truths
    ]
    for path in predictions:
        assert set(np.unique(np.asarray(Image.open(path)))) <= set(CITYSCAPES.file_values)
    settings = copy.copy(official.args)
    settings.evalInstLevelScore, settings.JSONOutput, settings.quiet = False, False, True
    theirs = official.evaluateImgLists([str(path) for path in predictions], [str(path) for path in truths], settings)
    assert theirs["averageScoreClasses"] == found["miou"]
    scores = {
        name: None if np.isnan(theirs["classScores"][name]) else theirs["classScores"][name] for name in found["iou"]
    }
    assert scores == found["iou"]


def test_tta_scores_six_scales_each_also_flipped(call, run_dir, toycity_dir):
    found = result(call(script, run_dir, "--data-root", toycity_dir, "--tta", "--split", "val"))
    assert found["protocol"] == {
        "split": "val",
        "window": None,
        "scales": [0.5, 0.75, 1.0, 1.25, 1.5, 1.75],
        "flip": True,
    }
    assert 0 <= found["miou"] <= 1


def test_another_split_is_scored_on_its_own_images(call, run_dir, toycity_dir):
    assert result(call(script, run_dir, "--data-root", toycity_dir, "--split", "train"))["images"] == 4


def test_a_split_without_labels_scores_null_instead_of_broken_json(call, run_dir, toycity_dir, tmp_path):
    for folder in ("leftImg8bit", "gtFine"):
        shutil.copytree(toycity_dir / folder / "val", tmp_path / folder / "test")
    for path in tmp_path.glob("gtFine/test/*/*_labelIds.png"):
        Image.fromarray(np.zeros((64, 128), dtype=np.uint8)).save(path)
    found = result(call(script, run_dir, "--data-root", tmp_path, "--split", "test"))
    assert (found["miou"], found["pixel_accuracy"], set(found["iou"].values())) == (None, None, {None})


def test_a_missing_run_data_set_or_split_is_one_line(refused, run_dir, toycity_dir, tmp_path):
    line = refused(script, tmp_path / "none", "--data-root", toycity_dir)
    assert f"expected a checkpoint at {tmp_path / 'none' / 'last.ckpt'}, found none: train first" in line
    assert "found no such folder" in refused(script, run_dir, "--data-root", tmp_path / "none")
    line = refused(script, run_dir, "--data-root", toycity_dir, "--split", "validation")
    assert "found only train, val" in line


def test_a_run_without_its_recipe_file_is_refused_before_the_scoring(
    refused, toycity_dir, run_dir, tmp_path, monkeypatch
):
    shutil.copy(run_dir / "last.ckpt", tmp_path)
    monkeypatch.setattr(script, "evaluate", None)
    assert "with a recipe.json, found none in" in refused(script, tmp_path, "--data-root", toycity_dir)


def test_a_cut_checkpoint_is_one_line(refused, run_dir, toycity_dir, tmp_path):
    (tmp_path / "last.ckpt").write_bytes((run_dir / "last.ckpt").read_bytes()[:5000])
    assert "can't be read" in refused(script, tmp_path, "--data-root", toycity_dir)
    torch.save({"weights": 1}, tmp_path / "last.ckpt")
    assert "found another kind of file" in refused(script, tmp_path, "--data-root", toycity_dir)

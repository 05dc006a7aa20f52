"""scripts/evaluate.py: one JSON object, label files that Cityscapes' own script scores alike, clear refusals."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import replace

import evaluate as script
import numpy as np
import pytest
import torch
from PIL import Image

from spacemeshlab import evaluate as library
from spacemeshlab import scoring
from spacemeshlab.data import DATASETS
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
    assert found["protocol"] == "val, whole image, scale 1, logits"
    assert found["views"] == {"scales": [1.0], "flip": False, "multiple": 1, "window": None, "average": "logits"}
    assert tuple(found["category_iou"]) == tuple(dict.fromkeys(CITYSCAPES.categories))
    assert 0 <= found["pixel_accuracy"] <= 1
    assert Recipe.from_dict(found["recipe"]) == get_recipe("toycity", SMALL)
    assert (found["seed"], found["iteration"], found["checkpoint"]) == (0, 2, "last")
    assert found["training_minutes"] >= 0
    assert (found["memory_gib"] > 0, found["parameters"] > 10**6) == (True, True)
    assert {"commit", "machine", "data"} <= set(found["trained"]) & set(found["scored"])
    assert json.loads((tmp_path / "new" / "score.json").read_text()) == found
    assert str(toycity_dir) not in json.dumps(found)


def test_the_score_is_the_one_that_training_logged(call, run_dir, toycity_dir):
    logged = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    found = result(call(script, run_dir, "--data-root", toycity_dir, "--checkpoint", "best"))
    assert found["checkpoint"] == "best"
    assert found["miou"] == pytest.approx(logged[-1]["val_miou"])


def test_weights_alone_get_the_runs_score_and_null_for_what_they_do_not_say(call, run_dir, toycity_dir, tmp_path):
    weights = shutil.copy(run_dir / "model.safetensors", tmp_path)
    found = result(call(script, weights, "--data-root", toycity_dir))
    assert found["miou"] == result(call(script, run_dir, "--data-root", toycity_dir))["miou"]
    assert [found[key] for key in ("training_minutes", "memory_gib", "iteration", "trained")] == [None] * 4
    assert Recipe.from_dict(found["recipe"]) == get_recipe("toycity", SMALL)


def test_the_lines_above_the_json_are_a_table_for_the_eye(call, run_dir, toycity_dir):
    outcome = call(script, run_dir, "--data-root", toycity_dir)
    found, lines = result(outcome), outcome.out.splitlines()[:-1]
    words = [line.split() for line in lines]
    for scores in ("iou", "category_iou"):
        for name, score in found[scores].items():
            assert [*name.split(), "–" if score is None else f"{score:.4f}"] in words
    assert ["miou", f"{found['miou']:.4f}"] in words
    assert ["category_miou", f"{found['category_miou']:.4f}"] in words
    assert lines[-1] == "2 images; val, whole image, scale 1, logits"


def test_saved_labels_hold_label_ids_only_and_the_official_script_gives_the_same_score(
    call, run_dir, toycity_dir, tmp_path
):
    official = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    found = result(call(script, run_dir, "--data-root", toycity_dir, "--save-labels", tmp_path / "new" / "labels"))
    truths = sorted((toycity_dir / "gtFine" / "val").glob("*/*_gtFine_labelIds.png"))
    predictions = sorted((tmp_path / "new" / "labels").iterdir())
    assert [path.name for path in predictions] == [
        path.name.replace("gtFine_labelIds", "leftImg8bit") for path in truths
    ]
    for path in predictions:
        assert set(np.unique(np.asarray(Image.open(path)))) <= set(CITYSCAPES.file_values)
    settings = copy.copy(official.args)
    settings.evalInstLevelScore, settings.JSONOutput, settings.quiet = False, False, True
    theirs = official.evaluateImgLists([str(path) for path in predictions], [str(path) for path in truths], settings)
    assert theirs["averageScoreClasses"] == found["miou"]
    assert theirs["averageScoreCategories"] == found["category_miou"]


@pytest.mark.parametrize("wrong", [255, 0, 34])
def test_an_id_that_is_not_evaluated_is_never_written(call, run_dir, toycity_dir, tmp_path, monkeypatch, wrong):
    monkeypatch.setattr(scoring, "label_image", lambda *_: Image.fromarray(np.full((64, 128), wrong, dtype=np.uint8)))
    with pytest.raises(AssertionError, match=rf"values of Cityscapes's classes only, not \{{{wrong}\}}"):
        call(script, run_dir, "--data-root", toycity_dir, "--save-labels", tmp_path, "--result", tmp_path / "score")
    assert list(tmp_path.iterdir()) == []


def test_tta_scores_six_scales_each_also_flipped(call, run_dir, toycity_dir):
    found = result(call(script, run_dir, "--data-root", toycity_dir, "--tta", "--split", "val"))
    assert found["protocol"] == "val, whole image, scales 0.5 0.75 1 1.25 1.5 1.75 + flip, logits averaged"
    assert (found["views"]["scales"], found["views"]["flip"]) == ([0.5, 0.75, 1.0, 1.25, 1.5, 1.75], True)
    assert 0 <= found["miou"] <= 1


def test_windows_and_probabilities_reach_evaluate_and_the_protocol(call, run_dir, toycity_dir, monkeypatch):
    calls, evaluate = [], scoring.evaluate
    monkeypatch.setattr(scoring, "evaluate", lambda *args, **how: calls.append(how) or evaluate(*args, **how))
    words = ("--window", "48X64", "--average", "probabilities", "--workers", "1")
    found = result(call(script, run_dir, "--data-root", toycity_dir, *words))
    assert found["protocol"] == "val, windows of 48x64, scale 1, probabilities averaged"
    assert found["views"]["window"] == [48, 64]
    assert {name: calls[0][name] for name in ("window", "average", "workers")} == {
        "window": (48, 64),
        "average": "probabilities",
        "workers": 1,
    }


def test_another_split_is_scored_on_its_own_images(call, run_dir, toycity_dir):
    assert result(call(script, run_dir, "--data-root", toycity_dir, "--split", "train"))["images"] == 4


def test_a_split_without_labels_scores_null_instead_of_broken_json(call, run_dir, toycity_dir, tmp_path):
    for folder in ("leftImg8bit", "gtFine"):
        shutil.copytree(toycity_dir / folder / "val", tmp_path / folder / "test")
    for path in tmp_path.glob("gtFine/test/*/*_labelIds.png"):
        Image.fromarray(np.zeros((64, 128), dtype=np.uint8)).save(path)
    found = result(call(script, run_dir, "--data-root", tmp_path, "--split", "test"))
    assert (found["miou"], found["pixel_accuracy"], set(found["iou"].values())) == (None, None, {None})
    assert (found["category_miou"], set(found["category_iou"].values())) == (None, {None})


def test_a_class_that_is_neither_in_the_split_nor_predicted_is_null(call, run_dir, toycity_dir, monkeypatch):
    monkeypatch.setattr(scoring, "evaluate", lambda *_, **__: torch.diag(torch.tensor([5] * 18 + [0])))
    found = result(call(script, run_dir, "--data-root", toycity_dir))
    assert found["iou"]["bicycle"] is None
    assert found["miou"] == 1.0


def test_a_data_set_with_two_conventions_gets_the_score_of_both(call, run_dir, toycity_dir, monkeypatch):
    def open_wide(name, *how):
        assert name == "cityscapes-and-its-car"
        dataset, labels = open_dataset("cityscapes", *how), CITYSCAPES
        void = tuple(value for value in labels.void_values if value != 1)
        classes, values = (*labels.classes, "ego vehicle"), (*labels.file_values, 1)
        dataset.labels = replace(labels, classes=classes, file_values=values, void_values=void)
        return dataset

    open_dataset = scoring.open_dataset
    narrow = result(call(script, run_dir, "--data-root", toycity_dir))
    monkeypatch.setitem(scoring.SCORED_ON, "cityscapes", "cityscapes-and-its-car")
    monkeypatch.setattr(scoring, "open_dataset", open_wide)
    outcome = call(script, run_dir, "--data-root", toycity_dir)
    both = result(outcome)
    assert {name: both[name] for name in narrow if name != "scored"} == {
        name: narrow[name] for name in narrow if name != "scored"
    }
    assert set(both) - set(narrow) == {"miou_20", "note"}
    assert both["miou_20"] < both["miou"]
    assert both["note"] in outcome.out.splitlines()
    assert "miou_20 also counts ego vehicle" in both["note"]


def test_pascal_context_is_scored_with_and_without_background():
    assert scoring.SCORED_ON == {"pascal-context": "pascal-context-60"}
    narrow, wide = (DATASETS[name].labels for name in ("pascal-context", "pascal-context-60"))
    assert wide.classes == (*narrow.classes, "background")


class Group:
    """Stands in for torch.distributed; notes what it is asked."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def init_process_group(self, backend: str) -> None:
        self.calls.append(("init", backend))

    def destroy_process_group(self) -> None:
        self.calls.append(("destroy",))


def test_under_torchrun_the_first_process_alone_reports_and_every_one_writes_its_labels(
    call, run_dir, toycity_dir, tmp_path, monkeypatch
):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for number in range(2):
        monkeypatch.setattr(script, "distributed", group := Group())
        for module in (script, library):
            monkeypatch.setattr(module, "rank", lambda number=number: number)
        monkeypatch.setattr(library, "world_size", lambda: 2)
        words = ("--save-labels", tmp_path / "labels", "--result", tmp_path / f"{number}.json")
        outcome = call(script, run_dir, "--data-root", toycity_dir, *words)
        assert outcome.code == 0
        assert group.calls == [("init", "gloo"), ("destroy",)]
        assert len(list((tmp_path / "labels").iterdir())) == number + 1
        assert (tmp_path / f"{number}.json").exists() == (number == 0)
        assert bool(outcome.out) == (number == 0)
        assert outcome.err == ""  # a bar is for terminals


def test_the_processes_part_also_when_the_scoring_fails(refused, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(script, "distributed", group := Group())
    assert "expected a checkpoint" in refused(script, tmp_path, "--data-root", tmp_path)
    assert group.calls[-1] == ("destroy",)


def test_more_processes_than_gpus_are_refused(refused, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    line = refused(script, tmp_path, "--data-root", tmp_path)
    assert "expected a GPU for each process, found 1: start torchrun --nproc-per-node 1" in line


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
    monkeypatch.setattr(scoring, "evaluate", None)
    assert "with a recipe.json, found none in" in refused(script, tmp_path, "--data-root", toycity_dir)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--window", "768"], "argument --window: expected HEIGHTxWIDTH such as 768x768, both at least 16, got '768'"),
        (["--window", "8x768"], "both at least 16, got '8x768'"),
        (["--window", "32x-32"], "expected HEIGHTxWIDTH"),
        (["--average", "votes"], "argument --average: invalid choice: 'votes'"),
        (["--checkpoint", "first"], "argument --checkpoint: invalid choice: 'first'"),
        (["--workers", "-1"], "argument --workers: expected 0 or more, got -1"),
        (["--workers", "many"], "argument --workers: invalid int value: 'many'"),
        (["--tat"], "unrecognized arguments: --tat"),
    ],
)
def test_bad_arguments_are_one_line(refused, run_dir, toycity_dir, monkeypatch, words, message):
    monkeypatch.setattr(scoring, "load_network", None)
    assert message in refused(script, run_dir, "--data-root", toycity_dir, *words)


def test_places_that_cannot_be_written_are_refused_before_the_scoring(
    refused, run_dir, toycity_dir, tmp_path, monkeypatch
):
    monkeypatch.setattr(scoring, "evaluate", None)
    (tmp_path / "file").touch()
    for option, path in (("--save-labels", tmp_path / "file" / "labels"), ("--result", tmp_path / "file" / "a.json")):
        line = refused(script, run_dir, "--data-root", toycity_dir, option, path)
        assert f"expected to write in {tmp_path / 'file'}" in line
        assert line.endswith(f"choose another {option}")
    line = refused(script, run_dir, "--data-root", toycity_dir, "--result", tmp_path)
    assert f"expected a file's name, got the folder {tmp_path}" in line
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_labels_never_overwrite_the_data_sets_own_pictures(refused, run_dir, toycity_dir, monkeypatch):
    monkeypatch.setattr(scoring, "evaluate", None)
    for folder in {next(toycity_dir.glob(f"{kind}/val/*/*.png")).parent for kind in ("leftImg8bit", "gtFine")}:
        line = refused(script, run_dir, "--data-root", toycity_dir, "--save-labels", folder)
        assert f"expected --save-labels outside the data set, got its own folder {folder}" in line


def test_a_cut_checkpoint_is_one_line(refused, run_dir, toycity_dir, tmp_path):
    (tmp_path / "last.ckpt").write_bytes((run_dir / "last.ckpt").read_bytes()[:5000])
    assert "can't be read" in refused(script, tmp_path, "--data-root", toycity_dir)
    torch.save({"weights": 1}, tmp_path / "last.ckpt")
    assert "found another kind of file" in refused(script, tmp_path, "--data-root", toycity_dir)

"""What a result says beside its scores: which data, how much memory, how many weights."""

from __future__ import annotations

import json
import shutil

import pytest

from spacemeshlab.checkpoint import read_origin
from spacemeshlab.data import open_dataset
from spacemeshlab.data.fingerprint import fingerprint
from spacemeshlab.recipe import get_recipe
from spacemeshlab.scoring import score, write_result
from spacemeshlab.step import build_network
from spacemeshlab.train import train


@pytest.fixture(scope="module")
def run(toycity_dir, tmp_path_factory):
    few = ("crop=32x64", "context=aspp", "spam=false", "batch_size=2", "iterations=1", "validate_every=1", "scale=1")
    return train(get_recipe("toycity", few), toycity_dir, tmp_path_factory.mktemp("run"), progress=False)


def test_a_result_names_the_images_and_labels_that_were_scored(run, toycity_dir):
    for split in ("val", "train"):
        found = score(run, toycity_dir, split)
        assert found["scored"]["data"] == fingerprint(open_dataset("cityscapes", toycity_dir, split).files)
        assert found["trained"] == read_origin(run)  # with the data of the training, whatever is scored
    assert found["scored"]["data"] == found["trained"]["data"]


def test_the_weights_are_those_that_were_trained_the_auxiliary_heads_among_them(run, toycity_dir):
    found = score(run, toycity_dir)
    net = build_network(get_recipe("toycity", ("context=aspp", "spam=false")), 19)
    assert found["parameters"] == sum(weight.numel() for weight in net.parameters())


def test_the_memory_is_the_most_that_any_line_of_the_log_says(run, toycity_dir, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    lines = [{"iteration": 1, "memory_gib": 2.5}, {"iteration": 1, "loss": 3.0}, {"iteration": 2, "memory_gib": 1.25}]
    cut = '{"iteration": 3, "memory_gib": 9'
    (copy / "metrics.jsonl").write_text("\n".join([*map(json.dumps, lines), cut]))
    assert score(copy, toycity_dir)["memory_gib"] == 2.5
    (copy / "metrics.jsonl").unlink()
    assert score(copy, toycity_dir)["memory_gib"] is None


def test_labels_of_a_split_that_has_none_can_be_saved(run, toycity_dir, tmp_path):
    shutil.copytree(toycity_dir / "leftImg8bit" / "val", tmp_path / "leftImg8bit" / "test")
    found = score(run, tmp_path, "test", labels_to=tmp_path / "labels")
    assert (found["images"], found["miou"]) == (2, None)
    assert len(list((tmp_path / "labels").iterdir())) == 2


def test_a_result_is_written_as_json_that_ends_its_last_line(tmp_path):
    write_result({"miou": 0.5}, tmp_path / "result.json")
    assert (tmp_path / "result.json").read_text() == '{\n  "miou": 0.5\n}\n'

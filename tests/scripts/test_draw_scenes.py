"""scripts/draw_scenes.py: scenes by the rule and no other, a small picture of them, and where both came from."""

from __future__ import annotations

import json
from pathlib import Path

import draw_scenes as script
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from spacemeshlab.data import toycity

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "book" / "results" / "camvid-small" / "scenes.json"
PICTURE = ROOT / "book" / "_static" / "camvid-scenes.webp"


@pytest.fixture(scope="module")
def scenes_dir(tmp_path_factory):
    """A ToyCity with enough images to choose among."""
    return toycity.generate(tmp_path_factory.mktemp("data") / "toycity", train=1, val=5, size=(64, 128), progress=False)


@pytest.fixture
def drawn(call, run_dir, scenes_dir, tmp_path):
    words = (run_dir, run_dir, "--data-root", scenes_dir, "--out", tmp_path / "a.png", "--origin", tmp_path / "a.json")
    outcome = call(script, *words)
    assert (outcome.code, outcome.err) == (0, "")
    return tmp_path


def test_the_middle_of_each_quarter_is_shown_by_the_difference_of_the_two():
    ours = np.array([0.1, 0.9, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    baseline = ours - (5, -4, 3, -2, 1, 0, -1, 2)  # sorted: images 1 3 6 5 4 7 2 0
    found = script.choose(np.array([[baseline, ours]]), list("abcdefgh"))
    assert [(number, scene["rank"]) for number, scene in found.items()] == [(3, 2), (5, 4), (7, 6), (0, 8)]
    assert [scene["image"] for scene in found.values()] == ["d", "f", "h", "a"]
    assert [round(scene["difference"]) for scene in found.values()] == [-2, 0, 2, 5]
    assert found[7]["baseline"] == pytest.approx(0.8 - 2)
    assert found[7]["ours"] == pytest.approx(0.8)


def test_of_several_pairs_the_mean_difference_decides_and_the_first_pair_is_told():
    pairs = np.zeros((2, 2, 4))
    pairs[:, 1] = (0.1, 0.2, 0.3, 0.4), (0.7, 0.2, -0.1, -0.6)  # means 0.4 0.2 0.1 -0.1
    found = script.choose(pairs, list("abcd"))
    assert list(found) == [3, 2, 1, 0]
    assert found[3]["difference"] == pytest.approx(-0.1)
    assert found[3]["ours"] == 0.4


def test_the_record_holds_rule_scenes_scores_and_origins_and_no_path(drawn, scenes_dir, run_dir):
    text = (drawn / "a.json").read_text()
    found = json.loads(text, parse_constant=pytest.fail)
    assert found["rule"] == script.RULE
    assert [scene["rank"] for scene in found["scenes"]] == [1, 2, 4, 5]
    assert {scene["difference"] for scene in found["scenes"]} == {0}  # the same run twice
    for scene in found["scenes"]:
        number = scene["rank"] - 1  # equal scores keep their order
        assert scene["image"] == sorted(path.name for path in scenes_dir.glob("leftImg8bit/val/*/*"))[number]
        assert scene["baseline"] == scene["ours"] == found["image_miou"]["ours"][number] > 0
    assert len(found["image_miou"]["baseline"]) == found["images"] == 5
    assert [found["runs"][side][0]["iteration"] for side in script.SIDES] == [2, 2]
    assert {"commit", "command"} <= set(found["runs"]["ours"][0]) & set(found["drawn"])
    assert str(scenes_dir.parent) not in text
    assert str(run_dir.parent) not in text


def test_the_picture_has_a_row_a_scene_with_rank_and_both_scores_above(drawn):
    width, height = Image.open(drawn / "a.png").size
    assert 1000 <= width <= 1200
    assert 0.5 * width < height < width
    titles = [ax.get_title() for ax in plt.gcf().axes]
    assert len(titles) == 16
    assert titles[0] == "photograph\nrank 1 of 5, difference +0.0"
    assert [title.partition("\n")[0] for title in titles[1:4]] == ["baseline", "ours", "ground truth"]
    score = json.loads((drawn / "a.json").read_text())["scenes"][1]["ours"]
    assert titles[4:8] == ["rank 2 of 5, difference +0.0", f"mIoU {100 * score:.1f} %", f"mIoU {100 * score:.1f} %", ""]


def test_what_cannot_be_drawn_is_refused_in_a_line_and_leaves_nothing(refused, run_dir, toycity_dir, tmp_path):
    options = ("--data-root", toycity_dir, "--origin", tmp_path / "a.json")
    for words, line in (
        ((run_dir, "--out", tmp_path / "a.png"), "arguments RUN: expected pairs, got 1"),
        ((run_dir, run_dir, "--out", tmp_path / "a.gif"), "--out: expected a name that ends in .webp or .png"),
        (
            (run_dir, run_dir, "--out", tmp_path / "b" / "a.png"),
            "--out: expected a file in a folder that exists",
        ),
        ((run_dir, run_dir, "--out", tmp_path / "a.png"), "expected at least 4 val images, found 2"),
        ((run_dir, tmp_path / "none", "--out", tmp_path / "a.png"), "expected a checkpoint at"),
    ):
        assert line in refused(script, *words, *options)
    assert list(tmp_path.iterdir()) == []


def test_the_books_scenes_are_those_of_the_rule_and_the_picture_is_small():
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    baseline, ours = (np.array(record["image_miou"][side]) for side in script.SIDES)
    order = np.argsort(ours - baseline, kind="stable")
    assert record["rule"] == script.RULE
    for scene, share in zip(record["scenes"], (1 / 8, 3 / 8, 5 / 8, 7 / 8), strict=True):
        number = order[int(share * len(order))]
        assert scene["rank"] == int(share * len(order)) + 1
        assert scene["difference"] == pytest.approx(ours[number] - baseline[number], abs=2e-6)
    assert PICTURE.stat().st_size < 150_000

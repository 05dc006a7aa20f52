"""scripts/look.py: one JSON with everything chapter 17 prints, and clear refusals."""

from __future__ import annotations

import json
import re

import look as script
import numpy as np
import pytest

from spacemeshlab.data.labels import CITYSCAPES


def test_the_file_holds_what_both_networks_did_wrong_and_where_it_came_from(call, run_dir, toycity_dir, tmp_path):
    file = tmp_path / "looking.json"
    runs = (f"ours={run_dir}", f"again={run_dir}")
    options = ("--things", "pole", "car", "--every", 1, "--ablate", 1)
    outcome = call(script, *runs, "--data-root", toycity_dir, "--result", file, *options)
    assert (outcome.code, outcome.err) == (0, "")
    found = json.loads(file.read_text(), parse_constant=pytest.fail)
    assert tuple(found["classes"]) == CITYSCAPES.classes
    assert found["images"] == 2
    assert {"commit", "command"} <= set(found["looked"])
    assert str(toycity_dir) not in file.read_text()
    assert found["truth"]["logit_every_pixels"] == 4
    assert found["truth"]["things"]["pole"]["count"] > 0
    ours = found["networks"]["ours"]
    assert ours == found["networks"]["again"]
    assert ours["iteration"] == 2
    assert {"commit", "machine"} <= set(ours["trained"])
    assert np.shape(ours["confusion"]) == (19, 19)
    assert len(ours["image_miou"]) == 2
    assert [entry["radius"] for entry in ours["borders"]] == list(script.RADII)
    assert ours["borders"][0]["counted"] == np.sum(ours["confusion"])
    assert ours["borders"][0]["wrong"] == np.sum(ours["confusion"]) - np.trace(ours["confusion"])
    for name in ("pole", "car"):
        for how in ("predicted", "at_budget"):
            tally = ours["things"][name][how]
            assert tally["things"] == tally["missed"] + tally["whole"] + tally["broken"]
            assert tally["things"] == found["truth"]["things"][name]["count"]
    assert np.shape(ours["pairs"]["score"]) == (2, 2)
    assert np.shape(ours["pairs"]["contribution"]) == (19, 2, 2)


def test_the_score_is_the_one_that_training_logged(call, run_dir, toycity_dir, tmp_path):
    file = tmp_path / "looking.json"
    call(script, f"ours={run_dir}", "--data-root", toycity_dir, "--result", file, "--every", 2)
    logged = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    found = json.loads(file.read_text())["networks"]["ours"]
    assert found["miou"] == pytest.approx(logged[-1]["val_miou"], abs=1e-5)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("RUN", "--result", "x.json"), r"expected TITLE=RUN_DIR"),
        (("ours=RUN", "--result", "x.json", "--things", "dragon"), r"expected classes of Cityscapes, got dragon"),
        (("ours=RUN", "--result", "x.json", "--every", "0"), r"--every and --ablate: expected 1 or more"),
    ],
)
def test_bad_words_are_refused_with_a_line_that_helps(
    words, line, refused, run_dir, toycity_dir, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    words = [word.replace("RUN", str(run_dir)) for word in words]
    found = refused(script, *words, "--data-root", toycity_dir)
    assert re.search(line, found)
    assert list(tmp_path.iterdir()) == []

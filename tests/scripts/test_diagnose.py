"""scripts/diagnose.py: one JSON with what was found about pairs of runs, a table, and clear refusals."""

from __future__ import annotations

import json
import re
import shutil

import diagnose as script
import pytest

from spacemeshlab.recipe import get_recipe
from spacemeshlab.train import train

from .conftest import SMALL

LONG = [one for one in SMALL if not one.startswith(("iterations", "validate"))]  # ten steps until a loss is logged


@pytest.fixture(scope="module")
def runs(toycity_dir, tmp_path_factory):
    """A baseline and a SpaceMeshLab of ten steps on the tiny ToyCity."""
    folder = tmp_path_factory.mktemp("pair")
    steps = ("iterations=10", "validate_every=10")
    for name, network in (("baseline-seed0", ("spam=false", "context=aspp")), ("ours-seed0", ())):
        train(get_recipe("toycity", [*LONG, *steps, *network]), toycity_dir, folder / name, progress=False)
    return folder


def test_the_file_holds_everything_about_both_and_no_path(call, runs, toycity_dir, tmp_path):
    file, names = tmp_path / "diagnosis.json", ("baseline-seed0", "ours-seed0")
    words = [*(runs / name for name in names), "--data-root", toycity_dir, "--out", file, "--images", 1]
    outcome = call(script, *words, "--learning-rates", runs / "ours-seed0")
    assert (outcome.code, outcome.err) == (0, "")
    found = json.loads(file.read_text(), parse_constant=pytest.fail)
    assert json.loads(outcome.out.splitlines()[-1]) == found
    assert not {str(runs), str(toycity_dir)} & set(re.findall(r"/[\w/.-]+", file.read_text()))
    assert {"commit", "command", "machine"} <= set(found["diagnosed"])
    assert tuple(found["networks"]) == names
    baseline, ours = found["networks"].values()
    assert "memo" not in baseline["first"]["parts"]
    assert list(ours["first"]["exchanges"]) == ["0", "1", "3", "4"]
    assert ours["first"]["exchanges"] != ours["last"]["exchanges"]
    assert ours["moved"].keys() == ours["first"]["parts"].keys()
    assert all(0 < share < 1 for share in ours["moved"].values())
    assert ours["check"]["loop"]["images"] == 2
    assert ours["check"]["loop"]["difference"] < 1e-3
    assert ours["reach"]["training"] == [2, 4]
    assert ours["reach"]["testing"] == [4, 8]
    assert set(ours["fit"]) == {"train", "val", "val_silenced", "val_window"}
    assert not [said for said in ours["findings"] + baseline["findings"] if "a bug" in said]
    (pair,) = found["pairs"]
    assert pair["network"] == "ours"
    step = pair["steps"][0]["loss"]["100"]
    assert step == pytest.approx(ours["curve"]["loss"]["100"] - baseline["curve"]["loss"]["100"], abs=1e-3)
    assert [row["run"] for row in found["learning_rates"]] == ["ours-seed0"]
    gain = ours["fit"]["val"]["miou"] - baseline["fit"]["val"]["miou"]
    assert pair["differences"]["val_miou"] == {"seeds": 1, "mean": pytest.approx(gain, abs=1e-5), "margin": None}
    for word in ("baseline-seed0\n", "exchange 4, to_memo", "stem", "val_window", f"{gain:+.4f}, noise unknown"):
        assert word in outcome.out


def unfinished(runs, folder):
    """A run whose recipe asks for more steps than it has behind it."""
    import torch

    shutil.copytree(runs / "ours-seed0", folder / "half")
    state = torch.load(folder / "half" / "last.ckpt", weights_only=True)
    state["iteration"] = 5
    torch.save(state, folder / "half" / "last.ckpt")
    return folder / "half"


def test_an_unfinished_run_is_refused(refused, runs, toycity_dir, tmp_path):
    half = unfinished(runs, tmp_path)
    line = refused(script, runs / "baseline-seed0", half, "--data-root", toycity_dir, "--out", tmp_path / "x.json")
    assert re.search(r"expected a finished run .*half, found one at 5 of 10: train it", line)
    assert not (tmp_path / "x.json").exists()


def test_a_run_without_its_log_is_refused_before_anything_is_measured(refused, runs, toycity_dir, tmp_path):
    shutil.copytree(runs / "ours-seed0", tmp_path / "mute")
    (tmp_path / "mute" / "metrics.jsonl").unlink()
    words = (runs / "baseline-seed0", tmp_path / "mute", "--data-root", toycity_dir, "--out", tmp_path / "x.json")
    assert re.search(r"expected a run's log in .*mute", refused(script, *words))


def test_a_pair_that_saw_other_batches_is_refused(refused, runs, run_dir, toycity_dir, tmp_path):
    words = (runs / "baseline-seed0", run_dir, "--data-root", toycity_dir, "--out", tmp_path / "x.json")
    assert re.search(r"one recipe and seed, found iterations=10 and 2", refused(script, *words))


def test_two_folders_of_one_name_are_refused(refused, runs, toycity_dir, tmp_path):
    (tmp_path / "ours-seed0").mkdir()
    words = (runs / "ours-seed0", tmp_path / "ours-seed0", "--data-root", toycity_dir, "--out", tmp_path / "x.json")
    assert "two folders of one name" in refused(script, *words)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("RUN",), r"expected pairs of runs, got 1"),
        (("RUN", "RUN", "--images", "0"), r"--images: expected 1 or more, got 0"),
        (("RUN", "none"), r"expected a checkpoint at none"),
    ],
)
def test_bad_words_are_refused_with_a_line_that_helps(words, line, refused, runs, toycity_dir, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    words = [word.replace("RUN", str(runs / "ours-seed0")) for word in words]
    assert re.search(line, refused(script, *words, "--data-root", toycity_dir, "--out", "x.json"))
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_no_folder_is_refused(refused, runs, toycity_dir, tmp_path):
    words = [runs / "ours-seed0"] * 2
    line = refused(script, *words, "--data-root", toycity_dir, "--out", tmp_path / "none" / "x.json")
    assert "--out: expected a file's name in a folder that exists" in line

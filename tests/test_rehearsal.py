"""The stage of the dress rehearsal: commands that are run, killed, measured, and told without this machine's paths."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
import torch

from spacemeshlab.models.backbone import imagenet_weights
from spacemeshlab.rehearsal import ROOT, Stage, stand_in_weights


@pytest.fixture
def stage(tmp_path) -> Stage:
    return Stage(tmp_path)


def script(folder: Path, program: str) -> Path:
    path = folder / "program.py"
    path.write_text(program)
    return path


def test_a_command_is_run_measured_and_noted(stage, tmp_path):
    said = stage.run("greet", script(tmp_path, "import sys; print('hello', sys.argv[1:])"), "a", tmp_path / "b")
    assert said == "hello ['a', 'b']\n"
    (noted,) = stage.steps
    assert (noted["step"], noted["command"], noted["exit_code"]) == ("greet", "python program.py a b", 0)
    assert noted["seconds"] >= 0
    assert 0 < noted["peak_gib"] < 4


def test_each_command_hears_only_itself_and_the_log_holds_all(stage, tmp_path):
    path = script(tmp_path, "import sys; print(sys.argv[1])")
    assert [stage.run(name, path, name) for name in ("one", "two")] == ["one\n", "two\n"]
    assert stage.said() == "\n== one: python program.py one\none\n\n== two: python program.py two\ntwo\n"


def test_no_path_of_this_machine_is_told(stage, tmp_path):
    path = script(tmp_path, "import sys; print(*sys.argv[1:])")
    said = stage.run("paths", path, tmp_path / "run", ROOT / "book", f"{sys.prefix}/lib")
    assert said == "run book lib\n"


def test_an_exit_code_that_nobody_expected_ends_the_play(stage, tmp_path):
    path = script(tmp_path, "import sys; sys.exit(3)")
    stage.run("three", path, codes=(2, 3))
    with pytest.raises(RuntimeError, match=r"three ended with exit code 3, see .*rehearsal.log"):
        stage.run("three", path)


def test_a_command_is_killed_when_its_time_has_come(stage, tmp_path):
    path = script(tmp_path, f"import pathlib, time; pathlib.Path('{tmp_path}/ready').touch(); time.sleep(60)")
    stage.run("sleep", path, codes=(-signal.SIGKILL,), kill_when=(tmp_path / "ready").exists)
    assert stage.steps[-1]["exit_code"] == -signal.SIGKILL


def test_stand_in_weights_are_loaded_where_imagenets_would_be(stage, monkeypatch):
    stand_in_weights(stage, "resnet18")
    monkeypatch.setenv("TORCH_HOME", stage.environment["TORCH_HOME"])
    found = imagenet_weights("resnet18")
    assert found["conv1.weight"].shape == (64, 3, 7, 7)
    stand_in_weights(stage, "resnet18")
    assert torch.equal(imagenet_weights("resnet18")["conv1.weight"], found["conv1.weight"])

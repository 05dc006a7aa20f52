"""A run in several processes: what whoever asked sees of its progress, its end and its faults."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

import spacemeshlab.launch as module
from spacemeshlab.checkpoint import RunDirectory, load_checkpoint
from spacemeshlab.errors import UserError
from spacemeshlab.launch import launch
from spacemeshlab.recipe import Recipe, get_recipe
from spacemeshlab.train import train


def small(*overrides: str) -> Recipe:
    few = ["crop=32x64", "rates=1,2", "batch_size=4", "iterations=2", "validate_every=2", "scale=1", "devices=2"]
    return get_recipe("toycity", [*few, *overrides])


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """``stand_in(program)``: instead of torchrun and the workers, a Python program that gets the run's folder."""

    def use(program: str) -> None:
        file = tmp_path / "program.py"
        file.write_text(f"import json, pathlib, signal, sys, time\nfolder = pathlib.Path(sys.argv[1])\n{program}")
        monkeypatch.setattr(module, "_torchrun", lambda _, folder: [sys.executable, str(file), str(folder)])
        monkeypatch.setattr(module, "_POLL_SECONDS", 0.02)

    return use


@pytest.fixture
def files(tmp_path) -> RunDirectory:
    return RunDirectory(tmp_path / "run", small())


@pytest.mark.slow
def test_a_run_with_two_devices_is_trained_in_two_processes_and_comes_back(toycity_dir, tmp_path, capsys):
    run = train(small(), toycity_dir, tmp_path / "run")
    assert load_checkpoint(run / "last.ckpt")["iteration"] == 2
    assert json.loads((run / "recipe.json").read_text())["origin"]["processes"] == 2
    assert (run / "model.safetensors").exists()
    assert not (run / "job.json").exists()
    out = capsys.readouterr().out
    assert "toycity: 2 x CPU" in out
    assert "batch 4 = 2 processes x 1 part x 2 images" in out
    assert "toycity 2/2, loss" in out.splitlines()[-1]
    assert "toycity 2/2, loss" in (run / "log.txt").read_text()


def test_the_processes_get_the_recipe_the_data_and_the_command(stand_in, files, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["scripts/train.py", "toycity"])
    stand_in("(folder / 'seen.json').write_text((folder / 'job.json').read_text())")
    monkeypatch.chdir(tmp_path)
    launch(small("lr=0.25"), "data", files, progress=False)
    job = json.loads((files.path / "seen.json").read_text())
    assert Recipe.from_dict(job["recipe"]) == small("lr=0.25")
    assert job["data_root"] == str(tmp_path / "data")
    assert job["argv"] == ["scripts/train.py", "toycity"]
    assert not (files.path / "job.json").exists()


def test_what_they_say_first_and_then_their_metrics_are_shown(stand_in, files, capsys):
    stand_in(
        "print('a plan', flush=True)\ntime.sleep(0.3)\n"
        "log = open(folder / 'metrics.jsonl', 'w')\n"
        "for step in (1, 2):\n"
        "    print(json.dumps({'iteration': step, 'loss': 1.25, 'val_miou': 0.5}), file=log, flush=True)\n"
        "time.sleep(0.3)\nprint('the end')"
    )
    launch(small(), "data", files, progress=True)
    first, *_, bar, before_last, last = capsys.readouterr().out.splitlines()
    assert first == "a plan"
    assert bar.startswith("toycity, 2 processes 2/2, loss 1.250, mIoU 0.500, ")
    assert (before_last, last) == ("a plan", "the end")


def test_silence_is_possible(stand_in, files, capsys):
    stand_in("print('a plan')")
    launch(small(), "data", files, progress=False)
    assert capsys.readouterr().out == ""
    assert (files.path / "log.txt").read_text() == "a plan\n"


def test_a_users_mistake_comes_back_as_its_line(stand_in, files):
    stand_in("print('error: expected a, found b: do c', file=sys.stderr)\nprint('noise')\nsys.exit(1)")
    with pytest.raises(UserError, match=r"^expected a, found b: do c$"):
        launch(small(), "data", files, progress=False)


def test_an_older_runs_mistake_is_not_taken_for_this_ones(stand_in, files):
    (files.path / "log.txt").write_text("error: expected a, found b: do c\n")
    stand_in("print('boom')\nsys.exit(3)")
    with pytest.raises(RuntimeError, match=r"exit code 3; the end of .*log.txt:\nboom$"):
        launch(small(), "data", files, progress=False)


def test_a_crash_shows_the_end_of_the_log(stand_in, files):
    stand_in("for n in range(50): print('line', n)\nraise KeyError('x')")
    with pytest.raises(RuntimeError, match=r"(?s)exit code 1; the end of .*\nline 49\nTraceback.*KeyError: 'x'$"):
        launch(small(), "data", files, progress=False)


def test_a_signal_is_passed_on_and_the_saved_run_is_reported(stand_in, files, capsys):
    stand_in(
        "def leave(*_): print('asked to stop (SIGTERM): saved', flush=True); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, leave)\n(folder / 'ready').touch()\ntime.sleep(60)"
    )

    def ask() -> None:
        while not (files.path / "ready").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=ask).start()
    with pytest.raises(SystemExit) as left:
        launch(small(), "data", files, progress=False)
    assert left.value.code == 143
    assert "asked to stop (SIGTERM): saved" in capsys.readouterr().out


def test_an_interrupted_notebook_ends_its_processes(stand_in, files, monkeypatch):
    stand_in("(folder / 'ready').touch()\ntime.sleep(60)")
    started, popen = [], subprocess.Popen
    monkeypatch.setattr(
        module.subprocess, "Popen", lambda *words, **how: started.append(popen(*words, **how)) or started[0]
    )

    def interrupt(_: Path) -> dict:
        if (files.path / "ready").exists():
            raise KeyboardInterrupt
        return {}

    monkeypatch.setattr(module, "_newest", interrupt)
    with pytest.raises(KeyboardInterrupt):
        launch(small(), "data", files, progress=False)
    assert started[0].returncode == -signal.SIGTERM


def test_more_devices_than_gpus_are_refused(files, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="expected 2 GPUs, found 1: set devices=1"):
        launch(small(), "data", files, progress=False)
    assert not (files.path / "log.txt").exists()


def test_the_newest_values_are_read_from_a_long_and_from_a_cut_file(tmp_path):
    log = tmp_path / "metrics.jsonl"
    assert module._newest(log) == {}
    lines = [json.dumps({"iteration": step, "loss": step / 2}) for step in range(1000)]
    log.write_text("\n".join([*lines, json.dumps({"iteration": 999, "val_miou": 0.25}), '{"iteration": 1000, "lo']))
    assert module._newest(log) == {"iteration": 999, "loss": 499.5, "val_miou": 0.25}

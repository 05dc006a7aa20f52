"""Runs and notebooks that are killed at random moments end with the bits of a run that was left alone."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import torch
import yaml

from spacemeshlab import survival
from spacemeshlab.checkpoint import load_checkpoint
from spacemeshlab.data import toycity

CHAPTER = Path(__file__).parents[1] / "book" / "13-training.ipynb"


@pytest.fixture(scope="module")
def data_root(tmp_path_factory) -> Path:
    return toycity.generate(tmp_path_factory.mktemp("data") / "city", train=10, val=2, size=(64, 128), progress=False)


@pytest.fixture(scope="module")
def whole(data_root, tmp_path_factory) -> tuple[Path, float]:
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    return run_dir, survival.whole_run(data_root, run_dir)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_a_run_that_is_killed_at_random_moments_ends_as_if_nothing_had_happened(data_root, whole, tmp_path, seed):
    found = survival.trial(data_root, tmp_path / "killed", *whole, kills=2, chance=random.Random(seed))
    assert found.identical
    assert survival.report([found])["identical"] == 1


def notebook(folder: Path) -> Path:
    """Chapter 13 without its lessons: parameters, imports, the recipe, and the cell that trains."""
    chapter = nbformat.read(CHAPTER, as_version=4)
    wanted = ("overrides = []", "from spacemeshlab.book import", "plan = get_recipe(", "finished = train(plan, ")
    cells = [cell for cell in chapter.cells if cell.cell_type == "code" and any(text in cell.source for text in wanted)]
    assert len(cells) == len(wanted)
    chapter.cells = cells
    path = folder / "chapter.ipynb"
    nbformat.write(chapter, path)
    return path


@pytest.mark.slow
def test_a_notebook_that_was_killed_goes_on_when_it_is_executed_again(data_root, whole, tmp_path):
    run_dir, source = tmp_path / "run", notebook(tmp_path)
    recipe, *overrides = survival.RECIPE
    parameters = {"recipe": recipe, "data_root": str(data_root), "run_dir": str(run_dir), "overrides": overrides}
    (tmp_path / "parameters.yaml").write_text(yaml.safe_dump(parameters))
    words = [sys.executable, "-m", "papermill", source, tmp_path / "out.ipynb", "-f", tmp_path / "parameters.yaml"]
    how = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}

    execution = subprocess.Popen([*words, "--no-progress-bar", "-k", "python3"], **how)
    while not (run_dir / "last.ckpt").exists():
        assert execution.poll() is None, "the notebook ended before it could be killed"
        time.sleep(0.01)
    kernel = int((run_dir / "lock").read_text())
    os.kill(kernel, signal.SIGKILL)
    os.killpg(execution.pid, signal.SIGKILL)
    execution.wait()
    assert load_checkpoint(run_dir / "last.ckpt")["iteration"] < 12

    subprocess.run([*words, "--no-progress-bar", "-k", "python3"], **how, check=True)
    outputs = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[-1].outputs
    assert f"resuming {run_dir} at iteration " in "".join(output.get("text", "") for output in outputs)
    assert survival.identical(whole[0], run_dir)


def test_runs_that_differ_in_one_bit_are_told_apart(data_root, whole, tmp_path):
    other = shutil.copytree(whole[0], tmp_path / "other")
    assert survival.identical(whole[0], other)
    state = load_checkpoint(other / "last.ckpt")
    shift = state["model"]["backbone.bn1.bias"]
    shift[0] = torch.nextafter(shift[0], torch.tensor(1.0))
    torch.save(state, other / "last.ckpt")
    assert not survival.identical(whole[0], other)

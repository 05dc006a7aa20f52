"""Does a run that is killed at random moments end as if nothing had happened? (chapter 13)

A trial starts the real training command, kills it with SIGKILL, which no program can catch, at a random moment, as
often as asked; then it lets the run finish and compares every tensor with those of a run that was left alone.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from spacemeshlab.checkpoint import load_checkpoint
from spacemeshlab.weights import load_weights

RECIPE = ("toycity", "crop=32x64", "rates=1,2", "iterations=12", "validate_every=2", "batch_size=4", "scale=1")
"""A small run that writes a checkpoint every second step: many kills hit a write."""

TRAIN = Path(__file__).parents[1] / "scripts" / "train.py"


@dataclass
class Kill:
    """One SIGKILL: seconds after the run took its folder, the last step saved by then, whether a write was cut."""

    seconds: float
    saved: int
    cut_a_write: bool


@dataclass
class Trial:
    """What happened to one run."""

    kills: list[Kill] = field(default_factory=list)
    identical: bool = False


def whole_run(data_root: Path, run_dir: Path) -> float:
    """A run that is left alone; returns its seconds from taking the folder to the end."""
    process = _start(data_root, run_dir)
    started = _wait_for_the_folder(process, run_dir, None)
    if process.wait() != 0:
        raise RuntimeError(f"the run that was left alone ended with exit code {process.returncode}")
    return time.monotonic() - started


def trial(data_root: Path, run_dir: Path, whole: Path, seconds: float, kills: int, chance: random.Random) -> Trial:
    """Kill a run ``kills`` times, let it finish, and compare it with ``whole``, which took ``seconds``."""
    found = Trial()
    for _ in range(kills):
        before = _stamp(run_dir)
        process = _start(data_root, run_dir)
        _wait_for_the_folder(process, run_dir, before)
        moment = chance.uniform(0, 0.9 * seconds)
        try:
            process.wait(moment)
            break  # finished before its time came
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        last = run_dir / "last.ckpt"
        saved = load_checkpoint(last)["iteration"] if last.exists() else 0
        found.kills.append(Kill(round(moment, 2), saved, any(run_dir.glob(".*.part"))))
    process = _start(data_root, run_dir)
    if process.wait() != 0:
        raise RuntimeError(f"a resumed run ended with exit code {process.returncode}")
    found.identical = identical(whole, run_dir)
    return found


def identical(one: Path, other: Path) -> bool:
    """Whether two runs ended with the same bits: weights, momentum, step and scores, in both files."""
    first, second = (load_checkpoint(run / "last.ckpt") for run in (one, other))
    for state in (first, second):
        del state["seconds"]
    weights = [load_weights(run / "model.safetensors").tensors for run in (one, other)]
    return _equal(first, second) and _equal(*weights)


def report(trials: list[Trial]) -> dict:
    """The trials for JSON, with what they add up to."""
    kills = [kill for one in trials for kill in one.kills]
    return {
        "recipe": list(RECIPE),
        "trials": len(trials),
        "kills": len(kills),
        "kills_that_cut_a_write": sum(kill.cut_a_write for kill in kills),
        "identical": sum(one.identical for one in trials),
        "each": [asdict(one) for one in trials],
    }


def _equal(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(_equal(one[k], other[k]) for k in one)
    return one == other


def _start(data_root: Path, run_dir: Path) -> subprocess.Popen:
    recipe, *overrides = RECIPE
    words = [sys.executable, str(TRAIN), recipe, "--data-root", str(data_root), "--run-dir", str(run_dir), *overrides]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True)


def _stamp(run_dir: Path) -> float | None:
    lock = run_dir / "lock"
    return lock.stat().st_mtime_ns if lock.exists() else None


def _wait_for_the_folder(process: subprocess.Popen, run_dir: Path, before: float | None) -> float:
    """Wait until the process has taken the run's folder; importing PyTorch is no interesting moment to die."""
    while _stamp(run_dir) == before and process.poll() is None:
        time.sleep(0.01)
    return time.monotonic()

"""Two processes train as one does: the same weights, each image scored once, and whoever asked hears how it went."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from spacemeshlab.checkpoint import load_checkpoint
from spacemeshlab.data import toycity

WORKER = Path(__file__).with_name("frozen_worker.py")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")


def metrics(run_dir: Path, name: str) -> list[float]:
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]


@pytest.fixture(scope="module")
def data_root(tmp_path_factory) -> Path:
    """Three validation images: the two processes score two and one."""
    return toycity.generate(tmp_path_factory.mktemp("data") / "toycity", train=8, val=3, size=(64, 128), progress=False)


@pytest.fixture(scope="module")
def alone(data_root, tmp_path_factory) -> Path:
    run_dir = tmp_path_factory.mktemp("alone")
    subprocess.run([sys.executable, WORKER, data_root, run_dir], check=True, capture_output=True)
    return run_dir


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [(), ("accumulate=2",)], ids=["whole", "in parts"])
def test_two_processes_end_with_the_weights_of_one(data_root, alone, tmp_path, overrides):
    together = tmp_path / "together"
    subprocess.run([*TORCHRUN, WORKER, data_root, together, *overrides], check=True, capture_output=True)
    one, two = (load_checkpoint(run / "last.ckpt") for run in (alone, together))
    assert one["model"].keys() == two["model"].keys()
    worst = max((two["model"][name].double() - one["model"][name].double()).abs().max() for name in one["model"])
    assert worst < 1e-5
    assert metrics(together, "loss") == pytest.approx(metrics(alone, "loss"), rel=1e-4)
    assert metrics(together, "val_miou") == pytest.approx(metrics(alone, "val_miou"), abs=1e-3)
    assert json.loads((together / "recipe.json").read_text())["origin"]["processes"] == 2

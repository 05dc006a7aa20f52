"""Where a number came from: the commit, the command and the machine, and no path of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from spacemeshlab import provenance

ROOT = Path(provenance.__file__).parents[1]


def answer(head: str, status: str):
    """A stand-in for git."""
    return lambda folder, *words: {"rev-parse": head, "status": status}[words[0]]


def test_the_origin_says_commit_command_machine_and_versions(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["scripts/train.py", "toycity", "lr=0.1"])
    found = provenance.origin()
    assert set(found) == {"commit", "command", "machine", "threads", "python", "torch", "torchvision"}
    assert found["command"] == "python scripts/train.py toycity lr=0.1"
    assert found["threads"] == torch.get_num_threads()
    assert found["torch"] == torch.__version__
    assert json.loads(json.dumps(found)) == found


def test_paths_are_told_from_the_checkout_and_others_by_their_last_part(monkeypatch, tmp_path):
    words = ["--data-root", tmp_path / "city", f"--run-dir={tmp_path}/run", ROOT / "runs" / "a", f"--x={ROOT}/y", "b/c"]
    monkeypatch.setattr(sys, "argv", [str(ROOT / "scripts" / "train.py"), *map(str, words)])
    assert provenance.origin()["command"] == ("python scripts/train.py --data-root city --run-dir=run runs/a --x=y b/c")


def test_the_commit_is_the_checkouts():
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout: nothing to compare with")
    head = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    assert head.startswith(provenance.commit().removesuffix("-dirty"))


def test_a_changed_package_is_told_from_a_committed_one(monkeypatch):
    monkeypatch.setattr(provenance, "_git", answer("0123456789ab", ""))
    assert provenance.commit() == "0123456789ab"
    monkeypatch.setattr(provenance, "_git", answer("0123456789ab", " M train.py"))
    assert provenance.commit() == "0123456789ab-dirty"


@pytest.mark.parametrize("error", [FileNotFoundError("git"), subprocess.CalledProcessError(128, "git")])
def test_outside_a_checkout_or_without_git_the_commit_is_unknown(monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(provenance, "_git", fail)
    assert provenance.commit() == "unknown"

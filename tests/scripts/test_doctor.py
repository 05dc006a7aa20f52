"""The doctor as a command: what it prints, and its exit code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import doctor


def test_a_sound_machine_and_data_set_end_in_exit_code_0(call, toycity_dir):
    outcome = call(doctor, "--data-root", toycity_dir, "--dataset", "cityscapes", "--recipe", "toycity")
    assert outcome.code == 0
    assert outcome.err == ""
    assert outcome.out.endswith("all is well\n")
    assert "Cityscapes train: 4 pairs read, 0 files wrong" in outcome.out
    assert "GiB memory free" in outcome.out
    assert "PROBLEM" not in outcome.out


def test_a_wrong_file_ends_in_exit_code_2_and_is_named(refused, call, toycity_dir, tmp_path):
    root = shutil.copytree(toycity_dir, tmp_path / "toycity")
    path = next(root.glob("leftImg8bit/val/*/*.png"))
    path.write_bytes(b"cut")
    assert "found 1: mend what the lines with PROBLEM say" in refused(doctor, "--data-root", root)
    out = call(doctor, "--data-root", root, "--quick").out
    assert f"PROBLEM {path}: expected a complete image, found 3 bytes" in out
    assert "        -> restore it from the download" in out


def test_without_a_folder_only_machine_and_packages_are_looked_at(call):
    outcome = call(doctor)
    assert outcome.code == 0
    assert "pairs read" not in outcome.out


def test_a_recipe_brings_its_data_set_and_folder(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = call(doctor, "--recipe", "camvid-cpu")
    assert outcome.code == 2
    assert "PROBLEM data/camvid does not exist" in outcome.out


def test_a_name_without_a_folder_is_refused(refused):
    assert "expected --data-root beside --dataset" in refused(doctor, "--dataset", "camvid")


def test_packages_that_cannot_be_imported_are_one_line_and_no_traceback(tmp_path):
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    command = [sys.executable, str(Path(doctor.__file__))]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: expected packages that can be imported, found one that can't (operator")
    assert done.stderr.count("\n") == 1
    assert "keep their own torch" in done.stderr

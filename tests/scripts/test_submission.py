"""scripts/submission.py: the doors of build and check."""

from __future__ import annotations

import shutil
import zipfile

import pytest
import submission as script


@pytest.fixture
def root(toycity_dir, tmp_path):
    shutil.copytree(toycity_dir / "leftImg8bit" / "val", tmp_path / "data" / "leftImg8bit" / "test")
    return tmp_path / "data"


def test_build_makes_an_archive_that_check_accepts_and_says_that_it_is_no_test_set(call, run_dir, root, tmp_path):
    out = tmp_path / "new" / "a.zip"
    sentence = f"{out}: 2 images: not Cityscapes' 1,525\n"
    outcome = call(script, "build", run_dir, "--data-root", root, "--out", out)
    assert (outcome.code, outcome.out, outcome.err) == (0, sentence, "")
    assert call(script, "check", out, "--data-root", root).out == sentence
    assert call(script, "build", run_dir, "--data-root", root, "--out", out).out == (
        f"kept 2 predictions of an earlier call\n{sentence}"
    )
    assert call(script, "build", run_dir, "--data-root", root, "--out", out, "--tta").out.startswith(
        "threw 2 predictions away: they came from other weights, images or views\n"
    )


def test_another_split_and_checkpoint_can_be_named(call, run_dir, toycity_dir, tmp_path):
    words = ("--data-root", toycity_dir, "--split", "val")
    assert call(script, "build", run_dir, *words, "--out", tmp_path / "a.zip", "--checkpoint", "best").code == 0
    assert call(script, "check", tmp_path / "a.zip", *words).code == 0


def test_a_faulty_archive_is_one_line_and_exit_code_2(refused, root, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("notes.txt", "")
    assert (
        "notes.txt: expected a name" in refused(script, "check", tmp_path / "a.zip", "--data-root", root).split("; ")[2]
    )
    assert "berlin_*.png: expected 544 files, found 0; " in refused(script, "check", tmp_path / "a.zip")


def test_a_missing_run_data_set_or_word_is_one_line(refused, run_dir, root, tmp_path):
    out = ("--out", tmp_path / "a.zip")
    assert "expected a checkpoint at" in refused(script, "build", tmp_path / "none", "--data-root", root, *out)
    assert "no such folder" in refused(script, "build", run_dir, "--data-root", tmp_path / "none", *out)
    assert "--out" in refused(script, "build", run_dir, "--data-root", root)
    assert "command" in refused(script)

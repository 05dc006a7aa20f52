"""A run directory's files: written whole or not at all, read with one clear line when something is wrong."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from spacemeshlab.checkpoint import (
    RunDirectory,
    load_checkpoint,
    read_origin,
    read_recipe,
    write_atomically,
)
from spacemeshlab.errors import UserError
from spacemeshlab.recipe import get_recipe

RECIPE = get_recipe("toycity")


def lines(run: RunDirectory) -> list[dict]:
    return [json.loads(line) for line in run.metrics.read_text().splitlines()]


def test_a_file_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    seen = []

    def write(draft):
        draft.write_text("new")
        seen.append(path.read_text())

    write_atomically(path, write)
    assert seen == ["old"]
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_half_way_leaves_the_old_file_and_no_draft(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def write(draft):
        draft.write_text("ne")
        raise OSError(errno.ENOSPC, "")

    with pytest.raises(UserError, match=r"expected to write .*file, but no space left on device: make room"):
        write_atomically(path, write)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_comes_back_with_tensors_and_plain_values(tmp_path):
    path = tmp_path / "last.ckpt"
    state = {"model": {"w": torch.arange(3.0)}, "recipe": RECIPE.as_dict(), "classes": ["a"], "miou": 0.5}
    torch.save(state, path)
    found = load_checkpoint(path)
    assert torch.equal(found.pop("model")["w"], state.pop("model")["w"])
    assert found == state


def test_a_missing_checkpoint_says_how_to_make_one(tmp_path):
    with pytest.raises(UserError, match=rf"at {tmp_path}/last.ckpt, found none: train first .*--run-dir {tmp_path}$"):
        load_checkpoint(tmp_path / "last.ckpt")


@pytest.mark.parametrize("content", ["cut", b"", b"no checkpoint at all\n", b"\x80\x02garbage", b"PK\x03\x04", b"\x00"])
def test_an_unreadable_checkpoint_is_one_line(tmp_path, content):
    path = tmp_path / "last.ckpt"
    if content == "cut":
        torch.save({"model": {"w": torch.zeros(1000)}, "recipe": {}}, path)
        content = path.read_bytes()[:1500]
    path.write_bytes(content)
    with pytest.raises(
        UserError, match=re.escape(f"expected a checkpoint at {path}, but it can't be read (")
    ) as caught:
        load_checkpoint(path)
    assert str(caught.value).endswith("): delete it, or train again")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("other", [{"state_dict": {}}, [1, 2], torch.zeros(3)])
def test_a_readable_file_of_another_kind_is_refused(tmp_path, other):
    path = tmp_path / "other.pt"
    torch.save(other, path)
    with pytest.raises(UserError, match=r"expected the entries model and recipe in .*, found another kind of file"):
        load_checkpoint(path)


def test_a_checkpoint_with_pickled_objects_is_refused_and_runs_no_code(tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save({"model": nn.Linear(1, 1), "recipe": {}}, path)
    with pytest.raises(UserError, match="can't be read"):
        load_checkpoint(path)


def test_recipe_and_origin_come_back(tmp_path):
    RunDirectory(tmp_path / "new" / "run", RECIPE).write_recipe(RECIPE, {"commit": "abc"})
    assert read_recipe(tmp_path / "new" / "run") == RECIPE
    assert read_origin(tmp_path / "new" / "run") == {"commit": "abc"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "expected a run directory with a recipe.json, found none in "),
        ("{", "expected a run's recipe in "),
        ("[]", "expected a run's recipe in "),
        ('{"name": "toycity"}', "expected a run's recipe in "),
    ],
)
def test_a_folder_without_a_readable_recipe_is_refused_in_one_line(tmp_path, text, expected):
    if text is not None:
        (tmp_path / "recipe.json").write_text(text)
    for read in (read_recipe, read_origin):
        with pytest.raises(UserError, match=f"^{expected}") as caught:
            read(tmp_path)
        assert "\n" not in str(caught.value)


def test_a_run_directory_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UserError, match=rf"make the folder {path}, but .*: choose another --run-dir"):
            RunDirectory(path, RECIPE)


def test_a_folder_with_another_recipes_run_is_refused_and_names_the_fields(tmp_path):
    run = RunDirectory(tmp_path, RECIPE)
    run.write_recipe(RECIPE, {})
    run.save({"model": {}}, best=False)
    with pytest.raises(UserError, match=r"found another run \(lr=0.05 there, 0.1 asked for; seed=0 there, 1 asked"):
        RunDirectory(tmp_path, RECIPE.override(["lr=0.1", "seed=1"]))


def test_what_does_not_change_the_result_may_change_in_a_resumed_run(tmp_path):
    run = RunDirectory(tmp_path, RECIPE)
    run.write_recipe(RECIPE, {})
    run.save({"model": {}}, best=False)
    RunDirectory(tmp_path, RECIPE.override(["devices=2", "workers=3", "compile=true"]))


def test_a_folder_without_a_checkpoint_takes_any_recipe(tmp_path):
    RunDirectory(tmp_path, RECIPE).write_recipe(RECIPE, {})
    RunDirectory(tmp_path, RECIPE.override(["lr=0.1"]))


def test_best_is_written_with_last_and_stays_when_it_was_better(tmp_path):
    run = RunDirectory(tmp_path, RECIPE)
    run.save({"iteration": 1}, best=True)
    run.save({"iteration": 2}, best=False)
    assert torch.load(run.last) == {"iteration": 2}
    assert torch.load(run.best) == {"iteration": 1}


def test_killed_between_two_checkpoints_last_never_promises_a_best_that_is_not_there(tmp_path, monkeypatch):
    run, save, written = RunDirectory(tmp_path, RECIPE), torch.save, []
    run.save({"best_miou": 0.1}, best=True)

    def die_at_the_second(state, file):
        if written:
            raise KeyboardInterrupt
        written.append(file)
        save(state, file)

    monkeypatch.setattr(torch, "save", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        run.save({"best_miou": 0.2}, best=True)
    assert torch.load(run.last) == {"best_miou": 0.1}
    assert torch.load(run.best) == {"best_miou": 0.2}


def test_lines_after_the_checkpoint_and_a_line_cut_short_are_forgotten(tmp_path):
    run = RunDirectory(tmp_path, RECIPE)
    run.forget_after(0)
    assert not run.metrics.exists()
    for iteration in (10, 20, 30):
        run.log(iteration, loss=1 / iteration)
    run.close()
    with open(run.metrics, "a") as file:
        file.write('{"iteration": 4')
    run.forget_after(20)
    assert lines(run) == [{"iteration": 10, "loss": 0.1}, {"iteration": 20, "loss": 0.05}]
    run.forget_after(0)
    assert lines(run) == []


def test_every_logged_value_is_in_tensorboards_events_too(tmp_path):
    run = RunDirectory(tmp_path, RECIPE)
    run.log(10, loss=0.5, lr=0.25)
    run.log(20, val_miou=0.125)
    run.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    found = [(tag, e.step, e.value) for tag in events.Tags()["scalars"] for e in events.Scalars(tag)]
    assert found == [("loss", 10, 0.5), ("lr", 10, 0.25), ("val_miou", 20, 0.125)]


def test_words_are_logged_as_words_and_pictures_as_pictures(tmp_path):
    run = RunDirectory(tmp_path, RECIPE)
    run.log(3, val_miou=0.5, protocol="val, whole image")
    run.log_picture(3, "val/0", np.full((4, 6, 3), 200, dtype=np.uint8))
    run.close()
    assert lines(run) == [{"iteration": 3, "val_miou": 0.5, "protocol": "val, whole image"}]
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Tags()["scalars"] == ["val_miou"]
    assert [(shown.step, shown.width, shown.height) for shown in events.Images("val/0")] == [(3, 6, 4)]


HOLDER = """
import sys, time
from spacemeshlab.checkpoint import RunDirectory
from spacemeshlab.recipe import get_recipe

run = RunDirectory(sys.argv[1], get_recipe("toycity"))
run.lock()
print("locked", flush=True)
time.sleep(60)
"""


def test_a_disk_that_knows_no_locks_is_no_reason_to_refuse(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", flock)
    RunDirectory(tmp_path, RECIPE).lock()


def test_a_locked_folder_belongs_to_one_process_until_it_closes_or_dies(tmp_path):
    first, second = RunDirectory(tmp_path, RECIPE), RunDirectory(tmp_path, RECIPE)
    first.lock()
    with pytest.raises(UserError, match=rf"to be free, found process {os.getpid()} training there: wait for it"):
        second.lock()
    first.close()
    second.lock()
    second.close()
    other = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(UserError, match=rf"found process {other.pid} training there"):
            first.lock()
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    first.lock()
    first.close()


LIMITED = """
import resource, signal, sys, torch
from pathlib import Path
from spacemeshlab.checkpoint import RunDirectory
from spacemeshlab.errors import exit_codes
from spacemeshlab.recipe import get_recipe

@exit_codes
def main():
    run = RunDirectory(sys.argv[1], get_recipe("toycity"))
    run.save({"weights": torch.zeros(10)})
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    run.save({"weights": torch.ones(1_000_000)})

main()
"""


def test_a_write_for_which_there_is_no_room_is_one_line_and_the_old_checkpoint_stays(tmp_path):
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.fullmatch(
        r"error: expected to write .*last.ckpt, but file too large: make room .* is lost\n", done.stderr
    )
    assert torch.equal(torch.load(tmp_path / "last.ckpt")["weights"], torch.zeros(10))
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_run_that_logs_nothing_leaves_no_events(tmp_path):
    RunDirectory(tmp_path, RECIPE).close()
    assert list(tmp_path.iterdir()) == []

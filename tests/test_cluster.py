"""Several runs at once: the same weights and table as one after the other, even when a worker is killed on its way."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import safetensors.torch
import torch

from spacemeshlab import cluster as module
from spacemeshlab.checkpoint import RunDirectory, load_checkpoint
from spacemeshlab.cluster import share
from spacemeshlab.errors import UserError
from spacemeshlab.provenance import commit
from spacemeshlab.recipe import RECIPES, get_recipe
from spacemeshlab.reproduce import Job, Places, jobs, run
from spacemeshlab.results import compare
from spacemeshlab.tables import TABLE_1, choose

SCRIPT = Path(__file__).parents[1] / "scripts" / "reproduce.py"
TINY = ("crop=32x64", "batch_size=2", "iterations=8", "validate_every=4", "scale=1")


@contextlib.contextmanager
def command(data, places, *more, tiny=TINY):
    """scripts/reproduce.py with two workers, in a process group of its own; killed if the test leaves it."""
    words = ["table1", "--recipe", "toycity", "--data-root", data, "--runs", places.runs, "--results", places.results]
    words += [word for pair in tiny for word in ("--override", pair)]
    process = subprocess.Popen(
        [sys.executable, SCRIPT, *map(str, words), "--workers", "2", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # as the tests themselves: sums then have one order
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(path, process):
    while not path.exists():
        if process.poll() is not None:
            said = process.communicate()
            if "timed out during startup" in said[1]:
                pytest.skip("Ray gives its parts fifteen seconds to start, which this machine is too busy for")
            pytest.fail(str(said))
        time.sleep(0.01)


def worker_of(folder):
    return int((folder / "lock").read_text())


def table(base, folder):
    """What ``compare`` prints, without the columns of what it took."""
    lines = compare(1, base, folder).splitlines()
    return [line[: lines[0].index("minutes")].rstrip() for line in lines]


@pytest.mark.slow
def test_a_killed_workers_run_goes_on_and_ends_with_the_weights_and_the_table_of_an_undisturbed_one(
    toycity_dir, tmp_path
):
    pytest.importorskip("ray")
    alone, together = (Places(toycity_dir, tmp_path / name / "runs", tmp_path / name / "results") for name in "ab")
    base = get_recipe("toycity", TINY)
    names = ("r101", "r101-spam", "r101-attention")
    first, second, third = jobs(choose(TABLE_1, names), base, [0])
    for job in (first, second):
        run(job, base, alone, progress=False)
    together.results.mkdir(parents=True)
    (together.results / f"{third.name}.json").write_text("[]")  # in the way: this row fails
    with command(toycity_dir, together, "--seeds", "0", "--rows", *names) as process:
        folder = together.runs / first.name
        wait_for(folder / "last.ckpt", process)
        killed = worker_of(folder)
        os.kill(killed, signal.SIGKILL)
        assert not (folder / "model.safetensors").exists()
        out, err = process.communicate()
    assert (process.returncode, err) == (2, "")
    assert worker_of(folder) != killed
    assert f"{third.name}: FAILED: expected {together.results / third.name}.json to be free, found another" in out
    for job in (first, second):
        assert re.search(rf"^\[[123]/3\] {job.name}: one view \d+\.\d %$", out, flags=re.MULTILINE)
        weights = [safetensors.torch.load_file(at.runs / job.name / "model.safetensors") for at in (alone, together)]
        assert weights[0].keys() == weights[1].keys()
        assert all(torch.equal(one, weights[1][name]) for name, one in weights[0].items()), job.name
    assert table(base, together.results) == table(base, alone.results)
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [step["iteration"] for step in steps if "val_miou" in step] == [4, 8]
    assert not list(tmp_path.rglob(".shared-*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_command_that_is_asked_to_stop_saves_its_runs_and_leaves_no_process(toycity_dir, tmp_path, number):
    pytest.importorskip("ray")
    places = Places(toycity_dir, tmp_path / "runs", tmp_path / "results")
    long = (*TINY[:2], "iterations=5000", "validate_every=2500", "scale=1")
    (job,) = jobs(choose(TABLE_1, ["r101"]), get_recipe("toycity", long), [0])
    with command(toycity_dir, places, "--seeds", "0", "--rows", "r101", tiny=long) as process:
        wait_for(places.runs / job.name / "metrics.jsonl", process)
        worker = worker_of(places.runs / job.name)
        started = [worker, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
        # a terminal sends Ctrl-C to the whole group, kill and SLURM send SIGTERM to the command
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        out, err = process.communicate()
    assert process.returncode == 143 if number == signal.SIGTERM else "KeyboardInterrupt" in err, err
    assert "saving 1 runs; the same command goes on from there" in out
    assert 0 < load_checkpoint(places.runs / job.name / "last.ckpt")["iteration"] < 2500
    _, left = psutil.wait_procs([psutil.Process(pid) for pid in started if psutil.pid_exists(pid)], timeout=20)
    assert not left


@pytest.mark.parametrize(
    ("nodes", "devices", "workers", "expected"),
    [
        ([(8, 0)], 1, 2, (2, 4, 0)),  # two runs share the cores
        ([(2, 0)], 1, 3, (3, 1, 0)),
        ([(8, 0)], 2, 0, (1, 8, 0)),  # devices are processes there
        ([(8, 0), (4, 0)], 1, 0, (2, 4, 0)),  # one a machine; a share fits on the smallest
        ([(8, 0), (8, 0)], 1, 3, (3, 4, 0)),
        ([(64, 8)], 1, 0, (8, 8, 1)),
        ([(64, 8)], 1, 2, (2, 32, 1)),
        ([(64, 8)], 1, 99, (8, 8, 1)),  # a GPU is never shared
        ([(64, 8)], 4, 0, (2, 32, 4)),
        ([(64, 8), (16, 4), (96, 0)], 4, 0, (3, 16, 4)),  # nothing runs where there are no GPUs
    ],
)
def test_runs_share_cores_and_have_gpus_of_their_own(nodes, devices, workers, expected):
    assert share(nodes, devices, workers) == expected


def test_more_devices_than_a_machine_has_gpus_are_refused_and_not_waited_for():
    with pytest.raises(UserError, match="expected 4 GPUs on a machine, found 2: set devices=2"):
        share([(8, 2), (8, 2)], 4, 0)


def test_a_machine_that_sees_other_folders_or_another_commit_says_so_in_one_line(tmp_path):
    places = Places(tmp_path, tmp_path / "runs", tmp_path / "results")
    marks = module._mark(places)
    module._check(marks, commit())
    with pytest.raises(UserError, match=r"expected commit 0123 on .*, found .*: check the same one out there"):
        module._check(marks, "0123")
    marks[1].unlink()
    with pytest.raises(UserError, match=rf"to see {places.results} as the command does, found another folder: put"):
        module._check(marks, commit())


def test_a_run_waits_for_what_a_killed_worker_left_behind_but_not_forever(tmp_path, monkeypatch):
    recipe, waited = RECIPES["toycity"], []
    held = RunDirectory(tmp_path, recipe)
    held.lock()
    monkeypatch.setattr(module.time, "sleep", waited.append)
    module._wait_for_the_lock(tmp_path, recipe)
    assert len(waited) == module._LOCK_SECONDS
    monkeypatch.setattr(module.time, "sleep", lambda _: held.close())
    module._wait_for_the_lock(tmp_path, recipe)
    (tmp_path / "lock").touch()
    RunDirectory(tmp_path, recipe).lock()  # free again


def test_a_worker_whose_machine_wants_it_to_end_hands_its_saved_run_to_another(tmp_path, monkeypatch):
    places = Places(tmp_path, tmp_path / "runs", tmp_path / "results")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.setattr(sys, "argv", ["somebody's"])
    seen = []

    def interrupted(*_, progress):
        seen.append((sys.argv, progress))
        os.kill(os.getpid(), signal.SIGINT)  # as ray.cancel does
        time.sleep(5)

    try:
        for end in (interrupted, lambda *_, **__: (_ for _ in ()).throw(SystemExit(143))):
            monkeypatch.setattr(module, "run", end)
            with pytest.raises(module.Stopped):
                module._work(Job(RECIPES["toycity"]), RECIPES["toycity"], places, [], commit(), ["reproduce.py"])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert seen == [(["reproduce.py"], False)]


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1:1", "Connection refused"),
        ("127.0.0.1", "invalid literal"),
        ("auto", "Could not find any running Ray instance"),
    ],
)
def test_no_such_cluster_is_one_line(address, why):
    def init(asked, **_):
        assert asked == "auto"
        raise ConnectionError("Could not find any running Ray instance.\nAnd so on")

    ray = SimpleNamespace(init=init, exceptions=pytest.importorskip("ray.exceptions"))
    with pytest.raises(UserError, match=rf"expected a Ray cluster at {address} that .*, found none \(.*{why}.*\): "):
        module._start(ray, 1, 0, address)


def test_ray_that_does_not_start_is_one_line():
    ray = SimpleNamespace(init=lambda *_, **__: (_ for _ in ()).throw(Exception("It timed out.\nAnd so on")))
    with pytest.raises(UserError, match=r"expected Ray to start, found that it does not \(It timed out\): give"):
        module._start(ray, 1, 2, None)


def test_a_worker_that_dies_again_and_again_and_a_run_that_crashes_fail_their_rows(capsys):
    exceptions = pytest.importorskip("ray.exceptions")

    def ray(error):
        return SimpleNamespace(get=lambda _: (_ for _ in ()).throw(error), exceptions=exceptions)

    died = module._answer(ray(exceptions.WorkerCrashedError()), None)
    assert re.search(r"its worker killed 6 times \(WorkerCrashedError\): the same command goes on", str(died))
    trace = "Traceback (most recent call last):\\n  File 'a'\\nKeyError: 'x'"
    crash = exceptions.RayTaskError("_work", trace, KeyError("x"))
    assert "found KeyError('x'): see its traceback above" in str(module._answer(ray(crash), None))
    assert trace in capsys.readouterr().err


def test_what_has_its_results_or_cannot_be_told_needs_no_worker(tmp_path, monkeypatch):
    base = RECIPES["toycity"]
    ray = SimpleNamespace(remote=lambda **_: lambda _: None, shutdown=lambda: None)
    monkeypatch.setattr(module, "_import_ray", lambda: ray)
    monkeypatch.setattr(module, "_start", lambda *_: (2, 1, 0))
    first, second, third = jobs(TABLE_1, base, [0])
    fault = UserError("expected one result, found two: keep one of them")

    def left(job, *_):
        if job == second:
            raise fault
        return []

    monkeypatch.setattr(module, "left", left)
    done = "has its results already"
    places = Places(tmp_path, tmp_path / "runs", tmp_path / "results")
    ended = [*module.side_by_side([first, second, third], base, places, 2)]
    assert ended == [(first, done), (second, fault), (third, done)]

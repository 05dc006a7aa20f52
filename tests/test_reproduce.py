"""Rows as training runs: which are needed, what they share, and what a run's process tells of its end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time

import pytest

from spacemeshlab import reproduce as module
from spacemeshlab.errors import UserError
from spacemeshlab.recipe import RECIPES
from spacemeshlab.reproduce import Job, Places, in_a_process, jobs, one_after_the_other
from spacemeshlab.tables import ABLATIONS, TABLE_1, TABLE_2, TABLE_4, run_name

CITYSCAPES, TOY = RECIPES["cityscapes"], RECIPES["toycity"]


@pytest.fixture
def forked(monkeypatch):
    """``forked(run)``: the new process is a copy of this one, and does ``run(places)`` instead of training."""

    def use(run):
        context = multiprocessing.get_context("fork")
        monkeypatch.setattr(module.multiprocessing, "get_context", lambda _: context)
        monkeypatch.setattr(module, "run", lambda job, base, places: run(places))
        monkeypatch.setattr(module, "_POLL_SECONDS", 0.02)

    return use


@pytest.fixture
def places(tmp_path):
    return Places(tmp_path / "data", tmp_path, tmp_path / "results")


def wait_for(path):
    while not path.exists():
        time.sleep(0.01)


def test_rows_that_share_a_network_share_a_run_and_seeds_come_one_after_the_other():
    found = jobs(TABLE_1, CITYSCAPES, [0, 1])
    assert len(found) == 2 * 6
    assert [job.recipe.seed for job in found] == [0] * 6 + [1] * 6
    by_name = {job.name: [row.name for row in job.rows] for job in found}
    assert by_name["resnet101-aspp-seed1"] == ["r101", "r101-tta"]
    assert by_name["resnet101-spam-attention-aspp-seed0"] == ["r101-attention", "r101-attention-tta"]
    assert by_name["resnet50-spam-aspp-seed0"] == ["r50-spam"]


def test_a_small_recipe_trains_a_network_once_whatever_the_papers_backbone():
    found = jobs(TABLE_1, TOY, [0, 0])
    assert [[row.name for row in job.rows] for job in found] == [
        ["r50", "r101-tta"],
        ["r50-spam"],
        ["r50-attention", "r101-attention-tta"],
    ]


@pytest.mark.parametrize("rows", [TABLE_1, TABLE_2, TABLE_4, ABLATIONS], ids=["1", "2", "4", "ablations"])
def test_runs_of_one_seed_differ_in_the_network_only(rows):
    recipes = [job.recipe.as_dict() for job in jobs(rows, TOY, [3])]
    network = {"backbone", "spam", "attention", "context", "rates", "variant"}
    rest = [{key: value for key, value in recipe.items() if key not in network} for recipe in recipes]
    assert all(one == rest[0] for one in rest)
    assert rest[0]["seed"] == 3


def test_a_process_hands_back_what_was_done_and_has_a_number_of_its_own(forked, places):
    forked(lambda _: f"done by {os.getpid()}")
    said = in_a_process(Job(TOY), TOY, places)
    assert said.startswith("done by ")
    assert said != f"done by {os.getpid()}"


def test_a_users_mistake_in_a_process_is_raised_where_it_was_started(forked, places):
    def run(_):
        raise UserError("expected a, found b: do c")

    forked(run)
    with pytest.raises(UserError, match=r"^expected a, found b: do c$"):
        in_a_process(Job(TOY), TOY, places)


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (lambda _: os.kill(os.getpid(), signal.SIGKILL), "found its process killed by SIGKILL: see"),
        (lambda _: os._exit(3), "found its process gone with exit code 3: see"),
    ],
    ids=["killed", "crashed"],
)
def test_a_process_that_dies_fails_its_row_and_the_others_go_on(forked, places, end, why):
    forked(lambda given: "done" if (given.runs / "dead").exists() else [(given.runs / "dead").touch(), end(given)])
    todo = jobs(TABLE_2, TOY, [0])[:2]
    (_, first), (_, second) = one_after_the_other(todo, TOY, places)
    assert f"expected {run_name(todo[0].recipe)} to come to its end, {why}" in str(first)
    assert isinstance(first, UserError)
    assert second == "done"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1], ids=["SIGTERM", "SIGUSR1"])
def test_a_signal_to_stop_reaches_the_process_which_saves_before_both_end(forked, places, number):
    def run(given):
        with module.StopRequest() as stop:
            (given.runs / "ready").touch()
            while not stop.signal:
                time.sleep(0.01)
            (given.runs / "saved").write_text(signal.Signals(stop.signal).name)
            raise SystemExit(128 + stop.signal)

    forked(run)
    threading.Thread(target=lambda: [wait_for(places.runs / "ready"), os.kill(os.getpid(), number)]).start()
    with pytest.raises(SystemExit) as left:
        in_a_process(Job(TOY), TOY, places)
    assert left.value.code == 128 + number
    assert (places.runs / "saved").read_text() == signal.Signals(number).name


def test_a_signal_that_comes_while_nothing_listens_ends_everything_too(forked, places):
    def run(given):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as in a new process
        (given.runs / "ready").touch()
        time.sleep(60)

    forked(run)
    threading.Thread(target=lambda: [wait_for(places.runs / "ready"), os.kill(os.getpid(), signal.SIGTERM)]).start()
    with pytest.raises(SystemExit) as left:
        in_a_process(Job(TOY), TOY, places)
    assert left.value.code == 143


def test_ctrl_c_ends_the_process_with_care(forked, places, monkeypatch):
    def run(given):
        with module.StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGINT)  # the terminal sends it to all: no matter here
            (given.runs / "ready").touch()
            while not stop.signal:
                time.sleep(0.01)
            (given.runs / "saved").touch()

    forked(run)
    threading.Thread(target=lambda: [wait_for(places.runs / "ready"), os.kill(os.getpid(), signal.SIGINT)]).start()
    with pytest.raises(KeyboardInterrupt):
        in_a_process(Job(TOY), TOY, places)
    assert (places.runs / "saved").exists()

"""The rows of a table as training runs, and the runs one after the other (chapters 15 and 16).

A :class:`Job` is one run: a network and a seed. Rows that share a network share it. What has a result is skipped and
what was stopped goes on, so the same call again does what is left. Each run has a process of its own, which makes its
memory its own and lets one end without the others; :mod:`spacemeshlab.cluster` has several at once.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from spacemeshlab.data import DATASETS, open_dataset
from spacemeshlab.data.labels import CITYSCAPES
from spacemeshlab.errors import UserError
from spacemeshlab.predict import load_network
from spacemeshlab.recipe import Recipe
from spacemeshlab.results import measured, summarise
from spacemeshlab.scoring import score, write_result
from spacemeshlab.stop import SIGNALS, StopRequest, stop_without
from spacemeshlab.submission import build_submission, split_images
from spacemeshlab.tables import Row, run_name
from spacemeshlab.train import train

DONE = "has its results already"

_POLL_SECONDS = 0.2


@dataclass
class Job:
    """One training run, and the rows that it is for: at most one for each protocol. Jobs do not need each other."""

    recipe: Recipe
    rows: list[Row] = field(default_factory=list)

    @property
    def name(self) -> str:
        return run_name(self.recipe)


@dataclass(frozen=True)
class Places:
    """Where data are read from, and where runs and results go."""

    data: Path
    runs: Path
    results: Path


Ended = tuple[Job, str | UserError]
"""A job that has ended, and what was done or why it failed."""


def jobs(rows: Iterable[Row], base: Recipe, seeds: Iterable[int]) -> list[Job]:
    """The training runs that these rows need, seed by seed, so that whole tables come early."""
    found: dict[str, Job] = {}
    for seed in dict.fromkeys(seeds):
        for row in rows:
            recipe = row.recipe(base, seed)
            job = found.setdefault(run_name(recipe), Job(recipe))
            if all(row.tta != other.tta for other in job.rows):
                job.rows.append(row)
    return list(found.values())


def check_data(rows: Iterable[Row], base: Recipe, data: Path) -> None:
    """What is missing is missing for every row: it is said once, before the first run.

    Raises:
        UserError: no such data, or a row of the test server for data that it does not know.
    """
    for split in ("train", "val"):
        open_dataset(base.dataset, data, split)
    if any(row.split == "test" for row in rows):
        if DATASETS[base.dataset].labels != CITYSCAPES:
            raise UserError(
                f"expected a recipe of Cityscapes, whose server scores this table, got {base.name}: try cityscapes"
            )
        split_images(data, "test")


def one_after_the_other(todo: Iterable[Job], base: Recipe, places: Places) -> Iterator[Ended]:
    """Do all jobs, each in a process of its own; one that fails stops no other.

    Raises:
        SystemExit: this process, or the one that trains, was asked to stop; what it did is saved.
    """
    for job in todo:
        try:
            yield job, in_a_process(job, base, places) if left(job, base, places) else DONE
        except UserError as error:
            yield job, error


def left(job: Job, base: Recipe, places: Places) -> list[Row]:
    """The job's rows that have no result yet. A test server's rows never have one: their archives know what is left."""
    return [row for row in job.rows if not _result(row, job, base, places)]


def run(job: Job, base: Recipe, places: Places, progress: bool = True) -> str:
    """Train and score what has no result yet, in this process; says what was done.

    Raises:
        UserError: data, folders or recipe that do not fit.
        SystemExit: the machine asked for an end; the run is saved.
    """
    rows = left(job, base, places)
    files = {row: places.results / f"{job.name}{'-tta' * row.tta}.json" for row in rows if row.split != "test"}
    for file in files.values():
        if file.exists():  # hours later would be too late to find out
            raise UserError(f"expected {file} to be free, found another recipe's result: choose another --results")
    if files:
        places.results.mkdir(parents=True, exist_ok=True)
    folder = train(job.recipe, places.data, places.runs / job.name, progress)
    done = []
    for row in rows:
        if row in files:
            write_result(score(folder, places.data, row.split, row.tta, workers=job.recipe.workers), files[row])
        what = _result(row, job, base, places) if row in files else _archive(row, job, places, folder)
        done.append(f"{'MS + flip' if row.tta else 'one view'} {what}")
    return ", ".join(done)


def _archive(row: Row, job: Job, places: Places, folder: Path) -> str:
    """Label the test images for the server, which alone can score them."""
    out = places.runs / f"{job.name}-test{'-tta' * row.tta}.zip"
    built = build_submission(load_network(folder), places.data, out, row.split, row.tta, job.recipe.workers)
    return f"{out} ({built.summary})"


def _result(row: Row, job: Job, base: Recipe, places: Places) -> str:
    """The result of this row and seed in per cent, or ""."""
    scores, seed = summarise(measured(row, base, places.results)).scores, job.recipe.seed
    return f"{scores[seed]:.1f} %" if seed in scores else ""


def in_a_process(job: Job, base: Recipe, places: Places) -> str:
    """:func:`run` in a new process. Ctrl-C and the signals to stop reach it as one to save and end."""
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_work, args=(sender, os.getpid(), job, base, places), name=job.name)
    asked = 0
    with StopRequest() as stop:
        process.start()
        sender.close()  # the process alone can still write: its end is then seen here
        try:
            while not receiver.poll(_POLL_SECONDS):
                if stop.signal:
                    os.kill(process.pid, asked := stop.signal)
                    stop.signal = 0
            answer = receiver.recv()
        except EOFError:
            process.join()
            answer = _explain(process.exitcode, job)
        except BaseException:
            process.terminate()
            raise
        finally:
            process.join()
    if asked:
        sys.exit(128 + asked)
    if isinstance(answer, UserError):
        raise answer
    return answer


def _explain(code: int, job: Job) -> UserError:
    """The end of a process that gave no answer."""
    for number in SIGNALS:
        if code in (128 + number, -number):  # somebody asked it alone, and meant us all
            sys.exit(128 + number)
    why = f"killed by {signal.Signals(-code).name}" if code < 0 else f"gone with exit code {code}"
    return UserError(
        f"expected {job.name} to come to its end, found its process {why}: see what it said above; "
        "the same command goes on from the last checkpoint"
    )


def _work(sender: Connection, asker: int, job: Job, base: Recipe, places: Places) -> None:
    """What the new process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that asked, who then ends this one with care
    stop_without(asker)
    try:
        sender.send(run(job, base, places))
    except UserError as error:
        sender.send(error)

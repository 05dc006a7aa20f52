"""Several runs of a table at once: each is a task of Ray, on this machine or on those of a cluster (chapter 15).

Without an address Ray is started here and ends with the command. A cluster is one that somebody started with ``ray
start``; its machines need this checkout at the same commit, and the folders of data, runs and results at the same
paths, the latter two on a disk that they share. A task that finds it otherwise says so in one line.

A run gets ``devices`` GPUs, or its share of the CPU cores (fewer threads may change the last bits of sums, as another
machine may; its main memory is counted with Ray's part in it, less than 0.1 GiB). It trains in its worker's own
process, which ends with it: what kills a worker kills its run, and leaves no process behind that goes on training. Ray
then starts the run again, and it goes on from its last checkpoint.
"""

from __future__ import annotations

import importlib
import logging
import os
import platform
import secrets
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

import torch

from spacemeshlab.checkpoint import RunDirectory
from spacemeshlab.errors import UserError
from spacemeshlab.provenance import commit
from spacemeshlab.recipe import Recipe
from spacemeshlab.reproduce import DONE, Ended, Job, Places, left, run
from spacemeshlab.stop import StopRequest

RETRIES = 5
"""How often a run is started again after its worker was killed, or was asked to stop by its machine."""

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anybody
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what will be the default; said here, Ray does not warn of it
}
_QUIET = {"log_to_driver": False, "logging_level": logging.ERROR}
_STORE_BYTES = 80 * 2**20  # Ray's least: results go through files
_SAVE_SECONDS, _LOCK_SECONDS, _POLL_SECONDS = 600, 60, 0.5


class Stopped(Exception):
    """A run was saved because its machine wanted it to end: another may go on with it."""


def side_by_side(
    todo: Iterable[Job], base: Recipe, places: Places, workers: int = 0, address: str | None = None
) -> Iterator[Ended]:
    """Do all jobs, several at once; they come in the order in which they end.

    Args:
        todo, base, places: as in :func:`~spacemeshlab.reproduce.one_after_the_other`.
        workers: how many at once; 0 as many as fit on the GPUs, or one a machine without any.
        address: of a Ray cluster, HOST:PORT or auto; None starts Ray on this machine alone.

    Raises:
        UserError: no Ray, no such cluster, or fewer GPUs than a run wants.
        SystemExit: this process was asked to stop; the runs are saved.
    """
    ray = _import_ray()
    places = Places(*(Path(place).resolve() for place in (places.data, places.runs, places.results)))
    waiting, marks = deque(todo), _mark(places)
    devices = max((job.recipe.devices for job in waiting), default=1)
    try:
        at_once, cpus, gpus = _start(ray, devices, workers, address)
        start = ray.remote(num_cpus=cpus, num_gpus=gpus, max_calls=1, max_retries=RETRIES, retry_exceptions=[Stopped])(
            _work
        )
        going = {}
        with StopRequest() as stop:
            try:
                while waiting or going:
                    while waiting and len(going) < at_once:
                        job = waiting.popleft()
                        if (ended := _without_worker(job, base, places)) is not None:
                            yield job, ended
                        else:
                            going[start.remote(job, base, places, marks, commit(), sys.argv)] = job
                    for task in ray.wait([*going], timeout=_POLL_SECONDS)[0] if going else ():
                        yield going.pop(task), _answer(ray, task)
                    if stop.signal:
                        sys.exit(128 + stop.signal)
            finally:
                _save(ray, [*going])
    finally:
        ray.shutdown()
        for mark in marks:
            mark.unlink(missing_ok=True)


def share(nodes: list[tuple[int, int]], devices: int, workers: int) -> tuple[int, int, int]:
    """How many runs at once, and CPU cores and GPUs for each.

    Args:
        nodes: CPU cores and GPUs of every machine.
        devices: GPUs that a run wants, where there are any.
        workers: the most at once; 0 for as many as fit.

    Raises:
        UserError: no machine has as many GPUs.
    """
    most = max(gpus for _, gpus in nodes)
    if 0 < most < devices:
        raise UserError(f"expected {devices} GPUs on a machine, found {most}: set devices={most}")
    fitting = [gpus // devices for _, gpus in nodes]
    at_once = min(workers or sum(fitting), sum(fitting)) if most else workers or len(nodes)
    here = fitting if most else [-(-at_once // len(nodes))] * len(nodes)
    cores = min(cpus // min(at_once, runs) for (cpus, _), runs in zip(nodes, here, strict=True) if runs)
    return at_once, max(1, cores), devices if most else 0


def _import_ray() -> ModuleType:
    os.environ.update({name: value for name, value in _ENVIRONMENT.items() if name not in os.environ})
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise UserError(
            "expected Ray for several runs at once, found none: pip install -e .[cluster], or leave --workers and "
            "--address out"
        ) from None


def _start(ray: ModuleType, devices: int, workers: int, address: str | None) -> tuple[int, int, int]:
    """Start Ray or join a cluster; what :func:`share` says."""
    if address is not None:
        return _join(ray, devices, workers, address)
    gpus = torch.cuda.device_count()
    at_once, cpus, each = share([(torch.get_num_threads(), gpus)], devices, workers)
    here = {"num_cpus": at_once * cpus, "num_gpus": gpus, "_node_ip_address": "127.0.0.1", "include_dashboard": False}
    try:
        ray.init("local", **here, object_store_memory=_STORE_BYTES, **_QUIET)
    except Exception as error:  # it gives its parts fifteen seconds each, which a busy machine may not have
        raise UserError(
            f"expected Ray to start, found that it does not ({_first_line(error)}): give the same command again when "
            "this machine is less busy, or leave --workers out"
        ) from error
    return at_once, cpus, each


def _join(ray: ModuleType, devices: int, workers: int, address: str) -> tuple[int, int, int]:
    try:
        if address != "auto":  # Ray itself would try for many minutes
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address, **_QUIET)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise UserError(
            f"expected a Ray cluster at {address} that this machine is part of, found none ({_first_line(error)}): "
            "ray start --address HOST:PORT joins one; one with a token wants RAY_AUTH_MODE=token"
        ) from None
    found = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return share([(int(one.get("CPU", 0)), int(one.get("GPU", 0))) for one in found], devices, workers)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


def _without_worker(job: Job, base: Recipe, places: Places) -> str | UserError | None:
    """How a job ends that needs no worker, or None."""
    try:
        return None if left(job, base, places) else DONE
    except UserError as error:
        return error


def _mark(places: Places) -> list[Path]:
    """Files that whoever shares the disk can see."""
    marks = [folder / f".shared-{secrets.token_hex(8)}" for folder in (places.runs, places.results)]
    for mark in marks:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    return marks


def _save(ray: ModuleType, going: list) -> None:
    """Ask the runs in progress to save and end, and wait for them."""
    for task in going:
        ray.cancel(task)  # interrupts the worker's main thread, on whatever machine: see _work
    if going:
        print(f"saving {len(going)} runs; the same command goes on from there", flush=True)
        ray.wait(going, num_returns=len(going), timeout=_SAVE_SECONDS)


def _answer(ray: ModuleType, task: object) -> str | UserError:
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        print(error.traceback_str, file=sys.stderr)
        return UserError(f"expected the run to come to its end, found {error.cause!r}: see its traceback above")
    except ray.exceptions.RayError as error:
        why = type(error).__name__
        return UserError(
            f"expected the run to come to its end, found its worker killed {RETRIES + 1} times ({why}): "
            "the same command goes on from the last checkpoint"
        )


def _work(job: Job, base: Recipe, places: Places, marks: list[Path], made: str, argv: list[str]) -> str | UserError:
    """What a worker does: one job, in its own process, which is new and ends with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # Ray's own handler would leave at once
    signal.signal(signal.SIGINT, lambda *_: os.kill(os.getpid(), signal.SIGTERM))  # how ray.cancel comes
    sys.argv = argv  # the command that somebody gave is where the run came from
    try:
        _check(marks, made)
        _wait_for_the_lock(places.runs / job.name, job.recipe)
        return run(job, base, places, progress=False)
    except UserError as error:
        return error
    except SystemExit:
        raise Stopped(job.name) from None


def _check(marks: list[Path], made: str) -> None:
    for mark in marks:
        if not mark.exists():
            raise UserError(
                f"expected {platform.node()} to see {mark.parent} as the command does, found another folder: "
                "put --runs and --results on a disk that all machines share"
            )
    if (found := commit()) != made:
        raise UserError(f"expected commit {made} on {platform.node()}, found {found}: check the same one out there")


def _wait_for_the_lock(folder: Path, recipe: Recipe) -> None:
    """When a worker was killed, processes that it had started may hold the run for some seconds more."""
    files = RunDirectory(folder, recipe)
    for _ in range(_LOCK_SECONDS):
        try:
            files.lock()
        except UserError:
            time.sleep(1)
        else:
            files.close()
            return

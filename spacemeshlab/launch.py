"""A run in several processes, started from wherever training was asked for: a script or a notebook (chapter 13).

torchrun starts the processes, each of which is :mod:`spacemeshlab.worker`; the one that asked watches the run's files
and shows how far it is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import torch

from spacemeshlab.checkpoint import RunDirectory, write_atomically
from spacemeshlab.errors import UserError
from spacemeshlab.progress import Progress
from spacemeshlab.recipe import Recipe
from spacemeshlab.stop import StopRequest

JOB = "job.json"
"""In the run's folder while it runs: what the processes are to do."""

_POLL_SECONDS, _TAIL_LINES = 0.5, 12


def started_by_torchrun() -> bool:
    """Whether this process is one of a run's, and not the one that asks for it."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def launch(recipe: Recipe, data_root: str | Path, files: RunDirectory, progress: bool) -> Path:
    """Train in ``recipe.devices`` processes and wait for their end.

    Their output goes to log.txt in the run's folder. Ending this process, by Ctrl-C or SIGTERM, ends them too; they
    save first.

    Returns:
        The run's folder.

    Raises:
        UserError: fewer GPUs than devices; what the processes found.
        RuntimeError: the processes failed; shows the log's end.
        SystemExit: this process or the others were asked to stop.
    """
    gpus = torch.cuda.device_count()
    if 0 < gpus < recipe.devices:
        raise UserError(f"expected {recipe.devices} GPUs, found {gpus}: set devices={gpus}")
    job, log = files.path / JOB, files.path / "log.txt"
    values = {"recipe": recipe.as_dict(), "data_root": str(Path(data_root).resolve()), "argv": sys.argv}
    values["asked_by"] = os.getpid()
    write_atomically(job, lambda draft: draft.write_text(json.dumps(values)))
    threads = str(max(1, torch.get_num_threads() // recipe.devices))
    with open(log, "a") as output:
        begin = output.tell()
        process = subprocess.Popen(
            _torchrun(recipe.devices, files.path),
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"OMP_NUM_THREADS": threads} | os.environ,
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the others with care
        )
    try:
        _watch(process, recipe, files, log, begin, progress)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        job.unlink(missing_ok=True)
    if process.returncode:
        _explain(process.returncode, _read(log, begin).splitlines(), log)
    return files.path


def _torchrun(processes: int, folder: Path) -> list[str]:
    elastic = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return [sys.executable, *elastic, "--module", "spacemeshlab.worker", str(folder)]


def _watch(
    process: subprocess.Popen, recipe: Recipe, files: RunDirectory, log: Path, begin: int, progress: bool
) -> None:
    """Until the processes have ended, show what they say before their first step, and then how far they are."""
    start = now = _newest(files.metrics).get("iteration", 0)
    said = 0
    name = f"{recipe.name}, {recipe.devices} processes"
    with StopRequest() as stop, Progress(name, recipe.iterations, start, progress) as shown:
        while process.poll() is None:
            time.sleep(_POLL_SECONDS)
            if stop.signal:
                process.send_signal(stop.signal)
                stop.signal = 0
            newest = _newest(files.metrics)
            if newest.get("iteration", start) == start:  # no step logged yet
                lines = _read(log, begin).splitlines()
                if progress and lines[said:]:
                    print(*lines[said:], sep="\n", flush=True)
                said = len(lines)
            elif newest["iteration"] != now:
                now = newest["iteration"]
                values = {"loss": newest.get("loss"), "mIoU": newest.get("val_miou")}
                shown.update(now, **{name: f"{value:.3f}" for name, value in values.items() if value is not None})
    if progress and process.returncode == 0:
        print(*_read(log, begin).splitlines()[-2:], sep="\n", flush=True)


def _read(log: Path, begin: int) -> str:
    with open(log, errors="replace") as file:
        file.seek(begin)
        return file.read()


def _newest(metrics: Path) -> dict:
    """The latest values, out of the end of metrics.jsonl."""
    newest: dict = {}
    if metrics.exists():
        with open(metrics, "rb") as file:
            file.seek(max(0, metrics.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").splitlines()
        for line in lines:
            try:
                newest |= json.loads(line)
            except ValueError:  # cut at the beginning, or being written
                continue
    return newest


def _explain(code: int, lines: list[str], log: Path) -> NoReturn:
    """End as the processes ended."""
    for line in reversed(lines):
        if line.startswith("error: "):
            raise UserError(line.removeprefix("error: "))
        if line.startswith("asked to stop"):
            print(line, flush=True)
            sys.exit(143)
    tail = "\n".join(lines[-_TAIL_LINES:])
    raise RuntimeError(f"the processes ended with exit code {code}; the end of {log}:\n{tail}")

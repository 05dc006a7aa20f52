"""The job for a cluster, with a stand-in for SLURM: what it starts, how it is told to stop, when it queues again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

from spacemeshlab.checkpoint import load_checkpoint

from .conftest import SMALL

ROOT = Path(__file__).resolve().parents[2]
JOB = ROOT / "scripts" / "train.slurm"
OPTIONS = "job-name nodes ntasks-per-node gpus-per-node cpus-per-task time signal requeue open-mode output"  # sbatch's

SRUN = """#!/usr/bin/env bash
printf '%s\\n' "$@" > "$LOG/srun"
while [[ $1 == -* ]]; do shift; done
exec "$@"
"""
SCONTROL = """#!/usr/bin/env bash
if [[ $1 == show ]]; then printf 'localhost\\nsecond\\n'; else echo "$@" >> "$LOG/scontrol"; fi
"""
PYTHON = """#!/usr/bin/env bash
trap 'echo asked to stop; exit 1' TERM
touch "$LOG/started"
[[ -z $WAITS ]] && exit "$CODE"
for _ in {1..300}; do sleep 0.1; done
"""


class Cluster:
    """A folder with a checkout and SLURM's commands; :meth:`start` is what sbatch would run on the first node."""

    def __init__(self, folder: Path, python: str) -> None:
        self.log, self.jobs = folder / "log", []
        self.log.mkdir()
        for path, text in (("bin/srun", SRUN), ("bin/scontrol", SCONTROL), ("checkout/.venv/bin/python", python)):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
            (folder / path).chmod(0o755)
        (folder / "checkout" / "scripts").symlink_to(ROOT / "scripts")
        self.environment = {
            **os.environ,
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "LOG": str(self.log),
            "SLURM_SUBMIT_DIR": str(folder / "checkout"),
            "SLURM_JOB_ID": "4242",
            "SLURM_JOB_NODELIST": "nodes[1-2]",
        }

    def start(self, *words: object, nodes: int = 1, gpus: int = 1, **more: str) -> subprocess.Popen:
        environment = self.environment | more
        environment |= {"SLURM_JOB_NUM_NODES": str(nodes), "SLURM_GPUS_ON_NODE": str(gpus)}
        command = ["bash", str(JOB), *map(str, words)]
        job = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.jobs.append(job)
        return job

    def requeued(self) -> list[str]:
        path = self.log / "scontrol"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def cluster(tmp_path):
    made = []

    def make(python: str) -> Cluster:
        made.append(Cluster(tmp_path, python))
        return made[-1]

    yield make
    for job in (job for one in made for job in one.jobs):
        job.kill()
        job.wait()
        job.stdout.close()


def wait_for(path: Path, job: subprocess.Popen) -> None:
    while not path.exists():
        assert job.poll() is None, job.stdout.read()
        time.sleep(0.05)


def test_the_job_is_sound_bash_and_asks_sbatch_for_known_things_before_its_first_command():
    subprocess.run(["bash", "-n", JOB], check=True)
    text = JOB.read_text()
    asked = re.findall(r"^#SBATCH --([\w-]+)", text, flags=re.MULTILINE)
    assert asked == OPTIONS.split()
    assert "#SBATCH" not in text.partition("\nset -euo pipefail\n")[2]  # sbatch would not read it there


def test_one_torchrun_a_node_gets_all_gpus_and_the_words_of_train(cluster):
    place = cluster(PYTHON)
    job = place.start("cityscapes", "--run-dir", "runs/a b", "lr=0.02", nodes=2, gpus=4, WAITS="", CODE="0")
    assert job.wait() == 0
    words = (place.log / "srun").read_text().splitlines()
    begin = words.index(".venv/bin/python")
    assert all(word.startswith("--") for word in words[:begin])
    assert words[begin + 1 : begin + 3] == ["-m", "torch.distributed.run"]
    torchrun = get_args_parser().parse_args(words[begin + 3 :])
    assert (torchrun.nnodes, torchrun.nproc_per_node) == ("2", "4")
    assert (torchrun.rdzv_endpoint, torchrun.rdzv_id) == ("localhost:24242", "4242")
    assert torchrun.training_script == "scripts/train.py"
    assert torchrun.training_script_args == ["cityscapes", "--run-dir", "runs/a b", "lr=0.02"]
    assert place.requeued() == []


@pytest.mark.parametrize(("number", "requeued"), [(signal.SIGUSR1, ["requeue 4242"]), (signal.SIGTERM, [])])
def test_a_job_whose_time_is_over_queues_again_and_one_that_is_cancelled_does_not(cluster, number, requeued):
    place = cluster(PYTHON)
    job = place.start("toycity", WAITS="yes", CODE="0")
    wait_for(place.log / "started", job)
    job.send_signal(number)
    assert job.wait() == 1
    assert "asked to stop" in job.stdout.read()
    assert place.requeued() == requeued


def test_a_job_that_fails_is_not_queued_again(cluster):
    place = cluster(PYTHON)
    assert place.start("toycity", WAITS="", CODE="2").wait() == 2
    assert place.requeued() == []


@pytest.mark.slow
def test_a_real_run_saves_when_its_time_is_over_and_the_next_job_ends_it(cluster, toycity_dir, tmp_path):
    place, run_dir = cluster(f'#!/usr/bin/env bash\nexec {sys.executable} "$@"\n'), tmp_path / "run"
    words = ["toycity", "--data-root", toycity_dir, "--run-dir", run_dir, *SMALL, "iterations=40", "validate_every=40"]
    job = place.start(*words)
    wait_for(run_dir / "metrics.jsonl", job)
    job.send_signal(signal.SIGUSR1)
    out, _ = job.communicate()
    assert job.returncode != 0
    assert "asked to stop (SIGTERM): saved at iteration" in out
    assert place.requeued() == ["requeue 4242"]
    saved = load_checkpoint(run_dir / "last.ckpt")["iteration"]
    assert 10 <= saved < 40
    job = place.start(*words)
    out, _ = job.communicate()
    assert job.returncode == 0
    assert f"at iteration {saved} of 40" in out
    assert place.requeued() == ["requeue 4242"]
    assert load_checkpoint(run_dir / "last.ckpt")["iteration"] == 40
    logged = [json.loads(line)["iteration"] for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert logged == sorted(logged)

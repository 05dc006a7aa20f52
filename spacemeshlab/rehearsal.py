"""A dress rehearsal of a run on Cityscapes: every command, at full size, on generated streets (chapter 14).

Only the number of iterations is changed, and what the machine needs: where it has too little memory, as the refusal
says. The recipe's training is killed within chapter 13's notebook, goes on, and is scored with MS + flip; the official
script scores the same label files; the archive for the test server is built and checked.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision

from spacemeshlab.checkpoint import load_checkpoint
from spacemeshlab.data import toycity
from spacemeshlab.preflight import GIB

ROOT = Path(__file__).parents[1]
CITY = {"train": 8, "val": 1}
"""Images: a batch of the recipe, and one to score, because twelve views of it take minutes on a CPU."""


class Stage:
    """Runs commands one after the other, and notes how each went."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.steps = folder, []
        self.log = open(folder / "rehearsal.log", "w+")
        self.environment = dict(os.environ)

    def run(self, step: str, *words: object, codes: tuple = (0,), kill_when: Callable[[], bool] | None = None) -> str:
        """Run a script and return what it said. It is killed, with SIGKILL, as soon as ``kill_when`` says so."""
        words = [str(word) for word in words]
        shown = self._anywhere(" ".join(["python", *words]))
        print(f"{step}: {shown}", flush=True)
        self.log.write(f"\n== {step}: {shown}\n")
        self.log.flush()
        begin, started, how = self.log.tell(), time.monotonic(), {"cwd": ROOT, "env": self.environment}
        process = subprocess.Popen(
            [sys.executable, *words], **how, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True
        )
        ended = 0
        while not ended:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if not ended and kill_when is not None and kill_when():
                os.killpg(process.pid, signal.SIGKILL)
                kill_when = None
            time.sleep(0.2)
        code = process.returncode = os.waitstatus_to_exitcode(status)
        seconds, peak = round(time.monotonic() - started, 1), round(usage.ru_maxrss * 1024 / GIB, 2)
        print(f"    exit code {code} after {seconds} s, at most {peak} GiB", flush=True)
        if code not in codes:
            raise RuntimeError(f"{step} ended with exit code {code}, see {self.log.name}")
        self.steps.append({"step": step, "command": shown, "exit_code": code, "seconds": seconds, "peak_gib": peak})
        return self.said(begin)

    def said(self, begin: int = 0) -> str:
        """What the commands have said so far, without the paths of this machine."""
        self.log.seek(begin)
        return self._anywhere(self.log.read())

    def _anywhere(self, text: str) -> str:
        for folder in (self.folder, sys.prefix, ROOT):
            text = text.replace(f"{folder}/", "")
        return text


def rehearse(stage: Stage, iterations: int, overrides: list[str], size: tuple[int, int]) -> dict:
    """The whole play; returns what it showed."""
    data, run, labels, scored, archive = (
        stage.folder / name for name in ("city", "run", "labels", "score.json", "submission.zip")
    )
    toycity.generate(data, **CITY, size=size, progress=False)
    shutil.copytree(data / "leftImg8bit" / "val", data / "leftImg8bit" / "test", dirs_exist_ok=True)
    where, tta = ["--data-root", data, "--run-dir", run], ["--data-root", data, "--tta"]
    words, begun = list(overrides), (run / "recipe.json").exists
    start = ["scripts/train.py", "cityscapes", *where]
    said = stage.run("the recipe as it is", *start, *words, codes=(2, -signal.SIGKILL), kill_when=begun)
    refusal = re.search(r"^error: (.*)$", said, re.MULTILINE)
    if refusal:
        words.append(re.search(r"accumulate=\d+", refusal[1])[0])
        said = stage.run("as the refusal says", *start, *words, codes=(-signal.SIGKILL,), kill_when=begun)
    announced = said.strip().splitlines()
    shutil.rmtree(run)

    words += [f"iterations={iterations}", f"validate_every={iterations // 2}"]
    notebook = ["scripts/execute_book.py", "--recipe", "cityscapes", *where]
    notebook += [word for pair in words for word in ("--override", pair)] + ["13"]
    last = run / "last.ckpt"
    stage.run("chapter 13, killed", *notebook, codes=(-signal.SIGKILL,), kill_when=last.exists)
    killed_at = load_checkpoint(last)["iteration"]
    stage.run("chapter 13 again", *notebook)
    stage.run("MS + flip", "scripts/evaluate.py", run, *tta, "--save-labels", labels, "--result", scored)
    stage.run("the archive", "scripts/submission.py", "build", run, *tta, "--out", archive)
    checked = stage.run("its check", "scripts/submission.py", "check", archive, "--data-root", data)
    score = json.loads(scored.read_text())
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {
        "refused": refusal[1] if refusal else None,
        "announced": announced,
        "overrides": words,
        "killed_with_iteration_saved": killed_at,
        "iterations": load_checkpoint(last)["iteration"],
        "training_peak_gib": max(line["memory_gib"] for line in metrics if "memory_gib" in line),
        "image_size": list(size),
        "protocol": score["protocol"],
        "miou": score["miou"],
        "official_miou": _official_score(labels, data),
        "archive": checked.strip().splitlines()[-1].rpartition("zip: ")[2],
        "steps": stage.steps,
    }


def _official_score(labels: Path, data: Path) -> float:
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official

    settings = copy.copy(official.args)
    settings.evalInstLevelScore, settings.JSONOutput, settings.quiet = False, False, True
    truths = sorted(str(path) for path in (data / "gtFine" / "val").glob("*/*_gtFine_labelIds.png"))
    return official.evaluateImgLists(sorted(map(str, labels.iterdir())), truths, settings)["averageScoreClasses"]


def stand_in_weights(stage: Stage, backbone: str) -> None:
    """Put random numbers where PyTorch looks for the ImageNet weights: a machine without a network has no others."""
    folder = stage.folder / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    name = torchvision.models.get_model_weights(backbone)["IMAGENET1K_V1"].url.rpartition("/")[2]
    torch.manual_seed(0)
    torch.save(torchvision.models.get_model(backbone, weights=None).state_dict(), folder / name)
    stage.environment["TORCH_HOME"] = str(stage.folder / "torch")

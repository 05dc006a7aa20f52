"""Folders and files with one fault each, and a picture of a folder that shows whether anything was written."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import io
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from spacemeshlab.predict import TrainedNetwork, load_network

from .conftest import SMALL

BIG = 10**6
"""Bytes from which on a file is compared by its inode and its time: nothing here writes into a file, only over it."""


class Place:
    """A fresh folder to put faulty things in; what is asked for is a copy that may be spoiled.

    Attributes:
        path: the folder.
        patch: pytest's, for machines that lack something.
        stack: closed after the test.
    """

    def __init__(self, path: Path, toycity: Path, finished: Path, patch: pytest.MonkeyPatch, stack: ExitStack) -> None:
        self.path, self._toycity, self.finished, self.patch, self.stack = path, toycity, finished, patch, stack

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def file(self, name: str = "file", content: bytes = b"text") -> Path:
        """A file that is nothing in particular."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def folder(self) -> Path:
        """A folder with nothing in it."""
        (self.path / "empty").mkdir()
        return self.path / "empty"

    # Data

    def data(self) -> Path:
        """A sound data set of 4 + 2 scenes in Cityscapes' layout."""
        return Path(shutil.copytree(self._toycity, self.path / "data"))

    def picture(self, pattern: str) -> Path:
        """The first file of that kind in a fresh data set."""
        return min(self.data().glob(pattern))

    def with_label(self, change: Callable[[np.ndarray], np.ndarray], split: str = "val") -> Path:
        """A data set with one label file that holds ``change`` of what it held."""
        path = self.picture(f"gtFine/{split}/*/*_labelIds.png")
        Image.fromarray(change(np.asarray(Image.open(path)))).save(path)
        return self.path / "data"

    def with_bytes(self, pattern: str, change: Callable[[bytes], bytes]) -> Path:
        """A data set with one file whose bytes are ``change`` of what they were."""
        path = self.picture(pattern)
        path.write_bytes(change(path.read_bytes()))
        return self.path / "data"

    def without(self, pattern: str) -> Path:
        """A data set without the first file or folder of that kind."""
        path = self.picture(pattern)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        return self.path / "data"

    def emptied(self, folder: str) -> Path:
        """A data set whose files of one kind are gone; its folders are there."""
        for path in (self.data() / folder).rglob("*.*"):
            path.unlink()
        return self.path / "data"

    def same(self) -> tuple[str, ...]:
        """toycity.py's words for the data set of :meth:`data`."""
        return ("--train", "4", "--val", "2", "--size", "64x128")

    def camvid(self, label: np.ndarray) -> Path:
        """CamVid's layout with two pairs a split, all with this label."""
        for split in ("train", "val"):
            for number in range(2):
                for folder, values in ((split, np.full((32, 64, 3), 90, np.uint8)), (f"{split}annot", label)):
                    path = self.path / "camvid" / folder / f"{number}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(values).save(path)
        return self.path / "camvid"

    def test_split(self) -> Path:
        """Two images for a submission."""
        shutil.copytree(self._toycity / "leftImg8bit" / "val", self.path / "data" / "leftImg8bit" / "test")
        return self.path / "data"

    # Runs

    def run(self, *names: str) -> Path:
        """A finished run's recipe.json, last.ckpt and metrics.jsonl, or the named files; linked, as they are large."""
        folder = self.path / "run"
        folder.mkdir()
        for name in names or ("recipe.json", "last.ckpt", "metrics.jsonl"):
            if (self.finished / name).stat().st_size > BIG:
                os.link(self.finished / name, folder / name)
            else:
                shutil.copy(self.finished / name, folder)
        return folder

    def run_with(self, name: str, content: bytes) -> Path:
        """A run in which the file ``name`` holds other bytes."""
        folder = self.run()
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_bytes(content)
        return folder

    def run_with_folder(self, name: str) -> Path:
        """A run in which ``name`` is a folder."""
        folder = self.run()
        (folder / name).unlink()
        (folder / name).mkdir()
        return folder

    def run_with_checkpoint(self, change: Callable[[dict], Any], weights: bool = False) -> Path:
        """A run whose checkpoint was changed; without its weights, where the fault must be found before them."""
        folder = self.run()
        state = torch.load(folder / "last.ckpt", weights_only=True, mmap=True)
        state |= {} if weights else {"model": {}, "optimizer": {}}
        change(state)
        (folder / "last.ckpt").unlink()
        torch.save(state, folder / "last.ckpt")
        return folder

    def run_with_recipe(self, **changes: object) -> Path:
        """A run whose recipe.json has other values."""
        folder = self.run()
        content = json.loads((folder / "recipe.json").read_text())
        content["recipe"] |= changes
        (folder / "recipe.json").write_text(json.dumps(content))
        return folder

    def saved(self, content: object) -> Path:
        """A run whose checkpoint is something else that torch saved."""
        folder = self.run("recipe.json")
        torch.save(content, folder / "last.ckpt")
        return folder

    def cut_weights(self) -> Path:
        with open(self.finished / "model.safetensors", "rb") as file:
            return self.file("cut.safetensors", file.read(100_000))

    def bare_weights(self) -> Path:
        """Tensors without a word about them, as other programs write them."""
        return self.file("bare.safetensors", safetensors.torch.save({"weight": torch.zeros(1)}))

    def held(self) -> Path:
        """A run in which somebody is training."""
        folder = self.run()
        holder = self.stack.enter_context(open(folder / "lock", "w"))
        holder.write("4242\n")
        holder.flush()
        fcntl.flock(holder, fcntl.LOCK_EX)
        return folder

    # Command lines

    def train(self, *overrides: str, data: Path | None = None, run: Path | None = None) -> list[object]:
        """train.py's words for the least run there is."""
        places = ("--data-root", data or self.data(), "--run-dir", run or self.path / "run")
        return ["toycity", *places, *SMALL, *overrides]

    def evaluate(self, *options: object, run: Path | None = None, data: Path | None = None) -> list[object]:
        return [run or self._sound("spacemeshlab.scoring"), "--data-root", data or self.data(), *options]

    def predict(self, *images: object, run: Path | None = None) -> list[object]:
        return [run or self._sound("predict"), *images, "--out", self.path / "out"]

    def _sound(self, module: str) -> Path:
        """A run with nothing wrong, whose network is loaded once for all cases: a second each otherwise."""
        self.patch.setattr(f"{module}.load_network", lambda *_: _load(self.finished))
        return self.run("recipe.json")

    def archive(self, change: Callable[[dict[str, bytes]], Any]) -> list[object]:
        """submission.py's words for an archive that was right before ``change``."""
        files = {}
        for image in sorted(self.test_split().glob("leftImg8bit/test/*/*.png")):
            files[image.name] = png(np.full(Image.open(image).size[::-1], 7, np.uint8))
        change(files)
        with zipfile.ZipFile(self.path / "a.zip", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return ["check", self.path / "a.zip", "--data-root", self.path / "data"]

    # A course

    def graded(self, line: str) -> Path:
        """What grading left of one submission, with ``line`` in the teacher's table of written answers."""
        cell = {"cell": "question_1", "part": "A", "points": None, "possible": 4, "status": "by hand", "message": ""}
        record = {"student": "ann", "assignment": "1-miou", "file": "a.ipynb", "status": "graded", "notes": []}
        record |= {"cells": [cell], "possible": 4, "code": {}, "written": {}}
        self.file("graded/records/ann/1-miou.json", json.dumps(record).encode())
        table = f"student,assignment,question,possible,points,comment\n{line}\n"
        return self.file("graded/written.csv", table.encode()).parent


@functools.cache
def _load(run: Path) -> TrainedNetwork:
    return load_network(run)


def png(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def bomb() -> bytes:
    """A PNG whose header promises 40,000 x 40,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    sides = (40_000).to_bytes(4, "big") * 2
    header = chunk(b"IHDR", sides + bytes([8, 2, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def snapshot(folder: Path, but: Iterable[str] = ()) -> dict[str, object]:
    """Everything below ``folder``: names, sizes, contents, but for paths in ``but``.

    A run directory's ``lock`` is left out: every run takes it before it looks around, and it says only who did.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name in but or (path.name == "lock" and path.is_file()):
            continue
        status = path.lstat()
        if path.is_dir():
            found[name] = "folder"
        elif status.st_size > BIG:
            found[name] = (status.st_size, status.st_mtime_ns, status.st_ino)
        else:
            found[name] = (status.st_size, hashlib.sha256(path.read_bytes()).hexdigest())
    return found

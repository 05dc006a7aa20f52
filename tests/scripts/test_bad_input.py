"""Every way to be wrong that we could think of: exit code 2, one line that helps, and nothing written.

A case is what is wrong, the script, what prepares it and gives the command's words, and a pattern for the line. All
go through one test. What a case may leave behind all the same is named, with the reason.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from spacemeshlab.data.labels import CITYSCAPES

from .bad_input import Place, bomb, png, snapshot

FOLDER = ("run",)
"""A new run directory, empty but for its lock: two runs that start at once must not both find it free."""

STARTED = ("run", "run/recipe.json")
"""A run that had begun: its recipe is what the same command needs to begin again."""

TABLE = ("table1", "--recipe", "toycity")

EXPECTED = r"\b(expected|must be|must increase|expects)\b"
FOUND = r"\b(found|got|but)\b"
REMEDY = r"[:;] ([^:;]*)$"

HIDDEN = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
"""Warnings that Python does not show; any other would be a further line on stderr."""


def case(
    wrong: str,
    script: str,
    prepare: Callable[[Place], Iterable],
    line: str,
    leaves: Iterable[str] = (),
):
    return pytest.param(script, prepare, line, leaves, id=f"{script}: {wrong}")


def train_ids(ids: np.ndarray) -> np.ndarray:
    table = np.full(256, 255, np.uint8)
    table[list(CITYSCAPES.file_values)] = np.arange(len(CITYSCAPES))
    return table[ids]


def colours(ids: np.ndarray) -> np.ndarray:
    return CITYSCAPES.colours[train_ids(ids)]


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def lacks(place: Place, package: str) -> None:
    """Make ``package`` look as if it was not installed."""
    find = importlib.util.find_spec
    place.patch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else find(name, *rest))


def memory(place: Place, gib: float) -> None:
    place.patch.setattr("spacemeshlab.preflight.memory_free", lambda: int(gib * 2**30))


def full_disk(place: Place) -> None:
    place.patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=2**40, used=2**40, free=0))


def gpus(place: Place, count: int) -> None:
    place.patch.setattr(torch.cuda, "device_count", lambda: count)


RECIPES = [
    case("unknown recipe", "train", lambda p: ["toytown"], r"a recipe out of cityscapes.*; got 'toytown'"),
    case("unknown key", "train", lambda p: p.train("learning_rate=1"), r"keys name, .*; got 'learning_rate=1'"),
    case("no value", "train", lambda p: p.train("lr"), r"expected key=value .* got 'lr'"),
    case("word for a number", "train", lambda p: p.train("iterations=many"), r"expects a whole number, got 'many'"),
    case("broken number", "train", lambda p: p.train("batch_size=2.5"), r"expects a whole number, got '2\.5'"),
    case("neither true nor false", "train", lambda p: p.train("flip=perhaps"), r"flip expects true or false"),
    case("crop of one side", "train", lambda p: p.train("crop=64"), r"crop expects HEIGHTxWIDTH such as 768x768"),
    case("crop of odd size", "train", lambda p: p.train("crop=100x130"), r"got 100x130: try crop=96x128"),
    case("batch of one", "train", lambda p: p.train("batch_size=1"), r"batch norm needs two images\), got 1: set"),
    case("uneven batch", "train", lambda p: p.train("batch_size=5", "accumulate=2"), r"got 5: set batch_size=6"),
    case(
        "more parts than images", "train", lambda p: p.train("accumulate=2"), r"found one: .*; set accumulate=1", FOLDER
    ),
    case("rates that fall", "train", lambda p: p.train("rates=18-1"), r"rates must increase from 1 or more, got \(\)"),
    case("rates below one", "train", lambda p: p.train("rates=0,6"), r"rates must increase from 1 .* got \(0, 6\)"),
    case(
        "scale range upside down",
        "train",
        lambda p: p.train("scale_range=2-0.5"),
        r"got \(2\.0, 0\.5\): try scale_range",
    ),
    case("learning rate zero", "train", lambda p: p.train("lr=0"), r"lr must be positive, got 0\.0: lr=0\.01 is usual"),
    case("learning rate nan", "train", lambda p: p.train("lr=nan"), r"lr must be positive, got nan"),
    case("learning rate infinite", "train", lambda p: p.train("lr=inf"), r"lr must be at most 1000000, got inf"),
    case("momentum above one", "train", lambda p: p.train("momentum=9"), r"momentum must be at most 1, got 9\.0"),
    case(
        "scale infinite", "train", lambda p: p.train("scale_range=1-inf"), r"scale_range must be .* got \(1\.0, inf\)"
    ),
    case("seed too large", "train", lambda p: p.train(f"seed={2**64}"), rf"seed must be at most .* got {2**64}: set"),
    case("seed negative", "train", lambda p: p.train("seed=-1"), r"seed must be at least 0, got -1: set seed=0"),
    case("unknown data set", "train", lambda p: p.train("dataset=kitti"), r"dataset must be one of .* got 'kitti'"),
    case("unknown backbone", "train", lambda p: p.train("backbone=vgg"), r"backbone must be one of .* got 'vgg'"),
    case("unknown precision", "train", lambda p: p.train("precision=fp8"), r"precision must be one of .* got 'fp8'"),
    case(
        "fp16 without GPU",
        "train",
        lambda p: p.train("precision=16-mixed"),
        r"found none: set precision=bf16",
    ),
    case("more images in a batch than in the set", "train", lambda p: p.train("batch_size=8"), r"found 4: set", FOLDER),
    case("folder is there", "rehearse", lambda p: ["--folder", p.folder()], r"a new folder, found .*: remove it"),
    case(
        "odd iterations", "rehearse", lambda p: ["--iterations", 3, "--folder", p / "new"], r"an even number .* 3: 2 is"
    ),
    case("unknown recipe", "execute_book", lambda p: ["--recipe", "camvit"], r"a recipe out of .*; got 'camvit'"),
    case("unknown recipe", "doctor", lambda p: ["--recipe", "camvit"], r"a recipe out of .*; got 'camvit'"),
]

MACHINE = [
    case(
        "too little memory",
        "train",
        lambda p: (memory(p, 0.01), p.train())[1],
        r"GiB of memory for 2 images of 32x64 .* found 0\.0 GiB free: set precision=bf16-mixed",
        FOLDER,
    ),
    case("disk full", "train", lambda p: (full_disk(p), p.train())[1], r"found 0\.00 GiB free: make room", FOLDER),
    case(
        "more devices than GPUs",
        "train",
        lambda p: (gpus(p, 1), p.train("devices=2"))[1],
        r"expected 2 GPUs, found 1: set devices=1",
        FOLDER,
    ),
    case(
        "no ONNX packages",
        "export",
        lambda p: (lacks(p, "onnxscript"), [p.run(), p / "net.onnx"])[1],
        r'expected onnxscript for the export, found none: pip install "spacemeshlab\[onnx\]"',
    ),
]

RUNS = [
    case("another recipe's run", "train", lambda p: p.train("lr=0.5", run=p.run()), r"lr=0\.05 there, 0\.5 asked for"),
    case("run is a file", "train", lambda p: p.train(run=p.file()), r"file exists: choose another --run-dir"),
    case("run below a file", "train", lambda p: p.train(run=p.file() / "run"), r"not a directory: choose another"),
    case("run in use", "train", lambda p: p.train(run=p.held()), r"found process 4242 training there: wait for it"),
    case(
        "metrics.jsonl is a folder",
        "train",
        lambda p: p.train(run=p.run_with_folder("metrics.jsonl")),
        r"metrics\.jsonl",
    ),
    case("recipe gone", "train", lambda p: p.train(run=p.run("last.ckpt")), r"with a recipe\.json, found none in"),
    case("recipe gone", "evaluate", lambda p: p.evaluate(run=p.run("last.ckpt")), r"with a recipe\.json, found none"),
    case("recipe cut", "train", lambda p: p.train(run=p.run_with("recipe.json", b'{"rec')), r"found something else"),
    case(
        "recipe is no text", "train", lambda p: p.train(run=p.run_with("recipe.json", b"\xff\xfe")), r"something else"
    ),
    case("recipe is a list", "train", lambda p: p.train(run=p.run_with("recipe.json", b'{"recipe": [1]}')), r"found"),
    case(
        "recipe of another version",
        "train",
        lambda p: p.train(run=p.run_with_recipe(colour=1)),
        r"unknown fields \['colour'\]: it was written by another version",
    ),
    case("recipe with odd values", "train", lambda p: p.train(run=p.run_with_recipe(crop=7)), r"values of a recipe"),
    case(
        "checkpoint of the future",
        "train",
        lambda p: p.train(run=p.run_with_checkpoint(lambda state: state.update(iteration=5), weights=True)),
        r"iteration",
    ),
    case("checkpoint cut", "train", lambda p: p.train(run=p.run_with("last.ckpt", b"PK\x03\x04")), r"can't be read"),
    case(
        "checkpoint of another network",
        "train",
        lambda p: p.train(run=p.run_with_checkpoint(lambda state: state["model"].popitem(), weights=True)),
        r"found no such layer in .*last\.ckpt",
    ),
    case(
        "recipe.json is a folder",
        "train",
        lambda p: p.train(run=p.run_with_folder("recipe.json")),
        r"recipe\.json",
    ),
    case(
        "checkpoint is a folder",
        "train",
        lambda p: p.train(run=p.run_with_folder("last.ckpt")),
        r"a checkpoint at .*last\.ckpt, found none",
    ),
    case(
        "checkpoint without momentum",
        "train",
        lambda p: p.train(run=p.run_with_checkpoint(lambda state: state.pop("optimizer"), weights=True)),
        r"optimizer",
    ),
    case(
        "checkpoint with classes in another order",
        "train",
        lambda p: p.train(run=p.run_with_checkpoint(lambda state: state["classes"].reverse(), weights=True)),
        r"found 'bicycle'",
    ),
    case("no run", "evaluate", lambda p: p.evaluate(run=p / "none"), r"a checkpoint at .*, found none: train first"),
    case("no run", "predict", lambda p: p.predict(p.file("a.png", bomb()), run=p / "none"), r"found none: train first"),
    case("no run", "export", lambda p: [p / "none", p / "net.onnx"], r"found none: train first"),
    case(
        "no run",
        "submission",
        lambda p: ["build", p / "none", "--data-root", p.test_split(), "--out", p / "a.zip"],
        r"found none: train first",
    ),
    case(
        "no best checkpoint",
        "evaluate",
        lambda p: p.evaluate("--checkpoint", "best", run=p.run()),
        r"best\.ckpt, found none",
    ),
]

CHECKPOINTS = [
    *(
        case(
            wrong,
            "evaluate",
            lambda p, content=content: p.evaluate(run=p.run_with("last.ckpt", content)),
            line,
        )
        for wrong, content, line in (
            ("checkpoint empty", b"", r"can't be read \([^)]+\): delete it"),
            ("checkpoint is text", b"hello", r"can't be read"),
            ("checkpoint is a picture", png(np.zeros((9, 9), np.uint8)), r"can't be read"),
            ("checkpoint is an archive", b"PK\x05\x06" + bytes(18), r"can't be read"),
        )
    ),
    case(
        "checkpoint cut",
        "evaluate",
        lambda p: p.evaluate(run=p.run_with("last.ckpt", (p.finished / "last.ckpt").read_bytes()[:5000])),
        r"can't be read",
    ),
    case(
        "checkpoint with objects",
        "evaluate",
        lambda p: p.evaluate(run=p.saved({"model": torch.nn.Linear(1, 1), "recipe": {}})),
        r"can't be read \(Weights only load failed",
    ),
    case("checkpoint of others", "evaluate", lambda p: p.evaluate(run=p.saved({"state": 1})), r"another kind of file"),
    case(
        "checkpoint without classes",
        "evaluate",
        lambda p: p.evaluate(run=p.run_with_checkpoint(lambda state: state.pop("classes"))),
        r"the entry classes in .*last\.ckpt, found none",
    ),
    case(
        "checkpoint without weights",
        "evaluate",
        lambda p: p.evaluate(run=p.run_with_checkpoint(lambda state: state.update(model=3))),
        r"last\.ckpt",
    ),
    case(
        "fewer classes",
        "evaluate",
        lambda p: p.evaluate(run=p.run_with_checkpoint(lambda state: state["classes"].pop())),
        r"the 19 classes of Cityscapes, found 18 in",
    ),
    case(
        "classes in another order",
        "evaluate",
        lambda p: p.evaluate(run=p.run_with_checkpoint(lambda state: state["classes"].reverse())),
        r"class 0 of Cityscapes with the name 'road', found 'bicycle'",
    ),
    case(
        "other colours",
        "predict",
        lambda p: p.predict(p.file(), run=p.run_with_checkpoint(lambda state: state["palette"].reverse())),
        r"with the colour \(128, 64, 128\), found \(119, 11, 32\)",
    ),
    case(
        "another architecture",
        "evaluate",
        lambda p: p.evaluate(
            run=p.run_with_checkpoint(lambda state: state["recipe"].update(rates=[1, 2, 3]), weights=True)
        ),
        r"expected context\.weight of shape .*, found shape .*depends on context, rates and backbone",
    ),
    case(
        "recipe of another version",
        "export",
        lambda p: [p.run_with_checkpoint(lambda state: state["recipe"].update(colour=1)), p / "net.onnx"],
        r"last\.ckpt: .*unknown fields \['colour'\]",
    ),
    case(
        "recipe that is none",
        "export",
        lambda p: [p.run_with_checkpoint(lambda state: state.update(recipe=3)), p / "net.onnx"],
        r"last\.ckpt: expected the values of a recipe, found others",
    ),
    case("weights missing", "evaluate", lambda p: p.evaluate(run=p / "x.safetensors"), r"found no such file: name"),
    case(
        "weights are text", "evaluate", lambda p: p.evaluate(run=p.file("x.safetensors")), r"found 4 bytes that can't"
    ),
    case(
        "weights cut", "predict", lambda p: p.predict(p.file(), run=p.cut_weights()), r"found \d+ bytes that can't be"
    ),
    case("weights alone", "export", lambda p: [p.bare_weights(), p / "net.onnx"], r"found safetensors without: name"),
]

DATA = [
    case("no data", "train", lambda p: p.train(data=p / "none"), r"data set's folder .*none, found no such folder"),
    case("data one level too high", "train", lambda p: p.train(data=p.data().parent), r"found only data in"),
    case(
        "data empty",
        "train",
        lambda p: p.train(data=p.folder()),
        r"found no folder in",
    ),
    case("no images in the folders", "train", lambda p: p.train(data=p.emptied("leftImg8bit")), r"found none: unpack"),
    case("no labels", "train", lambda p: p.train(data=p.without("gtFine")), r"found only leftImg8bit in .*: unpack"),
    case("data is a file", "train", lambda p: p.train(data=p.file()), r"data set's folder .*file, found no such"),
    case("no val", "train", lambda p: p.train(data=p.without("leftImg8bit/val")), r"found only train in"),
    case(
        "no place for decoded images",
        "train",
        lambda p: p.train("cache=true", data=(p.data(), p.file("data/.decoded"))[0]),
        r"expected to keep decoded images .* \(.*not a directory\): set cache=false|file exists",
        STARTED,
    ),
    case(
        "no data",
        "train",
        lambda p: ["pascal-context", *p.train(data=p.folder())[1:]],
        r"expected Pascal-Context's labels .*, found neither .*: unpack",
    ),
    case("no data", "evaluate", lambda p: p.evaluate(data=p / "none"), r"found no such folder"),
    case("no data", "doctor", lambda p: ["--data-root", p / "none"], r"expected to see which data set .* found no"),
    case(
        "data of another kind",
        "doctor",
        lambda p: ["--data-root", p.path],
        r"found no folder of any: add --dataset NAME",
    ),
    case(
        "image without label",
        "evaluate",
        lambda p: p.evaluate(data=p.without("gtFine/val/*/*labelIds.png")),
        r"_leftImg8bit\.png: expected its partner .*_gtFine_labelIds\.png, found no such file: unpack",
    ),
    case(
        "label without image",
        "evaluate",
        lambda p: p.evaluate(data=p.without("leftImg8bit/val/*/*.png")),
        r"_gtFine_labelIds\.png: expected its partner .*_leftImg8bit\.png, found no such file: unpack",
    ),
    case(
        "label of another size",
        "evaluate",
        lambda p: p.evaluate(data=p.with_label(lambda ids: ids[::2, ::2])),
        r"expected the size of its image .*64x128 \(rows x columns\), found 32x64",
    ),
    case(
        "labels are train ids",
        "evaluate",
        lambda p: p.evaluate(data=p.with_label(train_ids)),
        r"Cityscapes label values .*, found also 255.*not train ids",
    ),
    case(
        "labels are colours",
        "evaluate",
        lambda p: p.evaluate(data=p.with_label(colours)),
        r"one channel of label values, found a RGB file",
    ),
    case(
        "labels of 16 bits",
        "evaluate",
        lambda p: p.evaluate(data=p.with_label(lambda ids: ids.astype(np.uint16) * 1000)),
        r"found also 1000|found also \d{4}",
    ),
    case(
        "labels are train ids",
        "train",
        lambda p: p.train(data=p.with_label(train_ids, "train")),
        r"train.*label values .*, found also 255",
        STARTED,
    ),
    case(
        "CamVid's 32 classes",
        "train",
        lambda p: ["camvid-cpu", *p.train(data=p.camvid(np.full((32, 64), 31, np.uint8)))[1:], "workers=0"],
        r"expected CamVid label values 0-11, 255, found also 31: use the 11-class label files",
        STARTED,
    ),
    case(
        "image cut",
        "evaluate",
        lambda p: p.evaluate(data=p.with_bytes("leftImg8bit/val/*/*.png", half)),
        r"expected a complete image, found \d+ bytes that do not decode \(.*truncated.*\): restore it",
    ),
    case(
        "image is text",
        "evaluate",
        lambda p: p.evaluate(data=p.with_bytes("leftImg8bit/val/*/*.png", lambda _: b"a picture")),
        r"found 9 bytes that do not decode \(cannot identify image file\)",
    ),
    case(
        "image empty",
        "evaluate",
        lambda p: p.evaluate(data=p.with_bytes("leftImg8bit/val/*/*.png", lambda _: b"")),
        r"found 0 bytes that do not decode",
    ),
    case(
        "image a bomb",
        "evaluate",
        lambda p: p.evaluate(data=p.with_bytes("leftImg8bit/val/*/*.png", lambda _: bomb())),
        r"leftImg8bit\.png: expected",
    ),
    case(
        "image of 16 bits",
        "evaluate",
        lambda p: p.evaluate(
            data=p.with_bytes("leftImg8bit/val/*/*.png", lambda _: png(np.zeros((64, 128), np.uint16)))
        ),
        r"expected 8 bits a channel, found Pillow mode I;16: convert",
    ),
    case(
        "label empty",
        "evaluate",
        lambda p: p.evaluate(data=p.with_bytes("gtFine/val/*/*labelIds.png", lambda _: b"")),
        r"labelIds\.png: expected a complete image, found 0 bytes",
    ),
    case(
        "image cut",
        "doctor",
        lambda p: ["--data-root", p.with_bytes("leftImg8bit/val/*/*.png", half)],
        r"expected no problems, found 1: mend",
    ),
    case("unknown data set", "doctor", lambda p: ["--data-root", p.data(), "--dataset", "kitti"], r"got 'kitti': set"),
    case("data set without folder", "doctor", lambda p: ["--dataset", "camvid"], r"found none: add --data-root DIR"),
]

PICTURES = [
    case("no picture", "predict", lambda p: p.predict(p / "a.png"), r"expected a picture, found no such file: name an"),
    case("picture is text", "predict", lambda p: p.predict(p.file("a.png")), r"found 4 bytes that do not decode"),
    case("picture empty", "predict", lambda p: p.predict(p.file("a.png", b"")), r"found 0 bytes that do not decode"),
    case("picture cut", "predict", lambda p: p.predict(p.file("a.png", half(bomb()))), r"a\.png: expected"),
    case("picture a bomb", "predict", lambda p: p.predict(p.file("a.png", bomb())), r"more than Pillow opens"),
    case(
        "good, then bad",
        "predict",
        lambda p: p.predict(p.picture("leftImg8bit/val/*/*.png"), p.file("b.png")),
        r"b\.png",
    ),
    case("one name twice", "predict", lambda p: p.predict(p.file("a.png"), p.file("b/a.png")), r"with different names"),
    case(
        "folder without pictures", "predict", lambda p: p.predict(p.file("b/c.txt").parent), r"found none and 1 other"
    ),
    case(
        "results in the pictures' folder",
        "predict",
        lambda p: [p.run(), p.file("b/c.png").parent, "--out", p / "b"],
        r"expected --out outside the pictures, got their folder",
    ),
    case(
        "out is a file",
        "predict",
        lambda p: [p.run(), p.picture("leftImg8bit/val/*/*.png"), "--out", p.file()],
        r"expected to make the folder .*, found File exists: choose another --out",
    ),
    case("window of one side", "predict", lambda p: [*p.predict(p.file()), "--window", "64"], r"got '64': try"),
]

ARGUMENTS = [
    case("no run named", "evaluate", lambda p: [], r"arguments are required: RUN_DIR"),
    case("no data named", "evaluate", lambda p: [p.run()], r"arguments are required: --data-root"),
    case("unknown split", "evaluate", lambda p: p.evaluate("--split", "validation"), r"found only train, val in"),
    case("window of one side", "evaluate", lambda p: p.evaluate("--window", "64"), r"got '64'; see --help"),
    case("unknown average", "evaluate", lambda p: p.evaluate("--average", "votes"), r"invalid choice: 'votes'"),
    case("workers below zero", "evaluate", lambda p: p.evaluate("--workers", "-1"), r"expected 0 or more, got -1"),
    case("labels onto a file", "evaluate", lambda p: p.evaluate("--save-labels", p.file()), r"another --save-labels"),
    case("result onto a folder", "evaluate", lambda p: p.evaluate("--result", p.path), r"file's name, got the folder"),
    case(
        "result below a file", "evaluate", lambda p: p.evaluate("--result", p.file() / "r"), r"choose another --result"
    ),
    case("unknown option", "train", lambda p: [*p.train(), "--lr", "1"], r"unrecognized arguments: --lr"),
    case("no recipe", "train", lambda p: [], r"arguments are required: recipe"),
    case("no out", "predict", lambda p: [p.run(), p.file()], r"arguments are required: --out"),
    case("unknown checkpoint", "export", lambda p: [p.run(), p / "a", "--checkpoint", "x"], r"invalid choice: 'x'"),
    case("out is a folder", "export", lambda p: [p.run(), p.path], r"found a folder: choose another than"),
    case(
        "out in no folder", "export", lambda p: [p.run(), p / "none" / "a.onnx"], r"found no folder .*: choose another"
    ),
    case("out is a folder", "toycity", lambda p: [p.file("x/y").parent], r"but it holds no toycity\.json: choose"),
    case("out is a file", "toycity", lambda p: [p.file()], r"but it holds no toycity\.json: choose another folder"),
    case("out below a file", "toycity", lambda p: [p.file() / "city"], r"found: not a directory: choose another"),
    case("other parameters", "toycity", lambda p: [p.data(), "--seed", "7"], r"with .*seed 7, found .*seed 0: choose"),
    case("a scene is gone", "toycity", lambda p: [p.without("gtFine/val/*/*.json"), *p.same()], r"is missing: choose"),
    case("no size", "toycity", lambda p: [p / "city", "--size", "big"], r"--size expects HxW, got 'big': try"),
    case("odd size", "toycity", lambda p: [p / "city", "--size", "100x200"], r"got 100x200: choose size 96x192"),
    case("scenes below zero", "toycity", lambda p: [p / "city", "--val", "-1"], r"val must be 0 or more, got -1: try"),
    case(
        "unknown part", "benchmark", lambda p: ["--only", "speed", "--out", p / "r.json"], r"got 'speed': choose some"
    ),
    case("results of others", "benchmark", lambda p: ["--quick", "--out", p.file()], r"found something else: choose"),
    case("unknown table", "reproduce", lambda p: ["table5", "--recipe", "toycity"], r"choice: 'table5'"),
    case(
        "no test images",
        "reproduce",
        lambda p: ["table3", "--recipe", "toycity", "--data-root", p.data()],
        r"leftImg8bit/test, found only train, val in .*: name the folder",
    ),
    case("runs below zero", "reproduce", lambda p: [*TABLE, "--workers", "-1"], r"expected 0 or more, got -1; see"),
    case("unknown row", "reproduce", lambda p: [*TABLE, "--rows", "r152"], r"expected rows out of .*; got 'r152'"),
    case("row's own field", "reproduce", lambda p: [*TABLE, "--override", "spam=false"], r"decide.*got spam=false"),
    case("no data", "reproduce", lambda p: [*TABLE, "--data-root", p / "none"], r"found no such folder"),
    case("no title", "look", lambda p: [p.run(), "--data-root", p.data(), "--result", p / "r"], r"TITLE=RUN_DIR"),
    case("out below a file", "benchmark", lambda p: ["--quick", "--out", p.file() / "r"], r"expected to write .*, but"),
    case("unknown chapter", "execute_book", lambda p: ["77"], r"expected chapters out of 01.*; got '77': choose"),
    case("unknown override", "execute_book", lambda p: ["--override", "a=1"], r"one of the keys .* got 'a=1'"),
    case(
        "result below a file",
        "survive",
        lambda p: ["--result", p.file() / "r"],
        r"another --re",
    ),
    case("no such notebook", "tidy_notebooks", lambda p: [p / "99-x.ipynb"], r"expected a notebook, found no file"),
    case("result is a folder", "survive", lambda p: ["--result", p.path], r"got the folder"),
    case("no trials", "survive", lambda p: ["--trials", "0"], r"expected 1 or more, got 0"),
]

SUBMISSIONS = [
    case("no command", "submission", lambda p: [], r"arguments are required: command"),
    case(
        "no test split",
        "submission",
        lambda p: ["build", p.run(), "--data-root", p.data(), "--out", p / "a.zip"],
        r"expected the folder .*leftImg8bit/test, found only train, val in",
    ),
    case(
        "no zip",
        "submission",
        lambda p: ["build", p.run(), "--data-root", p.test_split(), "--out", p / "a.tar"],
        r"expected a file ….zip to write, got .*a\.tar: choose another name",
    ),
    case(
        "out below a file",
        "submission",
        lambda p: ["build", p.run(), "--data-root", p.test_split(), "--out", p.file() / "a.zip"],
        r"but not a directory: choose another --out",
    ),
    case(
        "somebody's pictures in the way",
        "submission",
        lambda p: [
            "build",
            p.run(),
            "--data-root",
            p.test_split(),
            "--out",
            p.file("a/b.png").parent.with_suffix(".zip"),
        ],
        r"found b\.png and no predicted_by\.json: choose another --out",
    ),
    case(
        "workers below zero",
        "submission",
        lambda p: ["build", p.run(), "--data-root", p.test_split(), "--out", p / "a.zip", "--workers", "-1"],
        r"expected 0 or more, got -1",
    ),
    case("archive missing", "submission", lambda p: ["check", p / "a.zip"], r"expected a zip archive at .*, found no"),
    case("archive is a folder", "submission", lambda p: ["check", p.path], r"expected a zip archive at .*, found no"),
    case("archive below a file", "submission", lambda p: ["check", p.file() / "a.zip"], r"found no such file: build"),
    case(
        "archive is text", "submission", lambda p: ["check", p.file("a.zip")], r"found another kind of file, or a cut"
    ),
    case("a name missing", "submission", lambda p: p.archive(dict.popitem), r"\*\.png: expected one for each image"),
    case(
        "another name",
        "submission",
        lambda p: p.archive(lambda f: f.update({"a.txt": b""})),
        r"a\.txt: expected a name",
    ),
    *(
        case(wrong, "submission", lambda p, values=values: p.archive(lambda f: f.update({min(f): png(values)})), line)
        for wrong, values, line in (
            ("wrong size", np.full((32, 64), 7, np.uint8), r"expected 128x64 \(columns x rows\), found 64x32"),
            ("value 255", np.full((64, 128), 255, np.uint8), r"found also 255 \(are these train ids\?\)"),
            ("colours", np.zeros((64, 128, 3), np.uint8), r"one channel of 8 bits, found Pillow mode RGB"),
        )
    ),
    case(
        "a file cut",
        "submission",
        lambda p: p.archive(lambda files: files.update({min(files): half(files[min(files)])})),
        r"expected a complete PNG, found one that does not decode",
    ),
]


COURSE = [
    case("no command", "course", lambda p: [], r"arguments are required: COMMAND"),
    case("no folder", "course", lambda p: ["grade", p / "none"], r"submissions, found none at .*none: name the folder"),
    case("a file for a folder", "course", lambda p: ["grade", p.file()], r"submissions, found none at .*file: name"),
    case(
        "no notebook", "course", lambda p: ["grade", p.file("in/a.pdf").parent], r"expected notebooks in .*, found none"
    ),
    case(
        "out is a file",
        "course",
        lambda p: ["grade", p.file("in/ann/a.ipynb").parents[1], "--out", p.file()],
        r"expected to make the folder .*, found Not a directory: choose another --out",
    ),
    case(
        "no sources",
        "course",
        lambda p: ["grade", p.file("in/ann/a.ipynb").parents[1], "--source", p.folder()],
        r"expected assignments NAME/NAME\.ipynb in .*, found none: name the folder with --source",
    ),
    case("no number of jobs", "course", lambda p: ["grade", p.path, "--jobs", "all"], r"invalid int value: 'all'"),
    case("unknown assignment", "course", lambda p: ["release", "9-none"], r"out of 1-miou, .*, found '9-none'"),
    case("unknown assignment", "course", lambda p: ["check", "9-none"], r"out of 1-miou, .*, found '9-none'"),
    case(
        "out below a file",
        "course",
        lambda p: ["release", "1-miou", "--out", p.file() / "a"],
        r"expected to make the folder .*, found Not a directory: choose another --out",
    ),
    case("no records", "course", lambda p: ["feedback", p.folder()], r"expected graded submissions in .*, found none"),
    case("no folder", "course", lambda p: ["feedback", p / "none"], r"expected graded submissions in .*, found none"),
    *(
        case(wrong, "course", lambda p, line=line: ["feedback", p.graded(line)], says)
        for wrong, line, says in (
            (
                "no number",
                "ann,1-miou,question_1,4,two,",
                r"a number or nothing as points in line 2 .*, found 'two'",
            ),
            ("too many points", "ann,1-miou,question_1,4,5,", r"expected 0 to 4 points for ann, 1-miou, .*, found 5"),
            ("a column lost", "ann,1-miou,question_1,4,5", r"expected the columns student, .*, found others in line 2"),
            (
                "a changed name",
                "7,1-miou,question_1,4,2,",
                r"as they were in written\.csv, found 7, 1-miou",
            ),
        )
    ),
]


@pytest.fixture
def place(tmp_path, toycity_dir, run_dir, monkeypatch):
    """A fresh folder on a machine without a GPU, from which relative paths start too."""
    (tmp_path / "place").mkdir()
    monkeypatch.chdir(tmp_path / "place")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with ExitStack() as stack:
        yield Place(tmp_path / "place", toycity_dir, run_dir, monkeypatch, stack)


@pytest.mark.parametrize(
    ("script", "prepare", "pattern", "leaves"),
    [*RECIPES, *MACHINE, *RUNS, *CHECKPOINTS, *DATA, *PICTURES, *ARGUMENTS, *SUBMISSIONS, *COURSE],
)
def test_what_is_wrong_is_said_in_one_line_with_a_remedy_and_nothing_is_written(
    refused, place, recwarn, script, prepare, pattern, leaves
):
    words = list(prepare(place))
    before = snapshot(place.path)
    line = refused(importlib.import_module(script), *words)
    assert re.search(pattern, line)
    assert re.search(EXPECTED, line)
    assert re.search(FOUND, line)
    remedy = re.search(REMEDY, line)
    assert remedy, f"no remedy in {line}"
    assert len(re.split("[ =]", remedy[1])) >= 3
    assert [str(one.message) for one in recwarn if not issubclass(one.category, HIDDEN)] == []
    after = snapshot(place.path)
    assert {name for name in after if name not in before} == set(leaves)
    assert {name: after[name] for name in before} == before


def test_from_the_shell_too_there_is_one_line_without_a_bar_or_a_warning(toycity_dir, run_dir, tmp_path):
    root = shutil.copytree(toycity_dir, tmp_path / "data")
    picture = max(root.glob("leftImg8bit/val/*/*.png"))  # the second: the bar is there by then
    picture.write_bytes(half(picture.read_bytes()))
    command = [sys.executable, importlib.import_module("evaluate").__file__, run_dir, "--data-root", root]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"error: {re.escape(str(picture))}: expected a complete image, found .*\n", done.stderr)

"""Whether scoring and loading keep up: the confusion matrix beside torchmetrics', loaders beside training steps."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spacemeshlab.benchmark.bench import SEED, Bench, Case, not_run
from spacemeshlab.benchmark.measure import alternate, stopwatch
from spacemeshlab.benchmark.networks import Setting, stepper
from spacemeshlab.data import DATASETS, open_dataset, toycity
from spacemeshlab.data.labels import IGNORE_INDEX
from spacemeshlab.data.loaders import train_loader
from spacemeshlab.data.transforms import train_transform
from spacemeshlab.errors import UserError
from spacemeshlab.metrics import confusion_matrix
from spacemeshlab.recipe import Recipe, get_recipe
from spacemeshlab.step import build_network

CLASSES = 19


def run_metrics(bench: Bench) -> dict[str, Any]:
    """The part "metrics": one confusion matrix of an image of Cityscapes' size, a tenth of it void."""
    try:
        from torchmetrics.functional.classification import multiclass_confusion_matrix as theirs
    except ImportError:
        raise UserError("expected the package torchmetrics, found none: pip install -e .[bench]") from None
    size = (64, 128) if bench.quick else (1024, 2048)
    torch.manual_seed(SEED)
    prediction, target = (torch.randint(CLASSES, size, device=bench.device) for _ in range(2))
    target[torch.rand(size, device=bench.device) < 0.1] = IGNORE_INDEX
    facts = {"bytes_moved": prediction.nbytes + target.nbytes}
    cases = {
        "ours": Case(lambda: confusion_matrix(prediction, target, CLASSES), facts),
        "torchmetrics": Case(lambda: theirs(prediction, target, CLASSES, ignore_index=IGNORE_INDEX), facts),
    }
    done, results = bench.compare(cases, [("torchmetrics", "ours")], 21)
    done["equal"] = torch.equal(results["ours"], results["torchmetrics"])
    title = f"confusion matrix {size[0]}x{size[1]}, {CLASSES} classes"
    about = "int64 in, (K, K) out; bytes_moved: prediction and target read once"
    return {"about": about, "ceilings": bench.ceilings(), "settings": {title: done}}


@dataclass(frozen=True)
class Source:
    """Images to load, and the recipe whose training step consumes them."""

    title: str
    root: Path
    recipe: Recipe


def run_data(bench: Bench) -> dict[str, Any]:
    """The part "data": images a second that are loaded, and that a training step wants."""
    with tempfile.TemporaryDirectory() as folder:
        done = {source.title: compare_loading(bench, source) for source in _sources(bench, Path(folder))}
    about = (
        "loading alone: decode, augment, batch, in n loader processes (0: in this one), the first batches left out; "
        "beside it training steps on a batch that is ready"
    )
    return {"about": about, "settings": done}


def _sources(bench: Bench, folder: Path) -> list[Source]:
    """ToyCity, generated; CamVid where the checkout has it."""
    recipe, camvid, scenes, size = "toycity", "camvid-cpu", 64, (256, 512)
    changes: tuple[str, ...] = ()
    if bench.on_gpu:
        recipe, camvid, scenes, size = "cityscapes", "camvid", 16, (1024, 2048)
        changes = ("precision=bf16-mixed", "pretrained=false")
    if bench.quick:
        scenes, size, changes = 4, (64, 128), ("crop=32x64", "rates=1,2", "batch_size=2", "backbone=resnet18")
    root = toycity.generate(folder / "toycity", train=scenes, val=1, size=size, seed=SEED, progress=False)
    title = f"ToyCity {size[0]}x{size[1]}, recipe {recipe}"
    sources = [Source(title, root, get_recipe(recipe, changes))]
    photographs = Path("data/camvid")
    if photographs.is_dir() and not bench.quick:
        sources.append(Source(f"CamVid 360x480, recipe {camvid}", photographs, get_recipe(camvid, changes)))
    return sources


def compare_loading(bench: Bench, source: Source) -> dict[str, Any]:
    """Seconds a batch of loading, by loader processes, and of training, in turn."""
    recipe, step = source.recipe, "training step"
    net = build_network(recipe, classes := len(DATASETS[recipe.dataset].labels))
    shape = (recipe.batch_size, 3, *recipe.crop)
    setting = Setting(shape, recipe.backbone, _dtype(recipe), rates=recipe.rates, classes=classes)
    train = stepper(bench, setting, net.to(bench.device))
    train()
    timers, left_out = {step: stopwatch(train, bench.device)}, {}
    for workers in (0, 1) if bench.quick else (0, 4, 8) if bench.on_gpu else (0, 1, 2):
        title = f"load, workers={workers}"
        try:
            timers[title] = _loading(source, workers, batches=2 if bench.quick else 16)
        except UserError as error:
            left_out[title] = not_run(str(error))
    repeats = 2 if bench.quick else 3
    seconds = alternate(timers, repeats)
    rows = {title: bench.row({"images": recipe.batch_size}, times) for title, times in seconds.items()}
    pairs = [(step, title) for title in timers if title != step]
    return bench.setting(rows | left_out, seconds, pairs, repeats)


def _loading(source: Source, workers: int, batches: int) -> Callable[[], float]:
    """A timer of one batch: the mean of ``batches``, after those that were prepared while the processes started."""
    recipe = source.recipe
    transform = train_transform(recipe.crop, recipe.scale_range, recipe.flip, recipe.scale)
    dataset = open_dataset(recipe.dataset, source.root, "train", transform)
    early = 1 + workers
    loader = train_loader(dataset, recipe.batch_size, early + batches, SEED, workers)

    def timer() -> float:
        stream = iter(loader)
        for _ in range(early):
            next(stream)
        start = time.perf_counter()
        for _ in stream:
            pass
        return (time.perf_counter() - start) / batches

    return timer


def _dtype(recipe: Recipe) -> torch.dtype:
    return torch.bfloat16 if recipe.precision == "bf16-mixed" else torch.float32

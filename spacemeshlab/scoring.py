"""What a result says of a run: its scores, how they came about, what was trained and what that took (chapter 14).

``scripts/evaluate.py`` and ``scripts/reproduce.py`` write results; :mod:`spacemeshlab.results` reads them.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from spacemeshlab.checkpoint import read_origin, write_atomically
from spacemeshlab.data import SegmentationDataset, open_dataset
from spacemeshlab.data.fingerprint import fingerprint
from spacemeshlab.data.labels import LabelSet
from spacemeshlab.data.transforms import eval_transform
from spacemeshlab.errors import UserError
from spacemeshlab.evaluate import describe, evaluate, protocol, summarise
from spacemeshlab.pictures import label_image
from spacemeshlab.predict import TrainedNetwork, load_network
from spacemeshlab.provenance import origin

SCORED_ON = {"pascal-context": "pascal-context-60"}
"""Data sets that are scored on a wider one, whose first classes are theirs, for both conventions at once."""


def score(
    source: str | Path,
    data_root: str | Path,
    split: str = "val",
    tta: bool = False,
    *,
    window: tuple[int, int] | None = None,
    average: str = "logits",
    checkpoint: str = "last",
    workers: int = 0,
    progress: bool = False,
    labels_to: Path | None = None,
) -> dict[str, Any]:
    """Score a run on a split of its data set; of several processes all get the same.

    Args:
        source: a run directory, or a file of weights, which does not say all that a run does: null.
        data_root: the data set's folder.
        split: which images.
        tta: MS + flip.
        window, average: see :func:`~spacemeshlab.views.predict_logits`.
        checkpoint: "last" or "best" of the run directory.
        workers: loader processes.
        progress: show a bar.
        labels_to: a folder for all predictions, as label PNGs.

    Returns:
        Ready for JSON: :func:`~spacemeshlab.evaluate.summarise`'s scores; images, protocol and views; recipe, seed,
        checkpoint, iteration; training_minutes, memory_gib (the training's peak, of its first process) and parameters;
        where it was trained and where it was scored, each with the fingerprint of the images and labels.

    Raises:
        UserError: no such run, data or place.
    """
    source = Path(source)
    trained = load_network(source, checkpoint)
    name = trained.recipe.dataset
    dataset = open_dataset(SCORED_ON.get(name, name), data_root, split, eval_transform())
    views = protocol(trained.recipe, tta) | {"window": window, "average": average}
    about = _about(trained, source, checkpoint) | {"scored": origin() | {"data": fingerprint(dataset.files)}}
    save = None if labels_to is None else _label_writer(labels_to, dataset, trained.labels)
    confusion = evaluate(trained.net, dataset, **views, workers=workers, progress=progress, on_prediction=save)
    scores = summarise(confusion, trained.labels, dataset.labels)
    return scores | {"images": len(dataset), "protocol": describe(split, **views), "views": views} | about


def write_result(result: dict[str, Any], file: Path) -> None:
    """Write what :func:`score` returned as JSON."""
    write_atomically(file, lambda draft: draft.write_text(json.dumps(result, indent=2) + "\n"))


def make_writable(folder: Path, option: str) -> None:
    """Make a folder if it is missing, and see that files can be written there.

    Raises:
        UserError: they cannot; names ``option`` of the command line.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(f"expected to write in {folder}, found {error.strerror}: choose another {option}") from None


def _about(trained: TrainedNetwork, source: Path, checkpoint: str) -> dict[str, Any]:
    """What was trained, for how long, where."""
    return {
        "recipe": trained.recipe.as_dict(),
        "seed": trained.recipe.seed,
        "checkpoint": checkpoint,
        "iteration": trained.iteration,
        "training_minutes": None if trained.seconds is None else round(trained.seconds / 60, 1),
        "memory_gib": _peak_memory(source / "metrics.jsonl"),
        "parameters": sum(parameter.numel() for parameter in trained.net.parameters()),
        "trained": None if source.is_file() else read_origin(source),
    }


def _peak_memory(metrics: Path) -> float | None:
    """The most that a run's log says, whatever its lines; a run that was resumed has the peaks of several processes."""
    found = []
    for line in metrics.read_text().splitlines() if metrics.is_file() else ():
        try:
            found.append(json.loads(line)["memory_gib"])
        except (ValueError, KeyError):  # a step's line, or one that was cut
            continue
    return max(found, default=None)


def _label_writer(folder: Path, dataset: SegmentationDataset, labels: LabelSet) -> Callable[[int, Tensor], None]:
    if folder.resolve() in {path.parent.resolve() for pair in dataset.files for path in pair if path}:
        raise UserError(f"expected --save-labels outside the data set, got its own folder {folder}: choose another")
    make_writable(folder, "--save-labels")

    def save(index: int, prediction: Tensor) -> None:
        image = label_image(prediction.cpu(), labels)
        wrong = set(np.unique(image).tolist()) - set(labels.file_values)
        if wrong:  # the official script would stop at them, or count them as other classes
            raise AssertionError(f"label files may hold the values of {labels.name}'s classes only, not {wrong}")
        write_atomically(folder / f"{dataset.files[index][0].stem}.png", lambda draft: image.save(draft, format="PNG"))

    return save

"""Score a run on a data set: a table, and as the last line one JSON object.

python scripts/evaluate.py RUN_DIR --data-root DIR [--split val] [--tta] [--window HxW] [--save-labels DIR]
torchrun --nproc-per-node 4 scripts/evaluate.py ...    the same scores, the images shared among four processes
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, distributed

from spacemeshlab.arguments import Parser
from spacemeshlab.checkpoint import read_origin, write_atomically
from spacemeshlab.data import SegmentationDataset, open_dataset
from spacemeshlab.data.labels import LabelSet
from spacemeshlab.data.transforms import eval_transform
from spacemeshlab.distributed import rank
from spacemeshlab.errors import UserError, exit_codes
from spacemeshlab.evaluate import describe, evaluate, protocol, summarise, table
from spacemeshlab.pictures import label_image
from spacemeshlab.predict import TrainedNetwork, load_network
from spacemeshlab.provenance import origin
from spacemeshlab.views import AVERAGES

SCORED_ON = {"pascal-context": "pascal-context-60"}
"""Data sets that are scored on a wider one, whose first classes are theirs, for both conventions at once."""


@exit_codes
def main() -> None:
    arguments = _arguments()
    with _processes() if int(os.environ.get("WORLD_SIZE", 1)) > 1 else nullcontext():
        _score(arguments)


def _score(arguments: argparse.Namespace) -> None:
    trained = load_network(arguments.run_dir, arguments.checkpoint)
    name = trained.recipe.dataset
    dataset = open_dataset(SCORED_ON.get(name, name), arguments.data_root, arguments.split, eval_transform())
    views = protocol(trained.recipe, arguments.tta) | {"window": arguments.window, "average": arguments.average}
    training = _training(trained, arguments)
    save = _label_writer(arguments.save_labels, dataset, trained.labels) if arguments.save_labels else None
    if arguments.result:
        _make_writable(arguments.result.parent, "--result")
    confusion = evaluate(
        trained.net, dataset, **views, workers=arguments.workers, progress=sys.stderr.isatty(), on_prediction=save
    )
    if rank() > 0:
        return
    result = summarise(confusion, trained.labels, dataset.labels) | {"images": len(dataset)}
    result |= {"protocol": describe(arguments.split, **views), "views": views} | training
    if arguments.result:
        write_atomically(arguments.result, lambda draft: draft.write_text(json.dumps(result, indent=2) + "\n"))
    print(f"{table(result)}\n{result['images']} images; {result['protocol']}")
    print(json.dumps(result))


def _label_writer(folder: Path, dataset: SegmentationDataset, labels: LabelSet) -> Callable[[int, Tensor], None]:
    if folder.resolve() in {path.parent.resolve() for pair in dataset.files for path in pair}:
        raise UserError(f"expected --save-labels outside the data set, got its own folder {folder}: choose another")
    _make_writable(folder, "--save-labels")

    def save(index: int, prediction: Tensor) -> None:
        image = label_image(prediction.cpu(), labels)
        wrong = set(np.unique(image).tolist()) - set(labels.file_values)
        if wrong:  # the official script would stop at them, or count them as other classes
            raise AssertionError(f"label files may hold the values of {labels.name}'s classes only, not {wrong}")
        write_atomically(folder / f"{dataset.files[index][0].stem}.png", lambda draft: image.save(draft, format="PNG"))

    return save


def _make_writable(folder: Path, option: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(f"expected to write in {folder}, found {error.strerror}: choose another {option}") from None


def _training(trained: TrainedNetwork, arguments: argparse.Namespace) -> dict:
    """What was trained, for how long, where; and where it was scored. Weights alone don't say all of it: null."""
    return {
        "recipe": trained.recipe.as_dict(),
        "seed": trained.recipe.seed,
        "checkpoint": arguments.checkpoint,
        "iteration": trained.iteration,
        "training_minutes": None if trained.seconds is None else round(trained.seconds / 60, 1),
        "trained": None if arguments.run_dir.is_file() else read_origin(arguments.run_dir),
        "scored": origin(),
    }


@contextmanager
def _processes() -> Iterator[None]:
    """Join the other processes that torchrun has started."""
    local, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if gpus:
        if local >= gpus:
            raise UserError(f"expected a GPU for each process, found {gpus}: start torchrun --nproc-per-node {gpus}")
        torch.cuda.set_device(local)
    distributed.init_process_group("nccl" if gpus else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _window(text: str) -> tuple[int, int]:
    height, x, width = text.lower().partition("x")
    if not x or not (height.isdecimal() and width.isdecimal()) or min(int(height), int(width)) < 16:
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH such as 768x768, both at least 16, got {text!r}")
    return int(height), int(width)


def _arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="or a file of weights, model.safetensors")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--tta", action="store_true", help="MS + flip: six scales, each also mirrored")
    parser.add_argument("--window", type=_window, metavar="HxW", help="slide a window instead of the whole image")
    parser.add_argument("--average", choices=AVERAGES, default="logits", help="what is averaged over the views")
    parser.add_argument("--checkpoint", choices=("last", "best"), default="last", help="best was chosen on val")
    parser.add_argument("--save-labels", type=Path, metavar="DIR", help="write every prediction as a label PNG")
    parser.add_argument("--result", type=Path, metavar="FILE", help="also write the JSON there")
    parser.add_argument("--workers", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.workers < 0:
        parser.error(f"argument --workers: expected 0 or more, got {arguments.workers}")
    if arguments.result and arguments.result.is_dir():
        parser.error(f"argument --result: expected a file's name, got the folder {arguments.result}")
    return arguments


if __name__ == "__main__":
    main()

"""Score a run on a data set: a table, and as the last line one JSON object.

python scripts/evaluate.py RUN_DIR --data-root DIR [--split val] [--tta] [--window HxW] [--save-labels DIR]
torchrun --nproc-per-node 4 scripts/evaluate.py ...    the same scores, the images shared among four processes
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch import distributed

from spacemeshlab.arguments import Parser
from spacemeshlab.distributed import rank
from spacemeshlab.errors import UserError, exit_codes
from spacemeshlab.evaluate import table
from spacemeshlab.scoring import make_writable, score, write_result
from spacemeshlab.views import AVERAGES


@exit_codes
def main() -> None:
    arguments = _arguments()
    with _processes() if int(os.environ.get("WORLD_SIZE", 1)) > 1 else nullcontext():
        _score(arguments)


def _score(arguments: argparse.Namespace) -> None:
    if arguments.result:
        make_writable(arguments.result.parent, "--result")
    result = score(
        arguments.run_dir,
        arguments.data_root,
        arguments.split,
        arguments.tta,
        window=arguments.window,
        average=arguments.average,
        checkpoint=arguments.checkpoint,
        workers=arguments.workers,
        progress=sys.stderr.isatty(),
        labels_to=arguments.save_labels,
    )
    if rank() > 0:
        return
    if arguments.result:
        write_result(result, arguments.result)
    print(f"{table(result)}\n{result['images']} images; {result['protocol']}")
    print(json.dumps(result))


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

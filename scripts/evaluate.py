"""Score a run on a data set; the last line is one JSON object.

python scripts/evaluate.py RUN_DIR --data-root DIR [--split val] [--tta] [--save-labels DIR] [--result FILE]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from spacemeshlab.checkpoint import read_origin, write_atomically
from spacemeshlab.data import open_dataset
from spacemeshlab.data.transforms import eval_transform
from spacemeshlab.errors import exit_codes
from spacemeshlab.evaluate import evaluate, protocol, summarise
from spacemeshlab.pictures import label_image
from spacemeshlab.predict import TrainedNetwork, load_network
from spacemeshlab.provenance import origin


@exit_codes
def main() -> None:
    arguments = _arguments()
    trained = load_network(arguments.run_dir, arguments.checkpoint)
    dataset = open_dataset(trained.recipe.dataset, arguments.data_root, arguments.split, eval_transform())
    views = protocol(trained.recipe, arguments.tta)
    training = _training(trained, arguments)
    if arguments.save_labels:
        arguments.save_labels.mkdir(parents=True, exist_ok=True)

    def save(index: int, prediction) -> None:
        if arguments.save_labels:
            name = dataset.files[index][0].with_suffix(".png").name
            label_image(prediction.cpu(), trained.labels).save(arguments.save_labels / name)

    confusion = evaluate(trained.net, dataset, **views, workers=arguments.workers, progress=True, on_prediction=save)
    result = summarise(confusion, trained.labels.classes) | {
        "images": len(dataset),
        "protocol": {"split": arguments.split, "window": None, **views},
        **training,
    }
    if arguments.result:
        arguments.result.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(result, indent=2) + "\n"
        write_atomically(arguments.result, lambda draft: draft.write_text(text))
    print(json.dumps(result))


def _training(trained: TrainedNetwork, arguments: argparse.Namespace) -> dict:
    """What was trained, for how long, where; and where it was scored."""
    return {
        "recipe": trained.recipe.as_dict(),
        "seed": trained.recipe.seed,
        "checkpoint": arguments.checkpoint,
        "iteration": trained.iteration,
        "training_minutes": round(trained.seconds / 60, 1),
        "trained": read_origin(arguments.run_dir),
        "scored": origin(),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--tta", action="store_true", help="MS + flip: six scales, each also mirrored")
    parser.add_argument("--checkpoint", choices=("last", "best"), default="last", help="best was chosen on val")
    parser.add_argument("--save-labels", type=Path, metavar="DIR", help="write every prediction as a label PNG")
    parser.add_argument("--result", type=Path, metavar="FILE", help="also write the JSON there")
    parser.add_argument("--workers", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()

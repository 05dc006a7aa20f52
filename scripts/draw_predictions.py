"""Draw what finished runs predict for some validation images, beside the truth, with a JSON of where it came from.

python scripts/draw_predictions.py TITLE=RUN_DIR ... --data-root DIR --images 10 50 --out A.png --origin A.json
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib

from spacemeshlab.arguments import Parser
from spacemeshlab.book import setup
from spacemeshlab.checkpoint import read_origin, write_atomically
from spacemeshlab.data import open_dataset
from spacemeshlab.errors import UserError, exit_codes
from spacemeshlab.predict import load_network
from spacemeshlab.provenance import origin
from spacemeshlab.viz import show_predictions


@exit_codes
def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="TITLE=RUN_DIR")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--images", type=int, nargs="+", required=True, help="numbers in the validation split")
    parser.add_argument("--out", type=Path, required=True, help="the PNG")
    parser.add_argument("--origin", type=Path, required=True, help="the JSON beside it")
    arguments = parser.parse_args()
    folders = _named(arguments.runs)
    trained = {title: load_network(folder) for title, folder in folders.items()}
    dataset = open_dataset(next(iter(trained.values())).recipe.dataset, arguments.data_root, "val")
    wrong = [number for number in arguments.images if not 0 <= number < len(dataset)]
    if wrong:
        raise UserError(f"expected images out of 0..{len(dataset) - 1}, got {wrong}: choose others with --images")
    pairs = [dataset[number] for number in arguments.images]
    predictions = {title: [one.predict(image) for image, _ in pairs] for title, one in trained.items()}
    matplotlib.use("agg")
    setup()
    figure = show_predictions(
        [image for image, _ in pairs], [target for _, target in pairs], predictions, dataset.labels
    )
    write_atomically(arguments.out, lambda draft: figure.savefig(draft, format="png", dpi=110))
    record = {
        "images": [dataset.files[number][0].name for number in arguments.images],
        "runs": {title: {"iteration": trained[title].iteration, **read_origin(folders[title])} for title in folders},
        "drawn": origin(),
    }
    write_atomically(arguments.origin, lambda draft: draft.write_text(json.dumps(record, indent=2) + "\n"))
    print(f"done: {arguments.out} and {arguments.origin}")


def _named(words: list[str]) -> dict[str, Path]:
    pairs = [word.partition("=") for word in words]
    for word, (_, equals, _) in zip(words, pairs, strict=True):
        if not equals:
            raise UserError(f"expected TITLE=RUN_DIR, got {word!r}: for example SpaceMeshLab=runs/camvid-cpu")
    return {title: Path(folder) for title, _, folder in pairs}


if __name__ == "__main__":
    main()

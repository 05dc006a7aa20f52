"""Draw what two networks make of some validation images, chosen by a rule and not by eye: the paper's Figure 3.

    python scripts/draw_scenes.py BASELINE_RUN OURS_RUN [BASELINE_RUN OURS_RUN ...] [--titles BASELINE OURS]
        [--data-root DIR] --out FILE.webp --origin FILE.json

The rule: sort the images by the difference of their own mIoU, ours minus baseline, and take the middle of each quarter
of that list. So each row of the picture stands for a quarter of the images, and there are losses in it if there are
many. Of several pairs of runs, a pair a seed, the mean difference counts; the first pair is shown.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from spacemeshlab import analysis, metrics
from spacemeshlab.arguments import Parser
from spacemeshlab.book import setup
from spacemeshlab.checkpoint import read_origin, write_atomically
from spacemeshlab.data import SegmentationDataset, open_dataset
from spacemeshlab.data.fingerprint import fingerprint
from spacemeshlab.errors import UserError, exit_codes
from spacemeshlab.evaluate import describe, protocol
from spacemeshlab.predict import TrainedNetwork, load_network
from spacemeshlab.provenance import origin
from spacemeshlab.records import write_record
from spacemeshlab.viz import class_legend, colourise

QUARTERS = 4
RULE = "sorted by the image's own mIoU, ours minus baseline (mean over the pairs of runs): the middle of each quarter"
SIDES = ("baseline", "ours")

Scene = dict[str, Any]
"""One image: rank, image (its file's name), difference (mean over the pairs), baseline and ours (the first pair's)."""


@exit_codes
def main() -> None:
    arguments = _arguments()
    networks = [load_network(folder) for folder in arguments.runs]
    recipe, names = networks[0].recipe, {one.recipe.dataset for one in networks}
    if len(names) > 1:
        raise UserError(f"expected runs on one data set, found {', '.join(sorted(names))}: choose others")
    dataset = open_dataset(recipe.dataset, arguments.data_root or recipe.data_root, "val")
    if len(dataset) < QUARTERS:
        raise UserError(f"expected at least {QUARTERS} val images, found {len(dataset)}: choose another --data-root")
    scores = np.array([image_scores(one, dataset) for one in networks]).reshape(-1, 2, len(dataset))
    scenes = choose(scores, [image.name for image, _ in dataset.files])
    matplotlib.use("agg")
    setup()
    figure = draw(scenes, dataset, networks[:2], arguments.titles)
    form = arguments.out.suffix[1:]
    options = {"pil_kwargs": {"quality": 80, "method": 6}} if form == "webp" else {}
    write_atomically(arguments.out, lambda draft: figure.savefig(draft, format=form, dpi=110, **options))
    record = {"rule": RULE, "images": len(dataset), "scenes": list(scenes.values())}
    record |= {"image_miou": dict(zip(SIDES, scores.mean(0).tolist(), strict=True))}
    record |= {"protocol": describe("val", **protocol(recipe, tta=False)), "data": fingerprint(dataset.files)}
    record["runs"] = {side: _origins(arguments.runs[k::2], networks[k::2]) for k, side in enumerate(SIDES)}
    write_record(arguments.origin, record | {"drawn": origin()})
    print(f"done: {arguments.out} and {arguments.origin}")


def image_scores(one: TrainedNetwork, dataset: SegmentationDataset) -> list[float]:
    """The own mIoU of every image, 0..1; NaN where no pixel counts."""
    pairs = ((one.predict(image), target) for image, target in dataset)
    return [metrics.mean_iou(metrics.confusion_matrix(*pair, len(dataset.labels))) for pair in pairs]


def choose(scores: np.ndarray, files: list[str]) -> dict[int, Scene]:
    """The scenes by the rule, number -> scene: scores (pairs, 2, images), baseline first."""
    difference = (scores[:, 1] - scores[:, 0]).mean(0)
    chosen = analysis.middles(difference.tolist(), QUARTERS)
    return {
        number: {"rank": rank, "image": files[number], "difference": difference[number].item()}
        | dict(zip(SIDES, scores[0, :, number].tolist(), strict=True))
        for rank, number in chosen.items()
    }


def draw(
    scenes: dict[int, Scene], dataset: SegmentationDataset, networks: list[TrainedNetwork], titles: list[str]
) -> Figure:
    """A row a scene: photograph, baseline, ours, truth; above them its rank, and the networks' own mIoU."""
    height, width = dataset[next(iter(scenes))][1].shape
    figure, axes = plt.subplots(len(scenes), 4, figsize=(10, len(scenes) * (2.5 * height / width + 0.25) + 0.9))
    maps: list[Tensor] = []
    for row, (number, scene) in zip(axes, scenes.items(), strict=True):
        image, target = dataset[number]
        shown = [*(one.predict(image) for one in networks), target]
        pictures = [image.permute(1, 2, 0).numpy(), *(colourise(one, dataset.labels) for one in shown)]
        difference = f"{100 * scene['difference']:+.1f}".replace("-", "−")
        words = [f"rank {scene['rank']} of {len(dataset)}, difference {difference}"]
        words += [f"mIoU {100 * scene[side]:.1f} %" for side in SIDES]
        for ax, picture, word in zip(row, pictures, [*words, ""], strict=True):
            ax.imshow(picture)
            ax.set_title(word, fontsize=9)
            ax.set_axis_off()
        maps += shown
    for ax, title in zip(axes[0], ("photograph", *titles, "ground truth"), strict=True):
        ax.set_title(f"{title}\n{ax.get_title()}", fontsize=9)
    class_legend(figure, dataset.labels, maps)
    return figure


def _origins(folders: list[Path], networks: list[TrainedNetwork]) -> list[dict[str, Any]]:
    """Where runs come from."""
    each = zip(folders, networks, strict=True)
    return [{"seed": one.recipe.seed, "iteration": one.iteration, **read_origin(folder)} for folder, one in each]


def _arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="pairs: the baseline's folder, then ours")
    parser.add_argument("--titles", nargs=2, default=SIDES, metavar=("BASELINE", "OURS"), help="of the columns")
    parser.add_argument("--data-root", type=Path, help="the data set's folder (default: data/ and its name)")
    parser.add_argument("--out", type=Path, required=True, help="the picture, .webp or .png")
    parser.add_argument("--origin", type=Path, required=True, help="the JSON beside it")
    arguments = parser.parse_args()
    if len(arguments.runs) % 2:
        parser.error(f"arguments RUN: expected pairs, got {len(arguments.runs)}")
    for option, file in (("--out", arguments.out), ("--origin", arguments.origin)):
        if not file.parent.is_dir():
            parser.error(f"argument {option}: expected a file in a folder that exists, got {file}")
    if arguments.out.suffix not in (".webp", ".png"):
        parser.error(f"argument --out: expected a name that ends in .webp or .png, got {arguments.out}")
    return arguments


if __name__ == "__main__":
    main()

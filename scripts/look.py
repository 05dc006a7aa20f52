"""Look at the mistakes of finished runs, and at what each pair of rates does: one JSON with all numbers of chapter 17.

python scripts/look.py TITLE=RUN_DIR ... --data-root DIR --result FILE [--things CLASS ...] [--every 2] [--ablate 2]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from spacemeshlab import analysis, metrics
from spacemeshlab.arguments import Parser
from spacemeshlab.checkpoint import read_origin
from spacemeshlab.data import SegmentationDataset, open_dataset
from spacemeshlab.data.labels import IGNORE_INDEX
from spacemeshlab.data.transforms import eval_transform
from spacemeshlab.errors import UserError, exit_codes
from spacemeshlab.evaluate import describe, protocol
from spacemeshlab.models.fuse import inference_copy
from spacemeshlab.pairs import look_at_pairs
from spacemeshlab.predict import TrainedNetwork, load_network
from spacemeshlab.provenance import origin
from spacemeshlab.records import write_record
from spacemeshlab.views import predict_logits

RADII = (1, 3, 8)  # pixels from a border


@exit_codes
def main() -> None:
    arguments = _arguments()
    folders = dict(arguments.runs)
    trained = {title: load_network(folder) for title, folder in folders.items()}
    first = next(iter(trained.values()))
    dataset = open_dataset(first.recipe.dataset, arguments.data_root, "val", eval_transform())
    unknown = set(arguments.things) - set(dataset.labels.classes)
    if unknown:
        raise UserError(f"expected classes of {dataset.labels.name}, got {', '.join(sorted(unknown))}: see labels.py")
    truth = [target for _, target in dataset]
    result: dict[str, Any] = {"images": len(dataset), "classes": dataset.labels.classes, "networks": {}}
    result["truth"] = _truth(truth, dataset, first, arguments.things)
    for title, one in trained.items():
        found = {"iteration": one.iteration, "trained": read_origin(folders[title])}
        found |= {"protocol": describe("val", **protocol(one.recipe, tta=False))}
        found |= _mistakes(one, dataset, truth, arguments.things)
        if one.recipe.context == "metrocon2":
            found["pairs"] = look_at_pairs(one, dataset, arguments.every, arguments.ablate)
        result["networks"][title] = found
        print(f"{title}: mIoU {100 * found['miou']:.1f} %")
    write_record(arguments.result, result | {"looked": origin()})
    print(f"done: {arguments.result}")


def _truth(truth: list[Tensor], dataset: SegmentationDataset, one: TrainedNetwork, names: list[str]) -> dict:
    """What the labels say before any network is asked: borders, things, and what fits through the decoder's grid."""
    classes, cell = len(dataset.labels), 4 / one.recipe.scale
    grids = [tuple(max(1, round(side / cell)) for side in target.shape) for target in truth]
    pairs = zip(truth, grids, strict=True)
    seen = sum(metrics.confusion_matrix(analysis.squeezed(t, classes, grid), t, classes) for t, grid in pairs)
    result = {"logit_every_pixels": cell, "squeezed_iou": metrics.iou(seen).tolist(), "things": {}}
    for name in names:
        masks = [target == dataset.labels.classes.index(name) for target in truth]
        every = [thing for mask in masks for thing in analysis.things(mask, mask, analysis.LEAST)]
        width, height = ([getattr(t, side) for t in every] for side in ("mean_width", "height"))
        result["things"][name] = {"count": len(every)}
        if every:
            result["things"][name] |= {"median_width": median(width), "median_height": median(height)}
    return result


def _mistakes(one: TrainedNetwork, dataset: SegmentationDataset, truth: list[Tensor], names: list[str]) -> dict:
    """One pass over the set: confusions, errors near borders, and things, as predicted and at the truth's budget."""
    classes = [dataset.labels.classes.index(name) for name in names]
    found, evidence = _ask(one, dataset, classes)
    each = [metrics.confusion_matrix(*pair, len(dataset.labels)) for pair in zip(found, truth, strict=True)]
    result: dict[str, Any] = {"miou": metrics.mean_iou(sum(each)), "image_miou": [metrics.mean_iou(c) for c in each]}
    result |= {"confusion": sum(each).tolist(), "things": {}}
    result["borders"] = [analysis.border_errors(found, truth, radius) for radius in RADII]
    counted = [target != IGNORE_INDEX for target in truth]
    for name, k in zip(names, classes, strict=True):
        masks = [target == k for target in truth]
        budget = analysis.at_budget(evidence[k], counted, sum(int(mask.sum()) for mask in masks))
        asked = {"predicted": [prediction == k for prediction in found], "at_budget": budget}
        result["things"][name] = {how: analysis.count_things(masks, said) for how, said in asked.items()}
    return result


@torch.inference_mode()
def _ask(
    one: TrainedNetwork, dataset: SegmentationDataset, classes: list[int]
) -> tuple[list[Tensor], dict[int, list[Tensor]]]:
    """Every prediction, and the evidence for some classes."""
    fast, views = inference_copy(one.net), protocol(one.recipe, tta=False)
    device = next(fast.parameters()).device
    found, evidence = [], {k: [] for k in classes}
    for image, target in dataset:
        logits = predict_logits(fast, image[None].to(device), target.shape, **views)[0]
        found.append(logits.argmax(0).cpu())
        for k in classes:
            evidence[k].append(analysis.log_odds(logits, k).cpu())
    return found, evidence


def _named(word: str) -> tuple[str, Path]:
    title, equals, folder = word.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected TITLE=RUN_DIR, got {word!r}")
    return title, Path(folder)


def _arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="TITLE=RUN_DIR", type=_named)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--result", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--things", nargs="*", default=["pole"], metavar="CLASS", help="classes whose things are counted"
    )
    parser.add_argument("--every", type=int, default=2, help="pairs of rates: look at every n-th image")
    parser.add_argument("--ablate", type=int, default=2, help="pairs of rates: images with every pair silenced in turn")
    arguments = parser.parse_args()
    if min(arguments.every, arguments.ablate) < 1:
        parser.error("arguments --every and --ablate: expected 1 or more, got less: leave them out")
    return arguments


if __name__ == "__main__":
    main()

"""Draw the pictures of the before/after slider of chapter 17, out of finished runs and their looking.json.

python scripts/draw_slider.py TITLE=RUN_DIR TITLE=RUN_DIR --data-root DIR --looking FILE [--out DIR]

The scenes are the chapter's: sorted by their own mIoU with the first network, the worst, the middle and the best.
Writes the folder slider, slider.webp for paper, and the line of slider.js that names them; nothing without the runs.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from spacemeshlab import analysis, metrics
from spacemeshlab.arguments import Parser
from spacemeshlab.book import setup
from spacemeshlab.checkpoint import write_atomically
from spacemeshlab.data import open_dataset
from spacemeshlab.data.labels import IGNORE_INDEX, LabelSet
from spacemeshlab.diagram import BLUE, ORANGE
from spacemeshlab.errors import UserError, exit_codes
from spacemeshlab.predict import TrainedNetwork, load_network
from spacemeshlab.viz import class_legend, colourise

OUT = Path(__file__).parents[1] / "book" / "_static" / "explorers"
RADIUS = 3  # pixels from a border
RIGHT = (0.93, 0.93, 0.93)

Scene = dict[str, Any]
"""One validation image: number, file, miou by network, classes, maps, and pictures, (H, W, 3) uint8 each, by name."""


@exit_codes
def main() -> None:
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs=2, metavar="TITLE=RUN_DIR")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--looking", type=Path, required=True, help="what scripts/look.py wrote about these runs")
    parser.add_argument("--out", type=Path, default=OUT, help="the folder with slider.js")
    arguments = parser.parse_args()
    networks = {title: load_network(folder) for title, _, folder in (word.partition("=") for word in arguments.runs)}
    looking = json.loads(arguments.looking.read_text(encoding="utf-8"))["networks"]
    if set(networks) != set(looking):
        raise UserError(f"{arguments.looking}: expected {', '.join(networks)}, found {', '.join(looking)}: run look.py")
    matplotlib.use("agg")
    setup()
    dataset = open_dataset(next(iter(networks.values())).recipe.dataset, arguments.data_root, "val")
    scores = looking[next(iter(networks))]["image_miou"]
    order = np.argsort(scores, kind="stable").tolist()
    scenes = {}
    for name, number in zip(("worst", "middle", "best"), (order[0], order[len(order) // 2], order[-1]), strict=True):
        image, target = dataset[number]
        scenes[name] = draw(networks, image, target, dataset.labels, number, dataset.files[number][0].stem)
        for title, found in scenes[name]["miou"].items():
            known = looking[title]["image_miou"][number]
            if abs(found - known) > 1e-4:
                words = f"expected image {number} at mIoU {found:.4f} with {title}, found {known}"
                raise UserError(f"{arguments.looking}: {words}: write it again with look.py")
    save(scenes, list(networks), dataset.labels, arguments.out)
    print(f"done: {arguments.out / 'slider'}, slider.webp and slider.js beside it")


def draw(
    networks: dict[str, TrainedNetwork], image: Tensor, target: Tensor, labels: LabelSet, number: int, file: str
) -> Scene:
    """Every picture of one image."""
    pictures = {"photograph": image.permute(1, 2, 0).numpy(), "truth": colourise(target, labels)}
    miou, maps = {}, [target]
    for index, (title, network) in enumerate(networks.items()):
        found = network.predict(image)
        miou[title] = metrics.mean_iou(metrics.confusion_matrix(found, target, len(labels)))
        pictures |= {f"prediction{index}": colourise(found, labels), f"errors{index}": errors(found, target)}
        maps.append(found)
    classes = sorted(set(torch.cat(maps).unique().tolist()) - {IGNORE_INDEX})
    return {"number": number, "file": file, "miou": miou, "classes": classes, "maps": maps, "pictures": pictures}


def errors(found: Tensor, target: Tensor) -> np.ndarray:
    """The error map of chapter 17: blue near a border, orange farther inside, black where nothing counts."""
    void, near = target == IGNORE_INDEX, analysis.near_border(target, RADIUS)
    wrong = (found != target) & ~void
    picture = np.full((*target.shape, 3), RIGHT)
    for mask, tint in ((wrong & near, BLUE), (wrong & ~near, ORANGE), (void, "black")):
        picture[mask.numpy()] = to_rgb(tint)
    return (255 * picture).round().astype(np.uint8)


def save(scenes: dict[str, Scene], titles: list[str], labels: LabelSet, out: Path) -> None:
    """The pictures, the one for paper, and the line of slider.js."""
    (out / "slider").mkdir(exist_ok=True)
    for name, scene in scenes.items():
        for kind, picture in scene["pictures"].items():
            options = {"quality": 75} if kind == "photograph" else {"lossless": True}
            image, file = Image.fromarray(picture), out / "slider" / f"{name}-{kind}.webp"
            write_atomically(file, lambda draft, i=image, o=options: i.save(draft, "webp", method=6, **o))
    figure = sheet(scenes["middle"], titles, labels)
    write_atomically(
        out / "slider.webp", lambda draft: figure.savefig(draft, format="webp", dpi=100, pil_kwargs={"quality": 80})
    )
    script = out / "slider.js"
    text = fill(script.read_text(encoding="utf-8"), data(scenes, titles, labels))
    write_atomically(script, lambda draft: draft.write_text(text, encoding="utf-8"))


def data(scenes: dict[str, Scene], titles: list[str], labels: LabelSet) -> dict[str, Any]:
    """What slider.js has to know."""
    height, width = scenes["middle"]["maps"][0].shape
    kept = ("number", "file", "miou", "classes")
    return {
        "networks": titles,
        "size": [width, height],
        "radius": RADIUS,
        "classes": labels.classes,
        "palette": labels.palette,
        "scenes": {name: {key: scene[key] for key in kept} for name, scene in scenes.items()},
    }


def fill(script: str, values: dict[str, Any]) -> str:
    """A script with its line of data brought up to date."""
    rounded = json.loads(json.dumps(values), parse_float=lambda digits: round(float(digits), 6))
    return re.sub(r"(?<=const DATA = ).*(?=;)", lambda _: json.dumps(rounded, separators=(",", ":")), script)


def sheet(scene: Scene, titles: list[str], labels: LabelSet) -> Figure:
    """The six pictures of a scene side by side."""
    captions = {"photograph": "photograph", "prediction0": titles[0], "prediction1": titles[1], "truth": "ground truth"}
    captions |= {f"errors{index}": f"errors of {title}" for index, title in enumerate(titles)}
    figure, axes = plt.subplots(2, 3, figsize=(10, 5.9))
    for ax, (kind, caption) in zip(axes.flat, captions.items(), strict=True):
        ax.imshow(scene["pictures"][kind])
        ax.set_title(caption)
        ax.set_axis_off()
    class_legend(figure, labels, scene["maps"])
    return figure


if __name__ == "__main__":
    main()

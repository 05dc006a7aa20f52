"""ToyCity: generated street scenes with all 19 Cityscapes classes, in Cityscapes' own folders (chapter 03).

The smallest step of the data ladder: nothing to download, nothing to sign, no photograph of anybody. Scene ``index`` of
a split depends on seed, split, index and size alone, bit for bit: not on how many scenes are asked for, in which order,
on threads or on any global random state. (Another Pillow or NumPy version may round another way.)

The label map is made by rasterising the JSON file's polygons in their order with Pillow, so the two agree to the last
pixel. As in Cityscapes, some pixels are void: the camera's own bonnet, tram tracks, parking bays, bins and pillars.
What is thin is labelled thin: poles, railings and the bars of a fence, with the lawn between them.

How a scene is painted is in the folder ``_toycity`` beside this file; its ``__init__`` says what to read first.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from spacemeshlab.data._toycity.canvas import LABEL_IDS
from spacemeshlab.data._toycity.light import shade
from spacemeshlab.data._toycity.scene import compose
from spacemeshlab.errors import UserError

IMAGE_FOLDER, LABEL_FOLDER = "leftImg8bit", "gtFine"
"""Folders below the data set's root; each has ``<split>/<city>/`` below it, as Cityscapes has."""

IMAGE_SUFFIX, LABEL_SUFFIX = "_leftImg8bit.png", "_gtFine_labelIds.png"
"""What follows ``<city>_<sequence>_<frame>`` in the name of a picture, and of its label map (label ids, 8 bit)."""

POLYGON_SUFFIX = "_gtFine_polygons.json"
"""Cityscapes' JSON: imgHeight, imgWidth, objects; an object is a label's name and a polygon [[column, row], ...]. The
objects are in painting order, and one thing may consist of several."""

CITIES = {"train": "toyburg", "val": "toyford"}
"""The one city of each split."""

PARAMETERS_FILE = "toycity.json"
"""Written last, at the data set's root: what it was generated with. A folder that has it is complete."""

VERSION = 1
"""Raised whenever the same seed gives other pictures than before."""

__all__ = ["CITIES", "LABEL_IDS", "VERSION", "generate", "scene", "stem"]


def scene(
    index: int, split: str = "train", size: tuple[int, int] = (256, 512), seed: int = 0
) -> tuple[np.ndarray, np.ndarray, list[dict]]:
    """Scene ``index`` of a split.

    Args:
        index: 0, 1, 2, ...; scenes are made so that four in a row hold all 19 classes.
        split: "train" or "val".
        size: (H, W), pixels; multiples of 16, at least (64, 128).
        seed: 0 or more.

    Returns:
        picture (H, W, 3) uint8, label ids (H, W) uint8, and the labelled polygons in painting order.

    Raises:
        UserError: an unknown split, a size that does not fit, a negative index or seed.
    """
    _check(size=size, seed=seed, index=index)
    if split not in CITIES:
        raise UserError(f"expected a split out of {', '.join(CITIES)}; got {split!r}: choose one of these")
    rng = np.random.default_rng(np.random.SeedSequence([seed, list(CITIES).index(split), index]))
    canvas, light = compose(rng, index, tuple(size))
    return shade(canvas, light, rng), np.asarray(canvas.labels).copy(), canvas.objects


def stem(split: str, index: int) -> str:
    """``<city>/<city>_<sequence>_<frame>``: the part of a scene's path that its three files share."""
    return f"{CITIES[split]}/{CITIES[split]}_{index:06d}_000019"


def generate(
    out: str | Path,
    train: int = 64,
    val: int = 16,
    size: tuple[int, int] = (256, 512),
    seed: int = 0,
    progress: bool = True,
) -> Path:
    """Write the data set to the folder ``out``, or keep it if it is already there with the same parameters.

    The folder appears when everything is written: an interrupted run leaves nothing that looks complete.

    Args:
        out: the folder to make.
        train, val: how many scenes.
        size, seed: as for :func:`scene`.
        progress: show a progress bar.

    Returns:
        ``out`` as an absolute path.

    Raises:
        UserError: a parameter that does not fit; ``out`` exists and holds something else.
    """
    out = Path(out).resolve()
    _check(size=size, seed=seed, train=train, val=val)
    counts = {"train": train, "val": val}
    parameters = {"toycity": VERSION, **counts, "size": list(size), "seed": seed}
    if _already_there(out, parameters):
        return out
    work = [(split, index) for split, count in counts.items() for index in range(count)]
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"expected to make {out}, found: {error.strerror.lower()}: choose another folder") from None
    try:
        for split, index in tqdm(work, desc="ToyCity", unit="scene", disable=not progress):
            _write(partial, split, index, *scene(index, split, size, seed))
        (partial / PARAMETERS_FILE).write_text(json.dumps(parameters, indent=2) + "\n")
        try:
            partial.replace(out)  # an empty folder is replaced, a full one is not
        except OSError:
            if not _already_there(out, parameters):  # fine if another process was faster with the same
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return out


def _already_there(out: Path, parameters: dict) -> bool:
    """Whether ``out`` is this very data set; False if nothing is there yet; a UserError for anything else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    remedy = f"choose another folder, or delete {out} first"
    try:
        found = json.loads((out / PARAMETERS_FILE).read_text())
    except (OSError, ValueError):
        raise UserError(f"expected {out} to be new or a ToyCity, but it holds no {PARAMETERS_FILE}: {remedy}") from None
    if found != parameters:
        raise UserError(f"expected {out} to be a ToyCity with {_say(parameters)}, found {_say(found)}: {remedy}")
    for split in CITIES:
        for index in range(parameters[split]):
            missing = [path for path in _paths(out, split, index) if not path.is_file()]
            if missing:
                raise UserError(f"expected {out} to be complete, but {missing[0]} is missing: {remedy}")
    return True


def _say(parameters: object) -> str:
    pairs = parameters.items() if isinstance(parameters, dict) else ()
    return ", ".join(f"{key} {'x'.join(map(str, v)) if isinstance(v, list) else v}" for key, v in pairs) or "none"


def _paths(out: Path, split: str, index: int) -> tuple[Path, Path, Path]:
    picture, labels = out / IMAGE_FOLDER / split / stem(split, index), out / LABEL_FOLDER / split / stem(split, index)
    return tuple(
        path.with_name(path.name + suffix)
        for path, suffix in ((picture, IMAGE_SUFFIX), (labels, LABEL_SUFFIX), (labels, POLYGON_SUFFIX))
    )


def _write(out: Path, split: str, index: int, picture: np.ndarray, labels: np.ndarray, objects: list[dict]) -> None:
    paths = _paths(out, split, index)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(paths[0], compress_level=3)
    Image.fromarray(labels).save(paths[1])
    height, width = labels.shape
    paths[2].write_text(json.dumps({"imgHeight": height, "imgWidth": width, "objects": objects}))


def _check(size: tuple[int, int], **counts: int) -> None:
    height, width = size
    if height % 16 or width % 16 or height < 64 or width < 128:
        better = f"{max(64, round(height / 16) * 16)}x{max(128, round(width / 16) * 16)}"
        raise UserError(f"size must be multiples of 16, at least 64x128; got {height}x{width}: choose size {better}")
    for name, count in counts.items():
        if count < 0:
            raise UserError(f"{name} must be 0 or more, got {count}: try {name}=0")

"""An archive for Cityscapes' test server, and the check that spares an upload in vain (chapter 14).

The server takes one zip with exactly one PNG for each of the 1,525 test images. A name must begin as the image's does
(``berlin_000123_000019*.png``); pixels are *label ids*, not train ids or colours, at the image's own size. An archive
that differs is refused as a whole, and the answer names no file.

Sources: the maintainers' answers in cityscapesScripts' issues 65 and 117, and its evalPixelLevelSemanticLabeling.py,
which looks for ``CITY_SEQUENCE_FRAME*.png`` in all folders, refuses a second one, and reads files with Pillow and
NumPy: a palette file counts by its indices. Archives made here are flat and of plain grey files all the same.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from spacemeshlab.checkpoint import write_atomically
from spacemeshlab.data import open_dataset
from spacemeshlab.data.dataset import find_folder, list_files
from spacemeshlab.data.labels import CITYSCAPES
from spacemeshlab.data.transforms import eval_transform
from spacemeshlab.errors import UserError
from spacemeshlab.evaluate import describe, evaluate, protocol
from spacemeshlab.predict import TrainedNetwork

CITIES = {"berlin": 544, "bielefeld": 181, "bonn": 46, "leverkusen": 58, "mainz": 298, "munich": 398}
"""Test images a city, 1,525 in all; counted in HRNet's published list of the test set."""

SIZE = (2048, 1024)
"""Columns and rows of every test image."""

SOURCE_FILE = "predicted_by.json"
"""Beside the predictions: which weights, images and views they come from."""

_NAME = re.compile(r"([^_/]+_\d{6}_\d{6}).*\.png", re.DOTALL)
_NAMED = 3  # faults that a message spells out


class Built(NamedTuple):
    """What :func:`build_submission` did: predictions made, kept and thrown away, and the check's sentence."""

    predicted: int
    kept: int
    replaced: int
    summary: str


def build_submission(
    trained: TrainedNetwork,
    root: str | Path,
    out: str | Path,
    split: str = "test",
    tta: bool = False,
    workers: int = 0,
    progress: bool = False,
) -> Built:
    """Label every image of a split, pack the label files, and check the archive.

    The label files stand in a folder beside the archive (``a.zip``: ``a/``). A call that was stopped goes on there; if
    weights, images or views are others than those of the files in it, they are made again.

    Args:
        trained: a network with Cityscapes' classes.
        root: a data set in Cityscapes' layout; label files are not needed.
        out: the archive, ``….zip``.
        split: a folder of leftImg8bit.
        tta: MS + flip.
        workers: loader processes.
        progress: show bars.

    Raises:
        UserError: other classes, no images, no room, or a folder with somebody else's pictures.
    """
    out, images = Path(out), split_images(root, split)
    if trained.labels != CITYSCAPES:
        raise UserError(
            f"expected a network with the classes of {CITYSCAPES.name}, found {trained.labels.name}: "
            "name a run of the recipe cityscapes or toycity"
        )
    if out.suffix != ".zip" or out.is_dir():
        raise UserError(f"expected a file ….zip to write, got {out}: choose another name")
    views = protocol(trained.recipe, tta)
    source = {
        "weights": _hash_weights(trained.net),
        "images": _hash_images(images.values()),
        "views": describe(split, **views),
    }
    folder = out.with_suffix("")
    replaced = _prepare(folder, source)
    dataset = open_dataset("cityscapes", root, split, eval_transform())
    dataset.files = [files for files in dataset.files if not (folder / files[0].name).is_file()]

    def save(index: int, prediction: Tensor) -> None:
        picture = Image.fromarray(CITYSCAPES.to_file_value[prediction.cpu().numpy()])  # (H, W) -> (H, W) uint8
        write_atomically(folder / dataset.files[index][0].name, lambda draft: picture.save(draft, format="PNG"))

    if dataset.files:
        evaluate(trained.net, dataset, **views, workers=workers, progress=progress, on_prediction=save)
    write_atomically(out, lambda draft: _pack(draft, [folder / image.name for image in images.values()]))
    predicted = len(dataset.files)
    return Built(predicted, len(images) - predicted, replaced, check_submission(out, images, progress))


def check_submission(path: str | Path, images: Mapping[str, Path] | None = None, progress: bool = False) -> str:
    """Look at every file of an archive as the server would.

    Args:
        path: the archive.
        images: what :func:`split_images` found: the names and sizes to expect. None expects the six test cities, each
            with as many files as it has images, of :data:`SIZE`.
        progress: show a bar.

    Returns:
        A sentence: how many images, and whether that is Cityscapes' test set.

    Raises:
        UserError: what the server would refuse or score wrongly; the first faults with their files, and their number.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            files, faults = _assign([info.filename for info in archive.infolist() if not info.is_dir()], images)
            for frame, name in tqdm(files.items(), "check", disable=not progress):
                size = SIZE if images is None else _size(images[frame])
                faults += _picture_faults(archive, name, size)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, zipfile.BadZipFile) as error:
        found = "another kind of file, or a cut one" if isinstance(error, zipfile.BadZipFile) else "no such file"
        raise UserError(f"expected a zip archive at {path}, found {found}: build it again") from None
    if faults:
        more = f"; and {len(faults) - _NAMED} more faults" if len(faults) > _NAMED else ""
        raise UserError(f"{path}: {'; '.join(faults[:_NAMED])}{more}: mend this and build the archive again")
    if _by_city(files) == CITIES:
        return f"{len(files)} images: all of Cityscapes' test set"
    return f"{len(files)} images: not Cityscapes' {sum(CITIES.values()):,}"


def split_images(root: str | Path, split: str = "test") -> dict[str, Path]:
    """The images of a split by the part of their name that counts: ``berlin_000000_000019`` -> its file.

    Raises:
        UserError: no such folder, no image in it, or one name in two cities.
    """
    folder = find_folder(Path(root) / "leftImg8bit" / split, root, "name the folder that leftImg8bit was unpacked in")
    paths = list_files(folder, ["_leftImg8bit.png"], "*/*")
    images = {key.rpartition("/")[2]: path for key, path in paths.items()}
    if not images or len(images) != len(paths):
        found = f"{len(paths)} files with {len(images)} names"
        raise UserError(
            f"{folder}: expected images CITY/CITY_SSSSSS_FFFFFF_leftImg8bit.png, found {found}: unpack the images there"
        )
    return images


def _assign(names: list[str], images: Mapping[str, Path] | None) -> tuple[dict[str, str], list[str]]:
    """Which file is for which image, and what is wrong with the names."""
    files: dict[str, str] = {}
    faults = []
    for name in names:
        match = _NAME.fullmatch(PurePosixPath(name).name)
        frame = match[1] if match else ""
        if not match:
            faults.append(f"{name}: expected a name CITY_SSSSSS_FFFFFF*.png, found another")
        elif frame not in images if images is not None else frame.partition("_")[0] not in CITIES:
            faults.append(f"{name}: expected files of the test images only, found one of no such image")
        elif frame in files:
            faults.append(f"{name}: expected one file for {frame}, found also {files[frame]}")
        else:
            files[frame] = name
    if images is not None:
        missing = [f"{frame}*.png: expected one for each image, found none" for frame in images if frame not in files]
    else:
        found = _by_city(files)
        missing = [
            f"{city}_*.png: expected {count} files, found {found[city]}"
            for city, count in CITIES.items()
            if found[city] != count
        ]
    return files, missing + faults


def _by_city(frames: Iterable[str]) -> Counter[str]:
    return Counter(frame.partition("_")[0] for frame in frames)


def _picture_faults(archive: zipfile.ZipFile, name: str, size: tuple[int, int]) -> Iterator[str]:
    """The first thing that is wrong with one file, if anything is."""
    try:
        with archive.open(name) as file, Image.open(file) as picture:
            picture.load()
            values = [value for value, count in enumerate(picture.histogram()[:256]) if count]
    except Exception as error:  # what damaged files make zipfile's and Pillow's decoders raise is nowhere written down
        reason = " ".join(str(error).split()) or type(error).__name__
        yield f"{name}: expected a complete PNG, found one that does not decode ({reason})"
        return
    wrong = [value for value in values if value not in CITYSCAPES.file_values]
    if picture.format != "PNG":
        yield f"{name}: expected a PNG, found {picture.format}"
    elif picture.mode not in ("L", "P"):
        yield f"{name}: expected one channel of 8 bits, found Pillow mode {picture.mode}"
    elif picture.size != size:
        yield f"{name}: expected {size[0]}x{size[1]} (columns x rows), found {picture.size[0]}x{picture.size[1]}"
    elif wrong:
        expected, found = (" ".join(map(str, ids)) for ids in (CITYSCAPES.file_values, wrong))
        guess = " (are these train ids?)" if set(values) <= {*range(len(CITYSCAPES)), 255} else ""
        yield f"{name}: expected the label ids {expected}, found also {found}{guess}"


def _size(image: Path) -> tuple[int, int]:
    """Columns and rows, without decoding."""
    try:
        with Image.open(image) as picture:
            return picture.size
    except (OSError, Image.DecompressionBombError) as error:
        raise UserError(f"{image}: expected an image, found none that opens ({error}): restore it") from None


def _prepare(folder: Path, source: dict[str, str]) -> int:
    """Make the folder, or empty it of another source's predictions; returns how many went."""
    record = folder / SOURCE_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = json.loads(record.read_text()) if record.is_file() else None
    except OSError as error:
        raise UserError(
            f"expected to keep label files in {folder}, but {error.strerror.lower()}: choose another --out"
        ) from None
    except ValueError:
        found = None
    old = sorted(folder.glob("*.png"))
    if old and found is None:
        raise UserError(
            f"expected {folder} to be new or to hold predictions of an earlier call, found {old[0].name} and no "
            f"{SOURCE_FILE}: choose another --out"
        )
    if found == source:
        return 0
    for path in old:  # before the record: stopped here, what is left is still what the record says
        path.unlink()
    write_atomically(record, lambda draft: draft.write_text(json.dumps(source, indent=2) + "\n"))
    return len(old)


def _pack(draft: Path, pictures: list[Path]) -> None:
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:  # PNGs are compressed already
        for path in pictures:
            archive.write(path, path.name)


def _hash_weights(net: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _hash_images(images: Iterable[Path]) -> str:
    """Of names and sizes: enough to notice another data set, without reading it."""
    lines = [f"{image.name} {image.stat().st_size}\n" for image in images]
    return hashlib.sha256("".join(lines).encode()).hexdigest()

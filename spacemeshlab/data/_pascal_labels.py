"""The two forms in which Pascal-Context's labels come, turned into one: values 0..59 (chapter 16).

Original release: one ``.mat`` an image with a variable ``LabelMap``, uint16 ids up to 459. "PASCAL in Detail": one JSON
file of 590 MB with a run-length mask for every segment of every image. Nobody wants to parse that at every start, so
:func:`decode_detail` does it once: it writes a PNG an image into a folder, and goes on where it was stopped.

    FOLDER/source.json       file, size and mtime of the JSON file; once complete, the images of each split
    FOLDER/2008_000002.png   class index + 1, and 0 for all that is none of the 59 classes

Source: Mottaghi et al., "The Role of Context for Object Detection and Semantic Segmentation in the Wild", CVPR 2014.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import loadmat
from tqdm import tqdm

from spacemeshlab.data.labels import PASCAL_CONTEXT, PASCAL_CONTEXT_IDS
from spacemeshlab.errors import UserError

_LAST_ID = 459
_SHA1 = "169325d9f7e9047537fedca7b04de4dddf10b881"
_DOWNLOAD = f"download trainval_merged.json again (590 MB, sha1 {_SHA1})"
_MARKER = "source.json"

TO_FILE_VALUE = np.zeros(_LAST_ID + 1, dtype=np.uint8)
"""Table (460,) uint8: original id -> class index + 1, 0 for ids of no class. Indexed *by* ids, which need 16 bits."""
TO_FILE_VALUE[list(PASCAL_CONTEXT_IDS)] = PASCAL_CONTEXT.to_file_value


def read_label_map(path: Path) -> np.ndarray:
    """Read one ``.mat`` file of the original release to (H, W) uint8 values 0..59.

    Raises:
        UserError: unreadable file, no LabelMap in it, one of 8 bits, ids that do not exist.
    """
    try:
        with open(path, "rb") as file:  # not the name, to which scipy would try to add .mat
            values = loadmat(file, variable_names=["LabelMap"]).get("LabelMap")
    except FileNotFoundError:
        raise UserError(f"{path}: expected a label file, found no such file: restore it from the download") from None
    except Exception as error:  # scipy answers a damaged file with whatever its parser stumbled over
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{path}: expected a complete .mat file, found {path.stat().st_size} bytes that cannot be read ({reason}): "
            "restore it from trainval.tar.gz"
        ) from None
    if values is None or values.ndim != 2 or values.dtype.kind not in "iu" or values.dtype.itemsize < 2:
        found = "no LabelMap" if values is None else f"LabelMap {values.shape} {values.dtype}"
        raise UserError(
            f"{path}: expected LabelMap (rows, columns) uint16, found {found}: take the files as downloaded; "
            "8 bits cut the ids above 255"
        )
    if values.size and (values.min() < 0 or values.max() > _LAST_ID):
        raise UserError(
            f"{path}: expected ids 0-{_LAST_ID} in LabelMap, found {values.min()}-{values.max()}: "
            "take the files as downloaded"
        )
    return TO_FILE_VALUE[values]  # (H, W) -> (H, W)


def decode_detail(source: Path, folder: Path, progress: bool = True) -> dict[str, list[str]]:
    """Make sure that ``folder`` holds the decoded labels of "PASCAL in Detail"; return the images of each split.

    A complete folder is used as it is, also when ``source`` has been deleted since; what an incomplete one lacks is
    added; one of another version of ``source`` is made anew. Of several processes, one decodes and the others wait.

    Raises:
        UserError: pycocotools is missing, ``source`` is damaged, ``folder`` is not ours or cannot be written.
    """
    if (splits := _complete(source, folder)) is not None:
        return splits
    if not source.is_file():
        raise UserError(
            f"{source}: expected this file, as decoding it into {folder.name} is unfinished; found none: {_DOWNLOAD}"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(folder):
            if (splits := _complete(source, folder)) is None:  # unless another process was faster
                splits = _decode(source, folder, progress)
    except OSError as error:
        raise UserError(
            f"{folder}: expected to write the labels of {source.name} there, found: {error.strerror or error}: "
            "mend that, or name another folder (PascalContext's decoded); decoding goes on where it stopped"
        ) from None
    return splits


def _decode(source: Path, folder: Path, progress: bool) -> dict[str, list[str]]:
    """Parse ``source`` and write what ``folder`` still lacks; the marker says complete only at the end."""
    from spacemeshlab.checkpoint import write_atomically  # which knows recipes, which know the data sets

    try:
        from pycocotools.mask import decode
    except ImportError:
        remedy = 'pip install "spacemeshlab[pascal]"'
        raise UserError(f"{source}: expected pycocotools to decode its masks, found none: {remedy}") from None

    def mark(content: dict) -> None:
        write_atomically(folder / _MARKER, lambda draft: draft.write_text(json.dumps(content)))

    if not _is_of(source, folder):
        stale = _ours(folder)
        mark({"file": "being emptied"})  # killed here or below, the next start empties on
        for path in stale:
            path.unlink()
        mark(_stamp(source))
    splits: dict[str, list[str]] = {"train": [], "val": []}
    for image, masks in tqdm(_parse(source), desc=source.name, unit="image", disable=None if progress else True):
        path = folder / Path(image["file_name"]).with_suffix(".png").name
        splits.setdefault(image["phase"], []).append(path.stem)
        if not path.exists():
            label = _draw(image, masks, decode, source)
            write_atomically(path, lambda draft, label=label: Image.fromarray(label).save(draft, format="PNG"))
    splits = {split: sorted(stems) for split, stems in splits.items()}
    mark({**_stamp(source), "splits": splits})
    return splits


def _parse(source: Path) -> list[tuple[dict, list[tuple[int, dict]]]]:
    """(image, [(original id, mask), ...]) of every image, in the file's order: a later mask covers earlier ones."""
    try:
        with open(source, encoding="utf-8") as file:
            data = json.load(file, object_hook=_keep)
        masks: dict[int, list] = {image["image_id"]: [] for image in data["images"]}
        for image_id, label_id, mask in data["annos_segmentation"]:
            masks[image_id].append((label_id, mask))
        return [(image, masks[image["image_id"]]) for image in data["images"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{source}: expected images and annos_segmentation of PASCAL in Detail, found {source.stat().st_size:,} "
            f"bytes that do not hold them ({type(error).__name__}: {error}): {_DOWNLOAD}"
        ) from None


def _keep(entry: dict) -> object:
    """What labels need of one JSON object; parts, boundaries and key points are dropped while they are being parsed."""
    if "annos_segmentation" in entry or "counts" in entry:
        return entry
    if "phase" in entry:
        return {key: entry[key] for key in ("image_id", "file_name", "width", "height", "phase")}
    if "category_id" in entry and "segmentation" in entry:
        return entry["image_id"], entry["category_id"], entry["segmentation"]
    return None


def _draw(image: dict, masks: list[tuple[int, dict]], decode, source: Path) -> np.ndarray:
    """The masks of one image as (H, W) uint8 values 0..59."""
    label = np.zeros((image["height"], image["width"]), dtype=np.uint8)
    for label_id, mask in masks:
        size = mask.get("size") if isinstance(mask, dict) else None  # other formats list polygons there
        if size != [*label.shape] or not 0 <= label_id <= _LAST_ID:
            raise UserError(
                f"{source}: expected masks of size {[*label.shape]} and ids 0-{_LAST_ID} for {image['file_name']}, "
                f"found size {size} and id {label_id}: {_DOWNLOAD}"
            )
        label[decode(mask).astype(bool)] = TO_FILE_VALUE[label_id]
    return label


def _stamp(source: Path) -> dict:
    return {"file": source.name, "size": source.stat().st_size, "mtime_ns": source.stat().st_mtime_ns}


def _read_marker(folder: Path) -> dict:
    try:
        marker = json.loads((folder / _MARKER).read_text())
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}


def _is_of(source: Path, folder: Path) -> bool:
    marker = _read_marker(folder)
    return {key: marker.get(key) for key in ("file", "size", "mtime_ns")} == _stamp(source)


def _complete(source: Path, folder: Path) -> dict[str, list[str]] | None:
    """The splits of a folder that holds all labels of this ``source``, else None."""
    splits = _read_marker(folder).get("splits")
    if not splits or (source.is_file() and not _is_of(source, folder)):
        return None
    there = {path.stem for path in folder.glob("*.png")}
    return splits if all(there.issuperset(stems) for stems in splits.values()) else None


def _ours(folder: Path) -> list[Path]:
    """The labels in ``folder``; refuses pictures that :func:`decode_detail` did not write, since they are deleted."""
    pictures = sorted(folder.glob("*.png"))
    if pictures and not _read_marker(folder):
        raise UserError(
            f"{folder}: expected an empty folder for the decoded labels, found {pictures[0].name} and no {_MARKER}: "
            "name another folder (PascalContext's decoded)"
        )
    return pictures


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system gives back if the process is killed. Windows has no such lock."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(folder / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

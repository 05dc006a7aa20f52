"""Photographs as the network takes them, and class maps as files for the eye and for other programs (chapter 14)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from spacemeshlab.data.labels import RGB, LabelSet
from spacemeshlab.errors import UserError

_ROWS = 256  # of a photograph that are mixed with colours at once


def read_photograph(path: str | Path, note: Callable[[str], None] | None = None) -> Tensor:
    """Decode any picture that Pillow reads, to what a viewer shows: uint8 (3, H, W).

    - Grey becomes three equal channels; palettes, CMYK and other colour models become RGB, without colour profiles.
    - Of 16 bits a channel the upper eight are kept; floating-point numbers are taken to lie in 0..1.
    - Transparency shows white: the colours that a file hides below it mean nothing.
    - A picture that EXIF says is turned is turned upright, and H and W are those of the upright one.
    - Of several frames or pages the first is read.

    Args:
        path: the file.
        note: called with one line if the file holds more than the one picture that is read.

    Raises:
        UserError: no such file, one that does not decode, more pixels than Pillow opens, or numbers out of range.
    """
    path = Path(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise UserError(f"{path}: expected a picture, found {found}: name an image file")
    try:
        image, frames = _decode(path)
        tensor = pil_to_tensor(_to_rgb(image, path))
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        reason = str(error).split(",")[0]
        raise UserError(
            f"{path}: expected fewer pixels, found more than Pillow opens ({reason}): shrink it, or cut it into parts"
        ) from None
    except Exception as error:  # what damaged files make Pillow's decoders raise is nowhere written down
        reason = " ".join(str(error).split()).replace(f" {str(path)!r}", "") or type(error).__name__
        raise UserError(
            f"{path}: expected a complete picture, found {path.stat().st_size} bytes that do not decode ({reason}): "
            "restore it, or convert it to PNG or JPEG"
        ) from None
    if note is not None and frames > 1:
        note(f"{path}: {frames} frames or pages, read the first")
    return tensor


def _decode(path: Path) -> tuple[Image.Image, int]:
    """The first frame, upright, and the number of frames."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pictures that are large, which is fine, and of odd EXIF, which is too
        with Image.open(path) as image:
            # MPO is a phone's JPEG: its other pictures are previews and depth maps, nothing that anybody misses
            frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
            image.load()
            try:
                return ImageOps.exif_transpose(image), frames
            except Exception:  # EXIF that can't be read turns nothing, as in viewers
                return image, frames


def _to_rgb(image: Image.Image, path: Path) -> Image.Image:
    if image.mode.startswith("I"):
        return Image.fromarray(_upper_bits(image, path)).convert("RGB")
    if image.mode == "F":
        return Image.fromarray(_from_floats(np.asarray(image), path)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _upper_bits(image: Image.Image, path: Path) -> np.ndarray:
    """Grey of 16 bits -> 8 bits, as Pillow itself does it with colour of 16 bits: (H, W) -> (H, W) uint8."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise UserError(
            f"{path}: expected 8 or 16 bits a channel, found values {values.min()}..{values.max()}: "
            "convert it to 8-bit RGB"
        )
    clear = image.info.get("transparency")  # one value that is fully transparent
    if clear is not None:
        values = np.where(values == clear, 65535, values)
    return (values >> 8).astype(np.uint8)


def _from_floats(values: np.ndarray, path: Path) -> np.ndarray:
    """Grey of 0..1 -> 8 bits: (H, W) -> (H, W) uint8."""
    if not (values.min() >= 0 and values.max() <= 1):  # also false if one is not a number
        raise UserError(
            f"{path}: expected floating-point values in 0..1, found {values.min():g}..{values.max():g}: "
            "convert it to 8-bit RGB"
        )
    return (255 * values).round().astype(np.uint8)


def label_image(prediction: Tensor, labels: LabelSet) -> Image.Image:
    """A palette PNG with the data set's own label values (Cityscapes: label ids): int64 (H, W) -> mode "P"."""
    values = labels.to_file_value[prediction.numpy()]
    image = Image.fromarray(values)
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[labels.to_file_value] = labels.palette
    image.putpalette(palette.flatten().tolist())  # turns the grey image into a palette image
    return image


def overlay(image: Tensor, prediction: Tensor, labels: LabelSet, opacity: float = 0.6) -> Image.Image:
    """The classes' colours over the photograph: uint8 (3, H, W), int64 (H, W) -> RGB."""
    mixed = np.empty((*prediction.shape, 3), dtype=np.uint8)
    for start in range(0, len(mixed), _ROWS):  # floating-point copies of a few rows only, however large the picture
        rows = slice(start, start + _ROWS)
        colours = labels.colours[prediction[rows].numpy()].astype(np.float32)
        photograph = image[:, rows].permute(1, 2, 0).numpy().astype(np.float32)
        mixed[rows] = (opacity * colours + (1 - opacity) * photograph).round()
    return Image.fromarray(mixed)


def side_by_side(image: Tensor, target: Tensor, prediction: Tensor, labels: LabelSet) -> np.ndarray:
    """Photograph, truth, prediction: uint8 (3, H, W), int64 (H, W) twice -> (H, 3W, 3) uint8; void is black."""
    photograph = image.permute(1, 2, 0).numpy()  # (3, H, W) -> (H, W, 3)
    return np.concatenate([photograph, *(labels.colours[classes.numpy()] for classes in (target, prediction))], axis=1)


def reduce_colours(image: Image.Image, kept: Sequence[RGB] = ()) -> Image.Image:
    """The picture in at most 256 colours, mode "P": those of ``kept`` exactly, others may move to a near one."""
    image = image.convert("RGB")
    pixels = np.asarray(image)
    found = [(colour, where) for colour in kept if (where := (pixels == colour).all(-1)).any()]
    reduced = image.quantize(256 - len(found), dither=Image.Dither.NONE)
    palette, indices = reduced.getpalette(), np.array(reduced)
    for index, (_, where) in enumerate(found, len(palette) // 3):
        indices[where] = index
    small = Image.fromarray(indices)
    small.putpalette([*palette, *(part for colour, _ in found for part in colour)])
    return small

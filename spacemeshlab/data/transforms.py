"""From a decoded pair to what the network sees: scale, crop, flip, normalise (chapter 03).

Everything is made of torchvision's v2 transforms, which treat image and target together, each by its own rule. Only
the resizing is ours: v2 resizes masks with the old "nearest", whose grid lies half a pixel beside the image's.
Source of the augmentation: DeepLabV3 (Chen et al., 2017, section 4.1); the paper refers to it (our reading).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import interpolate
from torchvision import tv_tensors
from torchvision.transforms import v2

from spacemeshlab.data.labels import IGNORE_INDEX

MEAN = (0.485, 0.456, 0.406)
"""ImageNet's mean colour, R G B, on a scale of 0..1."""

STD = (0.229, 0.224, 0.225)
"""ImageNet's standard deviation, R G B, on the same scale."""


@dataclass(frozen=True)
class Window:
    """One axis of a crop out of a resized image: where it lies, and what of the image it needs.

    Attributes:
        length: pixels of the image.
        scaled: pixels of the resized image.
        start: first pixel of the crop, counted in the resized image; negative where the crop begins beside it.
        crop: pixels of the crop.
    """

    length: int
    scaled: int
    start: int
    crop: int

    @classmethod
    def draw(cls, length: int, crop: int, factor: float) -> Window:
        """A window at a random position inside the resized axis, or around it where the crop is the larger."""
        scaled = max(1, round(length * factor))
        first, last = sorted((0, scaled - crop))
        return cls(length, scaled, int(torch.randint(first, last + 1, ())), crop)

    @property
    def seen(self) -> slice:
        """Pixels of the resized image that lie in the crop."""
        return slice(max(0, self.start), min(self.scaled, self.start + self.crop))

    @property
    def place(self) -> slice:
        """Where these pixels lie in the crop."""
        return slice(self.seen.start - self.start, self.seen.stop - self.start)

    @property
    def needed(self) -> int:
        """Pixels of the image, from its first one, that the seen ones depend on: also those under their filters."""
        step = self.length / self.scaled
        return min(self.length, math.ceil(self.seen.stop * step + max(step, 1.0)) + 1)

    @property
    def computed(self) -> int:
        """Pixels of the resized image, from its first one, to ask for: the seen ones, and never as many as needed."""
        end = self.seen.stop
        return end + (end == self.needed and end < self.scaled)  # as many out as in would not be resized at all

    @property
    def nearest(self) -> torch.Tensor:
        """For each seen pixel the image's pixel whose centre is nearest, as "nearest-exact" chooses it."""
        indices = torch.arange(self.length, dtype=torch.float32)[None, None]
        return interpolate(indices, size=self.scaled, mode="nearest-exact")[0, 0, self.seen].long()


class RandomScaleCrop(v2.Transform):
    """Resize image and target by one factor drawn evenly from ``scale_range``, then cut a crop at a random position.

    The image is resized bilinearly with antialiasing, the target to the nearest pixel centre ("nearest-exact"), so both
    keep the same grid and no new label value appears. The crop equals the crop of the whole resized image, much of
    which is never computed. Around a smaller image is ``fill``, and 255 in the target.

    Shape:
        image (3, H, W) uint8, target (H, W) -> (3, *crop), (*crop)
    """

    def __init__(
        self, crop: tuple[int, int], scale_range: tuple[float, float], fill: Sequence[int] = (0, 0, 0)
    ) -> None:
        super().__init__()
        self.crop, self.scale_range, self.fill = crop, scale_range, tuple(fill)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the factor and the position once for all inputs."""
        low, high = self.scale_range
        factor = low + (high - low) * torch.rand(()).item()
        size = v2.functional.get_size(flat_inputs[0])
        rows, columns = (Window.draw(*side, factor) for side in zip(size, self.crop, strict=True))
        return {"rows": rows, "columns": columns}

    def transform(self, inpt: Any, params: dict[str, Window]) -> Any:
        """Resize and cut one input."""
        rows, columns, plain = params["rows"], params["columns"], inpt.as_subclass(torch.Tensor)
        if isinstance(inpt, tv_tensors.Mask):
            out = plain.new_full(self.crop, IGNORE_INDEX)
            near = plain.numpy()[rows.nearest.numpy()[:, None], columns.nearest.numpy()]  # (H, W) -> (h, w)
            out[rows.place, columns.place] = torch.from_numpy(near)
        else:
            out = plain.new_tensor(self.fill)[:, None, None].repeat(1, *self.crop)  # (3,) -> (3, *crop)
            out[:, rows.place, columns.place] = _resized(plain, rows, columns)
        return tv_tensors.wrap(out, like=inpt)


def _resized(image: torch.Tensor, rows: Window, columns: Window) -> torch.Tensor:
    """The seen part of the resized image.

    It equals the same part of the image resized as a whole, but for a seldom difference of one grey level: the operator
    rounds its weights to a precision that follows from the largest of those it needs.

    A resizing's grid begins at the image's corner: what lies below and right of the crop can be left out beforehand,
    what lies above and left of it only afterwards. The operator behind ``interpolate`` is asked for because that one
    takes a size or a factor, and the grid of a part needs both.
    """
    part = image.permute(1, 2, 0)[: rows.needed, : columns.needed].contiguous()  # (3, H, W) -> (H', W', 3)
    part = part[None].permute(0, 3, 1, 2)  # (H', W', 3) -> (1, 3, H', W'), channels last: the operator's fast path
    size = [rows.computed, columns.computed]
    factors = rows.scaled / rows.length, columns.scaled / columns.length
    resized = torch.ops.aten._upsample_bilinear2d_aa(part, size, False, *factors)  # (1, 3, H', W') -> (1, 3, *size)
    return resized[0, :, rows.seen, columns.seen]  # (1, 3, *size) -> (3, h, w)


def train_transform(
    crop: tuple[int, int],
    scale_range: tuple[float, float] = (0.5, 2.0),
    flip: bool = True,
    scale: float = 1.0,
) -> Callable:
    """Random scale, random crop, random flip, normalisation.

    An image smaller than the crop is placed at a random position inside it; around it the image has the mean colour
    (0 after normalisation, to a rounding of half a grey level) and the target 255.

    Args:
        crop: rows and columns of the result.
        scale_range: smallest and largest random factor.
        flip: mirror every second image, left to right.
        scale: a fixed factor on top of the random one (a recipe's ``scale``).

    Shape:
        image (3, H, W) uint8, target (H, W) int64 -> (3, *crop) float32, (*crop) int64
    """
    fill = [round(255 * mean) for mean in MEAN]
    return v2.Compose(
        [
            RandomScaleCrop(crop, (scale * scale_range[0], scale * scale_range[1]), fill),
            v2.RandomHorizontalFlip(0.5 if flip else 0.0),
            *_finish(),
        ]
    )


def eval_transform() -> Callable:
    """Normalisation alone: scales are the evaluation's business, and a score counts the label's own pixels.

    Shape:
        image (3, H, W) uint8, target (H, W) int64 -> (3, H, W) float32, (H, W) int64
    """
    return v2.Compose(_finish())


def normalise(image: torch.Tensor, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> torch.Tensor:
    """What the network sees of a picture: (..., 3, H, W) uint8 -> the same shape, float32."""
    return v2.functional.normalize(v2.functional.to_dtype(image, torch.float32, scale=True), list(mean), list(std))


def denormalise(image: torch.Tensor) -> torch.Tensor:
    """Undo :func:`normalise`, for pictures: (..., 3, H, W) float -> the same shape, uint8."""
    mean, std = (image.new_tensor(values)[:, None, None] for values in (MEAN, STD))
    return ((image * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)


def _finish() -> list[v2.Transform]:
    to_dtype = v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64}, scale=True)
    return [to_dtype, v2.Normalize(MEAN, STD), v2.ToPureTensor()]

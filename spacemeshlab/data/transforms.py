"""From a decoded pair to what the network sees: scale, crop, flip, normalise (chapter 03).

Everything is made of torchvision's v2 transforms, which treat image and target together, each by its own rule. Only
the resizing is ours: v2 resizes masks with the old "nearest", whose grid lies half a pixel beside the image's.
Source of the augmentation: DeepLabV3 (Chen et al., 2017, section 4.1); the paper refers to it (our reading).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


class RandomRescale(v2.Transform):
    """Resize image and target by one factor drawn evenly from ``scale_range``.

    The image is resized bilinearly with antialiasing, the target to the nearest pixel centre ("nearest-exact"), so both
    keep the same grid and no new label value appears.

    Shape:
        image (3, H, W), target (H, W) -> (3, round(H s), round(W s)), (round(H s), round(W s)); the target as uint8,
        which holds 0..255 and, before the crop, moves eight times fewer bytes than int64
    """

    def __init__(self, scale_range: tuple[float, float]) -> None:
        super().__init__()
        self.scale_range = scale_range

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the factor once for all inputs."""
        low, high = self.scale_range
        factor = low + (high - low) * torch.rand(()).item()
        return {"size": _scaled(v2.functional.get_size(flat_inputs[0]), factor)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resize one input to ``params["size"]``."""
        if not isinstance(inpt, tv_tensors.Mask):
            return v2.functional.resize(inpt, params["size"], antialias=True)
        values = inpt.as_subclass(torch.Tensor)[None, None].to(torch.uint8)  # (H, W) -> (1, 1, H, W)
        return tv_tensors.wrap(interpolate(values, size=params["size"], mode="nearest-exact")[0, 0], like=inpt)


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
    fill = {tv_tensors.Image: [round(255 * mean) for mean in MEAN], tv_tensors.Mask: IGNORE_INDEX}
    return v2.Compose(
        [
            RandomRescale((scale * scale_range[0], scale * scale_range[1])),
            v2.RandomCrop(crop, pad_if_needed=True, fill=fill),
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


def _scaled(size: list[int], factor: float) -> list[int]:
    return [max(1, round(side * factor)) for side in size]

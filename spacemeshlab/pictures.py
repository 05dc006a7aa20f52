"""Class maps as files for the eye and for other programs (chapter 14)."""

from __future__ import annotations

import numpy as np
from PIL import Image
from torch import Tensor

from spacemeshlab.data.labels import LabelSet


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
    colours = labels.colours[prediction.numpy()].astype(np.float32)
    photograph = image.permute(1, 2, 0).numpy().astype(np.float32)
    return Image.fromarray((opacity * colours + (1 - opacity) * photograph).round().astype(np.uint8))

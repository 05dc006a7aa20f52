"""Class maps as label files and as colours over the photograph."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from spacemeshlab.data.labels import CAMVID, CITYSCAPES, LabelSet
from spacemeshlab.pictures import label_image, overlay


@pytest.mark.parametrize("labels", [CITYSCAPES, CAMVID], ids=lambda labels: labels.name)
def test_a_label_file_holds_the_data_sets_values_and_shows_its_colours_also_after_saving(labels: LabelSet):
    prediction = torch.randint(len(labels), (13, 17))
    file = io.BytesIO()
    label_image(prediction, labels).save(file, "png")
    image = Image.open(file)
    assert (image.mode, image.size) == ("P", (17, 13))
    assert np.array_equal(labels.to_index[np.asarray(image)], prediction.numpy())
    assert np.array_equal(np.asarray(image.convert("RGB")), labels.colours[prediction.numpy()])


def test_an_overlay_mixes_photograph_and_colour():
    image = torch.tensor([[[100]], [[0]], [[200]]], dtype=torch.uint8)
    car = torch.tensor([[13]])  # (0, 0, 142)
    assert overlay(image, car, CITYSCAPES, opacity=0.5).getpixel((0, 0)) == (50, 0, 171)
    assert overlay(image, car, CITYSCAPES, opacity=0.0).getpixel((0, 0)) == (100, 0, 200)
    assert overlay(image, car, CITYSCAPES, opacity=1.0).getpixel((0, 0)) == (0, 0, 142)

"""Every picture has titles, labels and the data set's colours."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from spacemeshlab.data.labels import CITYSCAPES, IGNORE_INDEX
from spacemeshlab.viz import PARTS, colourise, network_map, show_class_iou, show_predictions, show_training


@pytest.fixture(autouse=True)
def _no_window():
    mpl.use("Agg")
    yield
    plt.close("all")


def legend_names(figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_classes_get_their_colours_and_void_is_black():
    target = torch.tensor([[0, 13], [18, IGNORE_INDEX]])
    colours = colourise(target, CITYSCAPES)
    assert colours.dtype == np.uint8
    assert colours.tolist() == [[[128, 64, 128], [0, 0, 142]], [[119, 11, 32], [0, 0, 0]]]


def test_predictions_stand_beside_image_and_truth_and_the_legend_names_what_occurs():
    images = [torch.randint(256, (3, 8, 16), dtype=torch.uint8) for _ in range(2)]
    targets = [torch.zeros(8, 16, dtype=torch.int64), torch.full((8, 16), IGNORE_INDEX)]
    predictions = {"ours": [torch.full((8, 16), 5)] * 2, "theirs": [torch.full((8, 16), 13)] * 2}
    figure = show_predictions(images, targets, predictions, CITYSCAPES)
    assert len(figure.axes) == 2 * 4
    assert [ax.get_title() for ax in figure.axes[:4]] == ["image", "ground truth", "ours", "theirs"]
    shown = [ax.images[0].get_array() for ax in figure.axes[4:]]
    assert np.array_equal(shown[0], images[1].permute(1, 2, 0))
    assert [tuple(picture[0, 0]) for picture in shown[1:]] == [(0, 0, 0), (153, 153, 153), (0, 0, 142)]
    assert legend_names(figure) == ["road", "pole", "car", "not counted"]


def test_without_void_pixels_the_legend_does_not_mention_them():
    image, target = torch.zeros(3, 4, 4, dtype=torch.uint8), torch.zeros(4, 4, dtype=torch.int64)
    assert legend_names(show_predictions([image], [target], {}, CITYSCAPES)) == ["road"]


def test_a_run_is_drawn_as_loss_and_score_against_iterations():
    lines = [{"iteration": 10, "loss": 2.0, "lr": 0.1}, {"iteration": 20, "loss": 1.5}]
    lines.append({"iteration": 20, "val_miou": 0.25, "seconds": 3})
    figure = show_training(lines)
    left, right = figure.axes
    assert left.get_title() == "A training run"
    assert left.get_xlabel() == "iteration"
    assert "loss" in left.get_ylabel()
    assert "mIoU, %" in right.get_ylabel()
    assert left.lines[0].get_xydata().tolist() == [[10, 2.0], [20, 1.5]]
    assert right.lines[0].get_xydata().tolist() == [[20, 25.0]]


def test_a_run_can_be_drawn_into_axes_that_are_there_and_before_it_has_logged_anything():
    figure, ax = plt.subplots()
    assert show_training([], ax) is figure


def test_class_scores_are_bars_in_percent_one_colour_a_network():
    scores = {"ours": {"road": 0.9, "pole": 0.1}, "theirs": {"road": 0.8, "pole": None}}
    ax = show_class_iou(scores).axes[0]
    assert (ax.get_title(), ax.get_xlabel()) == ("IoU by class", "IoU, %")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["road", "pole"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["ours", "theirs"]
    ours, theirs = ax.containers[:2]
    assert [bar.get_width() for bar in ours] == pytest.approx([90, 10])
    assert [bar.get_width() for bar in theirs] == pytest.approx([80, 0])
    assert ours[0].get_facecolor() != theirs[0].get_facecolor()


def test_one_network_needs_no_legend():
    assert show_class_iou({"ours": {"road": 0.9}}).axes[0].get_legend() is None


def boxes(figure) -> list[tuple]:
    return [patch.get_edgecolor() for patch in figure.axes[0].patches]


def test_the_map_names_every_part_and_lights_those_that_are_asked_for():
    whole = network_map()
    words = " ".join(text.get_text() for text in whole.axes[0].texts)
    for word in ("image", "block 5", "SpaM block", "MetroCon²", "decoder", "auxiliary", "logits", "1296", "up", "down"):
        assert word in words
    assert boxes(network_map(*PARTS)) == boxes(whole)
    maps = [boxes(network_map(part)) for part in PARTS if part != "exchange"]  # the exchange is arrows only
    assert len({tuple(edges) for edges in [*maps, boxes(whole)]}) == len(maps) + 1


def test_an_unknown_part_is_refused_and_lists_the_known_ones():
    with pytest.raises(ValueError, match=rf"lit must name parts out of {', '.join(PARTS)}, got attention, head"):
        network_map("head", "spam", "attention")


def test_a_class_that_is_absent_is_not_called_zero():
    ax = show_class_iou({"ours": {"road": 0.9, "train": None, "pole": 0.0}}).axes[0]
    assert [text.get_text() for text in ax.texts] == ["90", "absent", "0"]

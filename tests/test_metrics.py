"""The score: by hand, against a loop that is too slow to be wrong, and against Cityscapes' own script."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from PIL import Image

from spacemeshlab.data.labels import CITYSCAPES, IGNORE_INDEX
from spacemeshlab.metrics import confusion_matrix, iou, mean_iou, pixel_accuracy
from spacemeshlab.pictures import label_image


def naive_confusion_matrix(prediction: torch.Tensor, target: torch.Tensor, num_classes: int) -> list[list[int]]:
    counts = [[0] * num_classes for _ in range(num_classes)]
    for found, true in zip(prediction.flatten().tolist(), target.flatten().tolist(), strict=True):
        if true != IGNORE_INDEX:
            counts[true][found] += 1
    return counts


def test_rows_are_the_truth_columns_the_prediction_and_void_counts_nowhere():
    target = torch.tensor([[0, 0, 1], [2, IGNORE_INDEX, IGNORE_INDEX]])
    prediction = torch.tensor([[0, 1, 1], [0, 0, 2]])
    counts = confusion_matrix(prediction, target, 3)
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert counts.dtype == torch.int64


@pytest.mark.parametrize("num_classes", [1, 2, 19, 127, 128, 129, 255])
def test_the_matrix_equals_a_loop_over_the_pixels_for_any_number_of_classes(num_classes):
    target = torch.randint(num_classes, (2, 15, 17))
    target[torch.rand(target.shape) < 0.2] = IGNORE_INDEX
    target[0, 0, :2] = num_classes - 1  # the corner where an index would overflow
    prediction = torch.randint(num_classes, target.shape)
    prediction[0, 0, 0] = num_classes - 1
    assert confusion_matrix(prediction, target, num_classes).tolist() == naive_confusion_matrix(
        prediction, target, num_classes
    )


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_integer_types_do_not_matter_and_inputs_stay_as_they_were(dtype):
    target = torch.tensor([0, 1, 18, IGNORE_INDEX])
    prediction = torch.tensor([0, 18, 18, 18])
    given = prediction.to(torch.uint8), target.to(dtype)
    counts = confusion_matrix(*given, 19)
    assert torch.equal(counts, confusion_matrix(prediction, target, 19))
    assert counts.sum() == 3
    assert given[1].tolist() == target.tolist()


def test_an_image_that_is_all_void_counts_nothing():
    counts = confusion_matrix(torch.zeros(4, 4, dtype=torch.int64), torch.full((4, 4), IGNORE_INDEX), 3)
    assert counts.shape == (3, 3)
    assert counts.sum() == 0


def test_other_shapes_and_too_many_classes_are_refused():
    with pytest.raises(ValueError, match=r"prediction \(1, 4\) and target \(4,\) must have one shape"):
        confusion_matrix(torch.zeros(1, 4), torch.zeros(4), 3)
    with pytest.raises(ValueError, match="at most 255, because 255 marks void pixels, got 256"):
        confusion_matrix(torch.zeros(4), torch.zeros(4), 256)


def test_iou_by_hand_with_an_absent_class_and_one_that_is_only_predicted():
    confusion = torch.tensor(
        [
            [6, 2, 1, 0],
            [1, 3, 0, 0],
            [0, 0, 0, 0],  # only predicted: wrong once
            [0, 0, 0, 0],  # absent
        ]
    )
    scores = iou(confusion)
    assert scores.dtype == torch.float64
    assert scores[:3].tolist() == [6 / 10, 3 / 6, 0.0]
    assert math.isnan(scores[3])
    assert mean_iou(confusion) == (6 / 10 + 3 / 6 + 0.0) / 3
    assert pixel_accuracy(confusion) == 9 / 13


def test_nothing_counted_is_no_score_rather_than_a_good_or_a_bad_one():
    empty = torch.zeros(3, 3, dtype=torch.int64)
    assert math.isnan(mean_iou(empty))
    assert math.isnan(pixel_accuracy(empty))


def test_large_counts_keep_every_digit():
    confusion = torch.tensor([[2**40 + 1, 1], [0, 2**40]])
    assert pixel_accuracy(confusion) == (2**41 + 1) / (2**41 + 2)
    assert iou(confusion)[0].item() == (2**40 + 1) / (2**40 + 2)


def test_the_mean_of_the_images_scores_is_another_number_than_the_sets():
    targets = [torch.tensor([0, 0, 0, 0]), torch.tensor([0, 1, 1, 1])]
    predictions = [torch.tensor([0, 0, 0, 0]), torch.tensor([1, 1, 1, 1])]
    matrices = [confusion_matrix(*pair, 2) for pair in zip(predictions, targets, strict=True)]
    assert [mean_iou(one) for one in matrices] == [1.0, (0 / 1 + 3 / 4) / 2]  # mean 0.6875
    assert mean_iou(sum(matrices)) == (4 / 5 + 3 / 4) / 2  # 0.775


@pytest.mark.parametrize("seed", range(4))
def test_the_score_equals_the_official_cityscapes_script_to_the_last_digit(seed, tmp_path):
    official = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    random = np.random.default_rng(seed)
    predicted = random.choice(19, size=19 - 4 * seed, replace=False)  # fewer and fewer classes
    occurring = random.choice(34, size=34 - 6 * seed, replace=False)
    confusion = torch.zeros(19, 19, dtype=torch.int64)
    files: dict[str, list[str]] = {"prediction": [], "truth": []}
    for index in range(3):
        label_ids = random.choice(occurring, size=(23, 31)).astype(np.uint8)
        target = torch.from_numpy(CITYSCAPES.to_index[label_ids])
        prediction = torch.from_numpy(np.where(random.random((23, 31)) < 0.6, target, random.choice(predicted)))
        prediction[prediction == IGNORE_INDEX] = int(predicted[0])
        confusion += confusion_matrix(prediction, target, 19)
        for kind, image in (
            ("prediction", label_image(prediction, CITYSCAPES)),
            ("truth", Image.fromarray(label_ids)),
        ):
            files[kind].append(str(tmp_path / f"{kind}{index}.png"))
            image.save(files[kind][-1])
    settings = copy.copy(official.args)
    settings.evalInstLevelScore, settings.JSONOutput, settings.quiet = False, False, True
    result = official.evaluateImgLists(files["prediction"], files["truth"], settings)
    theirs = [result["classScores"][name] for name in CITYSCAPES.classes]
    np.testing.assert_array_equal(iou(confusion).numpy(), theirs)  # NaN where NaN
    assert mean_iou(confusion) == result["averageScoreClasses"]

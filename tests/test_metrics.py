"""The score: by hand, and against a loop that is too slow to be wrong. Others' scores: test_parity.py."""

from __future__ import annotations

import math

import pytest
import torch

from spacemeshlab.data.labels import IGNORE_INDEX
from spacemeshlab.metrics import category_iou, confusion_matrix, iou, mean_iou, mean_score, pixel_accuracy


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


def test_categories_forgive_mistakes_within_a_group_and_no_others():
    confusion = torch.tensor(
        [
            [4, 3, 0, 1],
            [2, 5, 0, 0],
            [0, 0, 0, 0],
            [1, 0, 0, 8],
        ]
    )
    scores = category_iou(confusion, ("city", "city", "water", "sky"))
    assert list(scores) == ["city", "water", "sky"]
    assert scores["city"] == (4 + 3 + 2 + 5) / (14 + 1 + 1)
    assert scores["sky"] == 8 / (8 + 1 + 1)
    assert math.isnan(scores["water"])
    assert mean_score(scores.values()) == (14 / 16 + 8 / 10) / 2


def test_groups_of_one_class_are_the_classes_whatever_their_order():
    confusion = torch.randint(2**40, (5, 5))
    alone = category_iou(confusion, "abcde")
    assert list(alone.values()) == iou(confusion).tolist()
    mixed = category_iou(confusion, "abaca")
    order = [0, 2, 4, 1, 3]
    assert category_iou(confusion[order][:, order], "aaabc") == mixed
    assert confusion.dtype == torch.int64


def test_every_class_needs_its_group():
    with pytest.raises(ValueError, match="a group for each of the 3 classes, got 2"):
        category_iou(torch.zeros(3, 3, dtype=torch.int64), ("a", "b"))


def test_a_group_that_is_only_predicted_is_zero_and_one_that_is_absent_is_nothing():
    confusion = torch.tensor([[5, 2, 0], [0, 0, 0], [0, 0, 0]])
    scores = category_iou(confusion, ("there", "predicted", "absent"))
    assert scores["predicted"] == 0.0
    assert math.isnan(scores["absent"])


def test_predictions_on_void_pixels_make_no_class_occur():
    target = torch.tensor([0, 0, IGNORE_INDEX])
    scores = iou(confusion_matrix(torch.tensor([0, 0, 2]), target, 3))
    assert scores[0] == 1.0
    assert scores[1:].isnan().all()


def test_the_mean_of_scores_is_added_up_one_by_one():
    scores = [0.1] * 10
    assert mean_score([*scores, math.nan]) == 0.9999999999999999 / 10  # sum() of a newer Python and fsum say 1.0
    assert math.isnan(mean_score([math.nan]))
    assert math.isnan(mean_score([]))

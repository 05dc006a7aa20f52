"""The package passes the checks of the scores, and each check names what is wrong with other answers."""

import math

import pytest
import torch

from spacemeshlab import metrics, testing

MATRICES = (
    {"num_classes": 4},
    {"num_classes": 6, "absent": (0, 4), "only_predicted": (2,)},
    {"num_classes": 5, "absent": (), "never_predicted": (1,)},
    {"num_classes": 5, "absent": (3,), "only_predicted": (0,), "never_predicted": (4,)},
    {"num_classes": 4, "absent": (1,), "scale": 10**10},
    {"num_classes": 3, "absent": (0, 1, 2)},
    {"num_classes": 1, "absent": ()},
)


@pytest.mark.parametrize("seed", range(3))
def test_the_package_passes_the_checks_of_the_scores(seed):
    for shape, num_classes, absent in (((4, 5), 3, ()), ((2, 9, 10), 19, (0, 18)), ((9,), 4, (2,)), ((7,), 1, (0,))):
        for dtype in (torch.uint8, torch.int64):
            for said in (None, 0, 7, 255):
                testing.check_confusion_matrix(
                    metrics.confusion_matrix, shape, num_classes, absent, dtype, said, seed=seed
                )
    for matrix in MATRICES:
        testing.check_iou(metrics.iou, **matrix, seed=seed)
        testing.check_mean_iou(metrics.mean_iou, **matrix, seed=seed)


def pairs(prediction, target, num_classes):
    where = target != 255
    numbers = target[where] * num_classes + prediction[where]
    return torch.bincount(numbers, minlength=num_classes**2).view(num_classes, num_classes)


def written_to(prediction, target, num_classes):
    table = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    table[target[target != 255], prediction[target != 255]] += 1
    return table


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (lambda p, t, k: pairs(p, t, k).T, "rows are the truth, columns the prediction"),
        (lambda p, t, k: pairs(p, t.clamp(max=k - 1), k), "counted as the last class"),
        (lambda p, t, k: pairs(p, t.where(t != 255, 0), k), "counted as class 0"),
        (written_to, "writes to each cell only once"),
        (lambda p, t, k: pairs(p, t, k) / 2, "counted, not measured"),
        (lambda p, t, k: pairs(p, t, k + 1), r"shape \(3, 3\), found \(4, 4\).*none for void"),
        (lambda p, t, k: pairs(t, t, k), r"pixels of class \d that are called \d .*are this row's class"),
        (lambda p, t, k: pairs(p, t.clamp_(max=254).where(t < 254, 255), k), "input 1 unchanged"),
    ],
)
def test_check_confusion_matrix_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_confusion_matrix(mistake)


def test_check_confusion_matrix_finds_bytes_that_overflow_and_traces_of_void():
    testing.check_confusion_matrix(pairs)
    with pytest.raises(AssertionError, match="eight bits end at 255"):
        testing.check_confusion_matrix(pairs, (9, 10), 19, dtype=torch.uint8)

    def void_where_a_class_is_said(prediction, target, num_classes):
        left_out = (target == 255) & (prediction < num_classes)
        clamped = (one.clamp(max=num_classes - 1)[~left_out] for one in (prediction, target))
        return pairs(*clamped, num_classes)

    testing.check_confusion_matrix(void_where_a_class_is_said)
    with pytest.raises(AssertionError, match="the void pixels are counted as the last class"):
        testing.check_confusion_matrix(void_where_a_class_is_said, said_on_void=255)


def quotients(confusion):
    hits = confusion.diagonal().double()
    return hits, confusion.sum(1).double(), confusion.sum(0).double()


def scores(confusion):
    hits, truth, said = quotients(confusion)
    return hits / (truth + said - hits)


def recall(confusion):
    hits, truth, _ = quotients(confusion)
    return hits / truth


def precision(confusion):
    hits, _, said = quotients(confusion)
    return hits / said


def twice(confusion):
    hits, truth, said = quotients(confusion)
    return hits / (truth + said)


def without_hits(confusion):
    hits, truth, said = quotients(confusion)
    return hits / (truth + said - 2 * hits)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (recall, "this is the recall"),
        (precision, "this is the precision"),
        (twice, "counts the hits twice"),
        (lambda c: 2 * twice(c), "this is Dice"),
        (lambda c: (2 * twice(c)).nan_to_num(0), "this is Dice"),
        (without_hits, "the union lacks the hits"),
        (lambda c: scores(c).nan_to_num(0), "expected nan for class 2 .*found 0.*NaN, not 0"),
        (lambda c: scores(c).nan_to_num(1), "NaN, not 1"),
        (lambda c: scores(c).float(), "float64: convert the counts"),
        (lambda c: scores(c)[~scores(c).isnan()], "NaN included"),
        (lambda c: 1 - scores(c), "class by class"),
        (lambda c: scores(c.fill_(1)), "for class 0"),
        (lambda c: scores(c.mul_(2)), "input 0 unchanged"),
    ],
)
def test_check_iou_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_iou(mistake)


def test_check_iou_knows_the_other_rules_for_classes_without_a_hit():
    def of_the_truth(confusion):
        return scores(confusion).masked_fill(confusion.sum(1) == 0, math.nan)

    def without_zeros(confusion):
        return torch.where(scores(confusion) > 0, scores(confusion), math.nan)

    for other in (of_the_truth, without_zeros):
        testing.check_iou(other)
        with pytest.raises(AssertionError, match="only predicted scores 0"):
            testing.check_iou(other, only_predicted=(1,))
    testing.check_iou(of_the_truth, never_predicted=(1,))
    with pytest.raises(AssertionError, match=r"expected 0 for class 1 .*found nan.*never hit scores 0"):
        testing.check_iou(without_zeros, never_predicted=(1,))
    with pytest.raises(AssertionError, match="expected 0"):
        testing.check_iou(lambda c: scores(c.int()), scale=10**10)


def mean(confusion):
    return scores(confusion).nanmean().item()


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (lambda c: scores(c).nan_to_num(0).mean().item(), "here it counts as 0"),
        (lambda c: scores(c).nan_to_num(1).mean().item(), "here it counts as 1"),
        (lambda c: scores(c).mean().item(), "leave NaN out"),
        (lambda c: (quotients(c)[0].sum() / c.sum()).item(), "pixel accuracy"),
        (lambda c: recall(c).nanmean().item(), "mean recall"),
        (lambda c: (2 * twice(c)).nanmean().item(), "mean Dice"),
        (lambda c: (c.diag().sum() / (2 * c.sum() - c.diag().sum())).item(), "divide class by class"),
        (lambda c: (c.sum(1) / c.sum() * scores(c)).nansum().item(), "every class counts alike"),
        (lambda c: 100 * mean(c), "in percent"),
        (lambda c: mean(c) + 1e-4, "divided by the number of classes"),
        (lambda c: scores(c).nanmean(), r"found a tensor.*\.item\(\)"),
        (lambda c: mean(c.mul_(2)), "input 0 unchanged"),
    ],
)
def test_check_mean_iou_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_mean_iou(mistake)


def test_check_mean_iou_knows_the_other_rules_for_classes_without_a_hit():
    testing.check_mean_iou(lambda c: scores(c)[c.sum(1) > 0].mean().item())
    with pytest.raises(AssertionError, match="only predicted counts as 0"):
        testing.check_mean_iou(lambda c: scores(c)[c.sum(1) > 0].mean().item(), only_predicted=(1,))
    with pytest.raises(AssertionError, match="never hit counts as 0"):
        testing.check_mean_iou(lambda c: scores(c)[scores(c) > 0].mean().item(), never_predicted=(1,))
    with pytest.raises(AssertionError, match=r"to be nan, found 0.*nothing to take a mean of"):
        testing.check_mean_iou(lambda c: scores(c).nansum().item(), absent=range(4))


@pytest.mark.parametrize("check", ["confusion_matrix", "iou", "mean_iou"])
@pytest.mark.parametrize(
    "nonsense",
    [
        *(None, "text", [], [0.5], (1, 2), {}, True, math.nan, math.inf, 3),
        *(torch.tensor(1), torch.empty(0), torch.ones(4, 4, dtype=torch.bool), torch.full((4,), torch.nan)),
        *(torch.full((4,), torch.inf).double(), torch.tensor([1j])),
    ],
    ids=repr,
)
def test_nonsense_fails_the_checks_of_the_scores_in_words(check, nonsense):
    with pytest.raises(AssertionError, match=r"expected .*, found .*Hint: "):
        getattr(testing, f"check_{check}")(lambda *_: nonsense)

"""Our scores and those of others on the same pixels: Cityscapes' own script to the last digit, and torchmetrics."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from test_views import Known
from torch import Tensor, nn

from spacemeshlab.data import Cityscapes
from spacemeshlab.data.labels import CITYSCAPES, IGNORE_INDEX
from spacemeshlab.data.transforms import eval_transform
from spacemeshlab.evaluate import evaluate, summarise
from spacemeshlab.metrics import confusion_matrix, iou, mean_iou
from spacemeshlab.pictures import label_image

VOID = np.asarray(CITYSCAPES.void_values)
CLASSES = np.asarray(CITYSCAPES.file_values)
EGO_VEHICLE, BORDER, OUT_OF_ROI = 1, 2, 3

Pair = tuple[np.ndarray, np.ndarray]
"""Truth and prediction of one image, as label ids."""


@pytest.fixture(scope="module")
def official() -> ModuleType:
    return pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")


def official_scores(official: ModuleType, predictions: Iterable[Path], truths: Iterable[Path]) -> dict:
    """What the script finds in the files, in our words."""
    settings = copy.copy(official.args)
    settings.evalInstLevelScore, settings.JSONOutput, settings.quiet = False, False, True
    found = official.evaluateImgLists(list(map(str, predictions)), list(map(str, truths)), settings)

    def known(scores: dict, names: Iterable[str]) -> dict:
        return {name: None if math.isnan(scores[name]) else scores[name] for name in names}

    assert math.isnan(found["categoryScores"]["void"])
    means = known(found, ("averageScoreClasses", "averageScoreCategories"))
    return {
        "miou": means["averageScoreClasses"],
        "iou": known(found["classScores"], CITYSCAPES.classes),
        "category_miou": means["averageScoreCategories"],
        "category_iou": known(found["categoryScores"], dict.fromkeys(CITYSCAPES.categories)),
    }


def our_scores(pairs: list[Pair]) -> dict:
    total = torch.zeros(19, 19, dtype=torch.int64)
    for truth, prediction in pairs:
        indices = [torch.from_numpy(CITYSCAPES.to_index[ids]) for ids in (prediction, truth)]
        total += confusion_matrix(*indices, 19)
    return summarise(total, CITYSCAPES)


def assert_equal_to_the_last_digit(ours: dict, theirs: dict) -> None:
    assert {name: ours[name] for name in theirs} == theirs  # floats, compared with ==


def near(random: np.random.Generator, truth: np.ndarray, guesses: np.ndarray, right: float = 0.6) -> np.ndarray:
    """A prediction that is mostly right where the truth counts and holds ids out of ``guesses`` elsewhere."""
    keep = (random.random(truth.shape) < right) & ~np.isin(truth, VOID)
    return np.where(keep, truth, random.choice(guesses, truth.shape)).astype(np.uint8)


def everything(random: np.random.Generator) -> list[Pair]:
    truths = [random.choice(np.concatenate([VOID, CLASSES]), (23, 31)).astype(np.uint8) for _ in range(3)]
    return [(truth, near(random, truth, CLASSES)) for truth in truths]


def framed(random: np.random.Generator) -> list[Pair]:
    """What a camera's rectification leaves: a border, a strip out of the region of interest, the car's own bonnet."""
    pairs = []
    for truth, _ in everything(random):
        truth[:4], truth[-4:], truth[:, :5], truth[:, -5:] = OUT_OF_ROI, BORDER, BORDER, OUT_OF_ROI
        truth[-8:-4, 8:20] = EGO_VEHICLE
        pairs.append((truth, near(random, truth, CLASSES)))
    return pairs


def absent(random: np.random.Generator) -> list[Pair]:
    """Half of the classes in neither; every category loses some and "sky" all that it has."""
    few = CLASSES[[0, 2, 5, 8, 11, 13, 17, 18]]
    truth = random.choice([*few, 0], (23, 31)).astype(np.uint8)
    return [(truth, near(random, truth, few))]


def only_predicted(random: np.random.Generator) -> list[Pair]:
    truth = random.choice(CLASSES[:5], (23, 31)).astype(np.uint8)
    return [(truth, near(random, truth, CLASSES[3:12]))]


def predicted_on_void_only(random: np.random.Generator) -> list[Pair]:
    truth = random.choice([7, 0, 4], (23, 31)).astype(np.uint8)
    return [(truth, np.where(truth == 7, 7, random.choice(CLASSES, truth.shape)).astype(np.uint8))]


def one_class(random: np.random.Generator) -> list[Pair]:
    truth = np.full((23, 31), 26, np.uint8)
    return [(truth, near(random, truth, np.asarray([26, 27])))]


def one_class_and_right(_: np.random.Generator) -> list[Pair]:
    return [(np.full((1, 1), 26, np.uint8),) * 2]


def never_right(random: np.random.Generator) -> list[Pair]:
    truth = random.choice(CLASSES, (23, 31))
    return [(truth.astype(np.uint8), CLASSES[(np.searchsorted(CLASSES, truth) + 1) % 19].astype(np.uint8))]


def all_void(random: np.random.Generator) -> list[Pair]:
    return [(random.choice(VOID, (23, 31)).astype(np.uint8), random.choice(CLASSES, (23, 31)).astype(np.uint8))]


def one_void_among_others(random: np.random.Generator) -> list[Pair]:
    return everything(random) + all_void(random)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "case",
    [
        everything,
        framed,
        absent,
        only_predicted,
        predicted_on_void_only,
        one_class,
        one_class_and_right,
        never_right,
        all_void,
        one_void_among_others,
    ],
)
def test_classes_categories_and_means_equal_the_official_scripts(official, case: Callable, seed: int, tmp_path):
    pairs = case(np.random.default_rng(seed))
    files = [(tmp_path / f"truth{index}.png", tmp_path / f"prediction{index}.png") for index in range(len(pairs))]
    for paths, images in zip(files, pairs, strict=True):
        for path, image in zip(paths, images, strict=True):
            Image.fromarray(image).save(path)
    theirs = official_scores(official, [prediction for _, prediction in files], [truth for truth, _ in files])
    assert_equal_to_the_last_digit(our_scores(pairs), theirs)


def test_the_cases_hold_what_they_are_there_for():
    random = np.random.default_rng(0)
    assert None in our_scores(absent(random))["iou"].values()
    assert our_scores(absent(random))["category_iou"]["sky"] is None
    assert 0.0 in our_scores(only_predicted(random))["iou"].values()
    assert set(our_scores(predicted_on_void_only(random))["iou"].values()) == {1.0, None}
    assert our_scores(never_right(random))["miou"] == 0.0
    assert our_scores(all_void(random))["category_miou"] is None
    ours = our_scores(everything(random))
    assert len({ours["miou"], ours["category_miou"], *ours["iou"].values(), *ours["category_iou"].values()}) > 20


@pytest.mark.parametrize("views", [{}, {"scales": (0.5, 1.0), "flip": True}, {"window": (32, 48)}])
def test_what_evaluate_scores_on_toycity_the_official_script_scores_alike_on_the_written_files(
    official, toycity_dir, tmp_path, views
):
    dataset = Cityscapes(toycity_dir, "val", eval_transform())
    net = Known(nn.Conv2d(3, 19, 3, padding=1))
    paths = [tmp_path / image.name for image, _ in dataset.files]
    confusion = evaluate(
        net, dataset, **views, on_prediction=lambda index, found: label_image(found, CITYSCAPES).save(paths[index])
    )
    ours = summarise(confusion, CITYSCAPES)
    assert 0 < ours["miou"] < 1
    assert_equal_to_the_last_digit(ours, official_scores(official, paths, [truth for _, truth in dataset.files]))


def test_a_nearly_right_prediction_of_toycity_scores_alike_too(official, toycity_dir, tmp_path):
    random, pairs, files = np.random.default_rng(0), [], []
    for split in ("train", "val"):
        for image, truth in Cityscapes(toycity_dir, split).files:
            pairs.append((np.asarray(Image.open(truth)), near(random, np.asarray(Image.open(truth)), CLASSES, 0.9)))
            files.append((tmp_path / image.name, truth))
            Image.fromarray(pairs[-1][1]).save(files[-1][0])
    theirs = official_scores(official, *zip(*files, strict=True))
    ours = our_scores(pairs)
    assert ours["miou"] > 0.4
    assert ours["category_miou"] > ours["miou"]
    assert_equal_to_the_last_digit(ours, theirs)


def test_the_official_script_finds_the_file_that_carries_an_images_name(official, tmp_path, monkeypatch):
    name = "frankfurt_000000_000294_leftImg8bit.png"
    (tmp_path / name).touch()
    monkeypatch.setenv("CITYSCAPES_RESULTS", str(tmp_path))
    settings = copy.copy(official.args)
    settings.predictionPath = settings.predictionWalk = None
    found = official.getPrediction(settings, "gtFine/val/frankfurt/frankfurt_000000_000294_gtFine_labelIds.png")
    assert found == str(tmp_path / name)


def maps(*, classes: int, occurring: int) -> tuple[Tensor, Tensor]:
    """Prediction and truth, the latter with void; both hold the first ``occurring`` classes only."""
    target = torch.randint(occurring, (3, 23, 31))
    prediction = torch.where(torch.rand(target.shape) < 0.6, target, torch.randint(occurring, target.shape))
    target[torch.rand(target.shape) < 0.2] = IGNORE_INDEX
    assert classes >= occurring
    return prediction, target


@pytest.mark.parametrize(("classes", "occurring"), [(2, 2), (19, 19), (19, 11), (59, 40)])
def test_torchmetrics_counts_the_same_matrix_and_scores_the_same_where_a_class_occurs(classes, occurring):
    metrics = pytest.importorskip("torchmetrics.classification")
    prediction, target = maps(classes=classes, occurring=occurring)
    ours = confusion_matrix(prediction, target, classes)
    theirs = metrics.MulticlassConfusionMatrix(classes, ignore_index=IGNORE_INDEX)(prediction, target)
    assert torch.equal(ours, theirs)
    scores = metrics.MulticlassJaccardIndex(classes, average=None, ignore_index=IGNORE_INDEX)(prediction, target)
    torch.testing.assert_close(iou(ours)[:occurring].float(), scores[:occurring])
    # Absent classes: torchmetrics lists 0, as if they had been missed; ours are NaN. Both leave them out of the mean.
    assert scores[occurring:].tolist() == [0.0] * (classes - occurring)
    assert iou(ours)[occurring:].isnan().all()
    mean = metrics.MulticlassJaccardIndex(classes, average="macro", ignore_index=IGNORE_INDEX)(prediction, target)
    assert mean_iou(ours) == pytest.approx(mean.item(), rel=1e-6)


def test_where_nothing_counts_neither_has_a_mean():
    metrics = pytest.importorskip("torchmetrics.classification")
    prediction, target = torch.zeros(4, dtype=torch.int64), torch.full((4,), IGNORE_INDEX)
    assert metrics.MulticlassJaccardIndex(3, ignore_index=IGNORE_INDEX)(prediction, target).isnan()
    assert math.isnan(mean_iou(confusion_matrix(prediction, target, 3)))

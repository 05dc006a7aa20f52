"""Scoring a set: against a loop, by one process and by several, within bounded memory."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from inspect import signature
from pathlib import Path

import pytest
import torch
from test_views import Known, pointwise
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset

from spacemeshlab import SpaceMeshLab
from spacemeshlab import evaluate as module
from spacemeshlab.benchmark.measure import memory
from spacemeshlab.data.labels import CITYSCAPES, IGNORE_INDEX, LabelSet
from spacemeshlab.errors import UserError
from spacemeshlab.evaluate import describe, evaluate, protocol, summarise, table
from spacemeshlab.recipe import get_recipe
from spacemeshlab.views import MS_SCALES, predict_logits

LABELS = LabelSet("three", ("a", "b", "c"), ((1, 0, 0), (0, 1, 0), (0, 0, 1)), (0, 1, 2), ())


class Images(Dataset):
    """Random images of the given sizes, normalised already; a tenth of the target is void."""

    labels = LABELS

    def __init__(self, *sizes: tuple[int, int]) -> None:
        self.items = []
        for size in sizes:
            target = torch.randint(3, size)
            target[torch.rand(size) < 0.1] = IGNORE_INDEX
            self.items.append((torch.randn(3, *size), target))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.items[index]


def naive_confusion(net: nn.Module, dataset: Images) -> Tensor:
    total = torch.zeros(3, 3, dtype=torch.int64)
    for image, target in dataset:
        prediction = net(image[None])["out"][0].argmax(0)
        for row in range(target.shape[0]):
            for column in range(target.shape[1]):
                if target[row, column] != IGNORE_INDEX:
                    total[target[row, column], prediction[row, column]] += 1
    return total


def test_one_matrix_over_the_set_equals_a_loop_over_images_of_different_sizes():
    net, dataset = pointwise(), Images((8, 12), (5, 7), (9, 3))
    confusion = evaluate(net, dataset)
    assert torch.equal(confusion, naive_confusion(net, dataset))
    assert confusion.dtype == torch.int64
    assert net.sizes[:3] == [(8, 12), (5, 7), (9, 3)]


def test_our_network_gets_the_matrix_of_its_eval_mode_and_is_not_touched():
    net, dataset = SpaceMeshLab(3, "resnet18", rates=(1, 2), depth=4), Images((32, 48), (17, 30))
    with torch.no_grad():
        for image, _ in dataset.items:  # statistics for batch norm
            net(image[None])
    before = [tensor.clone() for tensor in net.state_dict().values()]
    net.aux_head.register_forward_hook(lambda *_: pytest.fail("auxiliary logits that nobody uses"))
    confusion = evaluate(net, dataset)
    assert net.training
    assert all(map(torch.equal, net.state_dict().values(), before))
    net.aux_head = None
    assert torch.equal(confusion, naive_confusion(net.eval(), dataset))


@pytest.mark.parametrize("views", [{}, {"scales": (0.5, 1.5), "flip": True}, {"window": (4, 5)}])
def test_every_pixel_that_is_not_void_counts_once_however_many_views_see_it(views):
    dataset = Images((8, 12), (5, 7))
    counted = sum(int((target != IGNORE_INDEX).sum()) for _, target in dataset.items)
    assert evaluate(pointwise(), dataset, **views).sum() == counted


def test_the_network_is_scored_in_eval_mode_and_gets_back_the_mode_of_each_part():
    net = pointwise()
    net.frozen, net.modes = nn.BatchNorm2d(3).eval(), []
    net.register_forward_hook(lambda module, *_: module.modes.append(module.training))
    evaluate(net, Images((4, 4)))
    assert net.modes == [False]
    assert (net.training, net.function.training, net.frozen.training) == (True, True, False)
    evaluate(net.eval(), Images((4, 4)))
    assert not net.training


def test_the_mode_comes_back_even_if_the_network_fails():
    def fail(images: Tensor) -> Tensor:
        raise RuntimeError("no luck")

    net = Known(fail)
    with pytest.raises(RuntimeError, match="no luck"):
        evaluate(net, Images((4, 4)))
    assert net.training


def test_each_prediction_is_handed_out_with_its_index_at_its_labels_size():
    net, dataset, seen = pointwise(), Images((8, 12), (5, 7)), {}
    evaluate(net, dataset, scales=(0.5,), on_prediction=lambda index, prediction: seen.update({index: prediction}))
    assert [seen[0].shape, seen[1].shape] == [(8, 12), (5, 7)]
    assert all(prediction.dtype == torch.int64 for prediction in seen.values())
    logits = predict_logits(net, dataset[1][0][None], (5, 7), (0.5,))
    assert torch.equal(seen[1], logits[0].argmax(0))


def test_workers_do_not_change_the_matrix():
    net, dataset = pointwise(), Images((8, 12), (5, 7), (4, 4))
    assert torch.equal(evaluate(net, dataset, workers=1), evaluate(net, dataset))


def share(monkeypatch: pytest.MonkeyPatch, rank: int, world_size: int) -> list[Tensor]:
    """Let ``evaluate`` believe that it is one of several processes; returns the list of what it wants added up."""
    wanted: list[Tensor] = []
    monkeypatch.setattr(module, "rank", lambda: rank)
    monkeypatch.setattr(module, "world_size", lambda: world_size)
    monkeypatch.setattr(module, "add_up", lambda tensor: wanted.append(tensor.clone()) or tensor)
    return wanted


@pytest.mark.parametrize("world_size", range(1, 6))
@pytest.mark.parametrize("number", range(1, 8))
def test_processes_share_the_images_without_a_repetition_and_add_up_to_the_same_matrix(monkeypatch, number, world_size):
    net, dataset, seen = pointwise(), Images(*[(3 + index, 4) for index in range(number)]), {}
    alone = evaluate(net, dataset)
    shares = []
    for rank in range(world_size):
        wanted = share(monkeypatch, rank, world_size)
        evaluate(net, dataset, on_prediction=lambda index, prediction: seen.setdefault(index, []).append(prediction))
        assert len(wanted) == 1  # every process takes part once, also one without an image
        shares += wanted
    assert torch.equal(sum(shares), alone)
    assert sorted(seen) == list(range(number))
    assert [(len(seen[index]), seen[index][0].shape) for index in range(number)] == [
        (1, (3 + index, 4)) for index in range(number)
    ]


def score_together(rank: int, folder: Path, net: nn.Module, dataset: Images) -> Tensor:
    """One process of two. The wrapper sends batch norm's buffers around at every call, which would never end here."""
    meeting = f"file://{folder}/meeting"
    distributed.init_process_group("gloo", meeting, timeout=timedelta(seconds=60), rank=rank, world_size=2)
    try:
        return evaluate(DistributedDataParallel(net), dataset, scales=(0.5, 1.0), flip=True)
    finally:
        distributed.destroy_process_group()


def _the_other_process(_: int, folder: Path, *case) -> None:
    torch.save(score_together(1, folder, *case), folder / "other.pt")


@pytest.mark.slow
def test_two_real_processes_with_three_images_both_get_the_matrix_of_one(tmp_path):
    net = Known(nn.Conv2d(3, 3, 1))
    net.norm = nn.BatchNorm2d(3)
    dataset = Images((8, 12), (5, 7), (9, 3))
    expected = evaluate(net, dataset, scales=(0.5, 1.0), flip=True)
    other = torch.multiprocessing.spawn(_the_other_process, (tmp_path, net, dataset), join=False)
    ours = score_together(0, tmp_path, net, dataset)
    other.join()
    assert torch.equal(ours, expected)
    assert torch.equal(torch.load(tmp_path / "other.pt"), expected)


class StreetImages(Images):
    """The same with many classes, so that maps of logits outweigh everything else."""

    labels = CITYSCAPES


def peak_bytes(dataset: Images, **views) -> int:
    net = Known(nn.Conv2d(3, 19, 1))
    evaluate(net, dataset, **views)  # first calls allocate more than later ones
    return memory(lambda: evaluate(net, dataset, **views), torch.device("cpu"))[1]["peak_bytes"]


def bound(num_classes: int, pixels: int, most: int) -> int:
    """The docstring's formula, with the network's answer for the largest view on top."""
    return 4 * num_classes * pixels + 24 * most + 28 * pixels + 4 * num_classes * most


SIZE, PIXELS = (64, 96), 64 * 96


def test_twelve_views_need_no_more_memory_than_the_largest_of_them():
    dataset, most = StreetImages(SIZE), 112 * 168  # at 1.75
    one = peak_bytes(dataset, scales=(1.75,))
    pair = peak_bytes(dataset, scales=(1.75,), flip=True)
    twelve = peak_bytes(dataset, scales=MS_SCALES, flip=True)
    assert one <= pair <= one + 12 * most  # a second view is made when the sum of logits is there already
    assert twelve <= pair + 2**10
    assert one >= 4 * 19 * (PIXELS + most)  # the instrument sees the sum and the network's answer
    assert twelve <= bound(19, PIXELS, most)


@pytest.mark.parametrize(
    "views",
    [
        {},
        {"scales": MS_SCALES, "flip": True},
        {"scales": (0.5, 1.0), "window": (32, 48)},
        {"scales": (0.5, 1.0), "average": "probabilities"},
    ],
)
def test_memory_does_not_grow_with_the_images_and_stays_within_the_docstrings_bound(views):
    most = round(PIXELS * max(*views.get("scales", (1.0,)), 1.0) ** 2)
    limit = bound(19, PIXELS, most)
    if "window" in views:
        limit += 4 * (19 + 1) * most
    if "average" in views:
        limit += 4 * 19 * PIXELS + 8 * PIXELS
    one, six = (peak_bytes(StreetImages(*[SIZE] * number), **views) for number in (1, 6))
    assert one <= limit
    assert six <= one + 20 * PIXELS + 2**10  # the loader makes the next pair while the last is still there
    assert six <= limit


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (33, 47)])
def test_odd_and_tiny_images_are_scored_by_our_network_with_every_pixel_counted(size):
    net, dataset = SpaceMeshLab(3, "resnet18", rates=(1, 2), depth=4), Images(size)
    dataset.items[0][1].fill_(1)
    for views in ({}, {"scales": (0.5, 1.25), "flip": True, "multiple": 16}, {"window": (16, 32)}):
        confusion = evaluate(net, dataset, **views)
        assert confusion[1].sum() == confusion.sum() == size[0] * size[1]


def test_a_network_with_more_classes_than_the_data_set_is_refused_and_one_with_fewer_is_not():
    with pytest.raises(UserError, match="at most the data set's 3 classes, found 4: score it on the data set"):
        evaluate(Known(nn.Conv2d(3, 4, 1)), Images((4, 4)))
    confusion = evaluate(Known(nn.Conv2d(3, 2, 1)), Images((40, 40)))
    assert confusion.shape == (3, 3)
    assert confusion[2].sum() > confusion[:, 2].sum() == 0


def test_the_options_reach_the_views_and_the_loader():
    net = pointwise()
    with pytest.raises(UserError, match="average must be one of"):
        evaluate(net, Images((4, 4)), average="votes")
    evaluate(net, Images((37, 50)), multiple=16)
    assert net.sizes == [(32, 48)]


def test_all_void_images_count_nothing_and_summarise_to_null():
    dataset = Images((4, 4), (5, 7))
    for _, target in dataset.items:
        target.fill_(IGNORE_INDEX)
    confusion = evaluate(pointwise(), dataset)
    assert confusion.sum() == 0
    assert summarise(confusion, LABELS)["miou"] is None


def test_the_protocol_scores_at_the_recipes_scale_and_ms_flip_around_it():
    recipe = get_recipe("toycity", ["scale=0.5", "test_multiple=16"])
    assert protocol(recipe, tta=False) == {"scales": (0.5,), "flip": False, "multiple": 16}
    six = (0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
    assert protocol(recipe, tta=True) == {"scales": six, "flip": True, "multiple": 16}


@pytest.mark.parametrize(
    ("views", "words"),
    [
        ({}, "val, whole image, scale 1, logits"),
        (
            {"scales": MS_SCALES, "flip": True},
            "val, whole image, scales 0.5 0.75 1 1.25 1.5 1.75 + flip, logits averaged",
        ),
        (
            {"window": (768, 512), "multiple": 16, "average": "probabilities"},
            "val, windows of 768x512, scale 1, sides multiples of 16, probabilities averaged",
        ),
        ({"flip": True}, "val, whole image, scale 1 + flip, logits averaged"),
        (protocol(get_recipe("toycity", ["scale=0.5"]), tta=False), "val, whole image, scale 0.5, logits"),
    ],
)
def test_a_protocol_in_words(views, words):
    assert describe("val", **views) == words


def test_every_keyword_of_the_views_changes_the_words():
    one = {"scales": (0.5,), "flip": True, "window": (16, 16), "multiple": 2, "average": "probabilities"}
    assert set(one) == set(signature(predict_logits).parameters) - {"net", "images", "size"}
    assert set(one) <= set(signature(evaluate).parameters)
    found = {describe("val"), describe("test"), *(describe("val", **{name: value}) for name, value in one.items())}
    assert len(found) == 7


def test_a_summary_is_json_with_names_and_null_for_what_is_undefined():
    confusion = torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    assert summarise(confusion, LABELS) == {
        "miou": (3 / 4 + 4 / 5) / 2,
        "iou": {"a": 3 / 4, "b": 4 / 5, "c": None},
        "category_miou": None,
        "category_iou": None,
        "pixel_accuracy": 7 / 8,
    }
    grouped = replace(LABELS, categories=("x", "x", "y"))
    assert summarise(confusion, grouped)["category_iou"] == {"x": 1.0, "y": None}
    assert summarise(confusion, grouped)["category_miou"] == 1.0
    nothing = summarise(torch.zeros(3, 3, dtype=torch.int64), grouped)
    assert json.loads(json.dumps(nothing, allow_nan=False)) == {
        "miou": None,
        "iou": {"a": None, "b": None, "c": None},
        "category_miou": None,
        "category_iou": {"x": None, "y": None},
        "pixel_accuracy": None,
    }


def test_a_network_of_fewer_classes_than_the_data_set_gets_the_score_of_both_conventions():
    wide = replace(LABELS, classes=(*LABELS.classes, "background"), file_values=(0, 1, 2, 3))
    confusion = torch.tensor([[3, 1, 0, 0], [0, 4, 0, 0], [0, 0, 2, 0], [5, 0, 1, 0]])
    found = summarise(confusion, LABELS, wide)
    assert found["miou"] == (3 / 4 + 4 / 5 + 1) / 3  # the background's row is left out
    assert found["iou"] == {"a": 3 / 4, "b": 4 / 5, "c": 1.0}
    assert found["pixel_accuracy"] == 9 / 10
    assert found["miou_4"] == (3 / 9 + 4 / 5 + 2 / 3 + 0) / 4
    assert "over 3 classes" in found["note"]
    assert "miou_4 also counts background, which this network never predicts" in found["note"]
    assert not {"note", "miou_4"} & set(summarise(confusion, wide, wide))
    assert not {"note", "miou_3"} & set(summarise(confusion[:3, :3], LABELS))


def test_the_table_has_a_line_a_class_and_a_dash_for_what_is_undefined():
    grouped = replace(LABELS, categories=("x", "x", "y"))
    lines = table(summarise(torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]]), grouped)).splitlines()
    assert [line.split() for line in lines] == [
        ["a", "0.7500"],
        ["b", "0.8000"],
        ["c", "–"],
        ["miou", "0.7750"],
        [],
        ["x", "1.0000"],
        ["y", "–"],
        ["category_miou", "1.0000"],
        [],
        ["pixel_accuracy", "0.8750"],
    ]
    wide = replace(LABELS, classes=("a", "b", "c", "d"))
    assert ["miou_4", "–"] in [
        line.split() for line in table(summarise(torch.zeros(4, 4, dtype=torch.int64), LABELS, wide)).splitlines()
    ]

"""Scoring a set: against a loop, with networks whose answers are known, at several scales and in windows."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from spacemeshlab import SpaceMeshLab
from spacemeshlab.data.labels import IGNORE_INDEX, LabelSet
from spacemeshlab.evaluate import MS_SCALES, _positions, evaluate, predict_logits, protocol, summarise
from spacemeshlab.recipe import get_recipe

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


class Known(nn.Module):
    """A network that answers with ``function(images)``; notes the sizes that it was asked for."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function, self.sizes = function, []
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        self.sizes.append(tuple(images.shape[-2:]))
        return {"out": self.function(images)}


def pointwise() -> Known:
    """Logits of a pixel depend on this pixel alone."""
    return Known(nn.Conv2d(3, 3, 1))


def ramp(images: Tensor) -> Tensor:
    """One channel: the column's number, whatever the image."""
    n, _, height, width = images.shape
    return torch.arange(float(width)).expand(n, 1, height, width)


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


def test_views_average_logits_and_not_probabilities():
    def sure_when_small(images: Tensor) -> Tensor:
        small = images.shape[-1] == 4
        return images.new_tensor([20.0, 0.0] if small else [0.0, 4.0])[None, :, None, None].expand(-1, -1, 4, 4)

    logits = predict_logits(Known(sure_when_small), torch.zeros(1, 3, 4, 4), (4, 4), scales=(1.0, 2.0, 3.0))
    assert logits[0, :, 0, 0].tolist() == pytest.approx([20 / 3, 8 / 3])  # probabilities would favour the second class


def test_a_flipped_view_is_flipped_back_before_it_is_averaged():
    logits = predict_logits(Known(ramp), torch.zeros(1, 3, 2, 5), (2, 5), flip=True)
    assert torch.equal(logits, torch.full((1, 1, 2, 5), 2.0))  # (0 1 2 3 4) + (4 3 2 1 0), halved


def test_a_flipped_view_shows_the_mirrored_image():
    images = torch.randn(1, 3, 4, 6)
    net = Known(lambda view: view[:, :1] * torch.arange(6.0))
    logits = predict_logits(net, images, (4, 6), flip=True)
    assert torch.allclose(logits, images[:, :1] * 2.5)  # weights 0..5 and 5..0 of the same pixel


def test_scaled_views_are_resized_there_and_their_logits_back():
    net, images = pointwise(), torch.randn(1, 3, 8, 12)
    expected = torch.zeros(1, 3, 8, 12)
    for scale in (0.5, 1.0, 1.75):
        for axes in ((), (-1,)):
            size = (round(8 * scale), round(12 * scale))
            view = F.interpolate(images.flip(axes), size=size, mode="bilinear", antialias=True)
            logits = F.interpolate(net(view)["out"], size=(8, 12), mode="bilinear")
            expected += logits.flip(axes) / 6
    found = predict_logits(net, images, (8, 12), scales=(0.5, 1.0, 1.75), flip=True)
    assert torch.allclose(found, expected, atol=1e-6)
    assert set(net.sizes) == {(4, 6), (8, 12), (14, 21)}


def test_the_images_are_not_changed_and_tiny_scales_keep_a_pixel():
    net, images = pointwise(), torch.randn(1, 3, 4, 4)
    before = images.clone()
    assert predict_logits(net, images, (4, 4), scales=(1.0, 1.0, 0.01), flip=True).shape == (1, 3, 4, 4)
    assert torch.equal(images, before)
    assert net.sizes[-1] == (1, 1)


def test_no_scale_at_all_is_refused():
    with pytest.raises(ValueError, match="at least one scale, got none"):
        predict_logits(pointwise(), torch.zeros(1, 3, 4, 4), (4, 4), scales=())


@pytest.mark.parametrize("window", [(4, 5), (3, 20), (20, 4), (1, 1), (8, 11)])
def test_windows_give_what_the_whole_image_gives_if_a_pixel_sees_only_itself(window):
    net, images = pointwise(), torch.randn(1, 3, 8, 11)
    whole = net(images)["out"]
    assert torch.allclose(predict_logits(net, images, (8, 11), window=window), whole, atol=1e-6)
    assert {size for size in net.sizes[1:]} == {(min(8, window[0]), min(11, window[1]))}


def test_a_place_that_two_windows_see_gets_the_mean_of_their_logits():
    logits = predict_logits(Known(ramp), torch.zeros(1, 3, 1, 5), (1, 5), window=(1, 3))
    assert logits.flatten().tolist() == [0, 1, (2 + 0) / 2, 1, 2]  # windows at columns 0..2 and 2..4


@pytest.mark.parametrize("part", [1, 2, 3, 7, 16, 40])
def test_windows_cover_an_axis_without_a_gap_and_overlap_by_about_a_third(part):
    for size in range(1, 41):
        windows = list(_positions(size, part))
        assert sorted({at for one in windows for at in range(size)[one]}) == list(range(size))
        assert {one.stop - one.start for one in windows} == {min(part, size)}
        assert (windows[0].start, windows[-1].stop) == (0, size)
        strides = [b.start - a.start for a, b in pairwise(windows)]
        assert all(0 < stride <= max(1, part * 2 // 3) for stride in strides)


def test_the_protocol_scores_at_the_recipes_scale_and_ms_flip_around_it():
    recipe = get_recipe("toycity", ["scale=0.5"])
    assert protocol(recipe, tta=False) == {"scales": (0.5,), "flip": False}
    assert protocol(recipe, tta=True) == {"scales": (0.25, 0.375, 0.5, 0.625, 0.75, 0.875), "flip": True}
    assert MS_SCALES == (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


def test_a_summary_is_json_with_names_and_null_for_what_is_undefined():
    confusion = torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    summary = summarise(confusion, LABELS.classes)
    assert summary == {"miou": (3 / 4 + 4 / 5) / 2, "iou": {"a": 3 / 4, "b": 4 / 5, "c": None}, "pixel_accuracy": 7 / 8}
    nothing = summarise(torch.zeros(3, 3, dtype=torch.int64), LABELS.classes)
    assert json.loads(json.dumps(nothing, allow_nan=False)) == {
        "miou": None,
        "iou": {"a": None, "b": None, "c": None},
        "pixel_accuracy": None,
    }

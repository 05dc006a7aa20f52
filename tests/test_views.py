"""Looking at a picture several times: with networks whose answers are known, at several scales and in windows."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spacemeshlab import SpaceMeshLab
from spacemeshlab.errors import UserError
from spacemeshlab.views import MS_SCALES, _positions, predict_logits


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


def sure_when_small(images: Tensor) -> Tensor:
    """At the first size sure of one class; at all others less sure of the other."""
    logits = [20.0, 0.0] if images.shape[-1] == 4 else [0.0, 4.0]
    return images.new_tensor(logits)[None, :, None, None].expand(-1, -1, 4, 4)


def test_views_average_logits_unless_probabilities_are_asked_for_which_choose_another_class():
    views = {"images": torch.zeros(1, 3, 4, 4), "size": (4, 4), "scales": (1.0, 2.0, 3.0)}
    logits = predict_logits(Known(sure_when_small), **views)
    assert logits[0, :, 0, 0].tolist() == pytest.approx([20 / 3, 8 / 3])
    probabilities = predict_logits(Known(sure_when_small), **views, average="probabilities")
    sure, less = 1 / (1 + math.exp(-20)), 1 / (1 + math.exp(-4))
    assert probabilities[0, :, 0, 0].tolist() == pytest.approx([(sure + 2 * (1 - less)) / 3, (1 - sure + 2 * less) / 3])
    assert logits.argmax(1).unique().item() == 0
    assert probabilities.argmax(1).unique().item() == 1


def test_probabilities_are_each_views_softmax_after_resizing_and_flipping_back():
    net, images = pointwise(), torch.randn(2, 3, 6, 8) * 30  # logits that overflow a naive exponential
    expected = torch.zeros(2, 3, 6, 8)
    for scale in (0.5, 1.5):
        for axes in ((), (-1,)):
            size = (round(6 * scale), round(8 * scale))
            view = F.interpolate(images.flip(axes), size=size, mode="bilinear", antialias=True)
            logits = F.interpolate(net(view)["out"] * 100, size=(6, 8), mode="bilinear")
            expected += logits.softmax(1).flip(axes) / 4
    loud = Known(lambda view: net.function(view) * 100)
    found = predict_logits(loud, images, (6, 8), (0.5, 1.5), True, average="probabilities")
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(found.sum(1), torch.ones(2, 6, 8))


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


@pytest.mark.parametrize(
    ("size", "scale", "multiple", "expected"),
    [
        ((375, 500), 1.0, 16, (368, 496)),  # the paper's rule for Pascal-Context: floor(H / 16) * 16
        ((375, 500), 0.5, 16, (176, 240)),  # 187.5 x 250
        ((375, 500), 1.75, 16, (656, 864)),  # 656.25 x 875
        ((1600, 320), 0.29, 16, (464, 80)),  # 0.29 * 1600 is 463.99999999999994 in floating point; 92.8
        ((15, 500), 1.0, 16, (16, 496)),  # at least one multiple
        ((375, 500), 0.5, 1, (188, 250)),  # whole pixels, as in training
        ((1, 1), 0.5, 1, (1, 1)),
    ],
)
def test_sides_are_rounded_down_to_multiples_and_the_logits_come_back_at_the_labels_size(
    size, scale, multiple, expected
):
    net = pointwise()
    logits = predict_logits(net, torch.zeros(1, 3, *size), size, (scale,), multiple=multiple)
    assert net.sizes == [expected]
    assert logits.shape == (1, 3, *size)


def test_a_multiple_resizes_the_image_and_does_not_crop_it():
    logits = predict_logits(Known(lambda view: view[:, :1]), torch.ones(1, 3, 17, 19), (17, 19), multiple=16)
    assert torch.allclose(logits, torch.ones(1, 1, 17, 19))
    image = torch.zeros(1, 3, 17, 19)
    image[..., 16, :] = 1.0  # what a crop to 16 rows would not see
    logits = predict_logits(Known(lambda view: view[:, :1]), image, (17, 19), multiple=16)
    assert logits[..., 16, :].min() > 0.5


def test_logits_of_lower_precision_are_added_up_in_float32():
    def one_in_many(images: Tensor) -> Tensor:
        return torch.full((1, 1, *images.shape[-2:]), 1.0 + 2**-7, dtype=torch.bfloat16)

    for views in ({"scales": (1.0,) * 5}, {"window": (2, 2)}):
        logits = predict_logits(Known(one_in_many), torch.zeros(1, 3, 5, 5), (5, 5), **views)
        assert logits.dtype == torch.float32
        assert torch.equal(logits, torch.full((1, 1, 5, 5), 1.0 + 2**-7))


@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_what_the_network_keeps_of_its_answer_is_not_written_to(average):
    kept = torch.randn(1, 3, 4, 4)
    before = kept.clone()
    predict_logits(Known(lambda _: kept), torch.zeros(1, 3, 4, 4), (4, 4), flip=True, average=average)
    predict_logits(Known(lambda _: kept[..., :2, :2]), torch.zeros(1, 3, 4, 4), (4, 4), window=(2, 2))
    assert torch.equal(kept, before)


@pytest.mark.parametrize("size", [(1, 1), (1, 37), (33, 47)])
def test_our_network_takes_every_size_whole_or_in_windows(size):
    net = SpaceMeshLab(3, "resnet18", rates=(1, 2), depth=4).eval()
    for views in ({}, {"window": (16, 32)}, {"scales": (0.5, 1.5), "flip": True, "multiple": 16}):
        with torch.inference_mode():
            logits = predict_logits(net, torch.randn(1, 3, *size), size, **views)
        assert logits.shape == (1, 3, *size)
        assert logits.isfinite().all()


def test_the_images_are_not_changed_and_tiny_scales_keep_a_pixel():
    net, images = pointwise(), torch.randn(1, 3, 4, 4)
    before = images.clone()
    assert predict_logits(net, images, (4, 4), scales=(1.0, 1.0, 0.01), flip=True).shape == (1, 3, 4, 4)
    assert torch.equal(images, before)
    assert net.sizes[-1] == (1, 1)


@pytest.mark.parametrize(
    ("views", "message"),
    [
        ({"scales": ()}, r"at least one scale, all above 0, got \(\)"),
        ({"scales": (1.0, 0.0)}, r"at least one scale, all above 0, got \(1.0, 0.0\)"),
        ({"window": (0, 4)}, r"both at least 1, got \(0, 4\)"),
        ({"multiple": 0}, "multiple must be at least 1, got 0"),
        ({"average": "votes"}, "one of logits, probabilities, got 'votes'"),
    ],
)
def test_views_that_do_not_exist_are_refused_before_the_network_is_asked(views, message):
    net = pointwise()
    with pytest.raises(UserError, match=message):
        predict_logits(net, torch.zeros(1, 3, 4, 4), (4, 4), **views)
    assert net.sizes == []


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


@pytest.mark.parametrize("window", [(4, 5), (8, 12), (100, 3)])
def test_a_window_slides_over_every_view_at_its_own_size(window):
    net = pointwise()
    predict_logits(net, torch.zeros(1, 3, 8, 12), (8, 12), scales=(0.5, 2.0), window=window)
    views = [(4, 6), (16, 24)]
    expected = {tuple(min(side, part) for side, part in zip(view, window, strict=True)) for view in views}
    assert set(net.sizes) == expected


def test_the_papers_scales():
    assert MS_SCALES == (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)

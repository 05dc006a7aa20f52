"""The checks of averaged views: the package passes them, and common mistakes are named."""

import pytest
import torch
import torch.nn.functional as F

from spacemeshlab.models.layers import resize
from spacemeshlab.testing import check_flip_average, check_multi_scale
from spacemeshlab.testing.decoder import naive_resize
from spacemeshlab.testing.evaluation import naive_flip_average, naive_multi_scale
from spacemeshlab.views import predict_logits


def package_flip(net, images):
    size = net(images).shape[-2:]
    return predict_logits(lambda x: {"out": net(x)}, images, size, flip=True)


def package_scales(net, images, scales):
    """The package's, for views that are no smaller than the images: it filters before it shrinks."""
    return predict_logits(lambda x: {"out": net(x)}, images, images.shape[-2:], scales)


def plain_scales(net, images, scales):
    views = [net(resize(images, [round(scale * side) for side in images.shape[-2:]])) for scale in scales]
    return torch.stack([resize(logits, images.shape[-2:]) for logits in views]).mean(0)


def test_the_packages_flip_passes():
    for seed in range(3):
        check_flip_average(package_flip, seed=seed)
        check_flip_average(package_flip, shape=(3, 2, 5, 5), seed=seed)
        check_flip_average(package_flip, shape=(2, 1, 6, 7), stride=2, seed=seed)


def test_the_packages_scales_pass():
    for seed in range(3):
        check_multi_scale(package_scales, scales=(1.0, 1.5), seed=seed)
        check_multi_scale(package_scales, shape=(2, 3, 7, 11), scales=[1.25, 2.0], stride=2, seed=seed)
        check_multi_scale(plain_scales, seed=seed)
        check_multi_scale(plain_scales, shape=(2, 3, 7, 11), scales=[0.75, 1.25, 2.0], seed=seed)


@pytest.mark.parametrize("size", [(5, 7), (10, 14), (3, 20), (1, 1), (8, 4)])
def test_the_naive_resize_is_torchs(size):
    x = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(naive_resize(x, size).float(), F.interpolate(x, size, mode="bilinear"), atol=1e-5)


def test_numbers_computed_by_hand():
    def left_neighbour(x):
        return F.pad(x, (1, 0))[..., :-1]

    strip = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    assert naive_flip_average(left_neighbour, strip).flatten().tolist() == [1, 2, 1]
    pair = torch.tensor([0.0, 4.0]).expand(1, 1, 2, 2)
    assert naive_multi_scale(torch.square, pair, (2.0, 1.0))[0, 0, 0].tolist() == [0.25, 14.25]


def flipped(*dims):
    return lambda net, x: (net(x) + net(x.flip(dims)).flip(dims)) / 2


def one_picture(net, images):
    logits = net(torch.cat([images, images.flip(-1)]))
    return (logits[:1] + logits[1:2].flip(-1)) / 2


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda net, x: (net(x) + net(x.flip(-1))) / 2, "are not mirrored back"),
        (flipped(-2), "here it reverses the rows"),
        (flipped(-2, -1), "half a circle"),
        (flipped(1), "torch.fliplr turns axis 1"),
        (lambda net, x: 2 * package_flip(net, x), "not their mean"),
        (lambda net, x: net(x), "the second view is missing"),
        (lambda net, x: net(x.flip(-1)).flip(-1), "the first view is missing"),
        (lambda net, x: (net(x).softmax(1) + net(x.flip(-1)).flip(-1).softmax(1)) / 2, "no softmax"),
        (lambda net, x: torch.maximum(net(x), net(x.flip(-1)).flip(-1)), "not the larger"),
        (lambda net, x: package_flip(net, x) + 1, "mirror the image, ask the network"),
        (lambda net, x: package_flip(net, x)[..., 1:], r"shape \(1, 3, 4, 6\), found \(1, 3, 4, 5\)"),
        (lambda net, x: package_flip(net, x) * torch.nan, "found nan"),
        (lambda net, x: package_flip(net, x) + 0 * x.zero_()[:, :1], "input 0 unchanged"),
        (lambda net, x: None, "to be a tensor, found NoneType"),
        (lambda net, x: [1], "to be a tensor, found list"),
    ],
)
def test_check_flip_average_names_the_common_mistakes(mistake, message):
    with pytest.raises(AssertionError, match=message):
        check_flip_average(mistake)


def test_check_flip_average_finds_a_batch_of_one_only_in_a_larger_one():
    check_flip_average(one_picture)
    with pytest.raises(AssertionError, match=r"shape \(2, 3, 4, 6\)"):
        check_flip_average(one_picture, shape=(2, 2, 4, 6))


def scaled(there=None, back=None, size=round, after=lambda z: z, exchange=False):
    """A mean over views with one thing changed."""

    def function(net, images, scales):
        views = []
        for scale in scales:
            sides = tuple(size(scale * side) for side in images.shape[-2:])
            view = F.interpolate(images, sides[::-1] if exchange else sides, **(there or {"mode": "bilinear"}))
            views.append(after(F.interpolate(net(view), images.shape[-2:], **(back or {"mode": "bilinear"}))))
        return torch.stack(views).mean(0)

    return function


def chained(net, images, scales):
    view, total = images, 0
    for scale in scales:
        view = resize(view, [round(scale * side) for side in images.shape[-2:]])
        total = total + resize(net(view), images.shape[-2:])
    return total / len(scales)


def by_factor(net, images, scales):
    views = [net(F.interpolate(images, scale_factor=scale, mode="bilinear")) for scale in scales]
    return torch.stack([resize(logits, images.shape[-2:]) for logits in views]).mean(0)


def with_mirrors(net, images, scales):
    return (plain_scales(net, images, scales) + plain_scales(net, images.flip(-1), scales).flip(-1)) / 2


CORNERS, NEAREST = {"mode": "bilinear", "align_corners": True}, {"mode": "nearest"}


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (scaled(CORNERS, CORNERS), "must be False, both times"),
        (scaled(CORNERS), "when the image is resized"),
        (scaled(back=CORNERS), "when the logits are resized back"),
        (scaled(exchange=True), r"size is \(rows, columns\)"),
        (lambda net, x, scales: plain_scales(net, x, [1 / scale for scale in scales]), "here they are divided by s"),
        (chained, "not from the view before it"),
        (scaled(after=lambda z: z.softmax(1)), "no softmax"),
        (lambda net, x, scales: 3 * plain_scales(net, x, scales), "not their mean"),
        (scaled(NEAREST, NEAREST), "not nearest"),
        (scaled(NEAREST), "the image is resized bilinearly"),
        (scaled(back=NEAREST), "the logits are resized bilinearly"),
        (scaled({"mode": "bilinear", "antialias": True}), "without antialias here"),
        (with_mirrors, "the mirror image is no view"),
        (lambda net, x, scales: net(x), "take one scale alone"),
        (lambda net, x, scales: x[..., :1], "shape"),
        (lambda net, x, scales: None, "to be a tensor, found NoneType"),
        (lambda net, x, scales: 0.5, "to be a tensor, found float"),
    ],
)
def test_check_multi_scale_names_the_common_mistakes(mistake, message):
    with pytest.raises(AssertionError, match=message):
        check_multi_scale(mistake)


@pytest.mark.parametrize(("mistake", "message"), [(scaled(size=int), "not down"), (by_factor, "say the size")])
def test_check_multi_scale_finds_wrong_sizes_only_where_they_are_rounded(mistake, message):
    check_multi_scale(mistake)
    with pytest.raises(AssertionError, match=message):
        check_multi_scale(mistake, shape=(2, 3, 7, 11), scales=[0.75, 1.25, 2.0])


def test_check_multi_scale_refuses_scales_that_can_be_rounded_in_two_ways():
    with pytest.raises(ValueError, match=r"sides \[4\.5\] can be rounded in two ways"):
        check_multi_scale(plain_scales, shape=(1, 1, 9, 6), scales=[0.5])

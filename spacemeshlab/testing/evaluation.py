"""Checks of the mean over several views of a picture, flipped and scaled (chapter 14)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spacemeshlab.testing.contracts import check_inputs_unmodified
from spacemeshlab.testing.decoder import naive_resize
from spacemeshlab.testing.mistakes import check_known


def naive_flip_average(net: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """The definition: what ``net`` says of the images and of their mirror images, column by column."""
    mirror = list(reversed(range(images.shape[-1])))
    straight, mirrored = net(images), net(images[..., mirror])
    back = list(reversed(range(mirrored.shape[-1])))
    return (straight + mirrored[..., back]) / 2


def naive_multi_scale(net: Callable[[Tensor], Tensor], images: Tensor, scales: Sequence[float]) -> Tensor:
    """The definition: resize, ask, resize back, and take the mean."""
    size = images.shape[-2:]
    views = []
    for scale in scales:
        view = naive_resize(images, [round(scale * side) for side in size])
        views.append(naive_resize(net(view), size))
    return sum(views) / len(scales)


def _network(channels: int, stride: int, generator: torch.Generator) -> nn.Conv2d:
    """A network with three classes that is neither left nor right handed, nor blind to what is up."""
    net = nn.Conv2d(channels, 3, 3, stride=stride, padding=1).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return net.requires_grad_(False)


def check_flip_average(
    function: Callable[[nn.Module, Tensor], Tensor],
    shape: Sequence[int] = (1, 2, 4, 6),
    stride: int = 1,
    seed: int = 0,
) -> None:
    """``function(net, images)`` is the mean of the logits of the images and of their mirror images, mirrored back.

    Compared with :func:`naive_flip_average` for a random convolution. A failure names the mistake where it is a common
    one.

    Args:
        shape: (N, C, H, W) of the images.
        stride: of the convolution: with 2 its logits have half the images' size.
        seed: of the numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    net, images = _network(shape[1], stride, generator), torch.randn(*shape, generator=generator)
    expected, found = naive_flip_average(net, images), function(net, images.clone())
    otherwise = "mirror the image, ask the network, mirror its answer, then take the mean"
    check_known(found, expected, "the mean of both views", _wrong_flips(net, images), otherwise)
    check_inputs_unmodified(lambda pictures: function(net, pictures), images)


def _wrong_flips(net: nn.Module, images: Tensor) -> dict[str, Tensor]:
    straight = net(images)

    def mean(dims: Sequence[int]) -> Tensor:
        return (straight + net(images.flip(dims)).flip(dims)) / 2

    mirrored = net(images.flip(-1))
    return {
        "the logits of the mirror image are not mirrored back": (straight + mirrored) / 2,
        "the mirror is upright: it reverses the columns (axis 3), here it reverses the rows": mean([-2]),
        "here rows and columns are reversed: that turns the picture by half a circle, a mirror reverses columns":
            mean([-2, -1]),
        "here the channels are reversed: torch.fliplr turns axis 1 around, the columns are axis 3": mean([1]),
        "this is the sum of both views, not their mean": straight + mirrored.flip(-1),
        "the second view is missing": straight,
        "the first view is missing": mirrored.flip(-1),
        "the logits are averaged, not the probabilities: no softmax":
            (straight.softmax(1) + mirrored.flip(-1).softmax(1)) / 2,
        "a mean is asked for, not the larger of both": torch.maximum(straight, mirrored.flip(-1)),
    }  # fmt: skip


def check_multi_scale(
    function: Callable[[nn.Module, Tensor, Sequence[float]], Tensor],
    shape: Sequence[int] = (1, 2, 8, 12),
    scales: Sequence[float] = (0.5, 1.0, 1.5),
    stride: int = 1,
    seed: int = 0,
) -> None:
    """``function(net, images, scales)`` is the mean of the logits of all scaled views, each resized back to H×W.

    Compared with :func:`naive_multi_scale` for a random convolution. A failure names the mistake where it is a common
    one.

    Args:
        shape: (N, C, H, W) of the images.
        scales: of the views; none may make a side of a whole number and a half.
        stride: of the convolution: with 2 its logits have half the view's size.
        seed: of the numbers.
    """
    halves = [scale * side for scale in scales for side in shape[-2:] if (scale * side) % 1 == 0.5]
    if halves:
        raise ValueError(f"sides {halves} can be rounded in two ways: choose other scales or another shape")
    generator = torch.Generator().manual_seed(seed)
    net, images = _network(shape[1], stride, generator), torch.randn(*shape, generator=generator)
    expected, found = naive_multi_scale(net, images, scales), function(net, images.clone(), scales)
    what = f"the mean of the views at scales {', '.join(f'{scale:g}' for scale in scales)}"
    otherwise = "take one scale alone: resize the image, ask the network, resize its logits back"
    check_known(found, expected, what, _wrong_scales(net, images, scales), otherwise)
    check_inputs_unmodified(lambda pictures: function(net, pictures, scales), images)


def _wrong_scales(net: nn.Module, images: Tensor, scales: Sequence[float]) -> dict[str, Tensor]:
    height, width = size = tuple(images.shape[-2:])

    def to(maps: Tensor, new: Sequence[int], **how: Any) -> Tensor:
        return F.interpolate(maps, size=tuple(max(1, side) for side in new), **{"mode": "bilinear", **how})

    def mean(view: Callable[[float], Tensor], back: Callable[[Tensor], Tensor] = lambda z: to(z, size)) -> Tensor:
        return sum(back(net(view(scale))) for scale in scales) / len(scales)

    def sides(scale: float) -> tuple[int, int]:
        return round(scale * height), round(scale * width)

    def corners(maps: Tensor, new: Sequence[int]) -> Tensor:
        return to(maps, new, align_corners=True)

    def chained() -> Tensor:
        total, view = 0, images
        for scale in scales:
            view = to(view, sides(scale))
            total = total + to(net(view), size)
        return total / len(scales)

    usual = mean(lambda scale: to(images, sides(scale)))
    return {
        "align_corners must be False, both times": mean(
            lambda scale: corners(images, sides(scale)), lambda z: corners(z, size)),
        "align_corners must be False when the image is resized": mean(lambda scale: corners(images, sides(scale))),
        "align_corners must be False when the logits are resized back": mean(
            lambda scale: to(images, sides(scale)), lambda z: corners(z, size)),
        "the sides of a view are exchanged: size is (rows, columns)": mean(
            lambda scale: to(images, sides(scale)[::-1])),
        "a view at scale s has s times the rows, here they are divided by s": mean(
            lambda scale: to(images, (round(height / scale), round(width / scale)))),
        "each view is made from the original image, not from the view before it": chained(),
        "the logits are averaged, not the probabilities: no softmax": mean(
            lambda scale: to(images, sides(scale)), lambda z: to(z, size).softmax(1)),
        "this is the sum of the views, not their mean": usual * len(scales),
        "the sides are rounded to the nearest whole number, not down": mean(
            lambda scale: to(images, (int(scale * height), int(scale * width)))),
        "say the size of a view; from scale_factor, interpolate computes another grid": mean(
            lambda scale: F.interpolate(images, scale_factor=scale, mode="bilinear")),
        "bilinear both times, not nearest": mean(
            lambda scale: to(images, sides(scale), mode="nearest"), lambda z: to(z, size, mode="nearest")),
        "the image is resized bilinearly, not to the nearest pixel": mean(
            lambda scale: to(images, sides(scale), mode="nearest")),
        "the logits are resized bilinearly, not to the nearest pixel": mean(
            lambda scale: to(images, sides(scale)), lambda z: to(z, size, mode="nearest")),
        "without antialias here": mean(lambda scale: to(images, sides(scale), antialias=True)),
        "the mirror image is no view of this function": (usual + mean(
            lambda scale: to(images, sides(scale)).flip(-1), lambda z: to(z, size).flip(-1))) / 2,
    }  # fmt: skip

"""Checks of what moves a picture and its labels together: a mirror and a margin (chapter 03)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from spacemeshlab.testing.contracts import check_inputs_unmodified, check_places
from spacemeshlab.testing.labels import VOID, draw_target
from spacemeshlab.testing.mistakes import check_parts, named_mistake


def check_flip_pair(
    function: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    size: tuple[int, int] = (3, 4),
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> None:
    """``function(image, target)`` returns both mirrored left to right, and leaves its arguments as they were.

    Compared with a choice of columns from the last to the first. A failure says which of the two went another way.
    """
    image, target = _draw_pair(size, dtype, seed)
    backwards = list(range(size[1]))[::-1]
    found_image, found_target = _two(function(image.clone(), target.clone()))
    exchanged = isinstance(found_image, Tensor) and found_image.shape == target.shape
    for name, found, picture in (("image", found_image, image), ("target", found_target, target)):
        hint = "return the image first, then the target" if exchanged else _why_another_flip(found, picture)
        what = f"the mirrored {name} of {size[0]}×{size[1]} pixels"
        check_places(found, picture[..., backwards], what=what, hint=hint)
    check_inputs_unmodified(function, image, target)


def _draw_pair(size: tuple[int, int], dtype: torch.dtype, seed: int) -> tuple[Tensor, Tensor]:
    """An image (3, H, W) of ``dtype``, in 0..1 or 0..255, and a target (H, W) of seven classes and void."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(256, (3, *size), generator=generator)
    image = image / 255 if dtype.is_floating_point else image
    return image.to(dtype), draw_target(size, 7, (), generator)


def _two(found: object) -> Sequence[object]:
    """The two results; a failure says what came instead."""
    return check_parts(found, "a pair (image, target)", "end the function in return image, target", parts="results")


def _why_another_flip(found: object, picture: Tensor) -> str:
    """What went wrong with one of the two, (3, H, W) or (H, W)."""
    if isinstance(found, Tensor) and found.dtype != picture.dtype:
        return _KEEP_TYPES
    mistakes = {
        "it is not mirrored; image and target move together or not at all": picture,
        "it is turned by 180 degrees: mirror the columns alone": picture.flip(-2, -1),
        "it stands on its head: mirror the columns; axis 1 is the columns of a target, but the rows of an image":
            picture.flip(-2),
    }  # fmt: skip
    if picture.dim() == 3:
        mistakes["red and blue are exchanged, the columns are not: axis 0 of an image is the colour"] = picture.flip(0)
        mistakes["the columns are mirrored, but red and blue are exchanged as well"] = picture.flip(0, 2)
        mistakes["all axes are reversed: mirror the columns alone"] = picture.flip(0, 1, 2)
    otherwise = "column x becomes column W - 1 - x; the columns are the last axis of both"
    return named_mistake(found, picture.flip(-1), mistakes, otherwise)


_KEEP_TYPES = "image and target keep their types: convert the result back, or build it with the type that came in"


def check_pad_pair(
    function: Callable[[Tensor, Tensor, tuple[int, int], Sequence[float]], tuple[Tensor, Tensor]],
    before: tuple[int, int] = (3, 4),
    size: tuple[int, int] = (5, 7),
    mean: Sequence[float] = (0.5, 0.25, 0.125),
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> None:
    """``function(image, target, size, mean)`` puts both into the upper left corner of a larger map, and cuts nothing.

    The margin is ``mean`` in the image and 255 in the target; an axis of ``before`` that is as long as ``size`` asks,
    or longer, keeps its length. A failure says whether the place, the size or the margin is another.
    """
    image, target = _draw_pair(before, dtype, seed)
    final = max(before[0], size[0]), max(before[1], size[1])
    colour = torch.tensor(mean).to(dtype)[:, None, None]
    found_image, found_target = _two(function(image.clone(), target.clone(), size, mean))
    where = f"{before[0]}×{before[1]} padded to {size[0]}×{size[1]}"
    for name, found, inner, margin, others in (
        ("image", found_image, image, colour, _other_colours(image, colour)),
        ("target", found_target, target, torch.tensor(VOID), _OTHER_VOIDS),
    ):
        hint = _why_other_margins(found, inner, final, size, margin, others)
        check_places(found, _place(inner, final, margin), what=f"the {name} of {where}", hint=hint)
    check_inputs_unmodified(lambda one, other: function(one, other, size, mean), image, target)


_OTHER_VOIDS = {
    "the margin of the target is void, 255; 0 is a class": torch.tensor(0),
    "the margin of the target is void, 255; -1 is what other data sets say": torch.tensor(-1),
}


def _other_colours(image: Tensor, colour: Tensor) -> dict[str, Tensor]:
    """Margins (3, 1, 1) of other colours: by what went wrong."""
    means = {
        "the margin is black; it should have the mean colour": torch.zeros_like(colour),
        "each colour has its own mean: the first is red's, the last blue's": colour.flip(0),
    }
    for k, name in enumerate(("red", "green", "blue")):
        means[f"all three colours have {name}'s mean: give each its own"] = colour[k].expand_as(colour)
    if image.is_floating_point():
        means["all three colours have one and the same number: give each its own mean"] = colour.mean().expand(3, 1, 1)
        own = image.mean((1, 2), keepdim=True)
        means["the margin has this image's mean; it should be the one that is handed over"] = own
    return means


def _place(picture: Tensor, size: tuple[int, int], margin: Tensor, top: int = 0, left: int = 0) -> Tensor:
    """``picture`` (..., H, W) at a place of a map (..., *size) full of ``margin``."""
    height, width = picture.shape[-2:]
    out = picture.new_zeros((*picture.shape[:-2], *size)) + margin.to(picture.dtype)
    out[..., top : top + height, left : left + width] = picture
    return out


def _why_other_margins(
    found: object, picture: Tensor, final: tuple[int, int], size: tuple[int, int], margin: Tensor, others: Mapping
) -> str:
    height, width = picture.shape[-2:]
    if isinstance(found, Tensor) and found.dtype != picture.dtype:
        return _KEEP_TYPES
    if isinstance(found, Tensor) and found.shape[-2:] != final:
        if final != tuple(size) and tuple(found.shape[-2:]) == tuple(size):
            return "padding never cuts: an axis that is longer already keeps its length"
        if tuple(found.shape[-2:]) == tuple(size)[::-1]:
            return "size is (rows, columns); here they are exchanged"
        return "size is (rows, columns) of the result; an axis that is longer already keeps its length"
    below, right = final[0] - height, final[1] - width
    corners = {(below, right): "bottom and right", (0, right): "right", (below, 0): "bottom"}
    corners[below // 2, right // 2] = "middle"
    mistakes = {hint: _place(picture, final, other) for hint, other in others.items()}
    for (top, left), words in corners.items():
        if top or left:
            mistakes[
                f"it lies at the {words}: pad at the right and at the bottom, so that it stays at the top left"
            ] = _place(picture, final, margin, top, left)
    otherwise = "the upper left corner is the picture itself, everything else is margin"
    return named_mistake(found, _place(picture, final, margin), mistakes, otherwise)

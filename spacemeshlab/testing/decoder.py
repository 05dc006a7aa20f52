"""Checks of the decoder: an image that fits, what meets, what it costs, and back to the image's size (chapter 11)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from spacemeshlab.testing.contracts import check_refuses, check_same, check_unchanged, fail
from spacemeshlab.testing.mistakes import check_known, check_parts, check_whole, keep_type, named_mistake
from spacemeshlab.testing.spam import naive_feature_to_memo, naive_memo_to_feature

PAPER_DECODER = (1296, 8, 19, 256)
"""Channels of context and memo, classes, and width of the decoder for ResNet-101 on Cityscapes."""


def naive_resize(logits: Tensor, size: Sequence[int]) -> Tensor:
    """The definition, first the rows, then the columns: pixel i of L looks at place (i + ½)·l/L − ½ of l.

    Between two middles a straight line; outside the first and the last one, their values.

    Shape: (N, K, h, w) -> (N, K, *size).
    """
    dtype, logits = logits.dtype, logits.double()
    for axis, length in zip((-2, -1), size, strict=True):
        old = logits.shape[axis]
        place = ((torch.arange(length).double() + 0.5) * old / length - 0.5).clamp(0, old - 1)
        low = place.long()
        share = (place - low).view(-1, 1) if axis == -2 else place - low
        before, after = (logits.index_select(axis, at) for at in (low, (low + 1).clamp(max=old - 1)))
        logits = before + share * (after - before)
    return logits.to(dtype)


def naive_decoder_parameters(context_channels: int, memo_channels: int, num_classes: int, width: int) -> int:
    """The definition: two 3×3 convolutions without bias, batch norm with two numbers a channel, 1×1 with bias."""
    channels = context_channels // 16 + 16 * memo_channels
    return 9 * channels * width + 2 * width + 9 * width * width + 2 * width + (width + 1) * num_classes


def check_pad_to_stride(
    pad_to_stride: Callable[[Tensor, int], tuple[Tensor, tuple[int, int]]],
    shape: Sequence[int] = (1, 3, 18, 21),
    multiple: int = 16,
    seed: int = 0,
) -> None:
    """``pad_to_stride(image, multiple)`` adds zeros at the right and the bottom, as few as possible.

    It returns the padded image and the size (rows, columns) from before. A failure says whether the size, the image's
    place, the zeros or the size from before is off, and how a common mistake comes about.
    """
    image = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    before, (height, width) = image.clone(), shape[-2:]
    expected = _placed(before, (0, -width % multiple, 0, -height % multiple))
    found = pad_to_stride(image, multiple)
    padded, size = check_parts(found, "the result to be a pair (padded image, (rows, columns))")
    what = f"an image {tuple(shape)}, padded to multiples of {multiple},"
    check_same(padded, expected, what=what, hint=_wrong_padding(padded, before, multiple))
    pair = check_parts(size, "the size from before to be a pair (rows, columns)")
    rows, columns = (check_whole(number, "each number of the size from before") for number in pair)
    if (rows, columns) != (height, width):
        hint = "rows first, then columns" if (columns, rows) == (height, width) else "read it before you pad"
        fail(f"the size from before to be {(height, width)}", f"{(rows, columns)}", hint)
    check_unchanged(image, before, "the image that came in to stay as it was")


def check_decoder_input(
    decoder_input: Callable[[Tensor, Tensor], Tensor],
    context_shape: Sequence[int] = (1, 16, 1, 2),
    memo_channels: int = 1,
    seed: int = 0,
) -> None:
    """``decoder_input(context, memo)`` shuffles the context up by 4 and the memo down by 4, and joins them.

    The memo has 16 times the context's rows and columns. A failure names the half that is off; the hint names the other
    order, an interpolated context, a memo that was reduced, or channels in other groups.
    """
    generator, (batch, channels, rows, columns) = torch.Generator().manual_seed(seed), context_shape
    context = torch.randn(*context_shape, generator=generator)
    memo = torch.randn(batch, memo_channels, 16 * rows, 16 * columns, generator=generator)
    before = context.clone(), memo.clone()
    up, down = naive_feature_to_memo(context, 1), naive_memo_to_feature(memo, 1)
    expected, half = torch.cat((up, down), 1), channels // 16
    found = decoder_input(context, memo)
    what = f"the decoder's input of a context {tuple(context_shape)} and a memo {tuple(memo.shape)}"
    joined = _wrong_joins(*before, up, down)
    if not isinstance(found, Tensor) or found.shape != expected.shape:
        check_known(found, expected, what, joined, "both halves have the size H/4 × W/4")
    for name, want, got, mistakes in (
        ("the context's half", up, found[:, :half], _wrong_ways_up(before[0])),
        ("the memo's half", down, found[:, half:], _wrong_ways_down(before[1])),
    ):
        otherwise = "channel 16c + 4u + v and row u, column v of channel c's patch belong together"
        otherwise = named_mistake(got, want, mistakes, keep_type(got, want, otherwise))
        hint = named_mistake(found, expected, joined, otherwise)
        check_same(got, want, what=f"{name} in {what}", hint=hint)
    check_unchanged(context, before[0], "the context to stay as it was")
    check_unchanged(memo, before[1], "the memo to stay as it was")


def check_decoder_parameters(
    decoder_parameters: Callable[[int, int, int, int], int],
    cases: Sequence[tuple[int, int, int, int]] = (PAPER_DECODER,),
    refused: Sequence[tuple[int, int, int, int]] = (),
) -> None:
    """``decoder_parameters(context_channels, memo_channels, num_classes, width)`` counts what the head can learn.

    For the cases in ``refused``, with a context that no shuffle by 4 can take, it must raise ValueError. A failure says
    how far off the number is and, where one common mistake explains the difference, which.
    """
    for case in cases:
        what, want = f"the parameters of a head for {case}", naive_decoder_parameters(*case)
        found = check_whole(decoder_parameters(*case), what)
        if found != want:
            fail(f"{what} to be {want}", f"{found} ({found - want:+d})", _wrong_count(found, *case))
    for case in refused:
        hint = f"{case[0]} is no multiple of 16: the shuffle would have to cut a channel"
        check_refuses(partial(decoder_parameters, *case), f"a ValueError for a context of {case[0]} channels", hint)


def check_resize_logits(
    resize_logits: Callable[[Tensor, tuple[int, int]], Tensor],
    shape: Sequence[int] = (1, 2, 3, 3),
    size: tuple[int, int] = (12, 12),
    seed: int = 0,
) -> None:
    """``resize_logits(logits, size)`` is bilinear with ``align_corners=False``, to ``size`` = (rows, columns).

    Compared with :func:`naive_resize`. A failure names the other way of enlarging if it is a common one.
    """
    logits = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    before, expected = logits.clone(), naive_resize(logits, size)
    found = resize_logits(logits, tuple(size))
    what = f"logits {tuple(shape)} at size {tuple(size)}"
    mistakes = {
        "size is (rows, columns); here they are exchanged": naive_resize(before, size[::-1]),
        "go to the size that is asked for, not to four times the old one":
            naive_resize(before, tuple(4 * n for n in shape[-2:])),
        "this is the nearest logit; bilinear draws straight lines between the middles":
            F.interpolate(before, size=size),
        "this is align_corners=True, which puts the first logit on pixel 0 and the last on the last pixel":
            F.interpolate(before, size=size, mode="bilinear", align_corners=True),
    }  # fmt: skip
    hint = keep_type(found, expected, "pixel i of L looks at place (i + 1/2)·l/L - 1/2 of l logits")
    check_known(found, expected, what, mistakes, hint)
    check_unchanged(logits, before, "the logits that came in to stay as it was")


def _placed(image: Tensor, border: tuple[int, int, int, int]) -> Tensor:
    """Zeros around the image: left, right, top, bottom."""
    left, right, top, bottom = border
    n, c, height, width = image.shape
    padded = image.new_zeros(n, c, top + height + bottom, left + width + right)
    padded[..., top : top + height, left : left + width] = image
    return padded


def _wrong_padding(found: object, image: Tensor, multiple: int) -> str:
    """The common mistake behind ``found``, in words."""
    height, width = image.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    full = tuple(multiple - n % multiple for n in (height, width))
    hints = {
        "zeros at the left and the top move every pixel; put them at the right and the bottom":
            _placed(image, (right, 0, bottom, 0)),
        "the zeros are on all sides; put them at the right and the bottom only":
            _placed(image, (right // 2, right - right // 2, bottom // 2, bottom - bottom // 2)),
        "each amount was added on both sides; put the zeros at the right and the bottom only":
            _placed(image, (right, right, bottom, bottom)),
        "the amounts for rows and columns are exchanged: F.pad's list begins with the last axis, the columns":
            _placed(image, (0, bottom, 0, right)),
        "an axis that is a multiple already needs nothing: what is multiple - n % multiple then?":
            _placed(image, (0, full[1], 0, full[0])),
        "pixels were cut away: go up to the next multiple":
            image[..., : height // multiple * multiple, : width // multiple * multiple],
    }  # fmt: skip
    expected = _placed(image, (0, right, 0, bottom))
    otherwise = "each axis for itself: how many rows are missing to the next multiple, how many columns?"
    if isinstance(found, Tensor) and found.shape == expected.shape:
        kept = torch.equal(found[..., :height, :width].to(image.dtype), image)
        otherwise = "the new places must hold zeros" if kept else "the image's own pixels must not change"
    return named_mistake(found, expected, hints, keep_type(found, expected, otherwise))


EXCHANGED = "rows and columns of the patch are exchanged"


def _wrong_joins(context: Tensor, memo: Tensor, up: Tensor, down: Tensor) -> dict[str, Tensor]:
    mean = down.unflatten(1, (-1, 16)).mean(2)  # (N, 16m, H/4, W/4) -> (N, m, H/4, W/4)
    return {
        "the context comes first, then the memo": torch.cat((down, up), 1),
        "the memo keeps its numbers: 16 channels a memo channel, not their mean": torch.cat((up, mean), 1),
        "the memo keeps its numbers: 16 channels a memo channel, not one of them":
            torch.cat((up, memo[..., ::4, ::4]), 1),
        "the context is rearranged, not enlarged: a shuffle by 4 divides its channels by 16":
            torch.cat((naive_resize(context, up.shape[-2:]), down), 1),
    }  # fmt: skip


def _wrong_ways_up(context: Tensor) -> dict[str, Tensor]:
    far = context.unflatten(1, (16, -1)).transpose(1, 2).flatten(1, 2)  # channel (4u + v)·c + k, for channel k of c
    return {
        "right numbers, other groups: 16 neighbours of the context make one patch": naive_feature_to_memo(far, 1),
        EXCHANGED: naive_feature_to_memo(context.mT, 1).mT,
    }


def _wrong_ways_down(memo: Tensor) -> dict[str, Tensor]:
    phases = naive_memo_to_feature(memo, 1).unflatten(1, (-1, 16))  # (N, m, 16, H/4, W/4)
    return {
        "right numbers, other groups: the 16 phases of one memo channel are neighbours":
            phases.transpose(1, 2).flatten(1, 2),
        "this is the mean of each patch; all of its 16 numbers are wanted":
            phases.mean(2).repeat_interleave(16, dim=1),
        EXCHANGED: naive_memo_to_feature(memo.mT, 1).mT,
    }  # fmt: skip


def _wrong_count(found: int, context_channels: int, memo_channels: int, num_classes: int, width: int) -> str:
    right = naive_decoder_parameters(context_channels, memo_channels, num_classes, width)
    channels = context_channels // 16 + 16 * memo_channels
    mistakes = {
        "a convolution in front of batch norm has no bias": 2 * width,
        "batch norm learns two numbers a channel, scale and shift": -4 * width,
        "batch norm learns a scale and a shift: two numbers a channel": -2 * width,
        "running mean and variance are stored, but not trained": 4 * width,
        "the 1×1 has a bias: one number a class": -num_classes,
        "the head has two 3×3 convolutions": -(9 * width * width + 2 * width),
        "a 3×3 convolution has nine weights for each pair of channels": -8 * width * (channels + width),
        "the shuffle divides the context's channels by 16":
            9 * width * (context_channels - context_channels // 16),
        "the unshuffle multiplies the memo's channels by 16": -9 * width * 15 * memo_channels,
        "each factor 16 belongs to the other side: a shuffle up has fewer channels, an unshuffle more":
            9 * width * (16 * context_channels + memo_channels // 16 - channels),
        "the memo is joined to the context, so its channels count too": -9 * width * 16 * memo_channels,
    }  # fmt: skip
    otherwise = "count layer by layer: weights, then batch norm, then the bias of the last one"
    return named_mistake(found - right, 0, mistakes, otherwise, operator.eq)

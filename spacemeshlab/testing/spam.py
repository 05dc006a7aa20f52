"""Checks of the memo and of its exchange with the backbone (paper section 2.1; chapters 06 and 08)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from spacemeshlab.testing.contracts import check_refuses, check_same, check_unchanged, fail
from spacemeshlab.testing.mistakes import check_known, check_parts, check_whole, keep_type, named_mistake
from spacemeshlab.testing.shuffle import naive_pixel_shuffle, naive_pixel_unshuffle

STEPS = {4: 1, 16: 2}
"""Shuffles by 4 between a stride and full resolution; the other strides of a backbone have no exchange."""

RESNET101_BLOCKS = ((64, 4), (256, 4), (512, 8), (1024, 16), (2048, 16))
"""Channels and stride of the five blocks."""


def naive_feature_to_memo(feature: Tensor, steps: int) -> Tensor:
    """The definition: as many shuffles by 4 as ``steps`` says.

    Shape: (N, C, h, w) -> (N, C/16**steps, h·4**steps, w·4**steps).
    """
    for _ in range(steps):
        feature = naive_pixel_shuffle(feature, 4)
    return feature


def naive_memo_to_feature(memo: Tensor, steps: int) -> Tensor:
    """The way back: each number of the memo is brought to its place in the feature.

    Shape: (N, c, H, W) -> (N, c·16**steps, H/4**steps, W/4**steps).
    """
    for _ in range(steps):
        memo = naive_pixel_unshuffle(memo, 4)
    return memo


def check_memo_channels(
    memo_channels: Callable[[int, int], int],
    blocks: Sequence[tuple[int, int]] = RESNET101_BLOCKS,
    refused: Sequence[tuple[int, int]] = (),
) -> None:
    """``memo_channels(channels, stride)`` is C / s² for each of ``blocks``, 0 where the stride is not 4 or 16.

    For the pairs in ``refused`` it must raise ValueError. A failure says which block is meant and, where the number is
    a common wrong one, how it comes about.
    """
    for channels, stride in blocks:
        steps, what = STEPS.get(stride), f"the memo's channels for {channels} channels at stride {stride}"
        want = 0 if steps is None else channels // 16**steps
        try:
            found = memo_channels(channels, stride)
        except ValueError as error:
            hint = "ValueError is for strides 4 and 16; where there is no exchange, 0 is right for any width"
            fail(f"{what} to be {want}", f"ValueError: {error}", hint)
        found = check_whole(found, what)
        if found != want:
            fail(f"{what} to be {want}", f"{found}", _wrong_channels(found, channels, stride))
    for channels, stride in refused:
        what = f"a ValueError for {channels} channels at stride {stride}"
        hint = f"{channels} is no multiple of {stride}² = {stride**2}: a shuffle would have to cut a channel"
        check_refuses(partial(memo_channels, channels, stride), what, hint)


def check_feature_to_memo(
    feature_to_memo: Callable[[Tensor, int], Tensor],
    shape: Sequence[int] = (1, 16, 2, 3),
    steps: int = 1,
    seed: int = 0,
) -> None:
    """``feature_to_memo(feature, steps)`` puts each number of a feature of ``shape`` where ``steps`` shuffles put it.

    Compared with :func:`naive_feature_to_memo`. A failure means that numbers were changed, or stand in another order;
    the hint names the order if it is a common one.
    """
    feature = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    expected, before = naive_feature_to_memo(feature, steps), feature.clone()
    found = feature_to_memo(feature, steps)
    what = f"the memo of a feature {tuple(shape)} after {steps} step{'s' * (steps > 1)}"
    mistakes = {
        "rows and columns of the patch are exchanged: channel 16c + 4u + v goes to row u, column v":
            naive_feature_to_memo(before.mT, steps).mT,
        "the channels are grouped the other way: the 16 neighbours 16c … 16c + 15 make one patch":
            _other_groups(before, steps),
        "this is an enlarged mean: a shuffle moves numbers and does no arithmetic":
            _repeated(before.unflatten(1, (-1, 16**steps)).mean(2), 4**steps),
        "this is one step only: shuffle by 4 as many times as steps says": naive_feature_to_memo(before, 1),
        _one_shuffle_only(steps): naive_pixel_shuffle(before, 4**steps),
    }  # fmt: skip
    check_known(found, expected, what, mistakes, keep_type(found, expected, "follow one channel by hand"))
    check_unchanged(feature, before, "the feature that came in to stay as it was")


def check_exchange(
    exchange: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]],
    shape: Sequence[int] = (1, 16, 1, 2),
    steps: int = 1,
    seed: int = 0,
) -> None:
    """``exchange(feature, memo, steps)`` adds to each side what the other had before, and returns (feature', memo').

    The feature has ``shape``, the memo the one that belongs to it. A failure names the side; the hint says whether it
    heard an echo, nothing, a mean, a product, or numbers in another order. The two tensors that come in must stay as
    they are.
    """
    generator, (batch, channels, rows, columns) = torch.Generator().manual_seed(seed), shape
    feature = torch.randn(*shape, generator=generator)
    memo = torch.randn(batch, channels // 16**steps, rows * 4**steps, columns * 4**steps, generator=generator)
    f, m = feature.clone(), memo.clone()
    up, down = naive_feature_to_memo(f, steps), naive_memo_to_feature(m, steps)
    found = exchange(feature, memo, steps)
    new_feature, new_memo = check_parts(found, "the result to be a pair (feature', memo')")
    where = f"for a feature {tuple(shape)} and {steps} step{'s' * (steps > 1)}"
    for name, own, heard, other, got in (
        ("feature'", f, down, naive_pixel_unshuffle(m, 4**steps), new_feature),
        ("memo'", m, up, naive_pixel_shuffle(f, 4**steps), new_memo),
    ):
        mistakes = {**_wrong_sums(own, heard), _one_shuffle_only(steps): own + other}
        expected, otherwise = own + heard, f"{name} = what was there + what the other side had, rearranged"
        hint = named_mistake(got, expected, mistakes, keep_type(got, expected, otherwise))
        if isinstance(got, Tensor) and got.shape == (m if name == "feature'" else f).shape != own.shape:
            hint = "this has the other's shape: return the feature first, the memo second"
        check_same(got, expected, what=f"{name} {where}", hint=hint)
    check_unchanged(feature, f, "the feature that came in to stay as it was")
    check_unchanged(memo, m, "the memo that came in to stay as it was")


def _wrong_channels(found: int, channels: int, stride: int) -> str:
    if stride not in STEPS:
        return f"{stride} is no power of 4, so no number of shuffles by 4 bridges it: return 0"
    if found == 0:
        return f"{stride} is a power of 4, so there is an exchange: 4 needs one shuffle, 16 needs two"
    if found == channels // 16:
        return "each shuffle divides by 16, and stride 16 needs two of them"
    if found == channels // stride:
        return "a shuffle divides by the square of its factor: rows and columns both grow"
    return "channels / stride², where the stride is 4 or 16"


def _wrong_sums(own: Tensor, heard: Tensor) -> dict[str, Tensor]:
    return {
        "the other side was changed first, so this one hears its own echo: take both from before": 2 * own + heard,
        "this side has heard nothing: the exchange is mutual": own,
        "this is only what the other side says: add it to what was there": heard,
        "this is a mean: the exchange adds": (own + heard) / 2,
        "this is a product: the exchange adds": own * heard,
        "the message must be added, not subtracted": own - heard,
    }


def _one_shuffle_only(steps: int) -> str:
    return f"this is one shuffle by {4**steps}: {steps} by 4 reach the same size, but put the channels in other places"


def _repeated(x: Tensor, factor: int) -> Tensor:
    """Each number as a patch of ``factor``²: (N, C, H, W) -> (N, C, H·factor, W·factor)."""
    return x.repeat_interleave(factor, 2).repeat_interleave(factor, 3)


def _other_groups(x: Tensor, steps: int) -> Tensor:
    """Shuffles of the other convention, in which the place in the patch is the slow axis of the channels."""
    for _ in range(steps):
        x = naive_pixel_shuffle(x.unflatten(1, (16, -1)).transpose(1, 2).flatten(1, 2), 4)
    return x

"""The checks of the shuffle: the package passes, and each common mistake is named."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spacemeshlab import ShuffleDown, ShuffleUp, testing
from spacemeshlab.models.shuffle import PixelUnshuffle


def right_source(channel, row, column, factor):
    return channel * factor**2 + row % factor * factor + column % factor, row // factor, column // factor


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_the_formula_passes_as_tuple_list_array_and_tensor(factor):
    testing.check_source_of(right_source, factor, seed=factor)
    testing.check_source_of(lambda *place: list(right_source(*place)), factor)
    testing.check_source_of(lambda *place: torch.tensor(right_source(*place)), factor)
    testing.check_source_of(lambda *place: np.array(right_source(*place)), factor)


def test_torchs_shuffle_agrees_with_the_checks_formula():
    def by_torch(channel, row, column, factor):
        h, w = row // factor + 1, column // factor + 1
        addresses = torch.arange((channel + 1) * factor**2 * h * w).view(1, -1, h, w)
        at = F.pixel_shuffle(addresses, factor)[0, channel, row, column]
        return tuple(torch.unravel_index(at, addresses.shape[1:]))

    testing.check_source_of(by_torch, 3)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (lambda c, r, k, f: (c * f**2 + k % f * f + r % f, r // f, k // f), "row and column of the phase are exch"),
        (lambda c, r, k, f: (c * f**2 + r // f * f + k // f, r % f, k % f), "here the two are exchanged"),
        (lambda c, r, k, f: (c * f + r % f * f + k % f, r // f, k // f), r"made of f\*f channels"),
        (lambda c, r, k, f: (c * f**2 + r % f + k % f, r // f, k // f), "from one row of the patch to the next"),
        (lambda c, r, k, f: (r % f * f + k % f, r // f, k // f), "channel is forgotten"),
        (lambda c, r, k, f: (c * f**2 + k % f * f + r % f, k // f, r // f), "exchanged in the whole map"),
        (lambda c, r, k, f: (c // f**2, r * f + c // f % f, k * f + c % f), "where the number goes"),
        (lambda c, r, k, f: (c * f**2 + r % f * f + k % f, r / f, k / f), "// gives a whole number"),
        (lambda c, r, k, f: (c * f**2 + r % f * f + k % f, r // f), "found 2 numbers"),
        (lambda c, r, k, f: (0, 0, 0), r"to be \(4, 2, 1\), found \(0, 0, 0\).*find p, q, u and v first"),
        (lambda c, r, k, f: None, "triple of whole numbers, found NoneType"),
        (lambda c, r, k, f: 6, "triple of whole numbers, found int 6"),
        (lambda c, r, k, f: torch.tensor(6), "triple of whole numbers, found tensor"),
        (lambda c, r, k, f: torch.tensor([4.0, 2.0, 1.0]), "triple of whole numbers, found tensor"),
    ],
)
def test_check_source_of_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_source_of(mistake)


def shuffle_of_the_package(x, factor):
    """Whatever factor is, the package's is 4."""
    return ShuffleUp(x.shape[1], attention=False)(x)


@pytest.mark.parametrize("seed", [0, 1])
def test_torch_and_the_package_pass(seed):
    testing.check_pixel_shuffle(F.pixel_shuffle, seed=seed)
    testing.check_pixel_shuffle(F.pixel_shuffle, (2, 27, 2, 3), 3, seed)
    testing.check_pixel_shuffle(F.pixel_shuffle, (2, 3, 2, 3), 1, seed)
    testing.check_pixel_shuffle(shuffle_of_the_package, (2, 32, 1, 3), 4, seed)
    for shape, factor in (((1, 2, 4, 4), 2), ((2, 3, 9, 6), 3), ((2, 3, 2, 3), 1), ((1, 2, 4, 8), 4)):
        testing.check_pixel_unshuffle(lambda x, factor: PixelUnshuffle(factor)(x), shape, factor, seed)
    testing.check_pixel_unshuffle(lambda x, factor: ShuffleDown(32, attention=False)(x), (1, 2, 4, 8), 4, seed)


def in_place(x, factor):
    y = F.pixel_shuffle(x, factor)
    x.zero_()
    return y


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (lambda x, f: x.reshape(1, -1, 4, 4), r"to be x\[0, 1, 0, 0\], found x\[0, 0, 0, 1\].*a view alone"),
        (lambda x, f: F.pixel_shuffle(x.unflatten(1, (4, -1)).transpose(1, 2).flatten(1, 2), f), "TensorFlow's order"),
        (lambda x, f: F.pixel_shuffle(x.mT, f).mT, "row and column of the phase are exchanged"),
        (lambda x, f: x.unflatten(1, (-1, f, f)).transpose(3, 4).flatten(4, 5).flatten(2, 3), "a tile of its own"),
        (lambda x, f: F.pixel_shuffle(x, f) + 0.5, "a number that is not in x"),
        (lambda x, f: F.pixel_shuffle(x, f) * torch.nan, "nan, a number that is not in x"),
        (lambda x, f: F.pixel_shuffle(x, f)[0], r"of shape \(1, 2, 4, 4\), found \(2, 4, 4\).*after each step"),
        (lambda x, f: F.pixel_shuffle(x, f).double(), "dtype torch.float32"),
        (lambda x, f: F.pixel_shuffle(x.detach(), f), "a gradient of x, found none"),
        (lambda x, f: None, "to be a tensor, found NoneType"),
        (in_place, "input 0 unchanged"),
    ],
)
def test_check_pixel_shuffle_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_pixel_shuffle(mistake)


def without_check(x, factor):
    x = x.unflatten(3, (-1, factor)).unflatten(2, (-1, factor))
    return x.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)


def phases_joined(x, factor):
    return torch.cat([x[:, :, u::factor, v::factor] for u in range(factor) for v in range(factor)], dim=1)


def tiles(x, factor):
    return torch.stack([part for half in x.chunk(factor, 2) for part in half.chunk(factor, 3)], 2).flatten(1, 2)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (phases_joined, "TensorFlow's order"),
        (tiles, "these are tiles"),
        (lambda x, f: PixelUnshuffle(f)(x.mT).mT, "row and column of the phase are exchanged"),
        (lambda x, f: x.reshape(1, -1, 2, 2), "a view alone cuts rows into strips"),
        (without_check, "ValueError for 5 rows, 4 columns and factor 2, found RuntimeError"),
        (lambda x, f: without_check(x[:, :, :4, :4], f), r"ValueError for 5 rows.*found shape \(1, 8, 2, 2\)"),
        (lambda x, f: PixelUnshuffle(f)(x) if x.shape[3] == 4 else None, "4 rows, 5 columns .*found NoneType"),
        (lambda x, f: "a map", "to be a tensor, found str"),
    ],
)
def test_check_pixel_unshuffle_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_pixel_unshuffle(mistake)


def test_check_shuffle_roundtrip_finds_changed_numbers_and_another_order():
    up, down = nn.PixelShuffle(2), nn.PixelUnshuffle(2)
    testing.check_shuffle_roundtrip(up, down, (1, 8, 3, 5))
    with pytest.raises(AssertionError, match="the same numbers"):
        testing.check_shuffle_roundtrip(lambda x: up(x) + 1, down, (1, 8, 3, 5))
    with pytest.raises(AssertionError, match=r"down\(up\(x\)\) to give its input back"):
        testing.check_shuffle_roundtrip(up, lambda y: down(y.mT).mT, (1, 8, 3, 5))

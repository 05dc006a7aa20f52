"""The package passes the checks of pairs, and each check names what is wrong with other answers."""

import re

import pytest
import torch
import torch.nn.functional as F
from torchvision import tv_tensors
from torchvision.transforms import v2

from spacemeshlab import testing
from spacemeshlab.data.transforms import RandomScaleCrop, Window


def flip_pair(image, target):
    """The package's flip, when it happens."""
    pair = v2.RandomHorizontalFlip(1.0)(tv_tensors.Image(image), tv_tensors.Mask(target))
    return tuple(one.as_subclass(torch.Tensor) for one in pair)


def pad_pair(image, target, size, mean):
    """The package's crop, where it is at least as large as the picture and begins with it."""
    crop = tuple(max(sides) for sides in zip(target.shape, size, strict=True))
    windows = (Window(side, side, 0, end) for side, end in zip(target.shape, crop, strict=True))
    params = dict(zip(("rows", "columns"), windows, strict=True))
    move = RandomScaleCrop(crop, (1, 1), mean)
    pair = (move.transform(one, params) for one in (tv_tensors.Image(image), tv_tensors.Mask(target)))
    return tuple(one.as_subclass(torch.Tensor) for one in pair)


@pytest.mark.parametrize("seed", range(3))
def test_the_package_passes_the_checks_of_pairs(seed):
    for size in ((3, 4), (5, 5), (8, 2), (1, 9)):
        testing.check_flip_pair(flip_pair, size, seed=seed)
        testing.check_flip_pair(flip_pair, size, torch.uint8, seed)
    for before, size in (((3, 4), (5, 7)), ((6, 3), (4, 5)), ((3, 8), (5, 5)), ((4, 4), (4, 4))):
        testing.check_pad_pair(pad_pair, before, size, seed=seed)
        testing.check_pad_pair(pad_pair, before, size, (124, 116, 104), torch.uint8, seed)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (lambda i, t: (i.flip(-1), t), "target .*it is not mirrored"),
        (lambda i, t: (i, t.flip(-1)), "image .*it is not mirrored"),
        (lambda i, t: (i.flip(1), t.flip(1)), "image .*stands on its head.*but the rows of an image"),
        (lambda i, t: (i.flip(-1), t.flip(0)), "target .*stands on its head"),
        (lambda i, t: (i.flip(1, 2), t.flip(0, 1)), "image .*turned by 180 degrees"),
        (lambda i, t: (i.flip(0), t.flip(1)), "the columns are not: axis 0"),
        (lambda i, t: (i.flip(0, 2), t.flip(1)), "red and blue are exchanged as well"),
        (lambda i, t: (i.flip(0, 1, 2), t.flip(0, 1)), "all axes are reversed"),
        (lambda i, t: (i.roll(1, -1), t.roll(1, -1)), "column x becomes column W - 1 - x"),
        (lambda i, t: (t.flip(-1), i.flip(-1)), "the image first, then the target"),
        (lambda i, t: (i.flip(-1), t.flip(-1).int()), r"dtype torch\.int64, found torch\.int32.*keep their types"),
        (lambda i, t: i.flip(-1), r"a pair \(image, target\), found Tensor"),
        (lambda i, t: (i, t, t), "found 3 results"),
        (lambda i, t: (i.copy_(i.flip(-1)), t.flip(-1)), "input 0 unchanged"),
    ],
)
def test_check_flip_pair_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_flip_pair(mistake)


def test_check_flip_pair_finds_an_image_of_bytes_that_becomes_float():
    testing.check_flip_pair(lambda i, t: (i.float().flip(-1), t.flip(-1)))
    with pytest.raises(AssertionError, match="keep their types"):
        testing.check_flip_pair(lambda i, t: (i.float().flip(-1), t.flip(-1)), dtype=torch.uint8)


def padded(image, target, size, mean, void=255):
    below, right = (wanted - there for wanted, there in zip(size, target.shape, strict=True))
    channels = [F.pad(one, (0, right, 0, below), value=value) for one, value in zip(image, mean, strict=True)]
    return torch.stack(channels), F.pad(target, (0, right, 0, below), value=void)


def turned(image, target, size, mean):
    image, target = padded(image.flip(-2, -1), target.flip(-2, -1), size, mean)
    return image.flip(-2, -1), target.flip(-2, -1)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (lambda i, t, s, m: padded(i, t, s, m, 0), r"expected 255 at \(0, 4\) in the target .*0 is a class"),
        (lambda i, t, s, m: padded(i, t, s, m, -1), "target .*-1 is what other data sets say"),
        (lambda i, t, s, m: padded(i, t, s, (0, 0, 0)), "image .*the margin is black"),
        (lambda i, t, s, m: padded(i, t, s, m[::-1]), "the first is red's"),
        (lambda i, t, s, m: padded(i, t, s, m[:1] * 3), "all three colours have red's mean"),
        (lambda i, t, s, m: padded(i, t, s, [sum(m) / 3] * 3), "one and the same number"),
        (lambda i, t, s, m: padded(i, t, s, i.mean((1, 2)).tolist()), "this image's mean"),
        (lambda i, t, s, m: padded(i, t, s[::-1], m), r"size is \(rows, columns\); here they are exchanged"),
        (lambda i, t, s, m: padded(i, t, (s[0] + 1, s[1]), m), r"\(rows, columns\) of the result"),
        (turned, "it lies at the bottom and right"),
        (lambda i, t, s, m: (padded(i, t, s, m)[0], turned(i, t, s, m)[1]), "target .*at the bottom and right"),
        (lambda i, t, s, m: (padded(i, t, s, m)[0].double(), t), "keep their types"),
        (lambda i, t, s, m: padded(i + 1, t, s, m), "the upper left corner is the picture itself"),
        (lambda i, t, s, m: padded(i.mul_(2), t, s, m), "upper left corner"),
        (lambda i, t, s, m: None, "found NoneType"),
    ],
)
def test_check_pad_pair_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_pad_pair(mistake)


def test_check_pad_pair_finds_that_a_long_axis_is_cut():
    testing.check_pad_pair(padded)
    for before, size in (((6, 3), (4, 5)), ((3, 8), (5, 5))):
        with pytest.raises(AssertionError, match="padding never cuts"):
            testing.check_pad_pair(padded, before, size)


@pytest.mark.parametrize("check", ["flip_pair", "pad_pair"])
@pytest.mark.parametrize(
    "nonsense",
    [
        *(None, 3, 0.5, "text", [], [1, 2], (None, None), {}, ("a", 1.0)),
        *(torch.tensor(1), torch.empty(0), torch.ones(3, 4, dtype=torch.bool), torch.full((8, 10), torch.nan)),
        *((torch.zeros(3, 3, 4), None), (torch.zeros(3, 5, 7) * torch.nan, torch.zeros(5, 7)), torch.tensor(1j)),
    ],
    ids=repr,
)
def test_nonsense_fails_the_checks_of_pairs_in_words(check, nonsense):
    with pytest.raises(AssertionError, match=re.compile("expected .*, found .*Hint: ", re.DOTALL)):
        getattr(testing, f"check_{check}")(lambda *_: nonsense)

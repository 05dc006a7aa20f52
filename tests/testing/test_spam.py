"""The package keeps the checks of memo and exchange, and each check can fail and say why."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spacemeshlab import SpaM, testing
from spacemeshlab.models.shuffle import ShuffleDown, ShuffleUp
from spacemeshlab.models.spam import Exchange
from spacemeshlab.testing.spam import naive_feature_to_memo, naive_memo_to_feature

RESNET18 = ((64, 4), (64, 4), (128, 8), (256, 16), (512, 16))
CASES = [((1, 16, 2, 3), 1), ((2, 48, 1, 2), 1), ((2, 512, 1, 2), 2)]


def memo_channels_of_the_package(channels, stride):
    spam = SpaM((channels,), (stride,), attention=False)
    return spam.out_channels if spam.exchanges else 0


def feature_to_memo_of_the_package(feature, steps):
    return ShuffleUp(feature.shape[1], steps, attention=False)(feature)


def exchange_of_the_package(feature, memo, steps):
    exchange = Exchange(memo.shape[1], feature.shape[1], steps, attention=False)
    exchange.block = nn.Identity()
    return exchange(feature, memo)


def test_the_packages_memo_has_the_channels_that_the_check_asks_for():
    testing.check_memo_channels(memo_channels_of_the_package)
    refused = ((40, 4), (300, 16), (272, 16))
    testing.check_memo_channels(memo_channels_of_the_package, (*RESNET18, (100, 8), (32, 2)), refused)


@pytest.mark.parametrize(("shape", "steps"), CASES)
def test_the_packages_shuffles_and_exchange_keep_their_checks(shape, steps):
    testing.check_feature_to_memo(feature_to_memo_of_the_package, shape, steps, seed=1)
    testing.check_exchange(exchange_of_the_package, shape, steps, seed=1)


@pytest.mark.parametrize(("shape", "steps"), CASES)
def test_the_definitions_undo_each_other_and_are_torchs(shape, steps):
    feature = torch.randn(shape)
    memo = expected = naive_feature_to_memo(feature, steps)
    assert torch.equal(naive_memo_to_feature(memo, steps), feature)
    for _ in range(steps):
        expected = F.pixel_unshuffle(expected, 4)
    assert torch.equal(expected, feature)
    assert torch.equal(ShuffleDown(shape[1], steps, attention=False)(memo), feature)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (lambda channels, stride: channels // stride**2, "64 channels at stride 4|8 is no power of 4"),
        (lambda channels, stride: channels // 16 if stride != 8 else 0, "stride 16 needs two of them"),
        (lambda channels, stride: channels // stride if stride != 8 else 0, "the square of its factor"),
        (lambda channels, stride: channels / stride**2, "found float 4.0.* use //"),
        (lambda channels, stride: channels // 16 if stride == 4 else 0, "4 needs one shuffle, 16 needs two"),
        (lambda channels, stride: None, "to be an int, found NoneType"),
    ],
)
def test_check_memo_channels_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_memo_channels(mistake)


def test_check_memo_channels_wants_an_error_where_a_channel_would_be_cut_and_only_there():
    def cut(channels, stride):
        return channels // stride**2 if stride in (4, 16) else 0

    def strict(channels, stride):
        if channels % stride**2:
            raise ValueError("channels")
        return cut(channels, stride)

    with pytest.raises(AssertionError, match=r"a ValueError for 272 channels at stride 16, found 1.*no multiple"):
        testing.check_memo_channels(cut, (), ((272, 16),))
    with pytest.raises(AssertionError, match=r"100 channels at stride 8 to be 0, found ValueError"):
        testing.check_memo_channels(strict, ((100, 8),))


def one_shuffle(feature, steps):
    return F.pixel_shuffle(feature, 4**steps)


def phase_first(feature, steps):
    for _ in range(steps):
        feature = F.pixel_shuffle(feature.unflatten(1, (16, -1)).transpose(1, 2).flatten(1, 2), 4)
    return feature


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (one_shuffle, "one shuffle by 16: 2 by 4 reach the same size"),
        (lambda x, steps: F.pixel_shuffle(x, 4), "this is one step only"),
        (phase_first, "grouped the other way"),
        (lambda x, steps: naive_feature_to_memo(x.mT, steps).mT, "rows and columns of the patch are exchanged"),
        (lambda x, steps: F.interpolate(x.unflatten(1, (-1, 256)).mean(2), scale_factor=16), "an enlarged mean"),
        (lambda x, steps: naive_feature_to_memo(x, steps).relu(), "follow one channel"),
        (lambda x, steps: naive_feature_to_memo(x.mul_(2), steps), "follow one channel"),
        (lambda x, steps: None, "to be a tensor, found NoneType"),
    ],
)
def test_check_feature_to_memo_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_feature_to_memo(mistake, (2, 512, 1, 2), 2)


def test_right_numbers_of_another_type_are_called_that():
    with pytest.raises(AssertionError, match=r"dtype torch\.float32, found torch\.float64.*the numbers are right"):
        testing.check_feature_to_memo(lambda x, steps: naive_feature_to_memo(x, steps).double())


def up(feature, steps):
    return naive_feature_to_memo(feature, steps)


def down(memo, steps):
    return naive_memo_to_feature(memo, steps)


def memo_first(feature, memo, steps):
    memo = memo + up(feature, steps)
    return feature + down(memo, steps), memo


def feature_first(feature, memo, steps):
    feature = feature + down(memo, steps)
    return feature, memo + up(feature, steps)


def in_place(feature, memo, steps):
    message = down(memo, steps)
    memo += up(feature, steps)
    return feature + message, memo


def in_one_go(feature, memo, steps):
    message = F.pixel_shuffle(feature, 4**steps)
    return feature + down(memo, steps), memo + message


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (memo_first, "expected feature' .*hears its own echo"),
        (feature_first, "expected memo' .*hears its own echo"),
        (lambda f, m, s: (f, m + up(f, s)), "expected feature' .*has heard nothing"),
        (lambda f, m, s: (f + down(m, s), m), "expected memo' .*has heard nothing"),
        (lambda f, m, s: (down(m, s), up(f, s)), "only what the other side says"),
        (lambda f, m, s: ((f + down(m, s)) / 2, (m + up(f, s)) / 2), "this is a mean"),
        (lambda f, m, s: (f * down(m, s), m * up(f, s)), "this is a product"),
        (lambda f, m, s: (f - down(m, s), m - up(f, s)), "not subtracted"),
        (lambda f, m, s: (m + up(f, s), f + down(m, s)), "the feature first, the memo second"),
        (in_place, "the memo that came in to stay as it was"),
        (in_one_go, "one shuffle by 16"),
        (lambda f, m, s: f + down(m, s), r"a pair \(feature', memo'\), found Tensor"),
        (lambda f, m, s: (f, m, s), "a pair .*found tuple of 3"),
        (lambda f, m, s: (None, m), "to be a tensor, found NoneType"),
    ],
)
def test_check_exchange_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_exchange(mistake, (2, 512, 1, 2), 2)


def test_an_echo_is_found_in_one_step_too():
    for mistake in (memo_first, feature_first):
        with pytest.raises(AssertionError, match="echo"):
            testing.check_exchange(mistake)

"""The package keeps the checks of the decoder, and each check can fail and say why."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spacemeshlab import testing
from spacemeshlab.models import decoder
from spacemeshlab.models.decoder import SpaceMeshLabDecoder
from spacemeshlab.models.layers import resize
from spacemeshlab.models.network import pad_to_multiple
from spacemeshlab.testing.decoder import naive_resize

SIZES = [((1, 3, 18, 21), 16), ((2, 1, 32, 5), 16), ((1, 2, 4, 6), 4), ((1, 1, 8, 8), 8)]


def pad_with_the_package(image, multiple):
    return pad_to_multiple(image, multiple), image.shape[-2:]


def input_of_the_packages_decoder(context, memo):
    net = SpaceMeshLabDecoder(context.shape[1], memo.shape[1], 2, attention=False)
    net.head = nn.Identity()
    return net(context, memo)


@pytest.mark.parametrize(("shape", "multiple"), SIZES)
def test_the_package_pads_as_the_check_asks(shape, multiple):
    testing.check_pad_to_stride(pad_with_the_package, shape, multiple, seed=1)


@pytest.mark.parametrize(("shape", "memo"), [((1, 16, 1, 2), 1), ((2, 48, 2, 1), 2)])
def test_the_packages_decoder_joins_as_the_check_asks(shape, memo):
    testing.check_decoder_input(input_of_the_packages_decoder, shape, memo, seed=1)


def test_the_packages_head_has_the_parameters_that_the_check_counts(monkeypatch):
    def count(context_channels, memo_channels, num_classes, width):
        monkeypatch.setattr(decoder, "WIDTH", width)
        with torch.device("meta"):
            net = SpaceMeshLabDecoder(context_channels, memo_channels, num_classes, attention=False)
        return sum(parameter.numel() for parameter in net.parameters())

    cases = ((1296, 8, 19, 256), (1280, 8, 59, 256), (16, 1, 2, 1), (32, 3, 4, 5))
    testing.check_decoder_parameters(count, cases, refused=((1278, 8, 19, 256), (8, 1, 2, 1)))


@pytest.mark.parametrize(
    ("shape", "size"),
    [((1, 2, 3, 3), (12, 12)), ((2, 3, 2, 3), (9, 10)), ((1, 1, 4, 5), (4, 5)), ((1, 2, 1, 1), (3, 2))],
)
def test_the_package_and_torch_resize_as_the_check_asks(shape, size):
    testing.check_resize_logits(resize, shape, size, seed=1)
    x = torch.randn(shape)
    testing.check_same(naive_resize(x, size), F.interpolate(x, size=size, mode="bilinear"))


def padded(image, *border, **options):
    return F.pad(image, border, **options), tuple(image.shape[-2:])


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (lambda x, m: padded(x, 11, 0, 14, 0), "zeros at the left and the top move every pixel"),
        (lambda x, m: padded(x, 5, 6, 7, 7), "the zeros are on all sides"),
        (lambda x, m: padded(x, 11, 11, 14, 14), "added on both sides"),
        (lambda x, m: padded(x, 0, 14, 0, 11), "F.pad's list begins with the last axis"),
        (lambda x, m: padded(x, 0, 11, 0, 14, mode="replicate"), "must hold zeros"),
        (lambda x, m: padded(x[..., :16, :16]), "pixels were cut away"),
        (lambda x, m: (F.interpolate(x, size=(32, 32)), (18, 21)), "own pixels must not change"),
        (lambda x, m: (padded(x, 0, 11, 0, 14)[0], (32, 32)), "read it before you pad"),
        (lambda x, m: (padded(x, 0, 11, 0, 14)[0], (21, 18)), "rows first, then columns"),
        (lambda x, m: (padded(x, 0, 11, 0, 14)[0], 18), r"a pair \(rows, columns\), found int"),
        (lambda x, m: (padded(x, 0, 11, 0, 14)[0], (18.0, 21.0)), "an int, found float"),
        (lambda x, m: padded(x, 0, 11, 0, 14)[0], "a pair .*found Tensor"),
        (lambda x, m: (None, (18, 21)), "to be a tensor, found NoneType"),
        (lambda x, m: (x.double(), (18, 21)), "shape"),
        (lambda x, m: padded(x.double(), 0, 11, 0, 14), "dtype"),
    ],
)
def test_check_pad_to_stride_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_pad_to_stride(mistake)


def test_check_pad_to_stride_finds_padding_where_none_is_needed_and_writing_into_the_image():
    def always(image, multiple):
        height, width = image.shape[-2:]
        return padded(image, 0, multiple - width % multiple, 0, multiple - height % multiple)

    testing.check_pad_to_stride(always)
    with pytest.raises(AssertionError, match="a multiple already needs nothing"):
        testing.check_pad_to_stride(always, (1, 1, 32, 5))
    with pytest.raises(AssertionError, match="the image that came in to stay"):
        testing.check_pad_to_stride(lambda x, m: (*pad_with_the_package(x, m), x.zero_())[:2])


def join(up, down):
    return torch.cat((up, down), dim=1)


def phase_first(memo):
    return F.pixel_unshuffle(memo, 4).unflatten(1, (-1, 16)).transpose(1, 2).flatten(1, 2)


def far_apart(context):
    return F.pixel_shuffle(context.unflatten(1, (16, -1)).transpose(1, 2).flatten(1, 2), 4)


def shuffled(context):
    return F.pixel_shuffle(context, 4)


def unshuffled(memo):
    return F.pixel_unshuffle(memo, 4)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (lambda c, m: join(unshuffled(m), shuffled(c)), "the context comes first"),
        (lambda c, m: join(shuffled(c), F.avg_pool2d(m, 4)), "not their mean"),
        (lambda c, m: join(F.interpolate(c, scale_factor=4, mode="bilinear"), unshuffled(m)), "not enlarged"),
        (lambda c, m: join(shuffled(c), phase_first(m)), "the memo's half.*16 phases of one memo channel"),
        (lambda c, m: join(far_apart(c), unshuffled(m)), "the context's half.*16 neighbours of the context"),
        (lambda c, m: join(shuffled(c.mT).mT, unshuffled(m)), "the context's half.*patch are exchanged"),
        (lambda c, m: join(shuffled(c), unshuffled(m.mT).mT), "the memo's half.*patch are exchanged"),
        (lambda c, m: join(shuffled(c), m[..., ::4, ::4]), "not one of them"),
        (lambda c, m: join(shuffled(c), F.avg_pool2d(m, 4).repeat_interleave(16, 1)), "the mean of each patch"),
        (lambda c, m: unshuffled(m), "both halves have the size"),
        (lambda c, m: join(shuffled(c), unshuffled(m)).double(), "dtype"),
        (lambda c, m: (shuffled(c), unshuffled(m)), "to be a tensor, found tuple"),
        (lambda c, m: join(shuffled(c.add_(1)), unshuffled(m)), "the context's half"),
    ],
)
def test_check_decoder_input_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_decoder_input(mistake, (2, 48, 2, 1), 2)


def test_the_groups_of_channels_cannot_be_told_from_one_channel_alone():
    testing.check_decoder_input(lambda c, m: join(far_apart(c), phase_first(m)))


PARTS = {
    "the weights": lambda c, k, w: 9 * c * w + 9 * w * w + w * k,
    "the norms": lambda c, k, w: 4 * w,
    "the bias": lambda c, k, w: k,
}


def count(c, k, w, *, without=(), extra=0):
    return sum(part(c, k, w) for name, part in PARTS.items() if name not in without) + extra


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (lambda c, m, k, w: count(c // 16 + 16 * m, k, w, extra=2 * w), r"\(\+512\).*has no bias"),
        (lambda c, m, k, w: count(c // 16 + 16 * m, k, w, without=("the norms",)), "two numbers a channel"),
        (lambda c, m, k, w: count(c // 16 + 16 * m, k, w, extra=-2 * w), "two numbers a channel"),
        (lambda c, m, k, w: count(c // 16 + 16 * m, k, w, extra=4 * w), "stored, but not trained"),
        (lambda c, m, k, w: count(c // 16 + 16 * m, k, w, without=("the bias",)), r"\(-19\).*1×1 has a bias"),
        (lambda c, m, k, w: count(c + 16 * m, k, w), "divides the context's channels by 16"),
        (lambda c, m, k, w: count(c // 16 + m, k, w), "multiplies the memo's channels by 16"),
        (lambda c, m, k, w: count(c // 16, k, w), "its channels count too"),
        (lambda c, m, k, w: count(16 * c + m // 16, k, w), "belongs to the other side"),
        (lambda c, m, k, w: count(c // 16 + 16 * m, k, w, extra=-(9 * w * w + 2 * w)), "two 3×3 convolutions"),
        (lambda c, m, k, w: (c // 16 + 16 * m) * w + w * w + 4 * w + w * k + k, "nine weights"),
        (lambda c, m, k, w: count(c / 16 + 16 * m, k, w), "an int, found float"),
        (lambda c, m, k, w: 7, "layer by layer"),
        (lambda c, m, k, w: None, "an int, found NoneType"),
    ],
)
def test_check_decoder_parameters_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_decoder_parameters(mistake)


def test_check_decoder_parameters_wants_an_error_for_a_context_that_no_shuffle_takes():
    def rounded(c, m, k, w):
        return count(c // 16 + 16 * m, k, w)

    testing.check_decoder_parameters(rounded)
    with pytest.raises(AssertionError, match=r"a ValueError for a context of 1278 .*found 10\d+.*cut a channel"):
        testing.check_decoder_parameters(rounded, (), ((1278, 8, 19, 256),))


def bilinear(x, size, **options):
    return F.interpolate(x, size=tuple(size), mode="bilinear", **options)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (lambda x, size: bilinear(x, size, align_corners=True), "this is align_corners=True"),
        (lambda x, size: F.interpolate(x, size=size), "this is the nearest logit"),
        (lambda x, size: bilinear(x, size[::-1]), "here they are exchanged"),
        (lambda x, size: F.interpolate(x, scale_factor=4, mode="bilinear"), "not to four times the old one"),
        (lambda x, size: F.interpolate(x, size=size, mode="bicubic"), "pixel i of L looks at place"),
        (lambda x, size: bilinear(x, size).softmax(1), "pixel i of L looks at place"),
        (lambda x, size: bilinear(x, size).argmax(1), "of shape"),
        (lambda x, size: bilinear(x.mul_(2), size), "pixel i of L"),
        (lambda x, size: None, "to be a tensor, found NoneType"),
    ],
)
def test_check_resize_logits_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_resize_logits(mistake, (2, 2, 3, 5), (7, 10))


def test_a_square_cannot_tell_rows_from_columns():
    testing.check_resize_logits(lambda x, size: bilinear(x, size[::-1]))

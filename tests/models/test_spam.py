"""SpaM: blocks, the mutual exchange, and the paper's channel counts."""

import pytest
import torch
import torch.nn.functional as F

from spacemeshlab import SpaM, testing
from spacemeshlab.models.backbone import ResNet
from spacemeshlab.models.spam import Exchange, SpaMBlock

STRIDES = (4, 4, 8, 16, 16)
R18, R101 = (64, 64, 128, 256, 512), (64, 256, 512, 1024, 2048)


@pytest.fixture(scope="module")
def backbone():
    return ResNet("resnet18").eval()


@pytest.mark.parametrize(("channels", "memo"), [(R18, (4, 4, None, 1, 2)), (R101, (4, 16, None, 4, 8))])
def test_memo_channels_are_the_papers_and_block_three_has_no_twin(channels, memo):
    spam = SpaM(channels, STRIDES)
    exchanges = {int(index): exchange for index, exchange in spam.exchanges.items()}
    assert {k: exchange.block[1][0].out_channels for k, exchange in exchanges.items()} == {
        k: count for k, count in enumerate(memo) if count
    }
    assert [exchange.block[0][0].in_channels for exchange in exchanges.values()] == [3, memo[0], memo[1], memo[3]]
    assert spam.out_channels == memo[-1]


def test_one_shuffle_at_stride_four_and_two_at_sixteen():
    spam = SpaM(R101, STRIDES, attention=False)
    assert {k: (len(e.up), len(e.down)) for k, e in spam.exchanges.items()} == {
        "0": (1, 1),
        "1": (1, 1),
        "3": (2, 2),
        "4": (2, 2),
    }


def test_a_block_is_two_3x3_convolutions_of_hidden_width_16_at_full_resolution():
    block = SpaMBlock(3, 5).eval()
    assert [tuple(layer[0].weight.shape) for layer in block] == [(16, 3, 3, 3), (5, 16, 3, 3)]
    testing.check_shape(block, (1, 3, 7, 9), (1, 5, 7, 9))


@pytest.mark.parametrize(("channels", "steps", "stride"), [(64, 1, 4), (512, 2, 16)])
def test_both_directions_of_an_exchange_start_from_the_values_before_it(channels, steps, stride):
    exchange = Exchange(3, channels, steps).eval()
    feature, memo = torch.randn(1, channels, 2, 3), torch.randn(1, 3, 2 * stride, 3 * stride)
    new_feature, new_memo = exchange(feature, memo)
    before = exchange.block(memo)
    testing.check_same(new_feature, feature + exchange.down(before))
    testing.check_same(new_memo, before + exchange.up(feature))
    one_after_the_other = before + exchange.up(new_feature)
    assert not torch.allclose(new_memo, one_after_the_other, atol=1e-3)


def test_without_attention_an_exchange_only_moves_and_adds_numbers():
    exchange = Exchange(3, 64, 1, attention=False).eval()
    feature, memo = torch.randn(1, 64, 2, 3), torch.randn(1, 3, 8, 12)
    new_feature, new_memo = exchange(feature, memo)
    before = exchange.block(memo)
    assert torch.equal(new_feature, feature + F.pixel_unshuffle(before, 4))
    assert torch.equal(new_memo, before + F.pixel_shuffle(feature, 4))


def test_the_whole_branch_is_four_exchanges_in_turn_with_the_backbone(backbone):
    spam, images = SpaM(R18, STRIDES).eval(), torch.randn(1, 3, 32, 48)
    exchange = spam.exchanges
    f1, memo = exchange["0"](backbone.block(0, images), images)
    f2, memo = exchange["1"](backbone.block(1, f1), memo)
    f3 = backbone.block(2, f2)
    f4, memo = exchange["3"](backbone.block(3, f3), memo)
    f5, memo = exchange["4"](backbone.block(4, f4), memo)
    features, last = spam(images, backbone)
    for found, expected in zip((*features, last), (f1, f2, f3, f4, f5, memo), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize(("n", "height", "width"), [(1, 16, 48), (2, 32, 16)])
def test_shapes_of_features_and_memo(backbone, n, height, width):
    features, memo = SpaM(R18, STRIDES).eval()(torch.randn(n, 3, height, width), backbone)
    wanted = [(n, c, height // s, width // s) for c, s in zip(R18, STRIDES, strict=True)]
    assert [tuple(feature.shape) for feature in features] == wanted
    assert memo.shape == (n, 2, height, width)


def test_without_attention_the_shuffles_have_no_parameters():
    def learned(attention):
        return {name.split(".")[2] for name, _ in SpaM(R18, STRIDES, attention).named_parameters()}

    assert learned(attention=True) == {"block", "up", "down"}
    assert learned(attention=False) == {"block"}


@pytest.mark.parametrize("attention", [True, False])
def test_inputs_stay_and_gradients_arrive(backbone, attention, awake):
    spam, images = awake(SpaM(R18, STRIDES, attention)), torch.randn(2, 3, 32, 48)
    testing.check_inputs_unmodified(lambda images: spam(images, backbone), images)
    testing.check_gradients_reach_everything(spam, images, backbone)


def test_every_argument_matters(backbone):
    testing.check_every_argument_matters(
        SpaM,
        lambda spam: spam(torch.ones(1, 3, 16, 16), backbone),
        {"channels": R18, "strides": STRIDES},
        {"channels": R101, "strides": (4, 8, 8, 16, 16), "attention": False},
    )
    testing.check_every_argument_matters(
        Exchange,
        lambda exchange: exchange(torch.ones(1, 256, 1, 1), torch.ones(1, 3, 4, 4)),
        {"memo_channels": 3, "channels": 256, "steps": 1},
        {"memo_channels": 4, "channels": 512, "steps": 2, "attention": False},
    )
    testing.check_every_argument_matters(
        SpaMBlock,
        lambda block: block(torch.ones(1, 3, 4, 4)),
        {"in_channels": 3, "out_channels": 4},
        {"in_channels": 4, "out_channels": 5, "hidden": 8},
    )


def test_channels_and_strides_must_be_as_many():
    with pytest.raises(ValueError, match="shorter than"):
        SpaM(R18, STRIDES[:3])

"""Shuffles: a bijection, torch's order, and the pair that undoes itself."""

import pytest
import torch
from torch import nn

from spacemeshlab import ShuffleDown, ShuffleUp, testing
from spacemeshlab.models.attention import ChannelContextAttention, SpatialContextAttention
from spacemeshlab.models.shuffle import PixelUnshuffle


@pytest.mark.parametrize(("channels", "steps", "n", "h", "w"), [(16, 1, 1, 3, 5), (48, 1, 2, 1, 1), (512, 2, 1, 3, 1)])
@pytest.mark.parametrize("attention", [True, False])
def test_up_and_down_have_mirrored_shapes(channels, steps, n, h, w, attention):
    coarse, fine = (n, channels, h, w), (n, channels // 16**steps, h * 4**steps, w * 4**steps)
    testing.check_shape(ShuffleUp(channels, steps, attention), coarse, fine)
    testing.check_shape(ShuffleDown(channels, steps, attention), fine, coarse)


@pytest.mark.parametrize("steps", [1, 2])
def test_without_attention_up_and_down_undo_each_other_exactly(steps):
    up, down = ShuffleUp(512, steps, attention=False), ShuffleDown(512, steps, attention=False)
    testing.check_shuffle_roundtrip(up, down, (2, 512, 3, 1))


def test_sixteen_channels_become_a_patch_row_by_row():
    patch = torch.arange(16.0).view(1, 1, 4, 4)
    assert torch.equal(ShuffleUp(16, attention=False)(torch.arange(16.0).view(1, 16, 1, 1)), patch)
    assert ShuffleDown(16, attention=False)(patch).flatten().tolist() == list(range(16))


def test_neighbouring_channels_stay_in_their_own_patch():
    x = torch.zeros(1, 32, 2, 2)
    x[0, 16 + 6, 1, 0] = 1  # second group of 16; place 6 of its patch: row 1, column 2
    fine = ShuffleUp(32, attention=False)(x)
    assert fine.nonzero().tolist() == [[0, 1, 4 + 1, 0 + 2]]


@pytest.mark.parametrize("factor", [2, 4])
def test_unshuffle_equals_torchs_and_inverts_torchs_shuffle(factor):
    x = torch.randn(2, 3, 3 * factor, 5 * factor)
    assert torch.equal(PixelUnshuffle(factor)(x), nn.PixelUnshuffle(factor)(x))
    testing.check_shuffle_roundtrip(nn.PixelShuffle(factor), PixelUnshuffle(factor), (2, 3 * factor**2, 3, 5))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_shuffles_move_the_same_numbers_in_either_memory_format_and_keep_it(memory_format):
    coarse = torch.randn(2, 32, 3, 5)
    fine = nn.PixelShuffle(4)(coarse)
    for shuffle, x, expected in ((ShuffleUp, coarse, fine), (ShuffleDown, fine, coarse)):
        moved = shuffle(32, attention=False)(x.contiguous(memory_format=memory_format))
        assert torch.equal(moved, expected)
        assert moved.is_contiguous(memory_format=memory_format)
        gated = shuffle(32)(x.contiguous(memory_format=memory_format))
        assert gated.is_contiguous(memory_format=memory_format)


def test_two_steps_are_two_shuffles_by_four():
    x, shuffle = torch.randn(1, 512, 2, 3), nn.PixelShuffle(4)
    assert torch.equal(ShuffleUp(512, 2, attention=False)(x), shuffle(shuffle(x)))


def test_sca_follows_each_shuffle_and_cca_each_unshuffle():
    up, down = ShuffleUp(2048, 2), ShuffleDown(2048, 2)
    assert [type(layer) for layer in up] == [nn.PixelShuffle, SpatialContextAttention] * 2
    assert [type(layer) for layer in down] == [PixelUnshuffle, ChannelContextAttention] * 2
    assert [up[k].heads for k in (1, 3)] == [4, 4]  # of 128 and 8 channels
    assert [down[k].mlp[0].in_channels for k in (1, 3)] == [128, 2048]


def test_without_attention_nothing_is_learned():
    for shuffle in (ShuffleUp(256, 2, attention=False), ShuffleDown(256, 2, attention=False)):
        assert not list(shuffle.parameters())


def test_attention_multiplies_the_shuffled_numbers_by_factors_below_one():
    x = torch.rand(1, 64, 3, 5) + 0.1
    gated, bare = ShuffleUp(64)(x), ShuffleUp(64, attention=False)(x)
    assert ((gated > 0) & (gated < bare)).all()


@pytest.mark.parametrize(("shuffle", "shape"), [(ShuffleUp, (2, 1024, 1, 1)), (ShuffleDown, (2, 4, 16, 16))])
def test_inputs_stay_and_gradients_arrive(shuffle, shape, awake):
    module, x = awake(shuffle(1024, 2)), torch.randn(shape)
    testing.check_inputs_unmodified(module, x)
    testing.check_gradients_reach_everything(module, x)


def test_every_argument_matters():
    def run_up(module):
        return module(torch.ones(1, 512, 2, 2))

    changes = {"channels": 32, "steps": 2, "attention": False}
    testing.check_every_argument_matters(ShuffleUp, run_up, {"channels": 512}, changes)
    testing.check_every_argument_matters(
        ShuffleDown, lambda module: module(torch.ones(1, 32, 8, 8)), {"channels": 512}, changes
    )


@pytest.mark.parametrize("shuffle", [ShuffleUp, ShuffleDown])
@pytest.mark.parametrize(
    ("channels", "steps", "message"),
    [
        (24, 1, "multiple of 16 for steps=1, got 24"),
        (128, 2, "multiple of 256 for steps=2, got 128"),
        (16, 0, "multiple of 16 for steps=0, got 16"),
    ],
)
def test_channels_that_do_not_fit_are_refused(shuffle, channels, steps, message):
    with pytest.raises(ValueError, match=message):
        shuffle(channels, steps)


def test_a_map_that_cannot_be_cut_into_patches_is_refused_in_words():
    with pytest.raises(ValueError, match="rows and columns must be multiples of 4, got 6 and 8: pad"):
        ShuffleDown(16)(torch.zeros(1, 1, 6, 8))

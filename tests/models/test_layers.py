"""Conv–BN–ReLU and resizing."""

import pytest
import torch

from spacemeshlab import testing
from spacemeshlab.models.layers import ConvNormReLU, resize


@pytest.mark.parametrize(("kernel_size", "dilation"), [(1, 1), (3, 1), (3, 5), (7, 2)])
def test_conv_norm_relu_keeps_odd_sizes(kernel_size, dilation):
    layer = ConvNormReLU(3, 5, kernel_size, dilation)
    testing.check_shape(layer, (1, 3, 7, 9), (1, 5, 7, 9))


def test_conv_norm_relu_by_hand():
    layer = ConvNormReLU(1, 2).eval()
    layer[0].weight.data = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1).expand(2, 1, 3, 3).clone()
    layer[1].running_mean.fill_(5.0)
    layer[1].eps = 0.0
    counts = [[4.0, 6, 4], [6, 9, 6], [4, 6, 4]]  # how many of the nine taps lie inside a 3×3 map
    expected = torch.tensor([counts, counts]).sub(5).clamp(min=0)
    expected[1] = 0  # -count - 5 is negative everywhere
    testing.check_same(layer(torch.ones(1, 1, 3, 3))[0], expected)


def test_conv_norm_relu_leaves_its_input_and_trains_everything():
    layer, x = ConvNormReLU(3, 5), torch.randn(2, 3, 5, 7)
    testing.check_inputs_unmodified(layer, x)
    testing.check_gradients_reach_everything(layer, x)


def test_every_argument_of_conv_norm_relu_matters():
    testing.check_every_argument_matters(
        ConvNormReLU,
        lambda layer: layer(torch.ones(1, 3, 7, 7)),
        {"in_channels": 3, "out_channels": 5},
        {"in_channels": 4, "out_channels": 6, "kernel_size": 1, "dilation": 2},
    )


def test_resize_does_not_align_corners():
    row = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    # the centres of four pixels lie at 1/4 - 1/2 (outside: clamped), 1/4, 3/4 and beyond, in units of the old pixels
    testing.check_same(resize(row, (1, 4)).flatten(), torch.tensor([0.0, 0.25, 0.75, 1.0]))


def test_resize_to_the_same_size_copies_nothing():
    x = torch.randn(1, 2, 5, 7)
    assert resize(x, (5, 7)) is x

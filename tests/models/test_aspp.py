"""ASPP: five branches, one of which sees the whole image."""

import pytest
import torch
import torch.nn.functional as F

from spacemeshlab import testing
from spacemeshlab.models.aspp import ASPP


@pytest.mark.parametrize(("n", "h", "w"), [(1, 5, 7), (2, 1, 1), (1, 33, 3)])
def test_shape_with_odd_sizes(n, h, w):
    module = ASPP(6, channels=4).eval()
    assert module.out_channels == 20
    testing.check_shape(module, (n, 6, h, w), (n, 20, h, w))


def test_the_papers_five_branches_of_256_make_1280_channels():
    assert ASPP(8).out_channels == 1280


def test_equals_five_convolutions_written_out():
    module, x = ASPP(3, rates=(1, 2, 4), channels=2).eval(), torch.randn(2, 3, 7, 5)
    filters = [*(branch[0].weight for branch in module.branches), module.pooling[1][0].weight]
    maps = [F.conv2d(x, filters[0])]
    maps += [F.conv2d(x, filters[k], padding=rate, dilation=rate) for k, rate in ((1, 1), (2, 2), (3, 4))]
    maps += [F.conv2d(x.mean((2, 3), keepdim=True), filters[4]).expand(2, 2, 7, 5)]
    expected = torch.relu(torch.cat(maps, dim=1) / (1 + 1e-5) ** 0.5)  # untrained batch norm: mean 0, variance 1
    testing.check_same(module(x), expected)


def test_inputs_stay_and_gradients_arrive():
    module, x = ASPP(6, rates=(1, 2), channels=4), torch.randn(3, 6, 5, 7)
    testing.check_inputs_unmodified(module, x)
    testing.check_gradients_reach_everything(module, x)


def test_every_argument_matters():
    testing.check_every_argument_matters(
        ASPP,
        lambda module: module(torch.ones(1, 6, 9, 9)),
        {"in_channels": 6, "rates": (1, 2), "channels": 4},
        {"in_channels": 5, "rates": (1, 3), "channels": 3},
    )


def test_one_image_cannot_train_the_pooled_branch():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        ASPP(6, channels=4)(torch.randn(1, 6, 5, 5))

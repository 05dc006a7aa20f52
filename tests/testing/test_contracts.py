"""The checks themselves: each must be able to fail, and say why."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spacemeshlab import testing
from spacemeshlab.testing import naive_meshgrid_conv2d


def test_check_shape_tells_both_shapes():
    testing.check_shape(lambda x: x[:, :1], (1, 3, 5, 7), (1, 1, 5, 7))
    with pytest.raises(AssertionError, match=r"expected shape \(1, 1, 5, 7\) .*found \(1, 3, 5, 7\)"):
        testing.check_shape(lambda x: x, (1, 3, 5, 7), (1, 1, 5, 7))


def test_check_same_names_the_worst_place_and_nan_is_never_the_same():
    x = torch.tensor([[1.0, 2.0]])
    testing.check_same(x + 1e-6, x)
    with pytest.raises(AssertionError, match=r"expected the result 2 at \(0, 1\) .*found 3"):
        testing.check_same(torch.tensor([[1.1, 3.0]]), x)
    with pytest.raises(AssertionError, match="found nan"):
        testing.check_same(x * torch.nan, x)
    with pytest.raises(AssertionError, match=r"shape \(1, 2\)"):
        testing.check_same(x.T, x)
    with pytest.raises(AssertionError, match=r"dtype torch\.float32"):
        testing.check_same(x.double(), x)


def test_check_inputs_unmodified_finds_an_operation_in_place():
    testing.check_inputs_unmodified(torch.relu, -torch.ones(2))
    with pytest.raises(AssertionError, match="input 1 unchanged"):
        testing.check_inputs_unmodified(lambda x, y: y.relu_(), -torch.ones(2), -torch.ones(2))


def test_check_gradients_finds_unused_and_cancelled_parameters():
    class Unused(nn.Linear):
        def forward(self, x):
            return F.linear(x, self.weight)

    x = torch.randn(8, 3)
    testing.check_gradients_reach_everything(nn.Linear(3, 2), x)
    with pytest.raises(AssertionError, match="a gradient in bias, found none"):
        testing.check_gradients_reach_everything(Unused(3, 2), x)
    dead = nn.Sequential(nn.Linear(3, 2), nn.Threshold(1e9, 0.0))
    with pytest.raises(AssertionError, match=r"a gradient in 0\.weight, found only zeros"):
        testing.check_gradients_reach_everything(dead, x)


def test_check_every_argument_finds_the_forgotten_and_the_untested():
    def make(width, bias=True, forgotten=0):
        return nn.Linear(3, width, bias)

    def check(**changes):
        testing.check_every_argument_matters(make, lambda net: net(torch.ones(1, 3)), {"width": 2}, changes)

    with pytest.raises(AssertionError, match=r"none for \['bias', 'forgotten'\]"):
        check(width=3)
    with pytest.raises(AssertionError, match="expected forgotten=1 to change something"):
        check(width=3, bias=False, forgotten=1)


def test_check_shuffle_roundtrip_finds_changed_numbers_and_another_order():
    up, down = nn.PixelShuffle(2), nn.PixelUnshuffle(2)
    testing.check_shuffle_roundtrip(up, down, (1, 8, 3, 5))
    with pytest.raises(AssertionError, match="the same numbers"):
        testing.check_shuffle_roundtrip(lambda x: up(x) + 1, down, (1, 8, 3, 5))
    with pytest.raises(AssertionError, match=r"down\(up\(x\)\) to give its input back"):
        testing.check_shuffle_roundtrip(up, lambda y: down(y.mT).mT, (1, 8, 3, 5))


def swapped(x, weight, rates):
    return naive_meshgrid_conv2d(x.mT, weight.mT, rates).mT


def depth_first(x, weight, rates):
    return naive_meshgrid_conv2d(x, weight, rates).unflatten(1, weight.shape[:3]).movedim(3, 1).flatten(1, 3)


def columns_first(x, weight, rates):
    return naive_meshgrid_conv2d(x, weight, rates).unflatten(1, weight.shape[:3]).transpose(1, 2).flatten(1, 3)


def mirrored(x, weight, rates):
    return naive_meshgrid_conv2d(x, weight.flip(-2, -1), rates)


def wrapped_around(x, weight, rates):
    x = F.pad(x, (1, 1, 1, 1), mode="circular")
    return naive_meshgrid_conv2d(x, weight, rates)[..., 1:-1, 1:-1]


def without_gradient_of_the_middle_tap(x, weight, rates):
    centre = torch.zeros(3, 3)
    centre[1, 1] = 1
    return naive_meshgrid_conv2d(x, weight * (1 - centre) + weight.detach() * centre, rates)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (swapped, "here they are exchanged"),
        (columns_first, "a is the slowest"),
        (depth_first, "so d is the fastest"),
        (mirrored, "the filters are mirrored"),
        (wrapped_around, "taps outside the map count as zero"),
        (without_gradient_of_the_middle_tap, "gradient of weight .*backward is not"),
    ],
)
def test_check_meshgrid_conv_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_meshgrid_conv(mistake)


def test_the_definition_passes_its_own_check():
    testing.check_meshgrid_conv(naive_meshgrid_conv2d)

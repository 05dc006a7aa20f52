"""The checks of depth and score: the package passes them, and each names the common mistakes."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

from spacemeshlab import MetroCon2, testing
from spacemeshlab.models.metrocon import default_depth
from spacemeshlab.testing.consensus import CONSENSUS_CASES, naive_consensus


def test_the_package_passes_the_check_of_the_depth():
    testing.check_default_depth(default_depth)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (lambda m: round(1280 / m**2), "that is the paper's formula; 1278 channels"),
        (lambda m: math.ceil(1280 / m**2), "1287 is no multiple of 16"),
        (lambda m: 16 * (80 // m**2) or 1, "is less than 1280"),
        (lambda m: 16 * math.ceil(80 / m**2), "fits, but a smaller D does too"),
        (lambda m: default_depth(m) + (m == 4) * 1, "D = 80 for 4 rates, found 81.*exactly 1280 is allowed"),
        (lambda m: round(1280 / m), "there are M·M pairs"),
        (lambda m: 1280 / m**2, "/ gives a float, // an int"),
        (lambda m: None, "a whole number for 1 rates, found None"),
        (lambda m: True, "a whole number for 1 rates, found True"),
    ],
)
def test_check_default_depth_says_which_demand_is_not_met(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_default_depth(mistake)


def test_the_papers_three_values_alone_do_not_make_the_rule():
    testing.check_default_depth(lambda m: 1296 // m**2, numbers=[3, 9, 18])
    with pytest.raises(AssertionError, match="D = 1280 for 1 rates, found 1296"):
        testing.check_default_depth(lambda m: 1296 // m**2)


def consensus_of_the_package(y, scale, shift, score):
    """MetroCon2 with filters that hand their channel through, and batch norm in evaluation mode."""
    m, channels = len(score), y.shape[1]
    net = MetroCon2(channels, range(1, m + 1), channels // m**2, method="loop").eval()
    pick = torch.zeros(channels, channels, 3, 3)
    pick[:, :, 1, 1] = torch.eye(channels)
    state = {"weight": pick.view(net.weight.shape), "score": score, "norm.weight": scale, "norm.bias": shift}
    state |= {"norm.running_mean": torch.zeros(channels), "norm.running_var": torch.full((channels,), 1 - net.norm.eps)}
    with torch.enable_grad():  # without gradients the package fuses all of it, and the next test is about that
        return functional_call(net, state, (y,))


def test_the_package_passes_the_check_of_the_consensus():
    testing.check_consensus(consensus_of_the_package)
    testing.check_consensus(consensus_of_the_package, seed=5)


def test_a_case_is_as_wide_as_it_has_channels_so_that_broadcasting_along_the_wrong_axis_shows():
    assert any(m * m * depth == width for _, m, depth, _, width in CONSENSUS_CASES)
    with pytest.raises(AssertionError, match="take one channel k"):
        testing.check_consensus(
            lambda y, scale, shift, score: score.flatten().repeat_interleave(2) * F.relu(scale * y + shift),
            cases=CONSENSUS_CASES[-1:],
        )


def wide(values, depth=1):
    return values.flatten().repeat_interleave(depth).view(-1, 1, 1)


def mistaken(formula):
    """The formula, given y, factor and summand, and the score, all as maps."""

    def consensus(y, scale, shift, score):
        return formula(y, wide(scale), wide(shift), wide(score, y.shape[1] // score.numel()))

    return consensus


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (mistaken(lambda y, f, b, s: F.relu(f * (s * y) + b)), "here it stands before batch norm"),
        (mistaken(lambda y, f, b, s: F.relu(s * (f * y + b))), "between batch norm and ReLU"),
        (mistaken(lambda y, f, b, s: F.relu(s * F.relu(f * y + b))), "no ReLU after the score"),
        (mistaken(lambda y, f, b, s: s * (f * y + b)), "the ReLU is missing"),
        (mistaken(lambda y, f, b, s: F.relu(f * y + b)), "the scores are missing"),
        (mistaken(lambda y, f, b, s: s * F.relu(f * (y + b))), "first the factor, then the summand"),
        (mistaken(lambda y, f, b, s: s.abs() * F.relu(f * y + b)), "its sign too"),
        (mistaken(lambda y, f, b, s: s.sigmoid() * F.relu(f * y + b)), "without sigmoid"),
        (lambda y, f, b, s: naive_consensus(y, f, b, s.softmax(0)), "take one channel k"),
        (lambda y, f, b, s: naive_consensus(y, f, b, s.flatten().softmax(0).view_as(s)), "without softmax"),
        (lambda y, f, b, s: naive_consensus(y, f, b, s.T), "the score is transposed"),
        (
            lambda y, f, b, s: (
                s.flatten().repeat(y.shape[1] // s.numel()).view(-1, 1, 1) * F.relu(wide(f) * y + wide(b))
            ),
            "write each score D times in a row",
        ),
        (mistaken(lambda y, f, b, s: y.mul_(f).add_(b).relu_().mul(s)), "y as it was, found other numbers"),
        (lambda y, f, b, s: naive_consensus(y, f, b, s.detach()), r"a gradient of score .*, found none"),
        (lambda y, f, b, s: naive_consensus(y, f, b, s).detach(), "cut off from its inputs"),
        (lambda y, f, b, s: None, "to be a tensor, found NoneType"),
    ],
)
def test_check_consensus_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_consensus(mistake)


def test_check_consensus_can_leave_the_gradients_out():
    testing.check_consensus(lambda y, f, b, s: naive_consensus(y, f, b, s).detach(), gradients=False)

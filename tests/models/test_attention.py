"""SCA and CCA against loops over heads and against numbers by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spacemeshlab import ChannelContextAttention, SpatialContextAttention, testing
from spacemeshlab.models.attention import HeadConv, default_heads

BOTH = pytest.mark.parametrize("attention", [SpatialContextAttention, ChannelContextAttention])


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def naive_sca(sca, x):
    """Head by head, each with its own filter and its own share of batch norm (eval mode)."""
    heads = []
    for g, group in enumerate(x.chunk(sca.heads, dim=1)):
        summary = torch.cat((group.mean(1, keepdim=True), group.max(1, keepdim=True).values), dim=1)  # (N, 2, H, W)
        y = F.conv2d(summary, sca.conv.weight[g : g + 1], padding=3)
        norm = sca.norm
        y = (y - norm.running_mean[g]) / (norm.running_var[g] + norm.eps).sqrt() * norm.weight[g] + norm.bias[g]
        heads.append(group * torch.sigmoid(y))
    return torch.cat(heads, dim=1)


def naive_cca(cca, x):
    """Head by head, each with a small network of its own for vectors of C/G numbers."""
    first, second = cca.mlp[0], cca.mlp[2]
    heads = []
    for g, group in enumerate(x.chunk(cca.heads, dim=1)):
        w1, b1, w2, b2 = (
            t.chunk(cca.heads)[g].squeeze() for t in (first.weight, first.bias, second.weight, second.bias)
        )
        w1, w2 = w1.view(-1, group.shape[1]), w2.view(group.shape[1], -1)
        mean, peak = group.flatten(2).mean(2), group.flatten(2).max(2).values  # (N, C/G)
        mlp = [torch.relu(v @ w1.T + b1.view(-1)) @ w2.T + b2 for v in (mean, peak)]
        heads.append(group * torch.sigmoid(sum(mlp))[:, :, None, None])
    return torch.cat(heads, dim=1)


@pytest.mark.parametrize(("channels", "heads"), [(8, None), (8, 2), (6, None), (81, None), (64, 1), (128, 8)])
def test_both_equal_a_loop_over_heads(channels, heads):
    x = torch.randn(2, channels, 5, 7)
    sca, cca = SpatialContextAttention(channels, heads).eval(), ChannelContextAttention(channels, heads).eval()
    torch.nn.init.normal_(sca.norm.running_mean)
    torch.nn.init.uniform_(sca.norm.running_var, 0.5, 2)
    torch.nn.init.normal_(sca.norm.weight)
    torch.nn.init.normal_(sca.norm.bias)
    testing.check_same(sca(x), naive_sca(sca, x))
    testing.check_same(cca(x), naive_cca(cca, x))


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_gates_convolution_is_the_grouped_one_forward_and_backward(heads, memory_format):
    conv, x = HeadConv(heads), torch.randn(2, 2 * heads, 5, 9).contiguous(memory_format=memory_format).requires_grad_()
    for bias in (None, nn.Parameter(torch.randn(heads))):
        conv.bias = bias
        found, expected = conv(x), F.conv2d(x, conv.weight, bias, padding=3, groups=heads)
        testing.check_same(found, expected)
        wanted, grad = [x, *conv.parameters()], torch.randn(expected.shape)
        pairs = zip(*(torch.autograd.grad(y, wanted, grad) for y in (found, expected)), strict=True)
        for got, want in pairs:
            testing.check_same(got, want)


@BOTH
@pytest.mark.parametrize("shape", [(1, 8, 1, 1), (1, 8, 5, 7), (3, 8, 1, 9)])
def test_the_shape_stays(attention, shape):
    testing.check_shape(attention(8).eval(), shape, shape)


def test_gates_are_factors_between_zero_and_one_a_map_a_head_or_a_number_a_channel():
    x = torch.randn(2, 8, 5, 7)
    for gate, shape in (
        (SpatialContextAttention(8).gate(x), (2, 4, 5, 7)),
        (ChannelContextAttention(8).gate(x), (2, 8, 1, 1)),
    ):
        assert gate.shape == shape
        assert ((gate > 0) & (gate < 1)).all()


def test_sca_by_hand():
    sca = SpatialContextAttention(2, heads=1).eval()
    sca.norm.eps = 0.0
    sca.conv.weight.data.zero_()
    sca.conv.weight.data[0, :, 3, 3] = torch.tensor([1.0, 0.5])  # only the middle tap: 1·mean + 0.5·max
    x = torch.tensor([1.0, 3.0]).view(1, 2, 1, 1)  # mean 2, max 3
    testing.check_same(sca(x).flatten(), torch.tensor([1.0, 3.0]) * sigmoid(2 + 0.5 * 3))


def test_cca_by_hand():
    cca = ChannelContextAttention(1)
    for layer, factor in ((cca.mlp[0], 1.0), (cca.mlp[2], 0.5)):
        layer.weight.data.fill_(factor)
        layer.bias.data.zero_()
    x = torch.tensor([[0.0, 2.0], [4.0, 6.0]]).view(1, 1, 2, 2)  # mean 3, max 6
    testing.check_same(cca(x), x * sigmoid(0.5 * 3 + 0.5 * 6))


def test_the_two_poolings_share_one_network_with_relu_in_between():
    cca = ChannelContextAttention(1)
    for layer in (cca.mlp[0], cca.mlp[2]):
        layer.weight.data.fill_(1.0)
        layer.bias.data.zero_()
    x = torch.tensor([[-5.0, 1.0]]).view(1, 1, 1, 2)  # mean -2 is cut to 0, max 1 stays
    assert cca.gate(x).item() == pytest.approx(sigmoid(1.0))


@BOTH
def test_heads_do_not_see_each_other(attention):
    module, x = attention(8, heads=2).eval(), torch.randn(1, 8, 5, 5)
    changed = x.clone()
    changed[:, :4] += 1  # only the first head's channels
    before, after = module(x), module(changed)
    assert torch.equal(before[:, 4:], after[:, 4:])
    assert not torch.equal(before[:, :4], after[:, :4])


def test_default_heads_is_the_greatest_common_divisor_with_four():
    assert [default_heads(channels) for channels in (1, 2, 3, 4, 6, 8, 81, 128)] == [1, 2, 1, 4, 2, 4, 1, 4]


def test_cca_narrows_by_sixteen_but_keeps_a_number_a_head():
    hidden = {channels: ChannelContextAttention(channels).mlp[0].out_channels for channels in (4, 64, 80, 128, 2048)}
    assert hidden == {4: 4, 64: 4, 80: 4, 128: 8, 2048: 128}  # 80/16 = 5 is rounded down to a multiple of 4 heads


@BOTH
def test_inputs_stay_and_gradients_arrive(attention, awake):
    module, x = awake(attention(64)), torch.randn(2, 64, 5, 7)
    testing.check_inputs_unmodified(module, x)
    testing.check_gradients_reach_everything(module, x)


@BOTH
def test_every_argument_matters(attention):
    testing.check_every_argument_matters(
        attention, lambda module: module(torch.ones(1, 8, 3, 3)), {"channels": 8}, {"channels": 6, "heads": 2}
    )


@BOTH
def test_heads_that_do_not_divide_the_channels_are_refused(attention):
    with pytest.raises(ValueError, match="channels must be a multiple of heads=3, got 8: choose another heads"):
        attention(8, heads=3)

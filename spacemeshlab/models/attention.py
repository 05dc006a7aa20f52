"""Spatial and channel context attention (paper section 2.3, figure 2; chapter 07).

CBAM (Woo et al., ECCV 2018) gates a feature map twice in a row, by channel and then by place. The paper takes the two
gates apart: the spatial one (SCA) follows a pixel shuffle, the channel one (CCA) follows its inverse, and grouped
convolutions turn each into several heads.

Letters: N batch, C channels, H W rows and columns, G heads.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def default_heads(channels: int) -> int:
    """Reading (R): four heads where the channels can be split by four, else two or one: gcd(4, C)."""
    return math.gcd(4, channels)


def _check_heads(channels: int, heads: int | None) -> int:
    heads = default_heads(channels) if heads is None else heads
    if heads < 1 or channels % heads:
        raise ValueError(f"channels must be a multiple of heads={heads}, got {channels}: choose another heads")
    return heads


class HeadConv(nn.Conv2d):
    """The gate's 7×7 convolution, from each head's two maps to its one: a grouped convolution, computed otherwise.

    One filter a map and then the sum of each pair are the same numbers, and CPUs have a kernel for single maps that
    lie side by side (channels last), but none that is fast for groups of two.

    Shape: (N, 2·G, H, W) -> (N, G, H, W).
    """

    def __init__(self, heads: int) -> None:
        super().__init__(2 * heads, heads, 7, padding=3, groups=heads, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        filters = self.weight.flatten(0, 1).unsqueeze(1)  # (G, 2, 7, 7) -> (2·G, 1, 7, 7)
        bias = None if self.bias is None else self.bias.repeat_interleave(2) / 2  # only where batch norm was folded in
        maps = F.conv2d(x.contiguous(memory_format=torch.channels_last), filters, bias, padding=3, groups=len(filters))
        return maps[:, 0::2] + maps[:, 1::2]  # (N, 2·G, H, W) -> (N, G, H, W)


class SpatialContextAttention(nn.Module):
    """SCA: every head looks at the mean and the maximum over its own channels and gates every place.

    For head g with channels x_g:  x_g · σ(BN(conv7×7([mean x_g, max x_g])))

    Args:
        channels: C, a multiple of ``heads``.
        heads: G; None chooses gcd(4, C).

    Shape: (N, C, H, W) -> (N, C, H, W).

    Reading: the number of heads, and the batch norm before the sigmoid, which CBAM's code has and its formula has not.
    """

    def __init__(self, channels: int, heads: int | None = None) -> None:
        super().__init__()
        self.heads = _check_heads(channels, heads)
        self.conv = HeadConv(self.heads)
        self.norm = nn.BatchNorm2d(self.heads)

    def gate(self, x: Tensor) -> Tensor:
        """The factors in (0, 1), one map a head: (N, C, H, W) -> (N, G, H, W)."""
        by_head = x.unflatten(1, (self.heads, -1))  # (N, C, H, W) -> (N, G, C/G, H, W)
        alone = by_head.shape[2] == 1  # mean and maximum of one channel are that channel
        pair = (x, x) if alone else (by_head.mean(2), by_head.amax(2))
        summary = torch.stack(pair, dim=2)  # (N, G, 2, H, W): each head's own pair
        return torch.sigmoid(self.norm(self.conv(summary.flatten(1, 2))))

    def forward(self, x: Tensor) -> Tensor:
        gate = self.gate(x).unsqueeze(2)  # (N, G, 1, H, W)
        return (x.unflatten(1, (self.heads, -1)) * gate).flatten(1, 2)


class ChannelContextAttention(nn.Module):
    """CCA: a small grouped network looks at every channel's mean and maximum over the map and gates every channel.

        x · σ(MLP(mean x) + MLP(max x))

    Args:
        channels: C, a multiple of ``heads``.
        heads: G; None chooses gcd(4, C).

    Shape: (N, C, H, W) -> (N, C, H, W).

    Reading: the number of heads, and the hidden width max(C/16, G), rounded down to a multiple of G (CBAM: C/16).
    """

    def __init__(self, channels: int, heads: int | None = None) -> None:
        super().__init__()
        self.heads = _check_heads(channels, heads)
        hidden = max(channels // 16 // self.heads, 1) * self.heads
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, groups=self.heads),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1, groups=self.heads),
        )

    def gate(self, x: Tensor) -> Tensor:
        """The factors in (0, 1), one a channel: (N, C, H, W) -> (N, C, 1, 1)."""
        mean, peak = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)  # (N, C, 1, 1) each
        return torch.sigmoid(self.mlp(mean) + self.mlp(peak))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)

"""Atrous spatial pyramid pooling, the context module that MetroCon² replaces (DeepLabV3; chapter 05)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spacemeshlab.models.layers import ConvNormReLU, resize


class ASPP(nn.Module):
    """Five views of one map side by side: 1×1, three dilated 3×3, and the mean of the whole image.

    Args:
        in_channels: C.
        rates: dilation rates of the 3×3 branches; 6, 12, 18 at output stride 16.
        channels: channels of each branch.

    Attributes:
        out_channels: 5·256 = 1280. The 1×1 projection that follows in DeepLabV3+ belongs to its decoder here.

    Shape: (N, C, H, W) -> (N, out_channels, H, W). In training, the batch norm of the pooled branch needs N ≥ 2.
    """

    def __init__(self, in_channels: int, rates: tuple[int, ...] = (6, 12, 18), channels: int = 256) -> None:
        super().__init__()
        dilated = [ConvNormReLU(in_channels, channels, 3, rate) for rate in rates]
        self.branches = nn.ModuleList([ConvNormReLU(in_channels, channels, 1), *dilated])
        self.pooling = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvNormReLU(in_channels, channels, 1))
        self.out_channels = channels * (len(self.branches) + 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = resize(self.pooling(x), x.shape[-2:])  # (N, C, 1, 1) -> (N, 256, H, W)
        return torch.cat([*(branch(x) for branch in self.branches), pooled], dim=1)

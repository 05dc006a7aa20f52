"""The two small pieces that many modules share: conv–BN–ReLU, and bilinear resizing with one convention."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ConvNormReLU(nn.Sequential):
    """Convolution without bias, batch norm, ReLU; ``padding`` keeps the size.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H, W).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, dilation: int = 1) -> None:
        padding = dilation * (kernel_size // 2)
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, dilation=dilation, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resampling to ``size`` = (H, W) with ``align_corners=False``: (N, C, h, w) -> (N, C, H, W)."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)

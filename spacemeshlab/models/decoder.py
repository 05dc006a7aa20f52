"""From context to logits: the paper's decoder, DeepLabV3+'s, and the auxiliary head (section 2.4; chapter 11)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spacemeshlab.models.layers import ConvNormReLU, resize
from spacemeshlab.models.shuffle import ShuffleDown, ShuffleUp

WIDTH = 256
"""Channels of every 3×3 convolution in the heads (DeepLabV3+)."""


def _head(in_channels: int, num_classes: int) -> nn.Sequential:
    """Two 3×3 convolutions and the classifier, at 1/4 of the image: (N, in, h, w) -> (N, K, h, w)."""
    return nn.Sequential(ConvNormReLU(in_channels, WIDTH), ConvNormReLU(WIDTH, WIDTH), nn.Conv2d(WIDTH, num_classes, 1))


class SpaceMeshLabDecoder(nn.Module):
    """Meet at 1/4: the context is shuffled up, the memo is shuffled down, and the two are concatenated.

    Args:
        context_channels: channels of the context map at 1/16, a multiple of 16.
        memo_channels: channels of the memo at 1/1.
        num_classes: K.
        attention: SCA after the shuffle and CCA after the unshuffle.

    Shape: context (N, 1296, H/16, W/16), memo (N, 8, H, W) -> logits (N, K, H/4, W/4);
    1296/16 = 81 and 8·16 = 128 channels meet.

    Reading: one step of 4 on each side, 256 channels, batch norm and ReLU; the paper gives the order only.
    """

    def __init__(self, context_channels: int, memo_channels: int, num_classes: int, attention: bool = True) -> None:
        super().__init__()
        self.up = ShuffleUp(context_channels, 1, attention)
        self.down = ShuffleDown(16 * memo_channels, 1, attention)
        self.head = _head(context_channels // 16 + 16 * memo_channels, num_classes)

    def forward(self, context: Tensor, memo: Tensor) -> Tensor:
        return self.head(torch.cat((self.up(context), self.down(memo)), dim=1))


class DeepLabV3PlusDecoder(nn.Module):
    """Project the context, enlarge it to 1/4, add 48 channels of an early feature (Chen et al., ECCV 2018).

    Args:
        context_channels: channels of the context map at 1/16.
        low_level_channels: channels of block 2 at 1/4.
        num_classes: K.

    Shape: context (N, context_channels, H/16, W/16), low_level (N, low_level_channels, H/4, W/4) -> (N, K, H/4, W/4).
    """

    def __init__(self, context_channels: int, low_level_channels: int, num_classes: int) -> None:
        super().__init__()
        self.project = ConvNormReLU(context_channels, WIDTH, 1)
        self.reduce = ConvNormReLU(low_level_channels, 48, 1)
        self.head = _head(WIDTH + 48, num_classes)

    def forward(self, context: Tensor, low_level: Tensor) -> Tensor:
        context = resize(self.project(context), low_level.shape[-2:])
        return self.head(torch.cat((context, self.reduce(low_level)), dim=1))


class AuxiliaryHead(nn.Sequential):
    """FCN on the last block with one additional convolution (section 3): (N, C, h, w) -> (N, K, h, w).

    Reading: that convolution is 3×3 with 256 channels.
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(ConvNormReLU(in_channels, WIDTH), nn.Conv2d(WIDTH, num_classes, 1))

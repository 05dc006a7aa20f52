"""Between coarse and deep, fine and shallow: shuffles with attention (paper sections 2.1 and 2.3; chapter 06).

A pixel shuffle (Shi et al., CVPR 2016) moves 16 channels into a 4×4 patch of places; its inverse moves them back. No
number is changed or lost, so C·H·W stays the same in both directions. Where the stride is 16, two steps of 4 do it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spacemeshlab.models.attention import ChannelContextAttention, SpatialContextAttention

FACTOR = 4
"""The scaling factor of every shuffle (paper section 3)."""


class PixelUnshuffle(nn.Module):
    """The inverse of ``nn.PixelShuffle(factor)``: (N, C, H, W) -> (N, C·factor², H/factor, W/factor).

    The memory format stays, contiguous or channels last.

    torch's own ``nn.PixelUnshuffle`` gives the same numbers. The locked onnxscript exports it rightly; some older ones,
    which the package allows too, write another channel order (issue 2891). A reshape and a permute no version misreads.
    """

    def __init__(self, factor: int = FACTOR) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        f = self.factor
        if h % f or w % f:
            problem = f"rows and columns must be multiples of {f}, got {h} and {w}"
            raise ValueError(f"{problem}: pad the image to 16")
        patches = x.unflatten(3, (w // f, f)).unflatten(2, (h // f, f))  # (N, C, h, f, w, f)
        if x.is_contiguous(memory_format=torch.channels_last):
            # the result too, or every later sum must convert it
            last = patches.permute(0, 2, 4, 1, 3, 5)  # (N, h, w, C, f, f)
            return last.reshape(n, h // f, w // f, c * f * f).permute(0, 3, 1, 2)
        return patches.permute(0, 1, 3, 5, 2, 4).reshape(n, c * f * f, h // f, w // f)


def _check(channels: int, steps: int) -> None:
    if steps < 1 or channels % FACTOR ** (2 * steps):
        raise ValueError(
            f"channels must be a multiple of {FACTOR ** (2 * max(steps, 1))} for steps={steps}, got {channels}: "
            "choose a width (for MetroCon2: a depth) that is"
        )


class ShuffleUp(nn.Sequential):
    """``steps`` times a pixel shuffle by 4 and SCA: backbone feature -> the memo's size.

    Args:
        channels: C of the input, a multiple of 16**steps.
        steps: 1 for stride 4, 2 for stride 16.
        attention: False leaves the bare shuffles (table 1, SpaM without SCA and CCA).

    Shape: (N, C, h, w) -> (N, C/16**steps, h·4**steps, w·4**steps).
    """

    def __init__(self, channels: int, steps: int = 1, attention: bool = True) -> None:
        _check(channels, steps)
        layers: list[nn.Module] = []
        for _ in range(steps):
            channels //= FACTOR**2
            layers.append(nn.PixelShuffle(FACTOR))
            if attention:
                layers.append(SpatialContextAttention(channels))
        super().__init__(*layers)


class ShuffleDown(nn.Sequential):
    """``steps`` times a pixel unshuffle by 4 and CCA: memo -> the backbone feature's size.

    Args:
        channels: C of the *output*, so that ``ShuffleUp(C, s)`` and ``ShuffleDown(C, s)`` are a pair.
        steps: 1 for stride 4, 2 for stride 16.
        attention: False leaves the bare unshuffles.

    Shape: (N, C/16**steps, H, W) -> (N, C, H/4**steps, W/4**steps).
    """

    def __init__(self, channels: int, steps: int = 1, attention: bool = True) -> None:
        _check(channels, steps)
        layers: list[nn.Module] = []
        for step in reversed(range(steps)):
            layers.append(PixelUnshuffle(FACTOR))
            if attention:
                layers.append(ChannelContextAttention(channels // FACTOR ** (2 * step)))
        super().__init__(*layers)

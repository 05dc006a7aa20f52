"""Spatial context memoization: a branch at full resolution that talks with the backbone (section 2.1; chapter 08).

The memo keeps the image's size through the whole network. After each backbone block both sides hand the other what
they have, through a (un)shuffle that fits exactly because C·H·W is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from spacemeshlab.models.backbone import ResNet
from spacemeshlab.models.layers import ConvNormReLU
from spacemeshlab.models.shuffle import FACTOR, ShuffleDown, ShuffleUp


class SpaMBlock(nn.Sequential):
    """Consecutive 3×3 convolutions with batch norm and ReLU at full resolution.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H, W).

    Reading: two convolutions and a hidden width of 16; the paper says only "consecutive".
    """

    def __init__(self, in_channels: int, out_channels: int, hidden: int = 16) -> None:
        super().__init__(ConvNormReLU(in_channels, hidden), ConvNormReLU(hidden, out_channels))


class Exchange(nn.Module):
    """One SpaM block and the mutual exchange with its backbone twin.

        memo ← block(memo);   memo' = memo + up(feature);   feature' = feature + down(memo)

    Both directions start from the values before the exchange.

    Args:
        memo_channels: channels of the memo that comes in.
        channels: channels C of the backbone feature; the memo that goes out has C/16**steps.
        steps: shuffles between the two: 1 at stride 4, 2 at stride 16.
        attention: SCA and CCA after the shuffles.

    Shape: feature (N, C, h, w), memo (N, memo_channels, H, W) -> feature' (N, C, h, w), memo' (N, C/16**steps, H, W).

    Reading: addition. Nothing has to be projected, because a shuffle keeps the number of values.
    """

    def __init__(self, memo_channels: int, channels: int, steps: int, attention: bool = True) -> None:
        super().__init__()
        self.block = SpaMBlock(memo_channels, channels // FACTOR ** (2 * steps))
        self.up = ShuffleUp(channels, steps, attention)
        self.down = ShuffleDown(channels, steps, attention)

    def forward(self, feature: Tensor, memo: Tensor) -> tuple[Tensor, Tensor]:
        memo = self.block(memo)
        return feature + self.down(memo), memo + self.up(feature)


class SpaM(nn.Module):
    """The whole branch: one exchange after every backbone block whose stride is a power of 4.

    Args:
        channels: channels of the backbone's blocks.
        strides: strides of the backbone's blocks. Stride 8 has no exchange: no power of 4 reaches it (section 3).
        attention: SCA and CCA after the shuffles (table 1).

    Attributes:
        out_channels: channels of the last memo.

    Shape: images (N, 3, H, W) -> features of all blocks, memo (N, out_channels, H, W); H and W multiples of 16.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int], attention: bool = True) -> None:
        super().__init__()
        self.exchanges = nn.ModuleDict()
        memo_channels = 3
        for index, (width, stride) in enumerate(zip(channels, strides, strict=True)):
            steps = {FACTOR: 1, FACTOR**2: 2}.get(stride)
            if steps is None:
                continue
            self.exchanges[str(index)] = Exchange(memo_channels, width, steps, attention)
            memo_channels = width // stride**2
        self.out_channels = memo_channels

    def forward(self, images: Tensor, backbone: ResNet) -> tuple[list[Tensor], Tensor]:
        feature, memo, features = images, images, []
        for index in range(len(backbone.channels)):
            feature = backbone.block(index, feature)
            if str(index) in self.exchanges:
                feature, memo = self.exchanges[str(index)](feature, memo)
            features.append(feature)
        return features, memo

"""Meshgrid atrous convolution consensus, MetroCon² (paper section 2.2; chapters 09 and 10).

Every pair of a vertical and a horizontal dilation rate has 3×3 filters of its own, and a trainable confidence score
says how much the pair is worth.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spacemeshlab.models.meshgrid_conv import check_rates, fused_meshgrid_conv2d, meshgrid_conv2d
from spacemeshlab.models.meshgrid_conv_gemm import filter_storage
from spacemeshlab.models.shuffle import FACTOR

ASPP_CHANNELS = 1280
"""What ASPP hands on: five branches of 256."""


def default_depth(num_rates: int) -> int:
    """Outputs a pair of rates: the smallest D for which M·M·D is a multiple of 16 and at least 1280.

    The paper writes round(1280 / (M·N)) and uses 144, 16 and 4 for 3, 9 and 18 rates. Its formula gives 142 for three:
    9·142 = 1278 channels, which the decoder's shuffle could not divide by 16. This rule gives all three of its values.
    """
    pairs = num_rates**2
    depth = -(-ASPP_CHANNELS // pairs)
    while pairs * depth % FACTOR**2:
        depth += 1
    return depth


class MetroCon2(nn.Module):
    """M×M dilated 3×3 convolutions of one map, each pair of rates weighted by its confidence score.

        y[a, b] = score[a, b] · ReLU(BN(conv3×3(x, dilation=(rates[a], rates[b]))))

    Args:
        in_channels: C.
        rates: M strictly increasing dilation rates, used on both axes; the paper's are 1..18.
        depth: D outputs a pair of rates; None chooses :func:`default_depth`.
        method: see :func:`~spacemeshlab.models.meshgrid_conv.meshgrid_conv2d`.

    Attributes:
        weight: (M, M, D, C, 3, 3).
        score: (M, M), starts at 1.
        out_channels: M·M·D, 1296 with the paper's settings.

    Shape: (N, C, H, W) -> (N, M·M·D, H, W).

    Reading: no bias, batch norm and ReLU over the concatenation, *then* the score. A positive factor before batch norm
    would be divided out again and learn nothing. No sigmoid or softmax over the scores.
    """

    def __init__(
        self, in_channels: int, rates: Sequence[int] = range(1, 19), depth: int | None = None, method: str = "auto"
    ) -> None:
        super().__init__()
        self.rates = check_rates(rates)
        m, self.depth = len(self.rates), default_depth(len(self.rates)) if depth is None else depth
        self.method = method
        self.weight = nn.Parameter(filter_storage(m, m, self.depth, in_channels, 3, 3))
        self.score = nn.Parameter(torch.ones(m, m))
        self.out_channels = m * m * self.depth
        self.norm = nn.BatchNorm2d(self.out_channels)
        nn.init.normal_(self.weight, std=(2 / (9 * in_channels)) ** 0.5)  # He et al.: nine taps of C channels each

    def forward(self, x: Tensor) -> Tensor:
        score = self.score.flatten().repeat_interleave(self.depth)  # (M, M) -> (M*M*D,)
        if not self.training and not torch.is_grad_enabled():
            return fused_meshgrid_conv2d(x, self.weight, self.rates, *self._affine(), score, self.method)
        y = meshgrid_conv2d(x, self.weight, self.rates, self.method)  # (N, C, H, W) -> (N, M*M*D, H, W)
        y = F.relu(self.norm(y), inplace=True)
        return y * score.view(-1, 1, 1).to(y.dtype)

    def _affine(self) -> tuple[Tensor, Tensor]:
        """Batch norm in eval mode: one factor and one summand a channel, (M·M·D,) each."""
        scale = self.norm.weight * (self.norm.running_var + self.norm.eps).rsqrt()
        return scale, self.norm.bias - scale * self.norm.running_mean

    def extra_repr(self) -> str:
        return f"{self.weight.shape[3]}, {self.out_channels}, rates={self.rates}, depth={self.depth}"

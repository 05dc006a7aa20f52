"""What several tests of the network need."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import nn

from spacemeshlab import ChannelContextAttention


@pytest.fixture
def awake() -> Callable[[nn.Module], nn.Module]:
    """Lift the hidden biases of every CCA, so that each of its few ReLUs passes a gradient.

    With 64 channels a head has one hidden unit; behind a ReLU its inputs are all positive, and an unlucky start leaves
    it at zero for every image. That is chance, not a missing connection, which is what the gradient checks look for.
    """

    def wake(module: nn.Module) -> nn.Module:
        for part in module.modules():
            if isinstance(part, ChannelContextAttention):
                nn.init.constant_(part.mlp[0].bias, 10.0)
        return module

    return wake

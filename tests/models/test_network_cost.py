"""Parameters and multiply–adds of the ResNet-101 networks: counted, and explained by arithmetic from the paper's sizes.

One image of 512×1024, 19 classes, auxiliary head included. A multiply–add is counted where torch counts it: in
convolutions and matrix products. Batch norm, ReLU, gates, shuffles and bilinear resizing are small beside them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from spacemeshlab import DeepLabV3Plus, SpaceMeshLab

HEIGHT, WIDTH, CLASSES = 512, 1024, 19


class Cost(NamedTuple):
    parameters: int
    multiply_adds: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.parameters + other.parameters, self.multiply_adds + other.multiply_adds)


def places(stride: int) -> int:
    return (HEIGHT // stride) * (WIDTH // stride)


def total(costs) -> Cost:
    return sum(costs, start=Cost(0, 0))


def conv(c_in: int, c_out: int, k: int, at: int, groups: int = 1, norm: bool = True) -> Cost:
    """k×k weights for each pair of channels, each used once a place; batch norm adds a factor and a bias a channel."""
    weights = c_in // groups * c_out * k * k
    return Cost(weights + 2 * c_out * norm, weights * at)


def classifier(c_in: int, at: int) -> Cost:
    """1×1 with a bias."""
    return conv(c_in, CLASSES, 1, at, norm=False) + Cost(CLASSES, 0)


def backbone() -> Cost:
    """Bottlenecks: 1×1 to a quarter, 3×3, 1×1 back; layer2 and layer3 halve the map in their first 3×3."""
    cost, c_in, stride = conv(3, 64, 7, places(2)), 64, 4
    for blocks, c_out, out_stride in ((3, 256, 4), (4, 512, 8), (23, 1024, 16), (3, 2048, 16)):
        narrow = c_out // 4
        cost += conv(c_in, c_out, 1, places(out_stride))  # the first shortcut must change the channels
        for _ in range(blocks):
            cost += conv(c_in, narrow, 1, places(stride))
            cost += conv(narrow, narrow, 3, places(out_stride))
            cost += conv(narrow, c_out, 1, places(out_stride))
            c_in, stride = c_out, out_stride
    return cost


def sca(channels: int, at: int) -> Cost:
    """A mean and a maximum a head, 7×7, one map a head."""
    heads = math.gcd(4, channels)
    return conv(2 * heads, heads, 7, at, groups=heads)


def cca(channels: int) -> Cost:
    """Two grouped 1×1 with biases on one place, run twice: for the mean and for the maximum."""
    heads = math.gcd(4, channels)
    hidden = max(channels // 16 // heads, 1) * heads
    weights = 2 * channels * hidden // heads
    return Cost(weights + hidden + channels, 2 * weights)


def spam() -> Cost:
    """At full resolution two 3×3 of width 16; upwards SCA after each shuffle, downwards CCA after each unshuffle."""
    cost, memo_in = Cost(0, 0), 3
    for channels, stride, memo in ((64, 4, 4), (256, 4, 16), (1024, 16, 4), (2048, 16, 8)):  # the paper's table
        cost += conv(memo_in, 16, 3, places(1)) + conv(16, memo, 3, places(1))
        if stride == 16:  # a first step up and down between 1/16 and 1/4
            cost += sca(channels // 16, places(4)) + cca(channels // 16)
        cost += sca(memo, places(1)) + cca(channels)
        memo_in = memo
    return cost


def metrocon2() -> Cost:
    """324 pairs of rates, four outputs each, from 2048 channels: as much as one 3×3 convolution to 1296 channels."""
    scores = Cost(18 * 18, 0)
    return conv(2048, 324 * 4, 3, places(16)) + scores


def aspp() -> Cost:
    branches = [conv(2048, 256, 1, places(16)), *(conv(2048, 256, 3, places(16)) for _ in (6, 12, 18))]
    return total(branches) + conv(2048, 256, 1, at=1)  # image pooling leaves one place


def head(c_in: int) -> Cost:
    """Two 3×3 and the classifier at 1/4."""
    return conv(c_in, 256, 3, places(4)) + conv(256, 256, 3, places(4)) + classifier(256, places(4))


def spacemeshlab_decoder(context: int) -> Cost:
    """context/16 channels shuffled up and 8·16 of the memo shuffled down meet at 1/4."""
    up, down = context // 16, 8 * 16
    return sca(up, places(4)) + cca(down) + head(up + down)


def deeplab_decoder() -> Cost:
    return conv(1280, 256, 1, places(16)) + conv(256, 48, 1, places(4)) + head(256 + 48)


def aux_head() -> Cost:
    return conv(2048, 256, 3, places(16)) + classifier(256, places(16))


def counted(build) -> dict[str, Cost]:
    """What torch counts, part by part, on the meta device: no memory and no arithmetic."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        net = build(CLASSES, "resnet101").eval()
        net(torch.empty(1, 3, HEIGHT, WIDTH))
    flops = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    # SpaM's forward pass calls the backbone's blocks one by one: count both at the level below
    level = {"backbone": ("conv1", "layer1", "layer2", "layer3", "layer4"), "spam": ("0", "1", "3", "4")}
    costs = {}
    for part, module in net.named_children():
        prefix = f"{build.__name__}.{part}" + (".exchanges" if part == "spam" else "")
        names = [f"{prefix}.{name}" for name in level[part]] if part in level else [prefix]
        parameters = sum(parameter.numel() for parameter in module.parameters())
        costs[part] = Cost(parameters, sum(flops[name] for name in names) // 2)  # a multiply–add is two operations
    costs["all"] = Cost(sum(p.numel() for p in net.parameters()), counter.get_total_flops() // 2)
    return costs


NETWORKS = {
    SpaceMeshLab: {
        "backbone": backbone(),
        "spam": spam(),
        "context": metrocon2(),
        "decoder": spacemeshlab_decoder(1296),
        "aux_head": aux_head(),
    },
    DeepLabV3Plus: {
        "backbone": backbone(),
        "context": aspp(),
        "decoder": deeplab_decoder(),
        "aux_head": aux_head(),
    },
}


@pytest.mark.parametrize("build", NETWORKS)
def test_counts_equal_the_arithmetic_part_by_part(build):
    explained = NETWORKS[build]
    assert counted(build) == {**explained, "all": total(explained.values())}


@pytest.mark.parametrize(
    ("build", "parameters", "giga"), [(SpaceMeshLab, 72_374_502, 202.8), (DeepLabV3Plus, 64_067_782, 186.9)]
)
def test_the_sums_are_these(build, parameters, giga):
    cost = total(NETWORKS[build].values())
    assert (cost.parameters, round(cost.multiply_adds / 1e9, 1)) == (parameters, giga)


def test_where_the_difference_to_deeplab_comes_from():
    """MetroCon² brings the parameters; it and SpaM bring the work; the paper's decoder saves a little of both."""
    parts = {
        "MetroCon² for ASPP": (metrocon2(), aspp()),
        "SpaM": (spam(), Cost(0, 0)),
        "decoder": (spacemeshlab_decoder(1296), deeplab_decoder()),
    }
    parameters = {name: ours.parameters - theirs.parameters for name, (ours, theirs) in parts.items()}
    giga = {name: round((ours.multiply_adds - theirs.multiply_adds) / 1e9, 1) for name, (ours, theirs) in parts.items()}
    assert parameters == {"MetroCon² for ASPP": 8_683_876, "SpaM": 181_552, "decoder": -558_708}
    assert sum(parameters.values()) == 72_374_502 - 64_067_782
    assert giga == {"MetroCon² for ASPP": 18.9, "SpaM": 5.3, "decoder": -8.2}

"""The ablations that the paper lacks: one part of a network exchanged for another, all else as it was (chapter 15).

Each tests a reading of ours, or a part that the paper never takes away. A variant is made *after* the network, so every
weight that both have starts with the same values.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spacemeshlab.models.attention import ChannelContextAttention, SpatialContextAttention
from spacemeshlab.models.meshgrid_conv import fused_meshgrid_conv2d, meshgrid_conv2d
from spacemeshlab.models.metrocon import MetroCon2
from spacemeshlab.models.network import SpaceMeshLab
from spacemeshlab.models.shuffle import FACTOR
from spacemeshlab.models.spam import Exchange


class ConcatenatingExchange(nn.Module):
    """An exchange that concatenates where the reading adds: the other side's values come beside one's own.

        memo ← block(memo);   memo' = W₁ [memo, up(feature)];   feature' = W₂ [feature, down(memo)]

    W₁ and W₂ are 1×1 convolutions that bring the channels back. They start as [I, I], which is the addition.

    Args:
        exchange: whose parts this takes over.

    Shape: as :class:`~spacemeshlab.models.spam.Exchange`.
    """

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self.block, self.up, self.down = exchange.block, exchange.up, exchange.down
        memo, steps = _memo_channels(exchange), sum(isinstance(layer, nn.PixelShuffle) for layer in exchange.up)
        self.to_memo = _starts_as_addition(memo)
        self.to_feature = _starts_as_addition(memo * FACTOR ** (2 * steps))

    def forward(self, feature: Tensor, memo: Tensor) -> tuple[Tensor, Tensor]:
        memo = self.block(memo)
        return (
            self.to_feature(torch.cat((feature, self.down(memo)), dim=1)),
            self.to_memo(torch.cat((memo, self.up(feature)), dim=1)),
        )


def _starts_as_addition(channels: int) -> nn.Conv2d:
    """A 1×1 convolution, (N, 2·C, H, W) -> (N, C, H, W), that adds both halves."""
    conv = nn.Conv2d(2 * channels, channels, 1, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.eye(channels).repeat(1, 2)[..., None, None])
    return conv


class OneWayExchange(nn.Module):
    """An exchange in which one side listens and the other does not.

    Args:
        exchange: whose parts this takes over, those that it needs.
        to_memo: the memo hears the backbone; False: the backbone hears the memo.

    Shape: as :class:`~spacemeshlab.models.spam.Exchange`.
    """

    def __init__(self, exchange: Exchange, to_memo: bool) -> None:
        super().__init__()
        self.block = exchange.block
        self.up = exchange.up if to_memo else None
        self.down = None if to_memo else exchange.down

    def forward(self, feature: Tensor, memo: Tensor) -> tuple[Tensor, Tensor]:
        memo = self.block(memo)
        if self.up is not None:
            return feature, memo + self.up(feature)
        return feature + self.down(memo), memo


class ScoreBeforeNorm(MetroCon2):
    """MetroCon² whose scores come before batch norm, which divides them out again: y = ReLU(BN(score · conv(x))).

    Shape: as :class:`~spacemeshlab.models.metrocon.MetroCon2`.
    """

    def forward(self, x: Tensor) -> Tensor:
        score = self.score.flatten().repeat_interleave(self.depth)  # (M, M) -> (M*M*D,)
        if not self.training and not torch.is_grad_enabled():
            scale, shift = self._affine()
            after = torch.ones_like(score)
            return fused_meshgrid_conv2d(x, self.weight, self.rates, scale * score, shift, after, self.method)
        y = meshgrid_conv2d(x, self.weight, self.rates, self.method)  # (N, C, H, W) -> (N, M*M*D, H, W)
        return F.relu(self.norm(y * score.view(-1, 1, 1).to(y.dtype)), inplace=True)


def _fix_score(net: SpaceMeshLab) -> None:
    net.context.score.requires_grad_(False)


def _score_before_norm(net: SpaceMeshLab) -> None:
    old = net.context
    new = ScoreBeforeNorm(old.weight.shape[3], old.rates, old.depth, old.method)
    new.load_state_dict(old.state_dict())
    net.context = new


def _exchanges(make: Callable[[Exchange], nn.Module]) -> Callable[[SpaceMeshLab], None]:
    def change(net: SpaceMeshLab) -> None:
        for name, exchange in net.spam.exchanges.items():
            net.spam.exchanges[name] = make(exchange)

    return change


def _heads(most: int) -> Callable[[SpaceMeshLab], None]:
    """Gates of at most ``most`` heads. Those that have no more stay, weights and all."""

    def change(net: SpaceMeshLab) -> None:
        memos = [(exchange.up, _memo_channels(exchange)) for exchange in net.spam.exchanges.values()]
        for up, channels in (*memos, (net.decoder.up, net.context.out_channels // FACTOR**2)):
            for place in reversed(range(len(up))):  # from the last gate, whose channels are known, to the first
                if isinstance(up[place], SpatialContextAttention):
                    up[place] = _with_heads(up[place], channels, most)
                    channels *= FACTOR**2
        for down in (*(exchange.down for exchange in net.spam.exchanges.values()), net.decoder.down):
            for place, gate in enumerate(down):
                if isinstance(gate, ChannelContextAttention):
                    down[place] = _with_heads(gate, gate.mlp[0].in_channels, most)

    return change


def _with_heads(gate: nn.Module, channels: int, most: int) -> nn.Module:
    heads = math.gcd(most, channels)
    return gate if heads == gate.heads else type(gate)(channels, heads)


def _memo_channels(exchange: Exchange) -> int:
    return exchange.block[-1][0].out_channels


_CHANGES: dict[str, tuple[str, Callable[[SpaceMeshLab], None]]] = {
    "fixed-score": ("metrocon2", _fix_score),
    "score-before-norm": ("metrocon2", _score_before_norm),
    "concatenation": ("spam", _exchanges(ConcatenatingExchange)),
    "one-head": ("attention", _heads(1)),
    "two-heads": ("attention", _heads(2)),
    "to-memo": ("spam", _exchanges(lambda exchange: OneWayExchange(exchange, to_memo=True))),
    "to-backbone": ("spam", _exchanges(lambda exchange: OneWayExchange(exchange, to_memo=False))),
}

VARIANTS = ("none", *_CHANGES)
"""What a recipe's field ``variant`` may be."""


def needs(variant: str) -> str:
    """The part that a variant changes, "spam", "attention" or "metrocon2"; "" for none."""
    return _CHANGES[variant][0] if variant in _CHANGES else ""


def vary(net: SpaceMeshLab, variant: str) -> None:
    """Exchange one part of ``net``, in place.

    Args:
        net: with the part that :func:`needs` names.
        variant: one of :data:`VARIANTS`.

    Raises:
        ValueError: another name, or a network without that part.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}: choose one of these")
    there = {
        "": True,
        "spam": net.spam is not None,
        "attention": any(isinstance(module, ChannelContextAttention) for module in net.modules()),
        "metrocon2": isinstance(net.context, MetroCon2),
    }
    if not there[needs(variant)]:
        raise ValueError(f"variant={variant} needs a network with {needs(variant)}, got one without: choose another")
    if variant in _CHANGES:
        _CHANGES[variant][1](net)

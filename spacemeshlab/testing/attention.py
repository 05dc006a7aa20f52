"""Checks of the two gates, SCA and CCA, and of the maps that they look at (paper section 2.3; chapter 07)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from spacemeshlab.testing.contracts import check_inputs_unmodified, check_same_gradients
from spacemeshlab.testing.mistakes import check_known


def _head_maps(x: Tensor, heads: int) -> Tensor:
    """The definition, one head at a time: mean, maximum, mean, maximum …"""
    maps: list[Tensor] = []
    for own in x.chunk(heads, dim=1):  # (N, C/G, H, W)
        maps += [own.mean(1), own.amax(1)]
    return torch.stack(maps, dim=1)  # (N, 2·G, H, W)


def _spatial_answers(maps: Tensor, weight: Tensor, mode: str = "constant") -> Tensor:
    """What stands before the sigmoid: tap by tap, and taps outside the map count as zero."""
    height, width = maps.shape[2:]
    padded = F.pad(maps, (3, 3, 3, 3), mode=mode).unflatten(1, (-1, 2))  # (N, G, 2, H + 6, W + 6)
    total = torch.zeros(())
    for row in range(7):
        for column in range(7):
            seen = padded[..., row : row + height, column : column + width]
            total = total + (weight[:, :, row, column, None, None] * seen).sum(2)
    return total  # (N, G, H, W)


def _sigmoid(a: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-a))


def _by_head(x: Tensor, gate: Tensor) -> Tensor:
    """One map or one factor a head, once for each of its channels: (N, G, …) -> (N, C, …)."""
    return gate.repeat_interleave(x.shape[1] // gate.shape[1], dim=1)


def _spatial_gate(x: Tensor, weight: Tensor, heads: int) -> Tensor:
    return x * _by_head(x, _sigmoid(_spatial_answers(_head_maps(x, heads), weight)))


def _mlp(seen: Tensor, reduce: Tensor, expand: Tensor, heads: int) -> Tensor:
    """Two layers, one head at a time: (N, C) -> (N, C)."""
    answers = []
    for own, first, second in zip(*(part.flatten(1).chunk(heads) for part in (seen.T, reduce, expand)), strict=True):
        answers.append(second @ torch.relu(first @ own))  # (C/G, N)
    return torch.cat(answers).T


def _channel_gate(x: Tensor, reduce: Tensor, expand: Tensor, heads: int) -> Tensor:
    mean, peak = (_mlp(seen, reduce, expand, heads) for seen in (x.mean((2, 3)), x.amax((2, 3))))
    return x * _sigmoid(mean + peak)[:, :, None, None]


def check_head_maps(
    head_maps: Callable[[Tensor, int], Tensor], shape: Sequence[int] = (1, 4, 5, 5), heads: int = 2, seed: int = 0
) -> None:
    """``head_maps(x, heads)`` gives each head's mean and maximum side by side, for an x of ``shape`` drawn by ``seed``.

    A failure names a wrong value; the hint says which other maps these are: all means first, heads out of other
    channels, one head for all. Then x must be as it was, and the gradient must be right.
    """
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    expected, found = _head_maps(x, heads), head_maps(x.clone(), heads)
    hint = f"(N, C, H, W) -> (N, 2*heads, H, W), here {tuple(shape)} -> {tuple(expected.shape)}"
    check_known(found, expected, "head_maps(x, heads)", _wrong_maps(x, heads), hint)
    check_inputs_unmodified(lambda x: head_maps(x, heads), x)
    x.requires_grad_()
    check_same_gradients(head_maps(x, heads), _head_maps(x, heads), {"x": x}, tolerance=1e-4, seed=seed)


def _wrong_maps(x: Tensor, heads: int) -> dict[str, Tensor]:
    maps, each = _head_maps(x, heads), x.shape[1] // heads
    mean, peak = maps[:, 0::2], maps[:, 1::2]
    dealt = x.unflatten(1, (-1, heads)).transpose(1, 2).flatten(1, 2)
    return {
        "all means come first here, all maxima after them; each head's own pair must stand side by side":
            torch.cat((mean, peak), dim=1),
        "mean and maximum are exchanged: the mean comes first": _pairs(peak, mean),
        "a head owns neighbouring channels, the first C/G for the first head; here they are dealt out like cards":
            _head_maps(dealt, heads),
        "every head here looks at all channels; it must see its own C/G only": _head_maps(x, 1).repeat(1, heads, 1, 1),
        "these are the means only; the maxima are missing": mean,
        "these are the maxima only; the means are missing": peak,
        "the mean stands in both places of a pair; the second is the maximum": _pairs(mean, mean),
        "the maximum stands in both places of a pair; the first is the mean": _pairs(peak, peak),
        "the sum stands where the mean should: divide by C/G": _pairs(mean * each, peak),
        "a minimum stands where the maximum should": _pairs(mean, -_head_maps(-x, heads)[:, 1::2]),
        "the maximum is taken of the sizes without their signs; features can be negative":
            _pairs(mean, _head_maps(x.abs(), heads)[:, 1::2]),
        "the maximum starts from zero here, but all channels can be negative": _pairs(mean, peak.relu()),
    }  # fmt: skip


def check_spatial_gate(
    spatial_gate: Callable[[Tensor, Tensor, int], Tensor],
    shape: Sequence[int] = (1, 4, 6, 6),
    heads: int = 2,
    seed: int = 0,
) -> None:
    """``spatial_gate(x, weight, heads)`` multiplies each head's channels by its own map of factors.

    x has ``shape``; x and weight are drawn by ``seed``. Compared with the definition, tap by tap. A failure names a
    wrong value; the hint says which step is missing or done otherwise, if that is a common mistake. Then x and weight
    must be as they were, and their gradients must be right.
    """
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(*shape, generator=generator) + 0.5
    weight = torch.randn(heads, 2, 7, 7, generator=generator) / 5
    expected, found = _spatial_gate(x, weight, heads), spatial_gate(x.clone(), weight.clone(), heads)
    hint = f"maps -> 7×7 convolution with groups=heads, padding=3 -> sigmoid -> times x; {tuple(shape)} stays"
    check_known(found, expected, "spatial_gate(x, weight, heads)", _wrong_spatial_gates(x, weight, heads), hint)
    check_inputs_unmodified(lambda x, weight: spatial_gate(x, weight, heads), x, weight)
    inputs = {"x": x.requires_grad_(), "weight": weight.requires_grad_()}
    found, expected = spatial_gate(*inputs.values(), heads), _spatial_gate(*inputs.values(), heads)
    check_same_gradients(found, expected, inputs, tolerance=1e-4, seed=seed)


def _wrong_spatial_gates(x: Tensor, weight: Tensor, heads: int) -> dict[str, Tensor]:
    maps = _head_maps(x, heads)
    answers = _spatial_answers(maps, weight)
    gate = _sigmoid(answers)
    mean, peak = maps[:, 0::2], maps[:, 1::2]

    def gated_by(maps: Tensor, weight: Tensor = weight, border: str = "constant") -> Tensor:
        return x * _by_head(x, _sigmoid(_spatial_answers(maps, weight, border)))

    return {
        **_wrong_use(x, _by_head(x, gate), _by_head(x, answers)),
        "this is the gate alone: multiply each head's channels by its map": gate,
        "all means came first and all maxima after them; the filters expect each head's own pair side by side":
            gated_by(torch.cat((mean, peak), dim=1)),
        "mean and maximum are exchanged: weight[:, 0] is for the mean, weight[:, 1] for the maximum":
            gated_by(_pairs(peak, mean)),
        "the mean went into both maps of a head; the second is the maximum": gated_by(_pairs(mean, mean)),
        "the maximum went into both maps of a head; the first is the mean": gated_by(_pairs(peak, peak)),
        "here all channels have the mean of the heads' gates; each head has its own": x * gate.mean(1, keepdim=True),
        "the first head's gate is used for all channels; each head has its own": x * gate[:, :1],
        "the gates are dealt out to the channels like cards; a head's C/G channels are neighbours":
            x * gate.repeat(1, x.shape[1] // heads, 1, 1),
        "every head's filters see the mean and maximum of all channels; a head sees its own only":
            gated_by(_head_maps(x, 1).repeat(1, heads, 1, 1)),
        "places outside the map count as zero; here the border is repeated": gated_by(maps, border="replicate"),
        "the filters are mirrored; F.conv2d does not turn them round": gated_by(maps, weight.flip(2, 3)),
        "rows and columns of the filters are exchanged": gated_by(maps, weight.mT),
        "a softmax over the heads makes them rivals; each gate is a sigmoid of its own":
            x * _by_head(x, answers.softmax(1)),
        "the convolution's answers are normalised here; this exercise has no batch norm":
            x * _by_head(x, _sigmoid(F.batch_norm(answers, None, None, training=True))),
    }  # fmt: skip


def check_channel_gate(
    channel_gate: Callable[[Tensor, Tensor, Tensor, int], Tensor],
    shape: Sequence[int] = (1, 8, 3, 4),
    heads: int = 2,
    hidden: int = 6,
    seed: int = 0,
) -> None:
    """``channel_gate(x, reduce, expand, heads)`` multiplies each channel by its own factor.

    x has ``shape``, the MLP ``hidden`` units in all; x and both weights are drawn by ``seed``. A failure names a wrong
    value; the hint says which step is missing or done otherwise, if that is a common mistake. Then all three must be as
    they were, and their gradients must be right.
    """
    generator, (n, channels) = torch.Generator().manual_seed(seed), shape[:2]
    x = torch.randn(*shape, generator=generator) + torch.randn(n, channels, 1, 1, generator=generator) / 2
    reduce = torch.randn(hidden, channels // heads, 1, 1, generator=generator) / 2
    expand = torch.randn(channels, hidden // heads, 1, 1, generator=generator) / 2
    expected = _channel_gate(x, reduce, expand, heads)
    found = channel_gate(x.clone(), reduce.clone(), expand.clone(), heads)
    hint = f"mean and maximum over rows and columns -> the MLP, each -> add -> sigmoid -> times x; {tuple(shape)} stays"
    mistakes = _wrong_channel_gates(x, reduce, expand, heads)
    check_known(found, expected, "channel_gate(x, reduce, expand, heads)", mistakes, hint)
    check_inputs_unmodified(lambda *inputs: channel_gate(*inputs, heads), x, reduce, expand)
    inputs = {"x": x.requires_grad_(), "reduce": reduce.requires_grad_(), "expand": expand.requires_grad_()}
    found, expected = channel_gate(*inputs.values(), heads), _channel_gate(*inputs.values(), heads)
    check_same_gradients(found, expected, inputs, tolerance=1e-4, seed=seed)


def _wrong_channel_gates(x: Tensor, reduce: Tensor, expand: Tensor, heads: int) -> dict[str, Tensor]:
    def mlp(seen: Tensor) -> Tensor:
        return _mlp(seen, reduce, expand, heads)

    def without_relu(seen: Tensor) -> Tensor:
        return mlp(seen) - mlp(-seen)

    def factors(answers: Tensor) -> Tensor:
        return _sigmoid(answers)[:, :, None, None]

    mean, peak = x.mean((2, 3)), x.amax((2, 3))  # (N, C)
    of_mean, of_peak = mlp(mean), mlp(peak)
    answers = of_mean + of_peak
    of_all = (mlp(seen.expand(len(x), -1)) for seen in (mean.mean(0), peak.amax(0)))
    return {
        **_wrong_use(x, factors(answers), answers[:, :, None, None]),
        "the sigmoid comes after the two are added; here each has its own": x * (factors(of_mean) + factors(of_peak)),
        "only the mean went through the MLP; the maximum goes through it, too": x * factors(of_mean),
        "only the maximum went through the MLP; the mean goes through it, too": x * factors(of_peak),
        "the mean went in twice; the second time it is the maximum": x * factors(2 * of_mean),
        "the maximum went in twice; the first time it is the mean": x * factors(2 * of_peak),
        "mean and maximum were added before the MLP; add what it makes of each": x * factors(mlp(mean + peak)),
        "this is the mean of the MLP's two answers; they are added": x * factors(answers / 2),
        "the ReLU between the two layers is missing": x * factors(without_relu(mean + peak)),
        "the ReLU stands between the two layers, not after the second":
            x * factors(without_relu(mean).relu() + without_relu(peak).relu()),
        "there is no ReLU after the second layer: a gate must be able to shut":
            x * factors(of_mean.relu() + of_peak.relu()),
        "the maximum must go through the same MLP as the mean": x * factors(of_mean + peak),
        "one factor for all channels of a head; each channel has its own":
            x * _by_head(x, factors(answers).unflatten(1, (heads, -1)).mean(2)),
        "a softmax over the channels makes them rivals; each factor is a sigmoid of its own":
            x * answers.softmax(1)[:, :, None, None],
        "mean and maximum are of all images together; each image has its own": x * factors(sum(of_all)),
    }  # fmt: skip


def _wrong_use(x: Tensor, gate: Tensor, answers: Tensor) -> dict[str, Tensor]:
    """What can be done wrong with the right gate."""
    return {
        "the gate is added here; a gate multiplies": x + gate,
        "this is x + x*gate: nothing is added, x is only multiplied": x + x * gate,
        "this is the gate alone: multiply x by it": gate,
        "the sigmoid is missing: a factor lies between 0 and 1": x * answers,
    }


def _pairs(first: Tensor, second: Tensor) -> Tensor:
    """Maps of ``first`` and ``second`` in turn: two times (N, G, H, W) -> (N, 2·G, H, W)."""
    return torch.stack((first, second), dim=2).flatten(1, 2)

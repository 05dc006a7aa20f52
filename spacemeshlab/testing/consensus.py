"""Checks of what turns the convolutions into a consensus: how many outputs a pair gets, and its score (chapter 09)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from numbers import Integral

import torch
import torch.nn.functional as F
from torch import Tensor

from spacemeshlab.testing.contracts import check_same_gradients, check_unchanged, fail
from spacemeshlab.testing.mistakes import Mistakes, check_known

CONSENSUS_CASES = ((1, 2, 3, 4, 2), (2, 3, 2, 3, 5), (1, 2, 2, 3, 8))
"""N, M, D, H, W; in the last one the map is as wide as there are channels, so that mixing them up is no error."""


def check_default_depth(default_depth: Callable[[int], int], numbers: Iterable[int] = range(1, 41)) -> None:
    """``default_depth(M)`` is the smallest D for which M·M·D is at least 1280 and a multiple of 16.

    ``numbers`` are the M to try. A failure says which of the three demands is not met, the smallness among them.
    """
    for m in numbers:
        found = default_depth(m)
        expected = next(depth for depth in count(1) if m * m * depth >= 1280 and m * m * depth % 16 == 0)
        if not isinstance(found, Integral) or isinstance(found, bool):
            fail(f"a whole number for {m} rates", f"{found!r}", "D counts filters: / gives a float, // an int")
        if found != expected:
            fail(f"D = {expected} for {m} rates", f"{found}", _depth_diagnosis(m, int(found)))


def check_consensus(
    consensus: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    cases: Iterable[tuple[int, int, int, int, int]] = CONSENSUS_CASES,
    seed: int = 0,
    gradients: bool = True,
) -> None:
    """``consensus(y, scale, shift, score)`` is score · ReLU(scale · y + shift), each score for the D maps of its pair.

    Half of the scores are negative: with positive ones, the place of the score in the formula could not be seen. A
    failure names the mistake where it is a common one. With ``gradients``, y, scale, shift and score must get theirs.
    """
    generator = torch.Generator().manual_seed(seed)
    for n, m, depth, height, width in cases:
        channels, where = m * m * depth, f"for {m}×{m} pairs of {depth} channels on a {height}×{width} map"
        y = torch.randn(n, channels, height, width, generator=generator)
        scale, shift = 0.5 + torch.rand(channels, generator=generator), torch.randn(channels, generator=generator)
        score = (0.5 + torch.rand(m, m, generator=generator)) * (-1.0) ** torch.arange(m * m).view(m, m)
        given = {"y": y, "scale": scale, "shift": shift, "score": score}
        before = {name: one.clone() for name, one in given.items()}
        expected = naive_consensus(*given.values())
        found = consensus(*given.values())
        otherwise = "take one channel k: which pair is k // D, and what are its scale, its shift and its score?"
        check_known(found, expected, f"the output {where}", _consensus_mistakes(**before), otherwise)
        for name, old in before.items():
            check_unchanged(given[name], old, f"{name} as it was", "look for +=, *= or relu_")
        if gradients:
            inputs = {name: one.clone().requires_grad_() for name, one in given.items()}
            found, expected = consensus(*inputs.values()), naive_consensus(*inputs.values())
            check_same_gradients(found, expected, inputs, where, seed=seed)


def naive_consensus(y: Tensor, scale: Tensor, shift: Tensor, score: Tensor) -> Tensor:
    """Channel by channel: (N, M·M·D, H, W), twice (M·M·D,), (M, M) -> (N, M·M·D, H, W)."""
    depth, scores = y.shape[1] // score.numel(), score.flatten()
    maps = [scores[k // depth] * F.relu(scale[k] * y[:, k] + shift[k]) for k in range(y.shape[1])]
    return torch.stack(maps, 1)


def _depth_diagnosis(m: int, found: int) -> str:
    channels = m * m * found
    if found == round(1280 / m):
        return "every rate of the rows meets every rate of the columns: there are M·M pairs"
    if found == round(1280 / (m * m)) and (channels % 16 or channels < 1280):
        return f"that is the paper's formula; {channels} channels are not both a multiple of 16 and at least 1280"
    if channels % 16:
        return f"{m}·{m}·{found} = {channels} is no multiple of 16: the decoder's shuffle could not divide it"
    if channels < 1280:
        return f"{m}·{m}·{found} = {channels} is less than 1280"
    return f"{m}·{m}·{found} = {channels} fits, but a smaller D does too; exactly 1280 is allowed"


def _consensus_mistakes(y: Tensor, scale: Tensor, shift: Tensor, score: Tensor) -> Mistakes:
    def wide(scores: Tensor) -> Tensor:
        return scores.flatten().repeat_interleave(y.shape[1] // score.numel()).view(-1, 1, 1)

    scale, shift = scale.view(-1, 1, 1), shift.view(-1, 1, 1)
    s, normed = wide(score), scale * y + shift
    yield from {
        "the score comes last; here it stands before batch norm": F.relu(scale * (s * y) + shift),
        "the score comes last; here it stands between batch norm and ReLU": F.relu(s * normed),
        "no ReLU after the score: a negative score gives negative numbers": F.relu(s * F.relu(normed)),
        "the score is transposed: score[a, b] belongs to channels (a*M + b)*D to (a*M + b)*D + D - 1":
            wide(score.T) * F.relu(normed),
        "channel k belongs to pair k // D: write each score D times in a row, not all scores D times":
            score.flatten().repeat(len(s) // score.numel()).view(-1, 1, 1) * F.relu(normed),
        "the ReLU is missing": s * normed,
        "the scores are missing": F.relu(normed),
        "first the factor, then the summand: scale * y + shift": s * F.relu(scale * (y + shift)),
        "a score is used as it is, its sign too": wide(score.abs()) * F.relu(normed),
        "a score is used as it is, without sigmoid": wide(score.sigmoid()) * F.relu(normed),
        "a score is used as it is, without softmax": wide(score.flatten().softmax(0)) * F.relu(normed),
    }.items()  # fmt: skip

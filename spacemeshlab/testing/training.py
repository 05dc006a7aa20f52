"""Checks of what every step of training needs: its learning rate and its loss (chapter 13)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from spacemeshlab.testing.contracts import (
    check_inputs_unmodified,
    check_same,
    check_same_gradients,
    check_tensor,
    fail,
)
from spacemeshlab.testing.labels import VOID
from spacemeshlab.testing.mistakes import check_number, named_mistake


def naive_poly_lr(lr: float, iteration: int, iterations: int, power: float) -> float:
    """The definition: ``lr`` times a power of the share of the iterations that is left."""
    return lr * ((iterations - iteration) / iterations) ** power


def check_poly_lr(
    function: Callable[[float, int, int, float], float], lr: float = 0.1, iterations: int = 4, power: float = 0.9
) -> None:
    """``function(lr, iteration, iterations, power)`` is the poly schedule, from ``lr`` at iteration 0 to 0 at the end.

    Compared to 1e-5 of ``lr`` with :func:`naive_poly_lr` for 0, 1, ..., ``iterations``. A failure says at which
    iteration the two part, and names the mistake where it is a common one.
    """

    def rate(t: int) -> float:
        return check_number(function(lr, t, iterations, power), f"the rate at iteration {t} of {iterations}")

    found = [rate(t) for t in range(iterations)]
    hint = _poly_diagnosis(found, lr, power)
    for t in range(iterations + 1):
        got, want = found[t] if t < iterations else rate(t), naive_poly_lr(lr, t, iterations, power)
        if not abs(got - want) <= 1e-5 * lr:  # a NaN is never close
            what = f"the rate {want:.6g} at iteration {t} of {iterations} (lr {lr:g}, power {power:g})"
            fail(what, f"{got:.6g}", hint if t < iterations else "at the end nothing is left, and the rate is 0")


def _poly_diagnosis(found: Sequence[float], lr: float, power: float) -> str:
    """The common mistake that gives exactly the rates ``found``, all but the last one, in words."""
    n, t = len(found), torch.arange(len(found)).double()
    left = 1 - t / n
    mistakes = {  # shares of lr
        "this is the straight line of power 1: the power is missing": left,
        "power is an argument; 0.9 is only its usual value": left**0.9,
        "the power belongs to the share that is left alone, not to lr": (lr * left) ** power / lr,
        "this is one iteration ahead: iteration 0 still has the whole lr": (1 - (t + 1) / n) ** power,
        "the rate reaches zero one iteration too early: divide by iterations, not by iterations - 1":
            (1 - t / max(1, n - 1)) ** power,
        "the power belongs to what is left, 1 - iteration / iterations, not to iteration / iterations":
            1 - (t / n) ** power,
        "this rate never falls: // divides whole numbers and rounds down, / does not": torch.ones(n),
    }  # fmt: skip
    otherwise = "work the factors out by hand: lr, and the share of the iterations that is left, to the power"
    return named_mistake(torch.tensor(found, dtype=torch.float64) / lr, left**power, mistakes, otherwise)


def naive_segmentation_loss(out: Tensor, aux: Tensor, target: Tensor, aux_weight: float) -> Tensor:
    """The definition in 64 bits, every pixel's loss by itself; 0 if no pixel counts."""
    main, second = (_pixel_losses(logits.double(), target) for logits in (out, aux))
    return (main.sum() + aux_weight * second.sum()) / max(1, int((target != VOID).sum()))


def _pixel_losses(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy of every pixel, 0 where it is void: (N, K, H, W) and (N, H, W) -> (N, H, W)."""
    true = torch.where(target == VOID, 0, target)[:, None]
    losses = logits.logsumexp(1) - logits.gather(1, true)[:, 0]  # (N, K, H, W) -> (N, H, W)
    return torch.where(target == VOID, 0.0, losses)


def check_segmentation_loss(
    function: Callable[[Tensor, Tensor, Tensor, float], Tensor],
    shape: Sequence[int] = (1, 3, 4, 5),
    aux_weight: float = 0.4,
    labelled: Sequence[float] = (0.7,),
    largest: float = 3.0,
    seed: int = 0,
) -> None:
    """``function(out, aux, target, aux_weight)`` is the loss of a network with two heads, and has its gradients.

    Compared with :func:`naive_segmentation_loss`. A failure says whether the value or a gradient is off, and names the
    mistake where it is a common one.

    Args:
        shape: (N, K, H, W) of both logits.
        aux_weight: of the second loss.
        labelled: about the share of the pixels that count in each image, over and over; 0 for none at all.
        largest: the logits lie in -largest..largest.
        seed: of the numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    out, aux = ((2 * torch.rand(*shape, generator=generator) - 1) * largest for _ in range(2))
    target = _target(shape, labelled, generator)
    expected = naive_segmentation_loss(out, aux, target, aux_weight)
    found = function(out.clone(), aux.clone(), target.clone(), aux_weight)
    check_tensor(found, "the loss")
    some = bool((target != VOID).any())
    hint = _loss_diagnosis(found, expected, out, aux, target, aux_weight)
    check_same(_double(found), expected, what="the loss" if some else "the loss of a batch without labels", hint=hint)
    check_inputs_unmodified(lambda *three: function(*three, aux_weight), out, aux, target)
    if some:
        inputs = {"out": out.requires_grad_(), "aux": aux.requires_grad_()}
        found, expected = (one(*inputs.values(), target, aux_weight) for one in (function, naive_segmentation_loss))
        check_same_gradients(found, expected, inputs)


def _target(shape: Sequence[int], labelled: Sequence[float], generator: torch.Generator) -> Tensor:
    """Random classes (N, H, W), and 255 at random places; an image that has labels keeps at least one."""
    n, classes, height, width = shape
    target = torch.randint(classes, (n, height, width), generator=generator)
    for image, share in zip(target, itertools.cycle(labelled), strict=False):
        order = torch.randperm(image.numel(), generator=generator)
        keep = max(1, round(share * image.numel())) if share else 0
        image.view(-1)[order[keep:]] = VOID
    return target


def _double(found: Tensor) -> Tensor:
    return found.detach().double()  # a loss summed up in 64 bits is as right as one in 32


def _loss_diagnosis(
    found: Tensor, expected: Tensor, out: Tensor, aux: Tensor, target: Tensor, aux_weight: float
) -> str:
    """The common mistake that gives exactly ``found``, in words."""
    main, second = (_pixel_losses(logits.double(), target) for logits in (out, aux))
    counts, each = (target != VOID).sum((1, 2)), main + aux_weight * second
    if not counts.any():
        return "no pixel counts, so the mean is 0/0: divide by at least 1"
    if not bool(found.isfinite().all()):
        return "exp(1000) overflows: take the largest logit off first, or let torch.logsumexp or cross_entropy do it"
    pixels, total = counts.sum(), each.sum()
    background, last = (
        sum(
            weight * _pixel_losses(logits.double(), torch.where(target == VOID, k, target)).mean()
            for weight, logits in ((1, out), (aux_weight, aux))
        )
        for k in (0, out.shape[1] - 1)
    )
    blended = _pixel_losses((out + aux_weight * aux).double(), target).sum() / pixels
    mistakes = {
        "the auxiliary loss counts aux_weight, not 1": (main + second).sum() / pixels,
        "the auxiliary loss is missing": main.sum() / pixels,
        "aux_weight belongs to the auxiliary loss alone": aux_weight * (main + second).sum() / pixels,
        "add aux_weight times the second loss to the whole first one; this shares one loss out between them":
            ((1 - aux_weight) * main + aux_weight * second).sum() / pixels,
        "a weighted sum is asked for, not a weighted mean": total / pixels / (1 + aux_weight),
        "the void pixels are left out of the sum, but not out of the count": each.mean(),
        "a mean over the counted pixels is asked for, not their sum": total,
        "one mean over all counted pixels of the batch, not a mean of one mean an image":
            (each.sum((1, 2)) / counts.clamp(min=1)).mean(),
        "void pixels (255) are no class 0: they must not count at all": background,
        "void pixels (255) are not the last class: they must not count at all": last,
        "two losses are added up, not two logits": blended,
    }  # fmt: skip
    otherwise = "take one labelled pixel: log(sum(exp(z))) - z[k], for both logits"
    return named_mistake(found, expected, mistakes, otherwise)

"""What each pair of rates does for each class (paper section 2.2; chapter 17).

The scores cannot say it, because batch norm and the decoder can do their job. So pairs are silenced, or their maps
multiplied by the gradient of what is asked. Nothing here changes a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor

from spacemeshlab.data import SegmentationDataset
from spacemeshlab.data.labels import IGNORE_INDEX
from spacemeshlab.metrics import confusion_matrix, mean_iou
from spacemeshlab.models.layers import resize
from spacemeshlab.models.metrocon import MetroCon2
from spacemeshlab.models.network import OUTPUT_STRIDE, SpaceMeshLab
from spacemeshlab.predict import TrainedNetwork
from spacemeshlab.views import predict_logits

BLOCK = 5
"""Neighbours among the images that the bootstrap keeps together: frames of one video."""


def class_log_probability(logits: Tensor, target: Tensor) -> Tensor:
    """Mean log probability of the true class over each class's pixels: (1, K, H, W), (H, W) -> (K,), NaN if absent."""
    loss = F.cross_entropy(logits, target[None], ignore_index=IGNORE_INDEX, reduction="none").flatten()
    counted = target.flatten() != IGNORE_INDEX
    k, classes = target.flatten()[counted], logits.shape[1]
    total = loss.new_zeros(classes).index_add(0, k, loss[counted])
    return -total / torch.bincount(k, minlength=classes)


class BehindContext:
    """One image, computed as far as the decoder's door; what lies behind can be run again with another context.

    Args:
        net: in eval mode.
        image: normalised (3, H, W).
        size: of the logits, (rows, columns).
        scale, multiple: the view, see :func:`~spacemeshlab.views.predict_logits`.

    Attributes:
        context: (1, C, h, w), what the context module handed on.
    """

    def __init__(
        self, net: SpaceMeshLab, image: Tensor, size: tuple[int, int], scale: float = 1.0, multiple: int = 1
    ) -> None:
        self._decoder, self._images, self._size = net.decoder, image[None], size
        self._view, doors = {"scales": (scale,), "multiple": multiple}, []
        watch = net.decoder.register_forward_pre_hook(lambda _, inputs: doors.append(inputs))
        try:
            with torch.no_grad():
                predict_logits(net, self._images, size, **self._view)
        finally:
            watch.remove()
        ((self.context, self._fine),) = doors

    def logits(self, context: Tensor) -> Tensor:
        """What the network says with this context: (1, C, h, w) -> (1, K, *size)."""

        def rest(view: Tensor) -> dict[str, Tensor]:
            height, width = view.shape[-2:]
            padded = (height + -height % OUTPUT_STRIDE, width + -width % OUTPUT_STRIDE)
            return {"out": resize(self._decoder(context, self._fine), padded)[..., :height, :width]}

        return predict_logits(rest, self._images, self._size, **self._view)


def without_pair(context: Tensor, pair: int, depth: int) -> Tensor:
    """A copy of MetroCon²'s output with the ``depth`` channels of one pair of rates set to zero."""
    silent = context.clone()
    silent[:, pair * depth : (pair + 1) * depth] = 0
    return silent


@torch.no_grad()
def ablations(behind: BehindContext, target: Tensor, depth: int, pairs: Iterable[int]) -> Tensor:
    """What each class loses without a pair: drop of :func:`class_log_probability`, (len(pairs), K), NaN if absent."""
    whole = class_log_probability(behind.logits(behind.context), target)
    silent = (behind.logits(without_pair(behind.context, pair, depth)) for pair in pairs)
    return torch.stack([whole - class_log_probability(logits, target) for logits in silent])


def contributions(
    behind: BehindContext, target: Tensor, module: MetroCon2, classes: Iterable[int] | None = None
) -> Tensor:
    """First-order estimate of :func:`ablations` for all pairs at once: gradient times activation, (K, M, M).

    The decoder is not linear, so this is the slope at the network as it is, not the whole way down to zero.

    Args:
        classes: which are asked for, a backward pass each; None for all. The others, and absent ones, are NaN.
    """
    context = behind.context.detach().clone().requires_grad_()
    per_class = class_log_probability(behind.logits(context), target)
    m, maps, asked = len(module.rates), [], set(range(len(per_class)) if classes is None else classes)
    for k, value in enumerate(per_class):
        if k not in asked or value.isnan():
            maps.append(context.new_full((m, m), torch.nan))
            continue
        (gradient,) = torch.autograd.grad(value, context, retain_graph=True)
        each = (gradient * context.detach()).sum((0, 2, 3))  # (1, M*M*D, h, w) -> (M*M*D,)
        maps.append(each.view(m, m, module.depth).sum(-1))
    return torch.stack(maps)


def tallness(rates: Sequence[int]) -> Tensor:
    """log(i / j) of every pair: positive for tall ones, negative for flat ones, (M, M)."""
    r = torch.tensor(rates, dtype=torch.float32).log()
    return (r[:, None] - r[None, :]).round(decimals=5)  # 4 : 2 and 2 : 1 are to be equal


def rank_correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's: the correlation of the ranks, so that a few large values do not decide alone. -1..1."""
    ranks = [stats.rankdata(one.flatten()) for one in (a, b)]  # equal values share the mean of their places
    return float(np.corrcoef(ranks)[0, 1])


def block_bootstrap(
    values: Tensor, statistic: Callable[[Tensor], float], block: int = 1, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The middle 95 % of a statistic when images are drawn again with replacement, ``block`` neighbours at a time.

    Args:
        values: a row an image, in the order in which they were taken.
        statistic: of such rows.
        block: 1 where images have nothing to do with each other; more for frames of one video.
    """
    generator = torch.Generator().manual_seed(seed)
    blocks = values.split(block)
    found = []
    for _ in range(draws):
        chosen = torch.randint(len(blocks), (len(blocks),), generator=generator).tolist()
        found.append(statistic(torch.cat([blocks[index] for index in chosen])))
    low, high = np.quantile(found, [0.025, 0.975]).tolist()
    return low, high


def shape_of_use(values: Tensor, rates: Sequence[int], inside: Sequence[int], block: int) -> list[dict[str, Any]]:
    """For each class: do tall pairs, or narrow ones (tall or flat), contribute more? Rank correlations over pairs.

    Args:
        values: (images, K, M, M), what :func:`contributions` gives; NaN where an image lacks the class.
        rates: M.
        inside: how many rates of the rows and of the columns have outer taps on the training map; others are left out,
            because a tall pair whose upper and lower taps meet only padding is not tall.
        block: see :func:`block_bootstrap`.
    """
    rows, columns = inside
    tall = tallness(rates)[:rows, :columns].flatten()
    result = []
    for each in values[:, :, :rows, :columns].flatten(2).unbind(1):  # (images, pairs)
        present = each[~each[:, 0].isnan()] if each.shape[1] else each[:0]
        entry: dict[str, Any] = {"images": len(present)}
        for name, shape in (("tall", tall), ("narrow", tall.abs())):
            entry[name] = None if len(present) == 0 else _with_interval(present, shape, block)
        result.append(entry)
    return result


def _with_interval(values: Tensor, shape: Tensor, block: int) -> list[float]:
    def statistic(rows: Tensor) -> float:
        return rank_correlation(rows.mean(0), shape)

    return [statistic(values), *block_bootstrap(values, statistic, block)]


def look_at_pairs(one: TrainedNetwork, dataset: SegmentationDataset, every: int, ablate: int) -> dict[str, Any]:
    """Scores, contributions with their spread, and a check by ablation, ready for JSON.

    Args:
        dataset: built with ``eval_transform()``.
        every: look at every n-th image.
        ablate: images, evenly spaced among those, in which every pair is silenced in turn.
    """
    module, k = one.net.context, len(one.labels)
    chosen = list(range(0, len(dataset), every))
    exact = [chosen[(2 * n + 1) * len(chosen) // (2 * ablate)] for n in range(ablate)]
    maps, silenced, counts = {}, {}, torch.zeros(2, k, k, dtype=torch.int64)
    for index in chosen:
        image, target = (tensor.to(module.score.device) for tensor in dataset[index])
        behind = BehindContext(one.net, image, tuple(target.shape), one.recipe.scale, one.recipe.test_multiple)
        maps[index] = contributions(behind, target, module).cpu()
        if index in exact:
            silenced[index] = ablations(behind, target, module.depth, range(module.score.numel())).cpu().T
        with torch.no_grad():
            for row, factor in enumerate((1, 0)):
                prediction = behind.logits(behind.context * factor)[0].argmax(0)
                counts[row] += confusion_matrix(prediction, target, k).cpu()
    values = torch.stack(list(maps.values()))
    inside = [sum(rate < side // OUTPUT_STRIDE for rate in module.rates) for side in one.recipe.crop]
    estimate = torch.stack([maps[index].flatten(1) for index in silenced]).nanmean(0)  # (K, M*M)
    ablated = torch.stack(list(silenced.values())).nanmean(0)
    return {
        "images": chosen,
        "miou": mean_iou(counts[0]),
        "miou_without_context": mean_iou(counts[1]),
        "score": module.score.tolist(),
        "contribution": values.nanmean(0).tolist(),
        "inside": inside,
        "shape": shape_of_use(values, module.rates, inside, BLOCK),
        "ablated_images": list(silenced),
        "ablation": ablated.view(k, *module.score.shape).tolist(),
        "agreement": [rank_correlation(*pair) for pair in zip(estimate, ablated, strict=True)],
    }

"""Class scores of a picture from several looks at it: scales, mirror images, windows (paper section 3; chapter 14).

Every view's logits are resized to the wanted size and averaged (P). They are added up one view, one window and one
class map at a time, so twelve views of a picture need no more memory than its largest one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from spacemeshlab.errors import UserError
from spacemeshlab.models.layers import resize

MS_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
"""The paper's test scales (section 3); each is also flipped."""

AVERAGES = ("logits", "probabilities")
"""What the mean over the views is taken of; the paper's is the first (section 3)."""

Network = Callable[[Tensor], dict[str, Tensor]]


def predict_logits(
    net: Network,
    images: Tensor,
    size: tuple[int, int],
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    window: tuple[int, int] | None = None,
    multiple: int = 1,
    average: str = "logits",
) -> Tensor:
    """Mean of the logits of all views, in float32: (N, 3, H, W) -> (N, K, *size).

    Args:
        net: called with one view at a time; its ``out`` counts.
        images: normalised; not changed.
        size: (rows, columns) of the result.
        scales: factors by which the images are resized before the network.
        flip: also look at the mirror image at every scale.
        window: (rows, columns) of a window that slides over each view, or None for the whole view at once.
        multiple: sides of a view are rounded down to multiples of this, and are at least one; 1 rounds to whole pixels.
        average: "logits", or "probabilities" for the mean of each view's softmax.

    Raises:
        UserError: no scale, a size or a kind of average that does not exist.
    """
    _check(scales, window, multiple, average)
    total = None
    for scale in scales:
        for mirrored in (False, True) if flip else (False,):
            side = _view_size(images.shape[-2:], scale, multiple)
            logits = _windowed(net, _view(images, side, mirrored), window)  # the view's own size
            if total is None:
                total = logits.new_zeros(*logits.shape[:2], *size, dtype=torch.float32)
            _add(total, logits, mirrored, average)
            del logits  # or it would still be there when the next view's are made
    return total.div_(len(scales) * (2 if flip else 1))


def _check(scales: Sequence[float], window: tuple[int, int] | None, multiple: int, average: str) -> None:
    if not scales or min(scales) <= 0:
        raise UserError(f"scales must name at least one scale, all above 0, got {tuple(scales)}: use (1.0,)")
    if window is not None and min(window) < 1:
        raise UserError(f"window must be (rows, columns), both at least 1, got {tuple(window)}: use None for none")
    if multiple < 1:
        raise UserError(f"multiple must be at least 1, got {multiple}: 1 keeps every size")
    if average not in AVERAGES:
        raise UserError(f"average must be one of {', '.join(AVERAGES)}, got {average!r}: the paper's is logits")


def _view_size(size: Sequence[int], scale: float, multiple: int) -> tuple[int, int]:
    """Rows and columns of a view. The hair's breadth is for products such as 0.29 · 1600 = 463.99999999999994."""
    if multiple == 1:
        return tuple(max(1, round(side * scale)) for side in size)
    return tuple(max(1, int(side * scale / multiple + 1e-9)) * multiple for side in size)


def _view(images: Tensor, size: tuple[int, int], mirrored: bool) -> Tensor:
    if images.shape[-2:] != size:
        images = F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True)
    return images.flip(-1) if mirrored else images


def _add(total: Tensor, logits: Tensor, mirrored: bool, average: str) -> None:
    """Add one view to ``total``, class by class: a resized copy of all classes would be as large as ``total``."""
    maps = total if average == "logits" else torch.zeros_like(total)
    for k in range(total.shape[1]):
        one = resize(logits[:, k : k + 1].float(), total.shape[-2:])  # (N, 1, h, w) -> (N, 1, H, W)
        maps[:, k : k + 1].add_(one.flip(-1) if mirrored else one)
    if average == "probabilities":  # softmax over the classes, in place
        maps.sub_(maps.amax(1, keepdim=True)).exp_()
        total.add_(maps.div_(maps.sum(1, keepdim=True)))


def _windowed(net: Network, images: Tensor, window: tuple[int, int] | None) -> Tensor:
    """Logits of the whole image, from windows that overlap by a third; places seen twice get the mean."""
    if window is None or all(side <= part for side, part in zip(images.shape[-2:], window, strict=True)):
        return net(images)["out"]
    total, seen = None, images.new_zeros(1, 1, *images.shape[-2:], dtype=torch.float32)
    for rows in _positions(images.shape[-2], window[0]):
        for columns in _positions(images.shape[-1], window[1]):
            logits = net(images[..., rows, columns])["out"]
            if total is None:
                total = logits.new_zeros(*logits.shape[:2], *images.shape[-2:], dtype=torch.float32)
            total[..., rows, columns].add_(logits)
            seen[..., rows, columns].add_(1)
    return total.div_(seen)


def _positions(size: int, part: int) -> Iterator[slice]:
    """Windows of ``part`` along an axis, a stride of about two thirds, the last one flush with the end."""
    part = min(size, part)
    steps = -(-(size - part) // max(1, part * 2 // 3))
    for step in range(steps + 1):
        start = (size - part) * step // max(1, steps)
        yield slice(start, start + part)

"""A finished run back as a network that labels photographs (chapter 14)."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spacemeshlab.checkpoint import load_checkpoint
from spacemeshlab.data import DATASETS
from spacemeshlab.data.labels import LabelSet
from spacemeshlab.data.transforms import normalise
from spacemeshlab.errors import UserError
from spacemeshlab.evaluate import protocol
from spacemeshlab.models.fuse import inference_copy
from spacemeshlab.models.network import SpaceMeshLab
from spacemeshlab.recipe import Recipe
from spacemeshlab.step import build_network
from spacemeshlab.views import predict_logits
from spacemeshlab.weights import check_labels, load_state, load_weights

TILE = (1024, 2048)
"""Rows and columns of the parts that a large picture is labelled in: a Cityscapes image."""

WHOLE = 2 * 1024 * 2048
"""Pixels up to which a picture is labelled as a whole: two Cityscapes images."""

Region = tuple[slice, slice]


@dataclass
class TrainedNetwork:
    """A network with everything that is needed to use it.

    Attributes:
        net: in eval mode. The first prediction copies it: give other weights to a new object.
        recipe: what it was trained with.
        labels: its classes.
        iteration: training iterations behind it; None if the file does not say, as safetensors don't.
        seconds: training time behind it, or None.
        mean, std: of the training's normalisation, stored with the weights.
    """

    net: SpaceMeshLab
    recipe: Recipe
    labels: LabelSet
    iteration: int | None
    seconds: float | None
    mean: list[float]
    std: list[float]

    @torch.inference_mode()
    def predict(self, image: Tensor, tta: bool = False, window: tuple[int, int] | None = None) -> Tensor:
        """Class of every pixel: uint8 image (3, H, W) -> int64 (H, W), at the image's own size.

        A picture of more than :data:`WHOLE` pixels is labelled in tiles, see :meth:`tiles`, so that the memory for
        maps does not grow with it; smaller ones exactly as :func:`~spacemeshlab.evaluate.evaluate` does.

        Args:
            image: see :func:`~spacemeshlab.pictures.read_photograph`.
            tta: MS + flip.
            window: (rows, columns) of a sliding window in every view, or None for all at once.
        """
        if image.ndim != 3 or image.shape[0] != 3 or image.dtype != torch.uint8 or not image.numel():
            raise ValueError(f"image must be uint8 (3, H, W), got {image.dtype} {tuple(image.shape)}: not normalised")
        device = next(self._fast.parameters()).device
        views = protocol(self.recipe, tta)
        prediction = torch.empty(image.shape[-2:], dtype=torch.int64)
        for seen, kept in self.tiles(image.shape[-2:], window):
            part = normalise(image[:, *seen], self.mean, self.std)[None].to(device)  # (3, H, W) -> (1, 3, h, w)
            classes = predict_logits(self._fast, part, part.shape[-2:], **views, window=window)[0].argmax(0)
            inner = tuple(slice(k.start - s.start, k.stop - s.start) for s, k in zip(seen, kept, strict=True))
            prediction[kept] = classes[inner].cpu()
        return prediction

    def tiles(self, size: tuple[int, int], window: tuple[int, int] | None = None) -> list[tuple[Region, Region]]:
        """Where a picture of ``size`` (H, W) is cut: a region that the network sees, and the part of it that is kept.

        One region up to :data:`WHOLE` pixels. Above, regions of :data:`TILE`, or of ``window`` where that is larger,
        that overlap by a third of their side; each keeps what lies nearer to its own middle. All three are counted at
        the picture's own scale or at the recipe's, whichever is larger.
        """
        scale = max(1.0, self.recipe.scale)
        parts = list(size)
        if size[0] * size[1] * scale**2 > WHOLE:
            parts = [round(max(sides) / scale) for sides in zip(TILE, window or (0, 0), strict=True)]
        rows, columns = (_cut(side, part) for side, part in zip(size, parts, strict=True))
        return [((r, c), (kept_r, kept_c)) for r, kept_r in rows for c, kept_c in columns]

    @cached_property
    def _fast(self) -> nn.Module:
        """What predicts, made of ``net`` at the first prediction."""
        return inference_copy(self.net)


def _cut(size: int, part: int) -> list[tuple[slice, slice]]:
    """Parts along one axis: (seen, kept); the first and the last reach the ends, neighbours share a third or more."""
    part = max(1, min(size, part))
    steps = -(-(size - part) // max(1, part * 2 // 3))
    starts = [(size - part) * step // max(1, steps) for step in range(steps + 1)]
    middles = [(start + part + follower) // 2 for start, follower in itertools.pairwise(starts)]
    return [
        (slice(start, start + part), slice(low, high))
        for start, low, high in zip(starts, [0, *middles], [*middles, size], strict=True)
    ]


def load_network(source: str | Path, checkpoint: str = "last") -> TrainedNetwork:
    """Load a trained network, without downloading anything.

    Args:
        source: a run directory, whose checkpoint is taken or, if only that is there, its model.safetensors; or such a
            file itself: ``….safetensors`` or ``….ckpt``.
        checkpoint: "last" or "best", in a run directory.

    Raises:
        UserError: nothing readable there, or weights, classes or colours that are not this version's; one line.
    """
    file = _choose(Path(source), checkpoint)
    state = _read_checkpoint(file) if file.suffix == ".ckpt" else _read_weights(file)
    recipe, labels = state["recipe"], DATASETS[state["recipe"].dataset].labels
    check_labels(labels, state, file)
    net = build_network(dataclasses.replace(recipe, pretrained=False), len(labels))
    load_state(net, state["model"], file)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return TrainedNetwork(
        net.eval().to(device),
        recipe,
        labels,
        state.get("iteration"),
        state.get("seconds"),
        list(state["mean"]),
        list(state["std"]),
    )


def _choose(source: Path, checkpoint: str) -> Path:
    """The file to load."""
    if source.is_file() or source.suffix in (".safetensors", ".ckpt"):
        return source
    file, weights = source / f"{checkpoint}.ckpt", source / "model.safetensors"
    # model.safetensors is the last state: it can't stand for the best
    return weights if checkpoint == "last" and weights.is_file() and not file.exists() else file


def _read_checkpoint(file: Path) -> dict[str, Any]:
    state = load_checkpoint(file)
    missing = [name for name in ("classes", "mean", "std") if name not in state]
    if not isinstance(state["model"], dict) or not all(isinstance(one, Tensor) for one in state["model"].values()):
        raise UserError(f"expected tensors by name in the entry model of {file}, found others: name another checkpoint")
    if missing:
        raise UserError(f"expected the entry {missing[0]} in {file}, found none: use the version that wrote it")
    try:
        return state | {"recipe": Recipe.from_dict(state["recipe"])}
    except UserError as error:
        raise UserError(f"{file}: {error}") from None


def _read_weights(file: Path) -> dict[str, Any]:
    weights = load_weights(file)
    return {"model": weights.tensors} | {
        field.name: getattr(weights, field.name) for field in dataclasses.fields(weights) if field.name != "tensors"
    }

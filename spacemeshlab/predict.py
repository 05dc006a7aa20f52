"""A finished run back as a network that labels photographs (chapter 14)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from spacemeshlab.checkpoint import load_checkpoint
from spacemeshlab.data import DATASETS
from spacemeshlab.data.labels import LabelSet
from spacemeshlab.data.transforms import normalise
from spacemeshlab.errors import UserError
from spacemeshlab.evaluate import predict_logits, protocol
from spacemeshlab.models.fuse import inference_copy
from spacemeshlab.models.network import SpaceMeshLab
from spacemeshlab.recipe import Recipe
from spacemeshlab.train import build_network


@dataclass
class TrainedNetwork:
    """A network with everything that is needed to use it.

    Attributes:
        net: in eval mode. The first prediction copies it: give other weights to a new object.
        recipe: what it was trained with.
        labels: its classes.
        iteration: training iterations behind it.
        seconds: training time behind it.
        mean, std: of the training's normalisation, stored in the checkpoint.
    """

    net: SpaceMeshLab
    recipe: Recipe
    labels: LabelSet
    iteration: int
    seconds: float
    mean: list[float]
    std: list[float]

    @torch.inference_mode()
    def predict(self, image: Tensor, tta: bool = False) -> Tensor:
        """Class of every pixel: uint8 image (3, H, W) -> int64 (H, W), at the image's own size."""
        device = next(self._fast.parameters()).device
        images = normalise(image, self.mean, self.std)[None].to(device)
        return predict_logits(self._fast, images, image.shape[-2:], **protocol(self.recipe, tta))[0].argmax(0).cpu()

    @cached_property
    def _fast(self) -> nn.Module:
        """What predicts, made of ``net`` at the first prediction."""
        return inference_copy(self.net)


def load_network(run_dir: str | Path, checkpoint: str = "last") -> TrainedNetwork:
    """Load a run's network, without downloading anything.

    Args:
        run_dir: a run directory.
        checkpoint: "last" or "best".

    Raises:
        UserError: no run there, or no readable checkpoint.
    """
    state = load_checkpoint(Path(run_dir) / f"{checkpoint}.ckpt")
    recipe = Recipe.from_dict(state["recipe"] | {"pretrained": False})
    labels = DATASETS[recipe.dataset].labels
    net = build_network(recipe, len(labels))
    try:
        net.load_state_dict(state["model"])
    except RuntimeError:
        raise UserError(
            f"expected weights of this version's network in {run_dir}, found others: train again, or use its commit"
        ) from None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    recipe = Recipe.from_dict(state["recipe"])
    return TrainedNetwork(
        net.eval().to(device), recipe, labels, state["iteration"], state["seconds"], state["mean"], state["std"]
    )

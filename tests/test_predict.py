"""A run back as a network that labels photographs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import spacemeshlab.predict as module
from spacemeshlab.data.labels import CAMVID
from spacemeshlab.data.transforms import MEAN, STD, normalise
from spacemeshlab.errors import UserError
from spacemeshlab.predict import load_network
from spacemeshlab.recipe import get_recipe


class TinyNetwork(nn.Conv2d):
    """Stands in for the network: a 1×1 convolution."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(3, num_classes, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"out": super().forward(images)}


@pytest.fixture
def run_dir(tmp_path, monkeypatch):
    """A run whose last and best checkpoint differ in their weights and in nothing else."""
    built = []

    def build(recipe, num_classes):
        built.append(recipe.pretrained)
        return TinyNetwork(num_classes)

    monkeypatch.setattr(module, "build_network", build)
    for name in ("last", "best"):
        state = {"model": TinyNetwork(11).state_dict(), "iteration": 7, "seconds": 3.5, "classes": list(CAMVID.classes)}
        state |= {"recipe": get_recipe("camvid", ["scale=0.5"]).as_dict(), "mean": list(MEAN), "std": list(STD)}
        torch.save(state, tmp_path / f"{name}.ckpt")
    yield tmp_path
    assert not any(built)  # nothing is downloaded, whatever the recipe says


def test_a_run_comes_back_with_its_weights_recipe_classes_and_normalisation(run_dir):
    trained = load_network(run_dir)
    stored = torch.load(run_dir / "last.ckpt")
    assert all(torch.equal(stored["model"][name], tensor) for name, tensor in trained.net.cpu().state_dict().items())
    assert not trained.net.training
    assert trained.recipe == get_recipe("camvid", ["scale=0.5"])
    assert trained.recipe.pretrained
    assert trained.labels is CAMVID
    assert (trained.iteration, trained.seconds, trained.mean, trained.std) == (7, 3.5, list(MEAN), list(STD))


def test_best_is_loaded_when_asked_for_and_a_missing_run_is_one_line(run_dir, tmp_path):
    last, best = load_network(run_dir), load_network(run_dir, "best")
    assert not torch.equal(last.net.weight, best.net.weight)
    with pytest.raises(UserError, match=r"none/last.ckpt, found none: train first"):
        load_network(tmp_path / "none")


def test_a_prediction_has_the_photographs_size_and_scores_at_the_recipes_scale(run_dir):
    trained = load_network(run_dir)
    image = torch.randint(256, (3, 9, 14), dtype=torch.uint8)
    before = image.clone()
    prediction = trained.predict(image)
    assert (prediction.shape, prediction.dtype) == ((9, 14), torch.int64)
    assert torch.equal(image, before)
    views = module.protocol(trained.recipe, tta=False)
    logits = module.predict_logits(trained.net.cpu(), normalise(image)[None], (9, 14), **views)
    assert torch.equal(prediction, logits[0].argmax(0))
    assert trained.predict(image, tta=True).shape == (9, 14)


def test_the_copy_that_predicts_is_made_once(run_dir, monkeypatch):
    trained, made = load_network(run_dir), []
    monkeypatch.setattr(module, "inference_copy", lambda net: made.append(net) or net)
    for _ in range(2):
        trained.predict(torch.zeros(3, 4, 4, dtype=torch.uint8), tta=True)
    assert made == [trained.net]


def test_a_prediction_uses_the_normalisation_of_the_checkpoint(run_dir):
    trained = load_network(run_dir)
    image = torch.randint(256, (3, 32, 32), dtype=torch.uint8)
    usual = trained.predict(image)
    trained.mean = [10.0, -10.0, 10.0]
    assert not torch.equal(trained.predict(image), usual)


def test_weights_of_another_network_are_refused_in_one_line(run_dir):
    state = torch.load(run_dir / "last.ckpt", weights_only=True)
    state["model"]["stranger"] = torch.zeros(1)
    torch.save(state, run_dir / "last.ckpt")
    with pytest.raises(UserError, match=r"expected weights of this version's network in .*, found others"):
        load_network(run_dir)

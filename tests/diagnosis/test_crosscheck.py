"""One network in two ways: a sound one agrees with itself, and each kind of bug is found."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from spacemeshlab import SpaceMeshLab
from spacemeshlab.diagnosis import crosscheck
from spacemeshlab.models import meshgrid_conv
from spacemeshlab.recipe import get_recipe

RECIPE = get_recipe("toycity", ["rates=1,2", "crop=32x64", "scale=1"])
RANDOM = torch.Generator().manual_seed(0)
BATCH = torch.randn(2, 3, 48, 64, generator=RANDOM), torch.randint(0, 19, (2, 48, 64), generator=RANDOM)


@pytest.fixture(scope="module")
def sound():
    torch.manual_seed(0)
    net = SpaceMeshLab(19, "resnet18", rates=(1, 2), depth=4).train()
    with torch.no_grad():
        net(torch.randn(4, 3, 32, 64))  # statistics that are not the first ones
    return net.eval()


def swapped(x, weight, rates, original=meshgrid_conv._loop):
    """A loop that takes rows for columns."""
    return original(x, weight.transpose(0, 1), rates)


def test_a_sound_network_agrees_with_itself_in_every_way(net, dataset):
    found = crosscheck.examine(net, dataset, [0, 1], BATCH, RECIPE)
    assert found["loop"]["images"] == 2
    assert found["loop"]["difference"] < 1e-4
    assert found["loop"]["miou"][0] == pytest.approx(found["loop"]["miou"][1], abs=1e-3)
    assert max(found["loop_gradients"].values()) < 1e-12
    assert found["eval_against_train"] < 1e-4
    assert found["round_trip"] == 0
    assert crosscheck.findings(found) == []


def test_a_loop_that_differs_is_found_forward_and_backward(net, dataset, monkeypatch):
    monkeypatch.setattr(meshgrid_conv, "_loop", swapped)
    found = crosscheck.examine(net, dataset, [0], BATCH, RECIPE)
    assert found["loop"]["difference"] > 0.01
    assert found["loop"]["pixels"] > 0
    assert found["loop_gradients"]["context"] > 0.1
    said = " ".join(crosscheck.findings(found))
    assert "a bug: the loop's logits differ by" in said
    assert "a bug: the loop's gradients differ by" in said


def test_a_gradient_alone_that_differs_is_found(net, monkeypatch):
    def half(x, weight, rates, original=meshgrid_conv._loop):
        y = original(x, weight, rates)
        return (y + y.detach()) / 2

    monkeypatch.setattr(meshgrid_conv, "_loop", half)
    assert crosscheck.gradients_against_loop(net, BATCH, 0.4)["context"] > 0.5


def test_a_network_that_predicts_otherwise_than_it_trains_is_found(net):
    class Fickle(nn.Module):
        def forward(self, x):
            return x if self.training else 1.5 * x

    net.decoder.head = nn.Sequential(net.decoder.head, Fickle())
    value = crosscheck.eval_against_train(net, BATCH[0])
    assert value == pytest.approx(0.5, abs=1e-3)
    found = {"loop": None, "loop_gradients": None, "eval_against_train": value, "round_trip": 0.0}
    assert crosscheck.findings(found) == ["a bug: the logits of training differ by 0.5"]


def test_a_shuffle_that_is_no_inverse_is_found(net, monkeypatch):
    class Other(nn.Sequential):
        def __init__(self, channels, steps, attention):
            super().__init__(*[nn.PixelShuffle(4)] * steps, nn.ReLU())

    monkeypatch.setattr(crosscheck, "ShuffleUp", Other)
    assert crosscheck.round_trip(net) > 0.1
    found = {"loop": None, "loop_gradients": None, "eval_against_train": 0.0, "round_trip": 1.0}
    assert crosscheck.findings(found) == ["a bug: the shuffles lose something"]


def test_nan_is_no_agreement():
    found = {"loop": None, "loop_gradients": None, "eval_against_train": float("nan"), "round_trip": 0.0}
    assert crosscheck.findings(found) == ["a bug: the logits of training differ by nan"]


def test_a_network_without_metrocon2_has_no_loop(dataset):
    net = SpaceMeshLab(19, "resnet18", context="aspp", spam=False).eval()
    found = crosscheck.examine(net, dataset, [0], BATCH, RECIPE)
    assert found["loop"] is found["loop_gradients"] is None
    assert crosscheck.findings(found) == []


def test_nothing_is_changed(net, dataset):
    before, method = copy.deepcopy(net.state_dict()), net.context.method
    crosscheck.examine(net, dataset, [0], BATCH, RECIPE)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.context.method == method
    assert not any(module.training for module in net.modules())

"""Taps that see the image and taps that see padding: counted by hand, and by the gradient."""

from __future__ import annotations

import copy

import pytest
import torch

from spacemeshlab import SpaceMeshLab
from spacemeshlab.diagnosis.reach import fit, map_size, reached, shares, silenced
from spacemeshlab.evaluate import evaluate
from spacemeshlab.metrics import iou, mean_iou
from spacemeshlab.recipe import get_recipe

RECIPE = get_recipe("toycity", ["scale=1"])


@pytest.fixture(scope="module")
def sound():
    torch.manual_seed(0)
    return SpaceMeshLab(19, "resnet18", rates=(1, 2, 3), depth=16, aux=False)


def test_maps_are_a_sixteenth_of_the_padded_image():
    assert map_size((128, 160)) == (8, 10)
    assert map_size((360, 480), 0.5) == (12, 15)
    assert map_size((17, 16)) == (2, 1)


@pytest.mark.parametrize("context", ["metrocon2", "aspp"])
def test_reached_taps_are_those_that_get_a_gradient(context):
    net = SpaceMeshLab(19, "resnet18", context=context, rates=(1, 2, 3), aux=False).train()
    net(torch.randn(2, 3, 48, 32))["out"].square().sum().backward()  # a map of 3 x 2
    weights = dict(net.named_parameters())
    masks = reached(net, (3, 2))
    assert len(masks) == (1 if context == "metrocon2" else 3)
    for name, mask in masks.items():
        filters = tuple(axis for axis, length in enumerate(mask.shape) if length == 1)
        assert torch.equal((weights[name].grad != 0).any(filters[0]).any(filters[1] - 1), mask.squeeze(filters))


def test_shares_are_those_of_the_hand(net):
    # rates 1, 2, 3 on 2 rows: 3 + 1 + 1 of 9 rows of taps; on 3 columns: 3 + 3 + 1 of 9; on 4 x 4 all
    found = shares(net, (2, 3), (4, 4))
    assert found == {"trained": pytest.approx(5 * 7 / 81), "surprised": pytest.approx(1 - 5 * 7 / 81)}
    assert shares(net, (4, 4), (4, 4)) == {"trained": 1, "surprised": 0}
    assert shares(net, (4, 4), (2, 2)) == {"trained": 1, "surprised": 0}


def test_silencing_changes_large_maps_only_and_a_copy_only(net):
    net.eval()
    before = copy.deepcopy(net.state_dict())
    quiet = silenced(net, (2, 2))
    with torch.no_grad():
        small, large = torch.randn(1, 512, 2, 2), torch.randn(1, 512, 4, 4)
        assert torch.allclose(quiet.context(small), net.context(small), atol=1e-5)
        assert not torch.allclose(quiet.context(large), net.context(large), atol=1e-2)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(silenced(net, (4, 4)).context.weight, net.context.weight)


def test_the_fit_is_the_score_of_the_evaluation_and_the_mean_cross_entropy(net, dataset):
    found = fit(net, dataset, [0, 1], RECIPE)
    assert found["images"] == 2
    confusion = evaluate(net, dataset)
    assert found["miou"] == pytest.approx(mean_iou(confusion))
    assert found["iou"] == pytest.approx(iou(confusion).tolist(), nan_ok=True)
    net.eval()
    with torch.no_grad():
        logits = torch.stack([net(image[None])["out"][0] for image, _ in dataset])
    target = torch.stack([target for _, target in dataset])
    loss = torch.nn.functional.cross_entropy(logits, target, ignore_index=255)
    assert found["loss"] == pytest.approx(loss.item(), rel=1e-4)


def test_a_window_changes_what_is_seen(net, dataset):
    assert fit(net, dataset, [0], RECIPE, (32, 48))["loss"] != fit(net, dataset, [0], RECIPE)["loss"]
    assert fit(net, dataset, [1], RECIPE, (64, 128))["loss"] == fit(net, dataset, [1], RECIPE)["loss"]

"""What a pair of rates does: ablation, its first-order estimate, rank correlation, blocks of images."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from spacemeshlab import SpaceMeshLab
from spacemeshlab.data import open_dataset
from spacemeshlab.data.transforms import eval_transform
from spacemeshlab.pairs import (
    BehindContext,
    ablations,
    block_bootstrap,
    class_log_probability,
    contributions,
    look_at_pairs,
    rank_correlation,
    shape_of_use,
    tallness,
    without_pair,
)
from spacemeshlab.predict import TrainedNetwork
from spacemeshlab.recipe import get_recipe
from spacemeshlab.views import predict_logits


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    net = SpaceMeshLab(3, "resnet18", rates=(1, 2), depth=4).eval()
    with torch.no_grad():
        net.context.score.copy_(torch.tensor([[1.0, 0.5], [2.0, 1.5]]))
    return net


@pytest.fixture
def behind(net):
    return BehindContext(net, torch.randn(3, 60, 90), (60, 90), scale=0.5)


TARGET = torch.zeros(60, 90, dtype=torch.int64)
TARGET[:, 40:50], TARGET[:5] = 1, 255


def test_with_the_context_that_was_kept_the_networks_own_logits_come_back(net):
    image = torch.randn(3, 60, 90)
    behind = BehindContext(net, image, (60, 90), scale=0.5)
    with torch.no_grad():
        expected = predict_logits(net, image[None], (60, 90), (0.5,))
        assert torch.allclose(behind.logits(behind.context), expected, atol=1e-5)
        assert not torch.allclose(behind.logits(behind.context + 1), expected, atol=1e-3)
    assert not net.decoder._forward_pre_hooks


def test_silencing_a_pair_zeroes_its_channels_of_a_copy():
    context = torch.rand(1, 12, 2, 2) + 1
    silent = without_pair(context, 1, 4)
    assert (context > 0).all()
    assert (silent[0, :, 0, 0] == 0).nonzero().flatten().tolist() == [4, 5, 6, 7]


def test_the_mean_log_probability_is_that_of_each_classs_own_pixels():
    logits, target = torch.randn(1, 3, 2, 2), torch.tensor([[0, 1], [1, 255]])
    log_p = F.log_softmax(logits, 1)[0]
    found = class_log_probability(logits, target)
    assert found[0] == pytest.approx(log_p[0, 0, 0].item())
    assert found[1] == pytest.approx((log_p[1, 0, 1] + log_p[1, 1, 0]).item() / 2)
    assert found[2].isnan()


def test_an_ablation_is_the_drop_of_one_run_without_the_pair(behind):
    drops = ablations(behind, TARGET, 4, [0, 3])
    with torch.no_grad():
        whole = class_log_probability(behind.logits(behind.context), TARGET)
        silent = class_log_probability(behind.logits(without_pair(behind.context, 3, 4)), TARGET)
    assert torch.allclose(drops[1], whole - silent, equal_nan=True)
    assert drops.shape == (2, 3)
    assert (drops[:, :2] != 0).all()
    assert drops[:, 2].isnan().all()


def test_gradient_times_activation_is_the_slope_of_turning_a_pair_down(net, behind):
    before = copy.deepcopy(net.state_dict())
    estimate = contributions(behind, TARGET, net.context)
    assert estimate.shape == (3, 2, 2)
    assert estimate[2].isnan().all()
    for pair in range(4):
        part = behind.context - without_pair(behind.context, pair, 4)
        with torch.no_grad():
            up, down = (class_log_probability(behind.logits(behind.context + e * part), TARGET) for e in (1e-2, -1e-2))
        assert torch.allclose(estimate[:2].flatten(1)[:, pair], ((up - down) / 2e-2)[:2], rtol=0.1, atol=3e-4)
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_classes_that_are_not_asked_for_are_nan(net, behind):
    some = contributions(behind, TARGET, net.context, classes=[1])
    assert some[0].isnan().all()
    assert torch.equal(some[1], contributions(behind, TARGET, net.context)[1])


def test_tall_pairs_are_positive_flat_ones_negative_and_equal_shapes_equal():
    found = tallness((1, 2, 4))
    assert found[2, 0] > found[1, 0] > 0 > found[0, 1]
    assert found[1, 0] == found[2, 1]
    assert (found.diagonal() == 0).all()


def test_rank_correlation_looks_at_the_order_only_and_shares_ranks():
    a = torch.tensor([1.0, 2, 3, 400])
    assert rank_correlation(a, a.exp()) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert rank_correlation(a, torch.tensor([1.0, 1, 2, 2])) == pytest.approx(2 / 5**0.5)


def test_a_bootstrap_of_equal_images_has_no_spread_and_blocks_of_unequal_ones_more():
    def mean(rows):
        return rows.mean().item()

    assert block_bootstrap(torch.ones(6, 1), mean) == (1, 1)
    frames = torch.arange(40.0).div(10).floor()[:, None]
    single, blocks = block_bootstrap(frames, mean), block_bootstrap(frames, mean, block=10)
    assert single[0] < 1.5 < single[1]
    assert blocks[1] - blocks[0] > 2 * (single[1] - single[0])
    assert block_bootstrap(frames, mean, block=10) == blocks


def test_a_network_that_uses_tall_pairs_is_found_out_and_absent_classes_say_nothing():
    rates = (1, 2, 3, 4)
    values = torch.full((6, 2, 4, 4), torch.nan)
    values[:4, 0] = tallness(rates) + 0.01 * torch.randn(4, 4, 4)
    tall, absent = shape_of_use(values, rates, (3, 4), block=2)
    assert tall["images"] == 4
    assert tall["tall"][0] > 0.95
    assert tall["tall"][1] <= tall["tall"][0] <= tall["tall"][2]
    assert abs(tall["narrow"][0]) < 0.7
    assert absent == {"images": 0, "tall": None, "narrow": None}


def test_pairs_beyond_the_training_map_take_no_part():
    values = torch.randn(4, 1, 3, 3)
    spoiled = values.clone()
    spoiled[:, :, 2] = spoiled[:, :, :, 2] = 99
    assert shape_of_use(values, (1, 2, 3), (2, 2), 1) == shape_of_use(spoiled, (1, 2, 3), (2, 2), 1)


def test_everything_about_a_networks_pairs_in_one_dictionary(toycity_dir):
    recipe = get_recipe("toycity", ["crop=32x64", "rates=1,2", "scale=1"])
    dataset = open_dataset("cityscapes", toycity_dir, "val", eval_transform())
    net = SpaceMeshLab(19, "resnet18", rates=(1, 2)).eval()
    one = TrainedNetwork(net, recipe, dataset.labels, 0, None, [0.0] * 3, [1.0] * 3)
    found = look_at_pairs(one, dataset, every=1, ablate=1)
    assert found["images"] == [0, 1]
    assert found["ablated_images"] == [1]
    assert found["score"] == [[1, 1], [1, 1]]
    assert found["inside"] == [1, 2]
    assert len(found["contribution"]) == len(found["ablation"]) == len(found["shape"]) == len(found["agreement"]) == 19
    assert 0 <= found["miou_without_context"] <= 1
    assert found["shape"][0]["images"] == 2

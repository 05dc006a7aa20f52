"""The ablations that the paper lacks: one thing changes, everything else starts as in the network itself."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from spacemeshlab import SpaceMeshLab
from spacemeshlab.models.attention import ChannelContextAttention, SpatialContextAttention
from spacemeshlab.models.fuse import inference_copy
from spacemeshlab.models.metrocon import MetroCon2
from spacemeshlab.models.variants import VARIANTS, ScoreBeforeNorm, needs, vary

CHANGED = VARIANTS[1:]
IMAGES = torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(1))


def network(variant="none", **keywords):
    """A network of 5 classes and wide enough gates; every call starts with the same weights."""
    torch.manual_seed(0)
    net = SpaceMeshLab(5, **{"backbone": "resnet18", "rates": (1, 2), "depth": 16} | keywords)
    vary(net, variant)
    return net


def logits(net, training=True):
    with torch.no_grad():
        return net.train(training)(IMAGES)["out"]


def gates(net):
    return [m for m in net.modules() if isinstance(m, SpatialContextAttention | ChannelContextAttention)]


@pytest.mark.parametrize("variant", CHANGED)
def test_a_variant_keeps_the_shapes_and_learns_with_all_that_it_has(variant):
    net = network(variant)
    out = net(IMAGES)
    assert {name: tuple(maps.shape) for name, maps in out.items()} == {"out": (2, 5, 32, 48), "aux": (2, 5, 32, 48)}
    sum(maps.square().mean() for maps in out.values()).backward()
    without = [name for name, p in net.named_parameters() if p.requires_grad and p.grad is None]
    assert not without


@pytest.mark.parametrize("variant", CHANGED)
def test_every_weight_that_both_have_starts_the_same(variant):
    plain, varied = network().state_dict(), network(variant).state_dict()
    common = [name for name in plain if name in varied and plain[name].shape == varied[name].shape]
    assert len(common) > 0.8 * len(plain)
    if "head" not in variant:  # gates with other heads are drawn anew, also where a shape stays
        assert all(torch.equal(plain[name], varied[name]) for name in common)
    else:
        same = [name for name in common if ".up." not in name and ".down." not in name]
        assert all(torch.equal(plain[name], varied[name]) for name in same)


def test_without_a_variant_nothing_is_touched():
    plain, varied = network(), network("none")
    assert torch.equal(logits(plain), logits(varied))


@pytest.mark.parametrize("training", [True, False])
def test_concatenation_starts_as_the_addition(training):
    difference = logits(network("concatenation"), training) - logits(network(), training)
    assert difference.abs().max() < 1e-4
    weights = [m.weight for m in network("concatenation").spam.modules() if isinstance(m, nn.Conv2d)]
    assert {(w.shape[1], w.shape[0]) for w in weights if w.shape[1] == 2 * w.shape[0]} >= {(1024, 512), (8, 4)}


def test_concatenation_can_leave_the_addition():
    net = network("concatenation")
    before = logits(net)
    with torch.no_grad():
        net.spam.exchanges["1"].to_feature.weight[:, :64].zero_()  # its own half of the 128 channels
    assert not torch.allclose(logits(net), before, atol=1e-3)


@pytest.mark.parametrize("training", [True, False])
def test_fixed_scores_are_the_same_function_and_are_never_trained(training):
    net = network("fixed-score")
    assert torch.equal(logits(net, training), logits(network(), training))
    net.train()(IMAGES)["out"].sum().backward()
    assert net.context.score.grad is None
    assert "context.score" in net.state_dict()


def test_a_score_before_batch_norm_is_divided_out_and_gets_no_gradient():
    torch.manual_seed(0)
    x = torch.randn(4, 32, 9, 9)
    after = MetroCon2(32, (1, 2), 4)
    before = ScoreBeforeNorm(32, (1, 2), 4)
    before.load_state_dict(after.state_dict())
    reference = before(x)
    torch.testing.assert_close(reference, after(x))  # while all scores are 1
    with torch.no_grad():
        for module in (before, after):
            module.score.copy_(torch.tensor([[0.5, 2.0], [3.0, 0.7]]))
    torch.testing.assert_close(before(x), reference, atol=2e-3, rtol=1e-3)
    assert (after(x) - reference).abs().max() > 1
    target = torch.randn_like(reference)
    for module in (before, after):
        (module(x) - target).square().sum().backward()
    assert before.score.grad.abs().max() < 1e-3 * after.score.grad.abs().max()


def test_a_score_before_batch_norm_is_the_same_in_the_fused_pass():
    torch.manual_seed(0)
    module = ScoreBeforeNorm(8, (1, 3), 4)
    with torch.no_grad():
        for tensor in (module.score, module.norm.weight, module.norm.bias, module.norm.running_mean):
            tensor.copy_(torch.randn_like(tensor))
        module.norm.running_var.uniform_(0.5, 2)
    module.eval()
    x = torch.randn(2, 8, 7, 6)
    slow = module(x)  # with gradients: one step after the other
    with torch.no_grad():
        fast = module(x)
    torch.testing.assert_close(fast, slow.detach(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("variant", "most"), [("one-head", 1), ("two-heads", 2), ("none", 4)])
def test_the_gates_have_the_heads_that_were_asked_for(variant, most):
    found, widest = gates(network(variant)), gates(network())
    assert max(gate.heads for gate in found) == most
    assert [gate.heads for gate in found] == [min(gate.heads, most) for gate in widest]
    if variant == "two-heads":  # a gate that has no more than two is the same gate
        small = [(a, b) for a, b in zip(found, widest, strict=True) if b.heads <= 2]
        assert small
        for one, other in small:
            torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(("variant", "hears", "deaf"), [("to-memo", 1, 0), ("to-backbone", 0, 1)])
def test_one_direction_is_the_exchange_with_the_other_taken_away(variant, hears, deaf):
    exchange = network().spam.exchanges["3"]
    one_way = network(variant).spam.exchanges["3"]
    feature, memo = torch.randn(2, 256, 2, 3), torch.randn(2, 4, 32, 48)
    both, alone = exchange(feature, memo), one_way(feature, memo)
    assert torch.equal(alone[hears], both[hears])
    untouched = (feature, exchange.block(memo))
    assert torch.equal(alone[deaf], untouched[deaf])
    count = sum(p.numel() for p in one_way.parameters())
    assert count < sum(p.numel() for p in exchange.parameters())


@pytest.mark.parametrize("variant", CHANGED)
def test_a_frozen_copy_gives_the_same_logits(variant):
    net = network(variant)
    net.train()(IMAGES)  # running statistics of their own
    net.eval()
    with torch.no_grad():
        torch.testing.assert_close(inference_copy(net)(IMAGES)["out"], net(IMAGES)["out"], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("variant", CHANGED)
def test_weights_come_back_into_the_same_variant(variant):
    net = network(variant)
    again = network(variant)
    with torch.no_grad():
        for p in again.parameters():
            p.zero_()
    again.load_state_dict(copy.deepcopy(net.state_dict()))
    assert torch.equal(logits(again, False), logits(net, False))


def test_an_unknown_variant_is_refused_with_the_list():
    with pytest.raises(ValueError, match=r"variant must be one of none, fixed-score, .*, got 'three-heads'"):
        vary(network(), "three-heads")


@pytest.mark.parametrize(
    ("variant", "lacks"),
    [
        ("fixed-score", {"context": "aspp"}),
        ("score-before-norm", {"context": "aspp"}),
        ("concatenation", {"spam": False}),
        ("to-memo", {"spam": False}),
        ("one-head", {"spam": False}),
        ("two-heads", {"attention": False}),
    ],
)
def test_a_network_without_the_part_is_refused(variant, lacks):
    with pytest.raises(ValueError, match=f"variant={variant} needs a network with {needs(variant)}, got one without"):
        network(variant, **lacks)


def test_each_variant_says_which_part_it_needs():
    assert {variant: needs(variant) for variant in VARIANTS} == {
        "none": "",
        "fixed-score": "metrocon2",
        "score-before-norm": "metrocon2",
        "concatenation": "spam",
        "one-head": "attention",
        "two-heads": "attention",
        "to-memo": "spam",
        "to-backbone": "spam",
    }

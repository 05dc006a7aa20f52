"""The exchange, the gates, dead parts and gradients: what is broken on purpose is named, what is sound is not."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from spacemeshlab import SpaceMeshLab
from spacemeshlab.diagnosis.signals import (
    apart,
    dead_channels,
    examine,
    exchange_ratios,
    findings,
    first_network,
    gate_values,
    gradients,
    part,
    parts,
)
from spacemeshlab.models.spam import Exchange
from spacemeshlab.recipe import get_recipe
from spacemeshlab.step import segmentation_loss
from spacemeshlab.train import train

RECIPE = get_recipe("toycity", ["rates=1,2"])


@pytest.fixture(scope="module")
def sound():
    torch.manual_seed(0)
    return SpaceMeshLab(3, "resnet18", rates=(1, 2), depth=4)


@pytest.fixture(scope="module")
def batch():
    random = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, 48, 64, generator=random), torch.randint(0, 3, (2, 48, 64), generator=random)


class _Louder(nn.Module):
    """Multiplies what another module gives back."""

    def __init__(self, inner, factor):
        super().__init__()
        self.inner, self.factor = inner, factor

    def forward(self, x):
        return self.factor * self.inner(x)


def test_the_ratios_of_a_tiny_exchange_are_those_of_the_hand():
    class Tiny(nn.Module):
        def __init__(self):
            super().__init__()
            self.exchanges = nn.ModuleDict({"0": Exchange(1, 16, 1, attention=False)})
            self.exchanges["0"].block = nn.Identity()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.spam = Tiny()

        def forward(self, memo):
            return self.spam.exchanges["0"](3 * torch.ones(1, 16, 2, 2), memo)

    # the shuffles keep every number: 4 against 3 one way, 3 against 4 the other
    found = exchange_ratios(Net(), 4 * torch.ones(1, 1, 8, 8))
    assert found == {"0": {"to_feature": pytest.approx(4 / 3), "to_memo": pytest.approx(3 / 4)}}


def test_every_exchange_of_a_sound_network_is_measured_and_none_drowns_the_other_side(net, batch):
    found = exchange_ratios(net, batch[0])
    assert list(found) == ["0", "1", "3", "4"]
    assert all(0 < ratio < 10 for ways in found.values() for ratio in ways.values())
    assert not [said for said in findings(examine(net, batch, RECIPE)) if "to_feature" in said]


def test_a_memo_a_hundred_times_too_loud_is_reported_as_a_disturbance(net, batch):
    before = exchange_ratios(net, batch[0])["3"]["to_feature"]
    net.spam.exchanges["3"].down = _Louder(net.spam.exchanges["3"].down, 100)
    found = examine(net, batch, RECIPE)
    assert found["exchanges"]["3"]["to_feature"] == pytest.approx(100 * before, rel=1e-4)
    (said,) = (said for said in findings(found) if said.startswith("exchange 3, to_feature"))
    assert f"adds {found['exchanges']['3']['to_feature']:.3g} times what is there" in said


def test_a_way_that_is_shut_has_no_ratio(net, batch):
    class OneWay(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.block, self.down = inner.block, inner.down

        def forward(self, feature, memo):
            memo = self.block(memo)
            return feature + self.down(memo), memo

    net.spam.exchanges["4"] = OneWay(net.spam.exchanges["4"])
    found = exchange_ratios(net, batch[0])
    assert found["4"]["to_memo"] is None
    assert found["4"]["to_feature"] > 0
    assert found["3"]["to_memo"] > 0


def test_a_network_without_spam_has_no_exchange_and_no_gate(batch):
    found = examine(SpaceMeshLab(3, "resnet18", spam=False, rates=(1, 2), depth=4), batch, RECIPE)
    assert found["exchanges"] == found["gates"] == {}
    assert {"memo", "gates"}.isdisjoint(found["parts"])


def test_a_gate_that_is_always_open_is_saturated_and_a_sound_one_is_not(net, batch):
    name = "decoder.down.1"
    with torch.no_grad():
        before = gate_values(net, batch[0])
        net.decoder.down[1].mlp[2].bias.fill_(50)
    found = gate_values(net, batch[0])
    assert before[name]["saturated"] < 0.1
    assert found[name] == {"mean": pytest.approx(1), "saturated": 1}
    assert len(found) == 14  # six after each of the shuffles up and down, and two in the decoder
    assert [said for said in findings(examine(net, batch, RECIPE)) if said.startswith(f"{name}: 100%")]


def test_channels_that_are_zero_everywhere_are_counted(net, batch):
    assert dead_channels(net, batch[0]) == 0
    with torch.no_grad():
        net.context.score[0, 1] = 0
    assert dead_channels(net, batch[0]) == pytest.approx(1 / 4)
    assert "context: 25.0% of its channels are dead" in findings(examine(net, batch, RECIPE))


def test_a_frozen_part_is_named_dead_and_so_is_a_frozen_parameter(net, batch):
    net.backbone.layer2.requires_grad_(False)
    net.context.score.requires_grad_(False)
    found = parts(net, gradients(net, batch, 0.4))
    assert found["layer2"]["gradient"] == 0
    assert len(found["layer2"]["dead"]) == len(list(net.backbone.layer2.parameters()))
    assert found["context"]["dead"] == ["context.score"]
    assert not any(one["dead"] for name, one in found.items() if name not in ("layer2", "context"))
    said = findings(examine(net, batch, RECIPE))
    assert "layer2: all of it is dead" in said
    assert "context: dead: context.score" in said


def test_every_parameter_belongs_to_one_of_ten_parts(net):
    found = {part(name) for name, _ in net.named_parameters()}
    assert found == {"stem", "layer1", "layer2", "layer3", "layer4", "memo", "gates", "context", "decoder", "aux"}
    assert part("decoder.up.1.conv.weight") == part("spam.exchanges.0.down.1.mlp.0.bias") == "gates"
    assert part("backbone.bn1.weight") == "stem"


def test_norms_of_a_part_are_those_of_all_its_parameters_together(net, batch):
    found = parts(net, gradients(net, batch, 0.4))
    twin = copy.deepcopy(net).train()
    segmentation_loss(twin(batch[0]), batch[1], 0.4).backward()
    values = list(twin.backbone.layer3.parameters())
    weight, gradient = (
        torch.cat([one.detach().double().flatten() for one in each]).norm().item()
        for each in (values, [value.grad for value in values])
    )
    assert found["layer3"]["weight"] == pytest.approx(weight)
    assert found["layer3"]["gradient"] == pytest.approx(gradient)
    assert found["layer3"]["relative"] == pytest.approx(gradient / weight)


def test_the_distance_of_two_gradients_is_relative_and_by_part():
    one = {"context.weight": torch.tensor([3.0, 4.0]), "backbone.conv1.weight": torch.ones(4), "context.score": None}
    other = one | {"context.weight": torch.tensor([3.0, 3.0])}
    assert apart(one, other) == {"context": pytest.approx(1 / 5), "stem": 0}


def test_half_precision_is_measured_where_the_recipe_has_it(net, batch):
    assert examine(net, batch, RECIPE)["rounded"] is None
    rounded = examine(net, batch, RECIPE.override(["precision=bf16-mixed"]))["rounded"]
    assert rounded.keys() == {part(name) for name, _ in net.named_parameters()}
    assert all(0 < value < 1.5 for value in rounded.values())


def test_nothing_is_changed(net, batch):
    before = copy.deepcopy(net.state_dict())
    images = batch[0].clone()
    net.eval()
    examine(net, batch, RECIPE)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(module.training or module._forward_hooks for module in net.modules())
    assert torch.equal(batch[0], images)


def test_the_first_network_is_the_one_that_a_run_starts_with(toycity_dir, tmp_path):
    still = ["crop=32x64", "rates=1,2", "batch_size=2", "iterations=1", "lr=1e-30", "weight_decay=0", "seed=3"]
    recipe = get_recipe("toycity", still)
    run = train(recipe, toycity_dir, tmp_path / "run", progress=False)
    end = torch.load(run / "last.ckpt", weights_only=True)["model"]
    state = torch.random.get_rng_state()
    first = first_network(recipe, 19)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.allclose(value, end[name], rtol=0, atol=1e-20) for name, value in first.named_parameters())

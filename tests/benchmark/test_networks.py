"""The networks that are compared: alike in what they take and return, counted right, fused without a change."""

from __future__ import annotations

import pytest
import torch

from spacemeshlab import DeepLabV3Plus, SpaceMeshLab
from spacemeshlab.benchmark import growth, networks, targets
from spacemeshlab.benchmark.bench import Bench
from spacemeshlab.benchmark.networks import BASELINE, OURS, SMP, TORCHVISION, Setting

pytest.importorskip("segmentation_models_pytorch")
QUICK = Bench(torch.device("cpu"), quick=True)
SHAPE = (2, 3, 32, 64)


def one(name: str) -> tuple[Setting, torch.nn.Module]:
    backbone = "resnet50" if name == TORCHVISION else "resnet18"
    setting = Setting(SHAPE, backbone, names=(name,), rates=(1, 2))
    return setting, networks.build(setting)[name]


@pytest.mark.parametrize("name", [OURS, BASELINE, SMP, TORCHVISION])
def test_each_network_gives_logits_of_the_images_size_and_its_fused_copy_the_same(name):
    setting, net = one(name)
    for module in net.modules():  # statistics that folding could get wrong
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    images, target = networks.batch(setting, QUICK.device)
    fast = networks.fused(net)
    with torch.inference_mode():
        logits, again = net.eval()(images), fast(images)
    left = sum(isinstance(module, torch.nn.BatchNorm2d) for module in fast.modules())
    assert left == {OURS: 1, SMP: 5}.get(name, 0)  # behind MetroCon²'s product, and behind separable convolutions
    assert logits["out"].shape == (2, networks.CLASSES, 32, 64)
    assert target.shape == (2, 32, 64)
    torch.testing.assert_close(again["out"], logits["out"], rtol=1e-3, atol=1e-4 * logits["out"].abs().max().item())
    assert set(again) == {"out"}
    assert set(logits) == ({"out"} if name == SMP else {"out", "aux"})


def test_settled_networks_keep_the_size_of_their_activations():
    net = networks.build(Setting(SHAPE, names=(OURS,), rates=(1, 2)))[OURS]
    images = torch.randn(SHAPE)
    with torch.no_grad():
        wild = net.eval()(images)["out"].abs().max()
        networks.settle(net)
        calm = net(images)["out"].abs().max()
    assert not net.training
    assert all(module.momentum == 0.1 for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d))
    assert calm < 100 < wild


def test_costs_are_those_of_the_whole_network_and_grow_with_the_batch():
    setting, net = one(OURS)
    found = networks.cost(net, setting)
    assert found["parameters"] == sum(parameter.numel() for parameter in net.parameters())
    assert found["images"] == 2
    assert networks.cost(net, Setting((4, *SHAPE[1:])))["multiply_adds"] == 2 * found["multiply_adds"]
    assert not any(parameter.is_meta for parameter in net.parameters())


def test_our_networks_are_the_papers():
    for name, kind in ((OURS, SpaceMeshLab), (BASELINE, DeepLabV3Plus)):
        with torch.device("meta"):
            net, twin = networks.build(Setting(SHAPE, names=(name,)))[name], kind(networks.CLASSES)
        assert [(key, value.shape) for key, value in net.state_dict().items()] == [
            (key, value.shape) for key, value in twin.state_dict().items()
        ]


def test_targets_are_classes_that_the_network_has():
    target = networks.batch(Setting((2, 3, 64, 64), classes=11), QUICK.device)[1]
    assert target.unique().tolist() == list(range(11))


def test_a_step_trains_and_leaves_no_gradient_behind():
    setting, net = one(SMP)
    before = [parameter.clone() for parameter in net.parameters()]
    step = networks.stepper(QUICK, setting, net)
    assert step() > 0
    assert all(parameter.grad is None for parameter in net.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_the_targets_of_the_networks_name_networks_that_are_measured():
    fused = {networks.with_fused(name) for name in networks.ABOUT}
    for target in targets.TARGETS:
        if target.part == "networks":
            assert set(target.place.split("|")[1].split(" / ")) <= set(networks.ABOUT) | fused
            assert Setting((1, 3, 4, 5)).title("forward") == "forward resnet101 1x3x4x5 float32"


def test_exponents_are_powers_of_the_growth_of_the_input():
    def row(seconds, size):
        return {"status": "run", "seconds": {"median": seconds}, "peak_bytes": size}

    left_out = {"status": "not run", "reason": "no GPU here"}
    first = {"cases": {"net": row(1.0, 100), "triton": left_out}}
    last = {"cases": {"net": row(16.0, 400), "triton": left_out}}
    assert growth.exponents([first, {"cases": {}}, last], 4.0) == {"net": {"seconds": 2.0, "peak_bytes": 1.0}}

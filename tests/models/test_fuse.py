"""The copy for inference: the same logits from fewer modules, and a network that stays as it was."""

import copy

import lightning as L
import pytest
import torch
from torch import nn

from spacemeshlab import DeepLabV3Plus, MetroCon2, SpaceMeshLab, testing
from spacemeshlab.models.fuse import inference_copy

NETWORKS = {
    "SpaceMeshLab": {},
    "SpaM": {"attention": False, "context": "aspp"},
    "DeepLabV3+": {"spam": False, "context": "aspp"},
    "bottlenecks": {"backbone": "resnet50"},
}


def trained(**keywords) -> SpaceMeshLab:
    """A small network whose batch norms have statistics, factors and shifts of their own."""
    net = SpaceMeshLab(**{"num_classes": 5, "backbone": "resnet18", "rates": (1, 2), "depth": 4, **keywords})
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    return net


@pytest.mark.parametrize("keywords", NETWORKS.values(), ids=NETWORKS.keys())
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_copy_computes_the_same_logits_and_no_auxiliary_ones(keywords, memory_format):
    net, images = trained(**keywords).to(memory_format=memory_format), torch.randn(1, 3, 35, 48)
    fast = inference_copy(net)
    with torch.no_grad():
        found, expected = fast(images), net.eval()(images)
    assert set(found) == {"out"}
    testing.check_same(found["out"], expected["out"], tolerance=1e-5)


@pytest.mark.parametrize("keywords", NETWORKS.values(), ids=NETWORKS.keys())
def test_only_metrocon2_keeps_a_batch_norm_for_its_convolution_is_no_module(keywords):
    fast = inference_copy(trained(**keywords))
    own = {module.norm for module in fast.modules() if isinstance(module, MetroCon2)}
    assert {module for module in fast.modules() if isinstance(module, nn.BatchNorm2d)} <= own


def test_batch_norm_that_was_synchronised_over_gpus_is_folded_too():
    net = trained()
    fast, synchronised = (
        inference_copy(net),
        inference_copy(nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(net))),
    )
    images = torch.randn(1, 3, 35, 48)
    assert len(list(fast.modules())) == len(list(synchronised.modules()))
    testing.check_same(synchronised(images)["out"], fast(images)["out"], tolerance=1e-6)


def test_the_network_stays_as_it_was_and_shares_nothing_with_its_copy():
    net = trained()
    net.backbone.bn1.eval()
    state, modes = copy.deepcopy(net.state_dict()), [module.training for module in net.modules()]
    fast = inference_copy(net)
    for parameter in fast.parameters():
        parameter.zero_()
    assert net.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())
    assert [module.training for module in net.modules()] == modes
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_the_copy_is_in_eval_mode_frozen_and_lies_in_memory_as_the_network_does():
    fast = inference_copy(trained().to(memory_format=torch.channels_last))
    assert not any(module.training for module in fast.modules())
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    assert fast.backbone.layer1[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_copy_made_in_inference_mode_can_be_used_outside_of_it():
    with torch.inference_mode():
        fast = inference_copy(trained())
    assert not any(tensor.is_inference() for tensor in fast.state_dict().values())


@pytest.mark.parametrize("wrap", [torch.compile, L.Fabric(accelerator="cpu", devices=1).setup_module])
def test_a_compiled_or_wrapped_network_is_unwrapped(wrap):
    net, images = trained(), torch.randn(1, 3, 32, 32)
    fast = inference_copy(wrap(net))
    assert type(fast) is SpaceMeshLab
    with torch.no_grad():
        testing.check_same(fast(images)["out"], net.eval()(images)["out"], tolerance=1e-5)


def test_a_network_compiled_and_then_wrapped_is_unwrapped_too():
    fabric = L.Fabric(accelerator="cpu", devices=1)
    assert type(inference_copy(fabric.setup_module(torch.compile(DeepLabV3Plus(5, "resnet18"))))) is DeepLabV3Plus


def test_a_network_without_auxiliary_head_is_copied_as_well():
    assert inference_copy(trained(aux=False)).aux_head is None


def test_a_network_of_another_class_comes_back_itself_because_its_order_is_unknown():
    net = nn.Sequential(nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5))
    assert inference_copy(net) is net
    assert net.training

"""The backbone against torchvision: names, numbers, strides, and weights that cannot be fetched."""

import urllib.error

import pytest
import torch
import torchvision
from torch import nn

from spacemeshlab import testing
from spacemeshlab.errors import UserError
from spacemeshlab.models.backbone import BACKBONES, ResNet

CHANNELS = {
    "resnet18": (64, 64, 128, 256, 512),
    "resnet34": (64, 64, 128, 256, 512),
    "resnet50": (64, 256, 512, 1024, 2048),
    "resnet101": (64, 256, 512, 1024, 2048),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_five_blocks_have_the_papers_channels_and_strides(name):
    with torch.device("meta"):
        backbone = ResNet(name).eval()
        features = backbone(torch.empty(1, 3, 48, 80))
    assert backbone.channels == CHANNELS[name]
    assert backbone.strides == (4, 4, 8, 16, 16)
    shapes = [(1, c, 48 // s, 80 // s) for c, s in zip(CHANNELS[name], (4, 4, 8, 16, 16), strict=True)]
    assert [tuple(feature.shape) for feature in features] == shapes


@pytest.mark.parametrize("name", BACKBONES)
def test_the_state_dict_is_torchvisions_without_the_classifier(name):
    with torch.device("meta"):
        ours, theirs = ResNet(name).state_dict(), torchvision.models.get_model(name).state_dict()
    wanted = {key: value.shape for key, value in theirs.items() if not key.startswith("fc.")}
    assert {key: value.shape for key, value in ours.items()} == wanted


@pytest.mark.parametrize("name", ["resnet50", "resnet101"])
def test_a_dilated_bottleneck_network_equals_torchvisions_own(name):
    backbone = ResNet(name).eval()
    theirs = torchvision.models.get_model(name, replace_stride_with_dilation=[False, False, True]).eval()
    theirs.load_state_dict(backbone.state_dict(), strict=False)
    x = images = torch.randn(1, 3, 48, 32)
    for layer in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
        x = getattr(theirs, layer)(x)
    testing.check_same(backbone(images)[-1], x)


@pytest.mark.parametrize(("name", "blocks"), [("resnet18", 2), ("resnet34", 3)])
def test_basic_blocks_lose_the_stride_and_spread_every_later_tap(name, blocks):
    layer4 = ResNet(name).layer4
    convolutions = {key: conv for key, conv in layer4.named_modules() if isinstance(conv, nn.Conv2d)}
    assert len(convolutions) == 2 * blocks + 1
    assert {conv.stride for conv in convolutions.values()} == {(1, 1)}
    first = {"0.conv1": (1, 1), "0.downsample.0": (1, 0)}  # these two see the map that they were trained on
    assert first.keys() < convolutions.keys()
    for key, conv in convolutions.items():
        dilation, padding = first.get(key, (2, 2))
        assert (conv.dilation, conv.padding) == ((dilation, dilation), (padding, padding)), key


def test_a_dilated_basic_block_samples_what_the_strided_one_computed():
    """Stride 2 computed every second place of the same map: dilation keeps those numbers and adds the ones between."""
    ours = ResNet("resnet18").eval()
    theirs = torchvision.models.resnet18().eval()
    theirs.load_state_dict(ours.state_dict(), strict=False)
    x = torch.randn(1, 256, 6, 8)
    testing.check_same(ours.layer4(x)[..., ::2, ::2], theirs.layer4(x))


def test_blocks_one_by_one_are_the_forward_pass():
    backbone = ResNet("resnet18").eval()
    x = torch.randn(1, 3, 32, 48)
    for index, feature in enumerate(backbone(x)):
        x = backbone.block(index, x)
        assert torch.equal(x, feature)


def test_inputs_stay_and_gradients_arrive():
    backbone, images = ResNet("resnet18"), torch.randn(2, 3, 32, 48)
    testing.check_inputs_unmodified(backbone, images)
    testing.check_gradients_reach_everything(backbone, images)


def test_every_argument_matters():
    testing.check_every_argument_matters(
        ResNet, lambda net: net(torch.ones(1, 3, 16, 16)), {"name": "resnet18"}, {"name": "resnet34"}, {"pretrained"}
    )


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="one of resnet18, resnet34, resnet50, resnet101, got 'vgg16'"):
        ResNet("vgg16")


def test_pretrained_loads_torchvisions_weights(monkeypatch):
    trained = torchvision.models.resnet18().state_dict()
    asked = []

    def fetch(url, *args, **kwargs):
        asked.append(url)
        return trained

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetch)
    backbone = ResNet("resnet18", pretrained=True)
    assert asked == [torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url]
    for key, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, trained[key]), key


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError("no route\nto host"),
        TimeoutError("no route to host"),
        RuntimeError("invalid hash value: no route\n to host"),
    ],
)
def test_weights_that_cannot_be_fetched_are_one_line_with_the_remedy(monkeypatch, error):
    def fetch(*args, **kwargs):
        raise error

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetch)
    message = (
        r"ImageNet weights of resnet50, got .*no route to host.*: put https://.*resnet50.*\.pth .*pretrained=False$"
    )
    with pytest.raises(UserError, match=message) as caught:
        ResNet("resnet50", pretrained=True)
    assert "\n" not in str(caught.value)

"""ResNet-18/34/50/101 in the paper's five blocks, output stride 16 (paper section 3, figure 1; chapter 04).

| block | torchvision              | stride | channels of R18/34 | of R50/101 |
|-------|--------------------------|--------|--------------------|------------|
| 1     | conv1, bn1, relu, maxpool | 4     | 64                 | 64         |
| 2     | layer1                   | 4      | 64                 | 256        |
| 3     | layer2                   | 8      | 128                | 512        |
| 4     | layer3                   | 16     | 256                | 1024       |
| 5     | layer4, dilated          | 16     | 512                | 2048       |

Parameter names are torchvision's, so its ImageNet weights load as they are.
"""

from __future__ import annotations

import torchvision
from torch import Tensor, nn

from spacemeshlab.errors import UserError

BACKBONES = ("resnet18", "resnet34", "resnet50", "resnet101")
"""The names that :class:`ResNet` knows."""


class ResNet(nn.Module):
    """The five blocks of a ResNet whose last block keeps stride 16 and is dilated instead.

    Args:
        name: one of :data:`BACKBONES`.
        pretrained: load torchvision's ``IMAGENET1K_V1`` weights (downloaded once by torchvision).

    Attributes:
        channels: output channels of the five blocks.
        strides: output stride of the five blocks.

    Shape: (N, 3, H, W) -> five maps (N, channels[k], H/strides[k], W/strides[k]); H and W multiples of 16.

    Reading: output stride 16, and the stem as block 1; the paper states neither.

    Raises:
        ValueError: unknown name.
        UserError: the weights could not be downloaded.
    """

    strides = (4, 4, 8, 16, 16)

    def __init__(self, name: str = "resnet101", pretrained: bool = False) -> None:
        super().__init__()
        if name not in BACKBONES:
            raise ValueError(f"backbone must be one of {', '.join(BACKBONES)}, got {name!r}")
        resnet = torchvision.models.get_model(name, weights=None)
        if pretrained:
            resnet.load_state_dict(imagenet_weights(name))
        _dilate(resnet.layer4)
        self.conv1, self.bn1, self.relu, self.maxpool = resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4
        deep = resnet.fc.in_features  # 512 or 2048
        self.channels = (64, deep // 8, deep // 4, deep // 2, deep)

    def block(self, index: int, x: Tensor) -> Tensor:
        """Run block ``index`` (0..4) alone, so that SpaM can talk in between."""
        if index == 0:
            return self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (N, 3, H, W) -> (N, 64, H/4, W/4)
        return (self.layer1, self.layer2, self.layer3, self.layer4)[index - 1](x)

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for index in range(len(self.channels)):
            x = self.block(index, x)
            features.append(x)
        return features


def _dilate(layer4: nn.Module) -> None:
    """Take the stride out of ``layer4`` and spread the taps that came after it (atrous convolution, DeepLab).

    The first 3×3 convolution sees the map it was trained on and keeps its taps; every later one was trained on a map
    of half the size, so its taps move two apart. Bottlenecks have this as torchvision's own switch, basic blocks not.
    """
    for module in layer4.modules():
        if not isinstance(module, nn.Conv2d):
            continue
        if module.stride == (2, 2):
            module.stride = (1, 1)
        elif module.kernel_size == (3, 3):
            module.dilation = module.padding = (2, 2)


def imagenet_weights(name: str) -> dict[str, Tensor]:
    """torchvision's ``IMAGENET1K_V1`` state dict, from its cache or the network.

    Raises:
        UserError: neither has it; one line with the remedy.
    """
    weights = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
    try:
        return weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"expected to download the ImageNet weights of {name}, got {reason!r}: put {weights.url} into the folder "
            "hub/checkpoints of torch's cache by hand, or set pretrained=False"
        ) from None

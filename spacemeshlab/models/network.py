"""The whole network and its baseline, every row of tables 1 and 2 by keyword (paper figure 1; chapter 12)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from spacemeshlab.models.aspp import ASPP
from spacemeshlab.models.backbone import ResNet
from spacemeshlab.models.decoder import AuxiliaryHead, DeepLabV3PlusDecoder, SpaceMeshLabDecoder
from spacemeshlab.models.layers import resize
from spacemeshlab.models.metrocon import MetroCon2
from spacemeshlab.models.spam import SpaM

OUTPUT_STRIDE = 16
CONTEXTS = ("metrocon2", "aspp")


class SpaceMeshLab(nn.Module):
    """Backbone with memo (SpaM), context (MetroCon² or ASPP), decoder, auxiliary head.

    | row of the paper               | keywords                                     |
    |--------------------------------|----------------------------------------------|
    | table 1, DeepLabV3+            | ``spam=False, context="aspp"``               |
    | table 1, SpaM                  | ``attention=False, context="aspp"``          |
    | table 1, SpaM + SCA + CCA      | ``context="aspp"``                           |
    | table 2, {6, 12, 18}², depth 144 | ``rates=(6, 12, 18)``                      |
    | table 2, {1..9}², depth 16     | ``rates=range(1, 10)``                       |
    | table 2, {1..18}², depth 4     | the defaults                                 |
    | not in the paper               | ``spam=False``: MetroCon² with DeepLabV3+'s decoder |

    Args:
        num_classes: K.
        backbone: resnet18, resnet34, resnet50 or resnet101.
        pretrained: ImageNet weights for the backbone.
        spam: the memo branch and the paper's decoder; False: DeepLabV3+'s decoder.
        attention: SCA and CCA after the shuffles, in SpaM and in the decoder.
        context: "metrocon2" or "aspp".
        rates: MetroCon²'s rates.
        depth: MetroCon²'s outputs a pair of rates; None chooses the paper's value.
        aux: build the auxiliary head.

    Shape: images (N, 3, H, W) -> {"out": (N, K, H, W)} and, with ``aux``, {"aux": (N, K, H, W)}, in every mode. Sizes
    that are no multiple of 16 are padded with zeros at the right and the bottom, and the logits cut back.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet101",
        pretrained: bool = False,
        spam: bool = True,
        attention: bool = True,
        context: str = "metrocon2",
        rates: Sequence[int] = range(1, 19),
        depth: int | None = None,
        aux: bool = True,
    ) -> None:
        super().__init__()
        if context not in CONTEXTS:
            raise ValueError(f"context must be one of {', '.join(CONTEXTS)}, got {context!r}")
        self.backbone = ResNet(backbone, pretrained)
        channels = self.backbone.channels
        self.spam = SpaM(channels, self.backbone.strides, attention) if spam else None
        self.context = MetroCon2(channels[-1], rates, depth) if context == "metrocon2" else ASPP(channels[-1])
        if self.spam is not None:
            self.decoder = SpaceMeshLabDecoder(
                self.context.out_channels, self.spam.out_channels, num_classes, attention
            )
        else:
            self.decoder = DeepLabV3PlusDecoder(self.context.out_channels, channels[1], num_classes)
        self.aux_head = AuxiliaryHead(channels[-1], num_classes) if aux else None

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        check_images(images)
        padded = pad_to_multiple(images, OUTPUT_STRIDE)
        if self.spam is not None:
            features, fine = self.spam(padded, self.backbone)  # fine: the memo (N, 8, H, W)
        else:
            features = self.backbone(padded)
            fine = features[1]  # block 2, (N, 256, H/4, W/4)
        logits = {"out": self.decoder(self.context(features[-1]), fine)}  # (N, K, H/4, W/4)
        if self.aux_head is not None:
            logits["aux"] = self.aux_head(features[-1])  # (N, K, H/16, W/16)
        (height, width), size = images.shape[-2:], padded.shape[-2:]
        return {name: resize(maps, size)[..., :height, :width] for name, maps in logits.items()}


class DeepLabV3Plus(SpaceMeshLab):
    """The paper's baseline: :class:`SpaceMeshLab` with neither SpaM nor MetroCon² (Chen et al., ECCV 2018).

    Shape: as :class:`SpaceMeshLab`.
    """

    def __init__(
        self, num_classes: int, backbone: str = "resnet101", pretrained: bool = False, aux: bool = True
    ) -> None:
        super().__init__(num_classes, backbone, pretrained, spam=False, context="aspp", aux=aux)


def check_images(images: Tensor) -> None:
    """Raise ValueError unless ``images`` is a floating-point (N, 3, H, W)."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            f"images must be (N, 3, H, W), got {tuple(images.shape)}: add the batch axis with images[None]"
        )
    if not images.is_floating_point():
        raise ValueError(f"images must be normalised floating-point numbers, got {images.dtype}: see data.transforms")


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Zeros at the right and the bottom until H and W are multiples: (N, C, H, W) -> (N, C, H', W')."""
    height, width = images.shape[-2:]
    right, bottom = -width % multiple, -height % multiple
    return F.pad(images, (0, right, 0, bottom)) if right or bottom else images

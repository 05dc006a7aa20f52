"""The networks beside those of others at equal input: inference and a training step."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
import torchvision
from torch import Tensor, nn

from spacemeshlab.benchmark.bench import SEED, Bench, Case, name
from spacemeshlab.benchmark.measure import multiply_adds
from spacemeshlab.errors import UserError
from spacemeshlab.models.fuse import fold_batch_norms, inference_copy
from spacemeshlab.models.network import DeepLabV3Plus, SpaceMeshLab
from spacemeshlab.recipe import Recipe
from spacemeshlab.step import training_step

CLASSES = 19
OURS, BASELINE, SMP, TORCHVISION = "SpaceMeshLab", "DeepLabV3Plus", "smp.DeepLabV3Plus", "torchvision.deeplabv3"
PAIRS = tuple((OURS, other) for other in (BASELINE, SMP, TORCHVISION))
ABOUT = {
    OURS: "this package's, the paper's settings, with the auxiliary head",
    BASELINE: "this package's, plain 3x3 convolutions in ASPP, output stride 16, with the auxiliary head",
    SMP: "segmentation_models_pytorch: depthwise separable convolutions in ASPP and decoder, output stride 16, no "
    "auxiliary head; fused, five batch norms behind separable convolutions stay",
    TORCHVISION: "torchvision: DeepLabV3 without the decoder of V3+, output stride 8, with an auxiliary head",
}


class AsDictionary(nn.Module):
    """Let a network that returns logits return ``{"out": logits}``, as ours do."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"out": self.net(images)}


@dataclass(frozen=True)
class Setting:
    """One comparison: (N, 3, H, W), the backbone, the number type (on a GPU by autocast), what to run."""

    shape: tuple[int, int, int, int]
    backbone: str = "resnet101"
    dtype: torch.dtype = torch.float32
    repeats: int = 5
    names: tuple[str, ...] = (OURS, BASELINE, SMP, TORCHVISION)
    rates: tuple[int, ...] = tuple(range(1, 19))
    classes: int = CLASSES

    def title(self, what: str) -> str:
        return f"{what} {self.backbone} {'x'.join(map(str, self.shape))} {name(self.dtype)}"


def run(bench: Bench) -> dict[str, Any]:
    """The part "networks" of the results."""
    bf16, three = torch.bfloat16, (OURS, BASELINE, SMP)  # torchvision has no ResNet-18
    if bench.quick:
        small = {"shape": (2, 3, 32, 64), "rates": (1, 2)}
        forward = [Setting(**small, backbone="resnet18", names=three)]
        training = [Setting(**small, backbone="resnet50", names=(TORCHVISION,)), *forward]
    elif bench.on_gpu:
        forward = [Setting((1, 3, 1024, 2048), dtype=dtype, repeats=10) for dtype in (bf16, torch.float32)]
        training = [Setting((8, 3, 768, 768), dtype=bf16, repeats=10)]
    else:
        forward = [Setting((1, 3, 256, 512), repeats=15)]
        training = [Setting((2, 3, 256, 512), "resnet18", names=three, repeats=11), Setting((2, 3, 256, 512))]
    done = {setting.title("forward"): compare_forward(bench, setting) for setting in forward}
    done |= {setting.title("training step"): compare_training(bench, setting) for setting in training}
    dtypes = dict.fromkeys(setting.dtype for setting in (*forward, *training))
    return {"about": ABOUT, "ceilings": bench.ceilings(dtypes), "settings": done}


def compare_forward(bench: Bench, setting: Setting, plain: bool = True) -> dict[str, Any]:
    """Inference, channels last: every network as it is (if ``plain``), and its :func:`fused` copy."""
    nets, facts = {}, {}
    for title, net in build(setting).items():
        settle(net)
        forms = {title: net} if plain else {}
        forms[with_fused(title)] = fused(net)
        for form, module in forms.items():
            facts[form] = cost(module, setting)
            nets[form] = module.to(bench.device)
    images, mixed = batch(setting, bench.device)[0], setting.dtype == torch.bfloat16

    def call(net: nn.Module) -> Callable[[], dict[str, Tensor]]:
        def forward() -> dict[str, Tensor]:
            with torch.inference_mode(), torch.autocast(bench.device.type, torch.bfloat16, mixed):
                return net(images)

        return forward

    cases = {title: Case(call(net), facts[title]) for title, net in nets.items()}
    pairs = [*PAIRS, *((with_fused(a), with_fused(b)) for a, b in PAIRS)]
    return bench.compare(cases, pairs, setting.repeats, setting.dtype)[0]


def with_fused(title: str) -> str:
    """The name of a network's fused copy."""
    return f"{title} (fused)"


def fused(net: nn.Module) -> nn.Module:
    """A copy as ``evaluate`` runs it: batch norm folded into convolutions, no auxiliary head; theirs treated alike."""
    if isinstance(net, SpaceMeshLab):
        return inference_copy(net)
    net = copy.deepcopy(net).eval()
    fold_batch_norms(net)  # a test shows that smp's and torchvision's logits stay
    if hasattr(net, "aux_classifier"):  # torchvision's name
        net.aux_classifier = None
    return net


@torch.no_grad()
def settle(net: nn.Module) -> None:
    """Let every batch norm take the statistics of one batch of noise, and put ``net`` into eval mode.

    With those it is built with, activations grow from block to block until gates underflow, and CPUs are slow with
    denormal numbers: that would measure an accident of the first weights.
    """
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    net.train()(torch.randn(2, 3, 128, 256))
    for norm in norms:
        norm.momentum = 0.1
    net.eval()


def compare_training(bench: Bench, setting: Setting) -> dict[str, Any]:
    """Steps of SGD as ``train`` makes them; the peak holds activations and gradients, not weights and momentum."""
    cases = {}
    for title, net in build(setting).items():
        facts = cost(net, setting)
        step = stepper(bench, setting, net)
        step()  # the first allocates the momentum
        cases[title] = Case(step, facts | {"multiply_adds": 3 * facts["multiply_adds"]})  # backward counts twice
    return bench.compare(cases, PAIRS, setting.repeats, setting.dtype)[0]


def stepper(bench: Bench, setting: Setting, net: nn.Module) -> Callable[[], float]:
    """A function that makes one step of training on one batch of noise."""
    precision = "bf16-mixed" if setting.dtype == torch.bfloat16 else "32-true"
    fabric = L.Fabric(accelerator=bench.device.type, devices=1, precision=precision)
    recipe = Recipe(lr=1e-4)
    optimizer = torch.optim.SGD(net.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)
    net, optimizer = fabric.setup(net.train(), optimizer)
    pair = batch(setting, bench.device)

    def step() -> float:
        loss = training_step(fabric, net, optimizer, pair, recipe, iteration=0)
        optimizer.zero_grad()  # else the next call would start with this one's gradients in memory
        return loss

    return step


def batch(setting: Setting, device: torch.device) -> tuple[Tensor, Tensor]:
    """Noise: images (N, 3, H, W), channels last, and targets (N, H, W)."""
    torch.manual_seed(SEED)
    n, _, h, w = setting.shape
    images = torch.randn(setting.shape).to(device, memory_format=torch.channels_last)
    return images, torch.randint(setting.classes, (n, h, w)).to(device)


def build(setting: Setting) -> dict[str, nn.Module]:
    """The networks of a setting, channels last."""
    torch.manual_seed(SEED)
    makers = {
        OURS: lambda: SpaceMeshLab(CLASSES, setting.backbone, rates=setting.rates),
        BASELINE: lambda: DeepLabV3Plus(CLASSES, setting.backbone),
        SMP: lambda: AsDictionary(_smp(setting.backbone)),
        TORCHVISION: lambda: _torchvision(setting.backbone),
    }
    return {title: makers[title]().to(memory_format=torch.channels_last) for title in setting.names}


def cost(net: nn.Module, setting: Setting) -> dict[str, int]:
    """Images, parameters and forward multiply–adds, counted on a copy on the meta device."""
    shadow = copy.deepcopy(net).to("meta").eval()
    count = multiply_adds(lambda: shadow(torch.empty(setting.shape, device="meta")))
    parameters = sum(parameter.numel() for parameter in net.parameters())
    return {"images": setting.shape[0], "parameters": parameters, "multiply_adds": count}


def _smp(backbone: str) -> nn.Module:
    try:
        import segmentation_models_pytorch as smp
    except ImportError:
        raise UserError(
            "expected the package segmentation-models-pytorch, found none: pip install -e .[bench]"
        ) from None
    return smp.DeepLabV3Plus(encoder_name=backbone, encoder_weights=None, classes=CLASSES)


def _torchvision(backbone: str) -> nn.Module:
    make = getattr(torchvision.models.segmentation, f"deeplabv3_{backbone}")
    return make(weights=None, weights_backbone=None, num_classes=CLASSES, aux_loss=True)

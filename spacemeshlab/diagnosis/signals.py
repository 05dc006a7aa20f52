"""A bad start or dead parts: what the exchanges add, the gates, channels and gradients of a network (chapter 15).

Nothing here changes a network; everything is measured in float32, in training mode, on one batch.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from spacemeshlab.models.attention import ChannelContextAttention, SpatialContextAttention
from spacemeshlab.models.network import SpaceMeshLab
from spacemeshlab.recipe import Recipe
from spacemeshlab.step import build_network, segmentation_loss

SATURATED = 0.05
"""A gate this near to 0 or to 1 learns no more."""

DISTURBED = 1.0
"""An exchange that adds more than this times what is there drowns it."""

MANY = 0.5
"""Share of a gate's values from which on its saturation stands out."""

Batch = tuple[Tensor, Tensor]
"""Normalised images (N, 3, H, W), targets (N, H, W)."""


def first_network(recipe: Recipe, num_classes: int) -> SpaceMeshLab:
    """The network as a run of ``recipe`` starts with it, to the last bit."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(recipe.seed)
        return build_network(recipe, num_classes)


def examine(net: SpaceMeshLab, batch: Batch, recipe: Recipe) -> dict[str, Any]:
    """Everything that this module measures, ready for JSON.

    Returns:
        ``exchanges``, ``gates``, ``dead_channels`` and ``parts`` as of the functions below; ``rounded``: by how much
        the recipe's precision changes the gradient of each part (:func:`apart`), None in float32.
    """
    exact, rounded = gradients(net, batch, recipe.aux_weight), None
    if recipe.precision == "bf16-mixed":
        rounded = apart(exact, gradients(net, batch, recipe.aux_weight, recipe.precision))
    found = {"exchanges": exchange_ratios(net, batch[0]), "gates": gate_values(net, batch[0])}
    return found | {"dead_channels": dead_channels(net, batch[0]), "parts": parts(net, exact), "rounded": rounded}


def findings(found: dict[str, Any]) -> list[str]:
    """What stands out of what :func:`examine` found, a sentence each; often none.

    That is: an exchange that adds more than is there, a gate that is mostly saturated, dead channels, dead parameters.
    """
    said = []
    for index, ways in found["exchanges"].items():
        for way, ratio in ways.items():
            if ratio is not None and ratio > DISTURBED:
                said.append(f"exchange {index}, {way}: adds {ratio:.3g} times what is there")
    for name, gate in found["gates"].items():
        if gate["saturated"] > MANY:
            said.append(f"{name}: {gate['saturated']:.0%} of its gates are saturated")
    if found["dead_channels"] > 0:
        said.append(f"context: {found['dead_channels']:.1%} of its channels are dead")
    for name, one in found["parts"].items():
        if one["dead"]:
            whole = "all of it is dead" if one["gradient"] == 0 else f"dead: {', '.join(one['dead'])}"
            said.append(f"{name}: {whole}")
    return said


# The exchange, the gates, the context


def exchange_ratios(net: SpaceMeshLab, images: Tensor) -> dict[str, dict[str, float | None]]:
    """Exchange -> RMS of what it adds over RMS of what is there, ``to_feature`` and ``to_memo``; None: a silent way."""
    size: dict[str, float] = {}

    def watch(name: str, _: nn.Module, inputs: tuple, output: Any) -> None:
        if name.startswith("spam.exchanges."):
            size[name] = _rms(output if isinstance(output, Tensor) else inputs[0])  # of an exchange: the feature

    def ratio(added: str, there: str) -> float | None:
        return size[added] / max(size[there], 1e-12) if added in size else None

    _pass(net, images, watch)
    ways = {"to_feature": (".down", ""), "to_memo": (".up", ".block")}
    return {
        index: {way: ratio(*(f"spam.exchanges.{index}{end}" for end in ends)) for way, ends in ways.items()}
        for index in (net.spam.exchanges if net.spam is not None else ())
    }


def gate_values(net: SpaceMeshLab, images: Tensor) -> dict[str, dict[str, float]]:
    """SCA or CCA -> ``mean`` of its factors, and the share that is ``saturated``."""
    found = {}

    def watch(name: str, module: nn.Module, inputs: tuple, _: Any) -> None:
        if isinstance(module, SpatialContextAttention | ChannelContextAttention):
            gate = module.gate(inputs[0])
            saturated = ((gate < SATURATED) | (gate > 1 - SATURATED)).float().mean()
            found[name] = {"mean": gate.mean().item(), "saturated": saturated.item()}

    _pass(net, images, watch)
    return found


def dead_channels(net: SpaceMeshLab, images: Tensor) -> float:
    """Share of the context module's channels that are 0 everywhere in a batch."""
    alive = []

    def watch(name: str, _: nn.Module, __: tuple, output: Any) -> None:
        if name == "context":
            alive.append((output != 0).transpose(0, 1).flatten(1).any(1))  # (N, C, h, w) -> (C,)

    _pass(net, images, watch)
    return 1 - alive[0].float().mean().item()


@torch.no_grad()
def _pass(net: SpaceMeshLab, images: Tensor, watch: Callable[[str, nn.Module, tuple, Any], None]) -> None:
    """Run a copy in training mode; ``watch`` is called with name, module, inputs and output of every module."""
    net = copy.deepcopy(net).train()
    for name, module in net.named_modules():
        module.register_forward_hook(functools.partial(watch, name))
    net(images)


# Gradients


def part(name: str) -> str:
    """Which part of the network a parameter belongs to."""
    first, second, *_ = name.split(".")
    if first == "backbone":
        return second if second.startswith("layer") else "stem"
    if first in ("spam", "decoder") and (".up." in name or ".down." in name):
        return "gates"
    return {"spam": "memo", "aux_head": "aux"}.get(first, first)


def gradients(
    net: SpaceMeshLab, batch: Batch, aux_weight: float, precision: str = "32-true"
) -> dict[str, Tensor | None]:
    """Gradient of every parameter in training mode, by name; None where nothing arrives."""
    net, (images, target) = copy.deepcopy(net).train(), batch
    net.zero_grad()
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16-mixed"):
        logits = net(images)
    segmentation_loss(logits, target, aux_weight).backward()
    return {name: parameter.grad for name, parameter in net.named_parameters()}


def apart(one: dict[str, Tensor | None], other: dict[str, Tensor | None]) -> dict[str, float]:
    """‖other − one‖ / ‖one‖ of every part."""
    known = [name for name, gradient in one.items() if gradient is not None]
    steps = {name: other[name] - one[name] for name in known}
    whole = _norms((name, one[name]) for name in known)
    return {name: norm / max(whole[name], 1e-30) for name, norm in _norms(steps.items()).items()}


def parts(net: SpaceMeshLab, found: dict[str, Tensor | None]) -> dict[str, dict[str, Any]]:
    """Part -> ``weight`` and ``gradient`` (norms), their ratio ``relative``, and the parameters that are ``dead``.

    Times the learning rate, ``relative`` is the share of itself by which a first step moves a part. Dead is a parameter
    without a gradient, or with one that is 0 everywhere.
    """
    weights = _norms(net.named_parameters())
    slopes = _norms((name, gradient) for name, gradient in found.items() if gradient is not None)
    dead = [name for name, gradient in found.items() if gradient is None or not gradient.any()]
    return {
        name: {
            "weight": weight,
            "gradient": slopes.get(name, 0.0),
            "relative": slopes.get(name, 0.0) / weight,
            "dead": [one for one in dead if part(one) == name],
        }
        for name, weight in weights.items()
    }


def _norms(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, float]:
    """Part -> norm of all its tensors together."""
    squares: dict[str, float] = {}
    for name, tensor in tensors:
        squares[part(name)] = squares.get(part(name), 0.0) + tensor.detach().double().pow(2).sum().item()
    return {name: square**0.5 for name, square in squares.items()}


def _rms(x: Tensor) -> float:
    return x.detach().float().pow(2).mean().sqrt().item()

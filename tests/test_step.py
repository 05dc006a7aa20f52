"""One step of training: loss, schedule and step by hand; a batch in parts; the network that a recipe builds."""

from __future__ import annotations

import math

import lightning as L
import pytest
import torch
from lightning.fabric.plugins import MixedPrecision
from test_train import TinyNetwork

from spacemeshlab.data.labels import IGNORE_INDEX
from spacemeshlab.recipe import get_recipe
from spacemeshlab.step import build_network, poly_lr, segmentation_loss, training_step


def small(*overrides: str):
    return get_recipe("toycity", ["crop=32x64", "rates=1,2", "batch_size=2", "iterations=5", "scale=1", *overrides])


def test_the_learning_rate_falls_from_lr_to_zero_as_a_power_of_what_is_left():
    recipe = small("iterations=100", "lr=0.01", "poly_power=0.9")
    assert poly_lr(recipe, 0) == 0.01
    assert poly_lr(recipe, 50) == pytest.approx(0.01 * 0.5358867312681466)  # 0.5 ** 0.9
    assert poly_lr(recipe, 99) == pytest.approx(0.01 * 0.01**0.9)
    assert poly_lr(recipe, 100) == 0


def test_the_loss_is_cross_entropy_of_both_heads_and_looks_at_no_void_pixel():
    target = torch.tensor([[[0, 1, IGNORE_INDEX]]])
    out = torch.tensor([[[[0.0, 0.0, 9.0]], [[0.0, math.log(3), -9.0]]]])  # p(true) = 1/2, 3/4
    aux = torch.tensor([[[[math.log(4), 0.0, 9.0]], [[0.0, 0.0, 9.0]]]])  # p(true) = 4/5, 1/2
    main, side = (-math.log(1 / 2) - math.log(3 / 4)) / 2, (-math.log(4 / 5) - math.log(1 / 2)) / 2
    assert segmentation_loss({"out": out, "aux": aux}, target, 0.4).item() == pytest.approx(main + 0.4 * side)
    assert segmentation_loss({"out": out}, target, 0.4).item() == pytest.approx(main)


def test_the_loss_is_taken_in_float32_whatever_the_precision_of_the_logits():
    logits = {name: torch.randn(1, 3, 4, 4, dtype=torch.bfloat16) for name in ("out", "aux")}
    assert segmentation_loss(logits, torch.zeros(1, 4, 4, dtype=torch.int64), 0.4).dtype == torch.float32


def test_the_recipe_decides_what_is_built():
    with torch.device("meta"):  # shapes without numbers: fast
        net = build_network(small(), 19)
        assert (net.spam is not None, net.aux_head is not None, net.context.rates) == (True, True, (1, 2))
        assert next(net.parameters()).is_contiguous(memory_format=torch.channels_last)
        assert build_network(small("aux_weight=0"), 19).aux_head is None
        assert build_network(small("spam=false", "context=aspp"), 19).spam is None


def test_a_step_moves_the_weights_by_the_scheduled_rate_and_steps_lower_the_loss():
    fabric, recipe = L.Fabric(accelerator="cpu", devices=1), small("lr=0.1", "momentum=0", "weight_decay=0")
    net = TinyNetwork(19)
    plain = [parameter.detach().clone() for parameter in net.parameters()]
    net, optimizer = fabric.setup(net, torch.optim.SGD(net.parameters(), 123.0))
    batch = torch.randn(2, 3, 16, 16), torch.randint(19, (2, 16, 16))
    losses = [training_step(fabric, net, optimizer, batch, recipe, 2)]
    for before, parameter in zip(plain, net.parameters(), strict=True):
        assert torch.allclose(parameter, before - poly_lr(recipe, 2) * parameter.grad)
    losses += [training_step(fabric, net, optimizer, batch, recipe, 2) for _ in range(5)]
    assert losses == sorted(losses, reverse=True)


def test_a_batch_without_a_labelled_pixel_costs_nothing_instead_of_being_no_number():
    logits = {"out": torch.randn(1, 3, 4, 4, requires_grad=True)}
    loss = segmentation_loss(logits, torch.full((1, 4, 4), IGNORE_INDEX), 0.4)
    loss.backward()
    assert loss.item() == 0
    assert not logits["out"].grad.any()


def test_the_parts_of_a_batch_add_up_to_its_loss_however_their_void_pixels_are_spread():
    logits = {name: torch.randn(4, 3, 5, 5) for name in ("out", "aux")}
    target = torch.randint(3, (4, 5, 5))
    target[:2, 1:] = IGNORE_INDEX  # the first half counts ten pixels, the second fifty
    counted = (target != IGNORE_INDEX).sum()
    halves = [
        segmentation_loss({name: maps[part] for name, maps in logits.items()}, target[part], 0.4, counted)
        for part in (slice(0, 2), slice(2, 4))
    ]
    assert sum(halves).item() == pytest.approx(segmentation_loss(logits, target, 0.4).item(), rel=1e-6)


@pytest.mark.parametrize("parts", [2, 4])
def test_a_step_in_parts_moves_the_weights_as_the_whole_batch_does_if_batch_norm_is_frozen(parts):
    fabric = L.Fabric(accelerator="cpu", devices=1)
    batch = torch.randn(4, 3, 16, 16), torch.randint(19, (4, 16, 16))
    batch[1][0, 4:] = IGNORE_INDEX
    moved, losses = [], []
    for accumulate in (1, parts):
        torch.manual_seed(0)
        net = TinyNetwork(19).eval()
        recipe = small("batch_size=4", f"accumulate={accumulate}")
        wrapped, optimizer = fabric.setup(net, torch.optim.SGD(net.parameters(), 0.1, 0.9))
        losses.append([training_step(fabric, wrapped, optimizer, batch, recipe, step) for step in range(3)])
        moved.append(torch.cat([parameter.detach().flatten() for parameter in net.parameters()]))
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert torch.allclose(moved[1], moved[0], atol=1e-6)


def test_batch_norm_sees_only_the_images_of_a_part():
    fabric, seen = L.Fabric(accelerator="cpu", devices=1), []
    net = TinyNetwork(19)
    net.features.register_forward_pre_hook(lambda _, images: seen.append(len(images[0])))
    wrapped, optimizer = fabric.setup(net, torch.optim.SGD(net.parameters(), 0.1))
    batch = torch.randn(4, 3, 16, 16), torch.randint(19, (4, 16, 16))
    training_step(fabric, wrapped, optimizer, batch, small("batch_size=4", "accumulate=2"), 0)
    assert seen == [2, 2]


@pytest.mark.parametrize("channels_last", [True, False])
def test_images_and_weights_have_the_recipes_memory_format(channels_last):
    fabric, seen = L.Fabric(accelerator="cpu", devices=1), []
    recipe = small(f"channels_last={channels_last}")
    with torch.device("meta"):
        weight = next(build_network(recipe, 19).parameters())
    assert weight.is_contiguous(memory_format=torch.channels_last) == channels_last
    net = TinyNetwork(19)
    net.register_forward_pre_hook(lambda _, images: seen.append(images[0].is_contiguous()))
    wrapped, optimizer = fabric.setup(net, torch.optim.SGD(net.parameters(), 0.1))
    training_step(fabric, wrapped, optimizer, (torch.randn(2, 3, 8, 8), torch.randint(19, (2, 8, 8))), recipe, 0)
    assert seen == [not channels_last]


@pytest.mark.parametrize(("precision", "dtype"), [("bf16-mixed", torch.bfloat16), ("16-mixed", torch.float16)])
def test_reduced_precision_trains(precision, dtype):
    fabric = L.Fabric(accelerator="cpu", devices=1, plugins=MixedPrecision(precision, "cpu"))
    net = TinyNetwork(19)
    seen = []
    net.out.register_forward_hook(lambda _, __, logits: seen.append(logits.dtype))
    wrapped, optimizer = fabric.setup(net, torch.optim.SGD(net.parameters(), 0.05))
    batch = torch.randn(2, 3, 16, 16), torch.randint(19, (2, 16, 16))
    losses = [training_step(fabric, wrapped, optimizer, batch, small(), 0) for _ in range(6)]
    assert set(seen) == {dtype}
    assert losses[-1] < losses[0]

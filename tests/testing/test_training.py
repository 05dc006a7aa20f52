"""The checks of learning rate, loss and optimizer: the package passes them, and common mistakes are named."""

import math

import pytest
import torch
import torch.nn.functional as F

from spacemeshlab import step
from spacemeshlab.recipe import Recipe
from spacemeshlab.testing import check_poly_lr, check_segmentation_loss, check_sgd_step
from spacemeshlab.testing.sgd import naive_sgd_step
from spacemeshlab.testing.training import naive_poly_lr, naive_segmentation_loss


def package_lr(lr, iteration, iterations, power):
    return step.poly_lr(Recipe(lr=lr, iterations=iterations, poly_power=power), iteration)


def package_loss(out, aux, target, aux_weight):
    return step.segmentation_loss({"out": out, "aux": aux}, target, aux_weight)


def torchs_step(parameters, gradients, velocities, lr, momentum, weight_decay):
    weights = [weight.clone() for weight in parameters]
    optimizer = torch.optim.SGD(weights, lr, momentum, weight_decay=weight_decay)
    for weight, gradient, velocity in zip(weights, gradients, velocities, strict=True):
        weight.grad = gradient
        optimizer.state[weight]["momentum_buffer"] = velocity.clone()
    optimizer.step()
    return weights, [optimizer.state[weight]["momentum_buffer"] for weight in weights]


@pytest.mark.parametrize(("lr", "iterations", "power"), [(0.1, 4, 0.9), (0.01, 23, 2.0), (3.0, 1, 0.5)])
def test_the_packages_learning_rate_passes(lr, iterations, power):
    check_poly_lr(package_lr, lr, iterations, power)


@pytest.mark.parametrize(
    "case",
    [
        {},
        {"shape": (3, 4, 3, 5), "aux_weight": 0.25, "labelled": (0.9, 0.2, 0.5)},
        {"shape": (2, 5, 4, 3), "aux_weight": 0.0, "labelled": (0.6, 0.0)},
        {"shape": (2, 2, 3, 3), "labelled": (1.0,)},
        {"largest": 1000.0},
        {"labelled": (0.0,)},
    ],
)
def test_the_packages_loss_passes(case):
    for seed in range(3):
        check_segmentation_loss(package_loss, **case, seed=seed)


def test_torchs_optimizer_passes():
    for seed in range(3):
        check_sgd_step(torchs_step, steps=3, seed=seed)
        check_sgd_step(torchs_step, shapes=[(), (2, 1, 3)], steps=2, weight_decay=0.0, seed=seed)
        check_sgd_step(naive_sgd_step, shapes=[(3,)], steps=2, momentum=0.0, seed=seed)


def test_numbers_computed_by_hand():
    assert [round(naive_poly_lr(0.1, t, 4, 0.9), 4) for t in range(5)] == [0.1, 0.0772, 0.0536, 0.0287, 0]
    out, aux = torch.tensor([2.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 1, 2), torch.zeros(1, 2, 1, 2)
    loss = naive_segmentation_loss(out, aux, torch.tensor([[[0, 255]]]), 0.4)
    assert math.isclose(float(loss), math.log(math.exp(2) + 1) - 2 + 0.4 * math.log(2))
    (weight,), (velocity,) = naive_sgd_step(*([torch.tensor(x)] for x in (1.0, 0.5, 0.2)), 0.1, 0.9, 0.1)
    assert (round(float(weight), 6), round(float(velocity), 6)) == (0.922, 0.78)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda lr, t, n, p: lr * (1 - t / n), "iteration 1 of 4 .*the power is missing"),
        (lambda lr, t, n, p: lr * (1 - (t + 1) / n) ** p, "iteration 0 still has the whole lr"),
        (lambda lr, t, n, p: lr * (1 - t / (n - 1)) ** p, "one iteration too early"),
        (lambda lr, t, n, p: (lr * (1 - t / n)) ** p, "the share that is left alone"),
        (lambda lr, t, n, p: lr * (1 - t // n) ** p, "// divides whole numbers"),
        (lambda lr, t, n, p: lr * (1 - (t / n) ** p), "what is left, 1 - iteration / iterations"),
        (lambda lr, t, n, p: max(lr * (1 - t / n) ** p, 1e-4), r"rate 0 at iteration 4 .*at the end nothing is left"),
        (lambda lr, t, n, p: lr * math.nan, "found nan"),
        (lambda lr, t, n, p: None, "to be a number, found NoneType"),
        (lambda lr, t, n, p: torch.zeros(2), "to be a number, found Tensor"),
        (lambda lr, t, n, p: True, "to be a number, found bool"),
    ],
)
def test_check_poly_lr_names_the_common_mistakes(mistake, message):
    with pytest.raises(AssertionError, match=message):
        check_poly_lr(mistake)


def test_check_poly_lr_finds_a_power_that_is_always_the_usual_one():
    def usual(lr, iteration, iterations, power):
        return lr * (1 - iteration / iterations) ** 0.9

    check_poly_lr(usual)
    with pytest.raises(AssertionError, match=r"0\.9 is only its usual value"):
        check_poly_lr(usual, power=2.0)


def mean(logits, target):
    return package_loss(logits, logits, target, 0.0)


def void_as(k):
    return lambda out, aux, target, w: package_loss(out, aux, torch.where(target == 255, k, target), w)


def in_place(out, aux, target, aux_weight):
    loss = package_loss(out, aux, target, aux_weight)
    target[target == 255] = 0
    return loss


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda out, aux, t, w: mean(out, t) + mean(aux, t), "counts aux_weight, not 1"),
        (lambda out, aux, t, w: mean(out, t), "the auxiliary loss is missing"),
        (lambda out, aux, t, w: w * (mean(out, t) + mean(aux, t)), "belongs to the auxiliary loss alone"),
        (lambda out, aux, t, w: (1 - w) * mean(out, t) + w * mean(aux, t), "shares one loss out"),
        (lambda out, aux, t, w: package_loss(out, aux, t, w) / (1 + w), "not a weighted mean"),
        (lambda out, aux, t, w: package_loss(out, aux, t, w) * (t != 255).float().mean(), "not out of the count"),
        (lambda out, aux, t, w: package_loss(out, aux, t, w) * (t != 255).sum(), "not their sum"),
        (lambda out, aux, t, w: mean(out + w * aux, t), "not two logits"),
        (void_as(0), "are no class 0"),
        (void_as(2), "are not the last class"),
        (lambda out, aux, t, w: package_loss(out, aux, t, w) + 1, "take one labelled pixel"),
        (lambda out, aux, t, w: package_loss(out, aux, t, w).detach(), "cut off from its inputs"),
        (lambda out, aux, t, w: package_loss(out.detach(), aux, t, w), "a gradient of out, found none"),
        (in_place, "input 2 unchanged"),
        (lambda out, aux, t, w: package_loss(out, aux, t, w)[None], r"the loss of shape \(\), found \(1,\)"),
        (lambda out, aux, t, w: None, "the loss to be a tensor, found NoneType"),
        (lambda out, aux, t, w: 3, "the loss to be a tensor, found int"),
    ],
)
def test_check_segmentation_loss_names_the_common_mistakes(mistake, message):
    with pytest.raises(AssertionError, match=message):
        check_segmentation_loss(mistake)


def test_check_segmentation_loss_finds_a_mean_of_means_only_in_a_batch():
    def image_by_image(out, aux, target, aux_weight):
        images = zip(out.split(1), aux.split(1), target.split(1), strict=True)
        return torch.stack([package_loss(*image, aux_weight) for image in images]).mean()

    check_segmentation_loss(image_by_image)
    with pytest.raises(AssertionError, match="not a mean of one mean an image"):
        check_segmentation_loss(image_by_image, shape=(2, 3, 4, 5), labelled=(0.9, 0.2))


def test_check_segmentation_loss_finds_nan_and_infinity_in_the_corners():
    def without_care(out, aux, target, aux_weight):
        first, second = (F.cross_entropy(logits, target, ignore_index=255) for logits in (out, aux))
        return first + aux_weight * second

    def overflowing(out, aux, target, aux_weight):
        return package_loss(out.exp().log(), aux.exp().log(), target, aux_weight)

    check_segmentation_loss(without_care)
    with pytest.raises(AssertionError, match="the mean is 0/0"):
        check_segmentation_loss(without_care, labelled=(0.0,))
    check_segmentation_loss(overflowing)
    with pytest.raises(AssertionError, match=r"exp\(1000\) overflows"):
        check_segmentation_loss(overflowing, largest=1000.0)


def rule(move):
    """A step out of ``move(w, g, v, lr, momentum, weight_decay) -> (new w, new v)``."""

    def function(parameters, gradients, velocities, *numbers):
        pairs = [move(*tensors, *numbers) for tensors in zip(parameters, gradients, velocities, strict=True)]
        return [w for w, _ in pairs], [v for _, v in pairs]

    return function


def move(w, v, lr):
    return w - lr * v, v


def decoupled(w, g, v, lr, m, d):
    return w - lr * (m * v + g) - lr * d * w, m * v + g


def nesterov(w, g, v, lr, m, d):
    v = m * v + g + d * w
    return w - lr * (g + d * w + m * v), v


def rate_inside(w, g, v, lr, m, d):
    return move(w, m * v + lr * (g + d * w), 1)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (rule(lambda w, g, v, lr, m, d: move(w, m * v + g, lr)), "the weight decay is missing"),
        (rule(decoupled), "belongs into the gradient, before"),
        (rule(lambda w, g, v, lr, m, d: (w - lr * (m * v + g) - d * w, m * v + g)), "beside the learning rate"),
        (rule(lambda w, g, v, lr, m, d: move(w, m * v + g - d * w, lr)), "the wrong sign"),
        (rule(nesterov), "Nesterov"),
        (rule(lambda w, g, v, lr, m, d: move(w, m * v + (1 - m) * (g + d * w), lr)), "dampening"),
        (rule(rate_inside), "lr stands outside the velocity"),
        (rule(lambda w, g, v, lr, m, d: (w - lr * v, m * v + g + d * w)), "this is the old one"),
        (rule(lambda w, g, v, lr, m, d: move(w, m * v + g + d * w, -lr)), "downhill is minus"),
        (rule(lambda w, g, v, lr, m, d: move(w, g + d * w, lr)), "after step 2 .*the old velocity is missing"),
        (rule(lambda w, g, v, lr, m, d: move(w, m * (v + g + d * w), lr)), "only the old velocity is"),
        (rule(lambda w, g, v, lr, m, d: move(w.sub_(1), v, lr)), "the parameters that went in unchanged"),
        (rule(lambda w, g, v, lr, m, d: move(w, v.add_(g), lr)), "the velocities that went in unchanged"),
        (rule(lambda w, g, v, lr, m, d: move(w, v * 7, lr)), "take one number"),
        (rule(lambda w, g, v, lr, m, d: (w[..., :1], m * v + g + d * w)), r"shape \(3,\), found \(1,\)"),
        (rule(lambda w, g, v, lr, m, d: (1.0, v)), "new parameters to be a tensor, found float"),
        (lambda *given: None, "the new velocities, found NoneType"),
        (lambda *given: given[0], "the new parameters as a list, found Tensor"),
        (lambda *given: (given[0][:1], given[2]), "2 new parameters, found 1"),
    ],
)
def test_check_sgd_step_names_the_common_mistakes(mistake, message):
    with pytest.raises(AssertionError, match=message):
        check_sgd_step(mistake, steps=2)


def test_check_sgd_step_finds_a_momentum_that_is_always_the_usual_one():
    usual = rule(lambda w, g, v, lr, m, d: move(w, 0.9 * v + g + d * w, lr))
    check_sgd_step(usual, steps=3)
    with pytest.raises(AssertionError, match=r"0\.9 is only its usual value"):
        check_sgd_step(usual, steps=2, momentum=0.5)
    lazy = rule(lambda w, g, v, lr, m, d: move(w, m * v + g + d * w, lr) if m else (w - lr * (g + d * w), v))
    check_sgd_step(lazy, steps=3)
    with pytest.raises(AssertionError, match="what was added to it, not the old one"):
        check_sgd_step(lazy, momentum=0.0)

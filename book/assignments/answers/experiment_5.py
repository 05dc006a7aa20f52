"""Other right answers to assignment 5, and wrong ones with what is wrong about them."""

import copy
import functools
import itertools
import math
import statistics

import numpy as np
import torch
import torch.nn.functional as F

from spacemeshlab.course.answers import Answers

answers = Answers("5-experiment")


# poly_lr


@answers.right("poly_lr")
def rate_by_the_iterations_left(lr, iteration, iterations, power):
    left = iterations - iteration
    return lr * left**power / iterations**power


@answers.right("poly_lr")
def rate_by_logarithms(lr, iteration, iterations, power):
    if iteration == iterations:
        return 0
    return math.exp(math.log(lr) + power * math.log1p(-iteration / iterations))


@answers.right("poly_lr")
def rate_by_numpy(lr, iteration, iterations, power):
    return lr * np.power(np.float64(1 - iteration / iterations), power)


@answers.right("poly_lr")
def rate_as_a_tensor(lr, iteration, iterations, power):
    return lr * (1 - torch.tensor(iteration) / iterations) ** power


@answers.right("poly_lr")
def rate_by_torchs_scheduler(lr, iteration, iterations, power):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: (1 - t / iterations) ** power)
    for _ in range(iteration):
        optimizer.step()
        schedule.step()
    return schedule.get_last_lr()[0]


@answers.wrong("poly_lr", "the power is forgotten")
def straight_line(lr, iteration, iterations, power):
    return lr * (1 - iteration / iterations)


@answers.wrong("poly_lr", "one iteration ahead")
def one_ahead(lr, iteration, iterations, power):
    return lr * (1 - (iteration + 1) / iterations) ** power


@answers.wrong("poly_lr", "zero at the last iteration that takes place")
def zero_too_early(lr, iteration, iterations, power):
    return lr * (1 - min(1, iteration / max(1, iterations - 1))) ** power


@answers.wrong("poly_lr", "lr is inside the power")
def power_of_lr(lr, iteration, iterations, power):
    return (lr * (1 - iteration / iterations)) ** power


@answers.wrong("poly_lr", "whole-number division")
def floor_division(lr, iteration, iterations, power):
    return lr * (1 - iteration // iterations) ** power


@answers.wrong("poly_lr", "the power of what is done, not of what is left")
def power_of_what_is_done(lr, iteration, iterations, power):
    return lr * (1 - (iteration / iterations) ** power)


@answers.wrong("poly_lr", "the usual power, whatever is asked for")
def always_0_9(lr, iteration, iterations, power):
    return lr * (1 - iteration / iterations) ** 0.9


@answers.wrong("poly_lr", "a floor under the rate")
def never_below_a_hundredth(lr, iteration, iterations, power):
    return max(lr * (1 - iteration / iterations) ** power, 0.01 * lr)


@answers.wrong("poly_lr", "half a cosine in place of the power")
def cosine(lr, iteration, iterations, power):
    return lr * (1 + math.cos(math.pi * iteration / iterations)) / 2


@answers.wrong("poly_lr", "rounded for the eye")
def rounded(lr, iteration, iterations, power):
    return round(lr * (1 - iteration / iterations) ** power, 3)


@answers.wrong("poly_lr", "prints the rate and returns nothing")
def printed(lr, iteration, iterations, power):
    print(lr * (1 - iteration / iterations) ** power)


# segmentation_loss


@answers.right("segmentation_loss")
def loss_by_masking_first(out, aux, target, aux_weight):
    counts = target != 255
    if not counts.any():
        return 0 * out.sum()

    def mean(logits):
        return F.cross_entropy(logits.permute(0, 2, 3, 1)[counts], target[counts])  # (P, K), (P,) -> ()

    return mean(out) + aux_weight * mean(aux)


@answers.right("segmentation_loss")
def loss_by_log_softmax_and_one_hot(out, aux, target, aux_weight):
    counts = target != 255
    truth = F.one_hot(target * counts, out.shape[1]).movedim(-1, 1) * counts[:, None]  # (N, K, H, W), zeros where void
    total = -(truth * (out.log_softmax(1) + aux_weight * aux.log_softmax(1))).sum()
    return total / max(1, int(counts.sum()))


@answers.right("segmentation_loss")
def loss_by_hand_in_64_bits(out, aux, target, aux_weight):
    k = target.masked_fill(target == 255, 0)[:, None]
    losses = []
    for z in (out.double(), aux.double()):
        z = z - z.max(dim=1, keepdim=True).values
        losses.append((z.exp().sum(1).log() - z.gather(1, k)[:, 0])[target != 255])
    pixels = losses[0].numel()
    return (losses[0].sum() + aux_weight * losses[1].sum()) / pixels if pixels else torch.zeros(())


@answers.right("segmentation_loss")
def loss_with_nan_replaced(out, aux, target, aux_weight):
    loss = F.cross_entropy(out, target, ignore_index=255) + aux_weight * F.cross_entropy(aux, target, ignore_index=255)
    return loss if (target != 255).any() else torch.tensor(0.0)


@answers.right("segmentation_loss")
def loss_pixel_by_pixel(out, aux, target, aux_weight):
    parts = []
    for n, y, x in (target != 255).nonzero().tolist():
        k = target[n, y, x]
        for weight, logits in ((1, out), (aux_weight, aux)):
            z = logits[n, :, y, x]
            parts.append(weight * (torch.logsumexp(z, 0) - z[k]))
    return sum(parts) * 2 / len(parts) if parts else torch.tensor(0.0)


@answers.right("segmentation_loss")
def loss_by_nll_of_both_at_once(out, aux, target, aux_weight):
    both = torch.cat([out, aux]).log_softmax(1)
    each = F.nll_loss(both, torch.cat([target, target]), ignore_index=255, reduction="none")  # (2N, H, W)
    main, second = each.chunk(2)
    return (main + aux_weight * second).sum() / (target != 255).sum().clamp_min(1)


def _mean(logits, target):
    """Mean over the counted pixels, 0 if there is none: what the wrong answers below are made of."""
    total = F.cross_entropy(logits, target, ignore_index=255, reduction="sum")
    return total / (target != 255).sum().clamp(min=1)


@answers.wrong("segmentation_loss", "the auxiliary loss counts whole")
def unweighted(out, aux, target, aux_weight):
    return _mean(out, target) + _mean(aux, target)


@answers.wrong("segmentation_loss", "no auxiliary loss")
def without_aux(out, aux, target, aux_weight):
    return _mean(out, target)


@answers.wrong("segmentation_loss", "the weight is on the sum of both")
def both_weighted(out, aux, target, aux_weight):
    return aux_weight * (_mean(out, target) + _mean(aux, target))


@answers.wrong("segmentation_loss", "a weighted mean of the two losses")
def shared_out(out, aux, target, aux_weight):
    return (1 - aux_weight) * _mean(out, target) + aux_weight * _mean(aux, target)


@answers.wrong("segmentation_loss", "logits are added up before the loss")
def logits_added_up(out, aux, target, aux_weight):
    return _mean(out + aux_weight * aux, target)


@answers.wrong("segmentation_loss", "ignore_index is missing")
def void_is_a_class(out, aux, target, aux_weight):
    return F.cross_entropy(out, target) + aux_weight * F.cross_entropy(aux, target)


@answers.wrong("segmentation_loss", "void becomes class 0")
def void_is_road(out, aux, target, aux_weight):
    target = torch.where(target == 255, 0, target)
    return F.cross_entropy(out, target) + aux_weight * F.cross_entropy(aux, target)


@answers.wrong("segmentation_loss", "divided by all pixels")
def void_in_the_count(out, aux, target, aux_weight):
    each = F.cross_entropy(out, target, ignore_index=255, reduction="none")
    second = F.cross_entropy(aux, target, ignore_index=255, reduction="none")
    return (each + aux_weight * second).mean()


@answers.wrong("segmentation_loss", "a sum over the pixels")
def summed(out, aux, target, aux_weight):
    return F.cross_entropy(out, target, ignore_index=255, reduction="sum") + aux_weight * F.cross_entropy(
        aux, target, ignore_index=255, reduction="sum"
    )


@answers.wrong("segmentation_loss", "a mean of one mean an image")
def mean_of_means(out, aux, target, aux_weight):
    images = zip(out.split(1), aux.split(1), target.split(1), strict=True)
    return torch.stack([_mean(z, t) + aux_weight * _mean(y, t) for z, y, t in images]).mean()


@answers.wrong("segmentation_loss", "NaN for a batch without labels")
def zero_by_zero(out, aux, target, aux_weight):
    return F.cross_entropy(out, target, ignore_index=255) + aux_weight * F.cross_entropy(aux, target, ignore_index=255)


@answers.wrong("segmentation_loss", "exp of large logits overflows")
def overflows(out, aux, target, aux_weight):
    counts, k = target != 255, torch.where(target == 255, 0, target)[:, None]
    each = [(z.exp().sum(1).log() - z.gather(1, k)[:, 0])[counts].sum() for z in (out, aux)]
    return (each[0] + aux_weight * each[1]) / counts.sum().clamp(min=1)


@answers.wrong("segmentation_loss", "cut off from the gradients")
def a_number(out, aux, target, aux_weight):
    return torch.tensor((_mean(out, target) + aux_weight * _mean(aux, target)).item())


@answers.wrong("segmentation_loss", "the auxiliary head gets no gradient")
def aux_detached(out, aux, target, aux_weight):
    return _mean(out, target) + aux_weight * _mean(aux.detach(), target)


@answers.wrong("segmentation_loss", "the caller's target is changed")
def changes_the_target(out, aux, target, aux_weight):
    loss = _mean(out, target) + aux_weight * _mean(aux, target)
    target[target == 255] = 0
    return loss


# sgd_step


@answers.right("sgd_step")
def step_by_foreach(parameters, gradients, velocities, lr, momentum, weight_decay):
    decayed = torch._foreach_add(gradients, parameters, alpha=weight_decay)
    faster = torch._foreach_add(torch._foreach_mul(velocities, momentum), decayed)
    return list(torch._foreach_sub(parameters, faster, alpha=lr)), list(faster)


@answers.right("sgd_step")
def step_in_one_flat_vector(parameters, gradients, velocities, lr, momentum, weight_decay):
    w, g, v = (torch.cat([tensor.reshape(-1) for tensor in tensors]) for tensors in (parameters, gradients, velocities))
    v = v * momentum + g + w * weight_decay
    sizes = [tensor.numel() for tensor in parameters]

    def cut(flat):
        return [part.view(like.shape) for part, like in zip(flat.split(sizes), parameters, strict=True)]

    return cut(w - v * lr), cut(v)


@answers.right("sgd_step")
def step_on_copies_in_place(parameters, gradients, velocities, lr, momentum, weight_decay):
    parameters, velocities = copy.deepcopy(parameters), [v.clone() for v in velocities]
    with torch.no_grad():
        for w, g, v in zip(parameters, gradients, velocities, strict=True):
            v.mul_(momentum).add_(g).add_(w, alpha=weight_decay)
            w.sub_(v, alpha=lr)
    return parameters, velocities


@answers.right("sgd_step")
def step_with_tuples(parameters, gradients, velocities, lr, momentum, weight_decay):
    pairs = []
    for w, g, v in zip(parameters, gradients, velocities, strict=True):
        v = torch.lerp(torch.zeros_like(v), v, momentum) + torch.addcmul(g, torch.tensor(weight_decay), w)
        pairs.append((w - lr * v, v))
    return tuple(zip(*pairs, strict=True))


@answers.wrong("sgd_step", "no weight decay")
def without_decay(parameters, gradients, velocities, lr, momentum, weight_decay):
    v = [momentum * v + g for v, g in zip(velocities, gradients, strict=True)]
    return [w - lr * v for w, v in zip(parameters, v, strict=True)], v


@answers.wrong("sgd_step", "weight decay beside the velocity")
def decoupled_decay(parameters, gradients, velocities, lr, momentum, weight_decay):
    v = [momentum * v + g for v, g in zip(velocities, gradients, strict=True)]
    return [w - lr * v - lr * weight_decay * w for w, v in zip(parameters, v, strict=True)], v


@answers.wrong("sgd_step", "weight decay pushes away from zero")
def decay_with_the_wrong_sign(parameters, gradients, velocities, lr, momentum, weight_decay):
    triples = zip(parameters, gradients, velocities, strict=True)
    v = [momentum * v + g - weight_decay * w for w, g, v in triples]
    return [w - lr * v for w, v in zip(parameters, v, strict=True)], v


@answers.wrong("sgd_step", "Nesterov's momentum")
def nesterov(parameters, gradients, velocities, lr, momentum, weight_decay):
    d = [g + weight_decay * w for w, g in zip(parameters, gradients, strict=True)]
    v = [momentum * v + d for v, d in zip(velocities, d, strict=True)]
    return [w - lr * (d + momentum * v) for w, d, v in zip(parameters, d, v, strict=True)], v


@answers.wrong("sgd_step", "dampening: the gradient times 1 - momentum")
def dampened(parameters, gradients, velocities, lr, momentum, weight_decay):
    d = [g + weight_decay * w for w, g in zip(parameters, gradients, strict=True)]
    v = [momentum * v + (1 - momentum) * d for v, d in zip(velocities, d, strict=True)]
    return [w - lr * v for w, v in zip(parameters, v, strict=True)], v


@answers.wrong("sgd_step", "the learning rate is inside the velocity")
def rate_in_the_velocity(parameters, gradients, velocities, lr, momentum, weight_decay):
    triples = zip(parameters, gradients, velocities, strict=True)
    v = [momentum * v + lr * (g + weight_decay * w) for w, g, v in triples]
    return [w - v for w, v in zip(parameters, v, strict=True)], v


@answers.wrong("sgd_step", "the old velocity moves the parameter")
def old_velocity(parameters, gradients, velocities, lr, momentum, weight_decay):
    triples = list(zip(parameters, gradients, velocities, strict=True))
    v = [momentum * v + g + weight_decay * w for w, g, v in triples]
    return [w - lr * v for w, g, v in triples], v


@answers.wrong("sgd_step", "uphill")
def uphill(parameters, gradients, velocities, lr, momentum, weight_decay):
    v = [momentum * v + g + weight_decay * w for w, g, v in zip(parameters, gradients, velocities, strict=True)]
    return [w + lr * v for w, v in zip(parameters, v, strict=True)], v


@answers.wrong("sgd_step", "the velocity is forgotten from step to step")
def without_momentum(parameters, gradients, velocities, lr, momentum, weight_decay):
    d = [g + weight_decay * w for w, g in zip(parameters, gradients, strict=True)]
    return [w - lr * d for w, d in zip(parameters, d, strict=True)], d


@answers.wrong("sgd_step", "the usual momentum, whatever is asked for")
def always_0_9_momentum(parameters, gradients, velocities, lr, momentum, weight_decay):
    v = [0.9 * v + g + weight_decay * w for w, g, v in zip(parameters, gradients, velocities, strict=True)]
    return [w - lr * v for w, v in zip(parameters, v, strict=True)], v


@answers.wrong("sgd_step", "only the first two parameters")
def first_two(parameters, gradients, velocities, lr, momentum, weight_decay):
    v, w = [], []
    for place in range(2):
        v.append(momentum * velocities[place] + gradients[place] + weight_decay * parameters[place])
        w.append(parameters[place] - lr * v[place])
    return w, v


@answers.wrong("sgd_step", "without momentum the velocity is left as it was")
def no_velocity_without_momentum(parameters, gradients, velocities, lr, momentum, weight_decay):
    d = [g + weight_decay * w for w, g in zip(parameters, gradients, strict=True)]
    if momentum == 0:
        return [w - lr * d for w, d in zip(parameters, d, strict=True)], velocities
    v = [momentum * v + d for v, d in zip(velocities, d, strict=True)]
    return [w - lr * v for w, v in zip(parameters, v, strict=True)], v


@answers.wrong("sgd_step", "works on the caller's own tensors")
def in_place(parameters, gradients, velocities, lr, momentum, weight_decay):
    for w, g, v in zip(parameters, gradients, velocities, strict=True):
        v.mul_(momentum).add_(g + weight_decay * w)
        w.sub_(lr * v)
    return parameters, velocities


@answers.wrong("sgd_step", "returns the parameters alone")
def parameters_alone(parameters, gradients, velocities, lr, momentum, weight_decay):
    v = [momentum * v + g + weight_decay * w for w, g, v in zip(parameters, gradients, velocities, strict=True)]
    return [w - lr * v for w, v in zip(parameters, v, strict=True)]


# flip_average


@answers.right("flip_average")
def flip_in_one_batch(net, images):
    straight, mirrored = net(torch.cat([images, images.flip(3)])).chunk(2)
    return (straight + mirrored.flip(3)) / 2


@answers.right("flip_average")
def flip_by_index(net, images):
    def mirror(x):
        return x.index_select(-1, torch.arange(x.shape[-1] - 1, -1, -1))

    with torch.inference_mode():
        return torch.stack([net(images), mirror(net(mirror(images)))]).mean(dim=0)


@answers.right("flip_average")
def flip_picture_by_picture(net, images):
    means = []
    for image in images:
        one = net(image[None])
        other = torch.flip(net(torch.flip(image[None], dims=[-1])), dims=[-1])
        means.append(torch.lerp(one, other, 0.5))
    return torch.cat(means)


@answers.right("flip_average")
def flip_by_numpy(net, images):
    mirrored = torch.from_numpy(images.numpy()[..., ::-1].copy())
    logits = [net(x).detach().numpy() for x in (images, mirrored)]
    return torch.from_numpy(np.mean([logits[0], logits[1][:, :, :, ::-1]], axis=0))


@answers.wrong("flip_average", "the second answer is not mirrored back")
def not_mirrored_back(net, images):
    return (net(images) + net(images.flip(-1))) / 2


@answers.wrong("flip_average", "upside down")
def upside_down(net, images):
    return (net(images) + net(images.flip(-2)).flip(-2)) / 2


@answers.wrong("flip_average", "rows and columns are both reversed")
def half_a_turn(net, images):
    return (net(images) + net(images.flip(-1, -2)).flip(-1, -2)) / 2


@answers.wrong("flip_average", "fliplr reverses axis 1, the channels")
def channels_reversed(net, images):
    return (net(images) + torch.fliplr(net(torch.fliplr(images)))) / 2


@answers.wrong("flip_average", "a sum, not a mean")
def sum_of_both(net, images):
    return net(images) + net(images.flip(-1)).flip(-1)


@answers.wrong("flip_average", "probabilities are averaged")
def probabilities(net, images):
    return (net(images).softmax(1) + net(images.flip(-1)).softmax(1).flip(-1)) / 2


@answers.wrong("flip_average", "only the mirror image is looked at")
def mirror_alone(net, images):
    return net(images.flip(-1)).flip(-1)


@answers.wrong("flip_average", "the larger of both")
def larger(net, images):
    return torch.maximum(net(images), net(images.flip(-1)).flip(-1))


@answers.wrong("flip_average", "the mean image is looked at once")
def mean_image(net, images):
    return net((images + images.flip(-1)) / 2)


@answers.wrong("flip_average", "works for a batch of one picture only")
def one_picture(net, images):
    logits = net(torch.cat([images, images.flip(-1)]))
    return (logits[:1] + logits[1:2].flip(-1)) / 2


@answers.wrong("flip_average", "the mean over the batch as well")
def mean_over_the_batch(net, images):
    return torch.cat([net(images), net(images.flip(-1)).flip(-1)]).mean(0, keepdim=True)


@answers.wrong("flip_average", "column W - x instead of W - 1 - x")
def one_column_off(net, images):
    def mirror(x):
        return x.flip(-1).roll(1, -1)

    return (net(images) + mirror(net(mirror(images)))) / 2


# multi_scale


@answers.right("multi_scale")
def scales_added_up(net, images, scales):
    height, width = images.shape[2:]
    total = 0
    for scale in scales:
        size = round(height * scale), round(width * scale)
        view = images if size == (height, width) else F.interpolate(images, size, mode="bilinear", align_corners=False)
        total = total + F.interpolate(net(view), (height, width), mode="bilinear", align_corners=False)
    return (total / len(scales)).detach()


def _matrix(old, new):
    """Weights (new, old) of a bilinear resize along one axis, for the next answer."""
    places = ((torch.arange(new) + 0.5) * (old / new) - 0.5).clamp(0, old - 1)
    return (1 - (places[:, None] - torch.arange(old)).abs()).clamp(min=0)


@answers.right("multi_scale")
def scales_by_matrices(net, images, scales):
    def resize(x, size):
        rows, columns = _matrix(x.shape[-2], size[0]), _matrix(x.shape[-1], size[1])
        return torch.einsum("ia,ncab,jb->ncij", rows, x, columns)

    size = images.shape[-2:]
    views = [resize(net(resize(images, [round(scale * side) for side in size])), size) for scale in scales]
    return sum(views) / len(views)


@answers.right("multi_scale")
def scales_by_upsample(net, images, scales):
    back = torch.nn.Upsample(size=tuple(images.shape[-2:]), mode="bilinear")
    views = []
    with torch.no_grad():
        for scale in reversed(scales):
            there = torch.nn.Upsample(size=tuple(round(side * scale) for side in images.shape[-2:]), mode="bilinear")
            views.append(back(net(there(images))))
    return torch.cat([view[None] for view in views]).mean(0)


@answers.right("multi_scale")
def scales_by_grid_sample(net, images, scales):
    def resize(x, height, width):
        y, x_ = ((2 * torch.arange(n) + 1) / n - 1 for n in (height, width))
        grid = torch.stack(torch.meshgrid(y, x_, indexing="ij")[::-1], -1).expand(len(x), -1, -1, -1)
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)

    height, width = images.shape[-2:]
    views = [resize(net(resize(images, round(s * height), round(s * width))), height, width) for s in scales]
    return functools.reduce(torch.add, views).div(len(views))


def _views(net, images, scales, there=None, back=None, size=round):
    """Logits of each view; what the wrong answers are made of. ``there`` and ``back`` change one of the two resizes."""
    whole = tuple(images.shape[-2:])
    for scale in scales:
        sides = tuple(size(scale * side) for side in whole)
        view = F.interpolate(images, sides, **(there or {"mode": "bilinear"}))
        yield F.interpolate(net(view), whole, **(back or {"mode": "bilinear"}))


def _mean_of(views):
    return torch.stack(list(views)).mean(0)


@answers.wrong("multi_scale", "align_corners=True both times")
def corners(net, images, scales):
    how = {"mode": "bilinear", "align_corners": True}
    return _mean_of(_views(net, images, scales, how, how))


@answers.wrong("multi_scale", "align_corners=True on the way back")
def corners_on_the_way_back(net, images, scales):
    return _mean_of(_views(net, images, scales, back={"mode": "bilinear", "align_corners": True}))


@answers.wrong("multi_scale", "rows and columns of a view are exchanged")
def sides_exchanged(net, images, scales):
    whole = tuple(images.shape[-2:])
    sides = [(round(scale * whole[1]), round(scale * whole[0])) for scale in scales]
    logits = [net(F.interpolate(images, side, mode="bilinear")) for side in sides]
    return _mean_of(F.interpolate(z, whole, mode="bilinear") for z in logits)


@answers.wrong("multi_scale", "divided by the scale")
def inverse_scale(net, images, scales):
    return _mean_of(_views(net, images, [1 / scale for scale in scales]))


@answers.wrong("multi_scale", "each view is made from the one before")
def chained(net, images, scales):
    view, logits = images, []
    for scale in scales:
        view = F.interpolate(view, [round(scale * side) for side in images.shape[-2:]], mode="bilinear")
        logits.append(F.interpolate(net(view), images.shape[-2:], mode="bilinear"))
    return _mean_of(logits)


@answers.wrong("multi_scale", "probabilities are averaged")
def mean_of_probabilities(net, images, scales):
    return _mean_of(z.softmax(1) for z in _views(net, images, scales))


@answers.wrong("multi_scale", "a sum, not a mean")
def sum_of_views(net, images, scales):
    return sum(_views(net, images, scales))


@answers.wrong("multi_scale", "the sides are rounded down")
def rounded_down(net, images, scales):
    return _mean_of(_views(net, images, scales, size=int))


@answers.wrong("multi_scale", "the sides are rounded up")
def rounded_up(net, images, scales):
    return _mean_of(_views(net, images, scales, size=math.ceil))


@answers.wrong("multi_scale", "scale_factor in place of a size")
def by_scale_factor(net, images, scales):
    views = [net(F.interpolate(images, scale_factor=scale, mode="bilinear")) for scale in scales]
    return _mean_of(F.interpolate(z, images.shape[-2:], mode="bilinear") for z in views)


@answers.wrong("multi_scale", "nearest, interpolate's default")
def nearest(net, images, scales):
    return _mean_of(_views(net, images, scales, {"mode": "nearest"}, {"mode": "nearest"}))


@answers.wrong("multi_scale", "filtered before shrinking")
def antialiased(net, images, scales):
    return _mean_of(_views(net, images, scales, {"mode": "bilinear", "antialias": True}))


@answers.wrong("multi_scale", "the whole picture is always a view")
def original_as_well(net, images, scales):
    return _mean_of(_views(net, images, [*scales] if 1 in scales else [1, *scales]))


@answers.wrong("multi_scale", "the logits are not resized back")
def not_resized_back(net, images, scales):
    views = [
        net(F.interpolate(images, [round(s * side) for side in images.shape[-2:]], mode="bilinear")) for s in scales
    ]
    return views[len(views) // 2]


@answers.wrong("multi_scale", "resized back by the scale, as if the network kept the size")
def back_by_scale(net, images, scales):
    total = 0
    for scale in scales:
        view = F.interpolate(images, [round(scale * side) for side in images.shape[-2:]], mode="bilinear")
        total = total + F.interpolate(net(view), scale_factor=1 / scale, mode="bilinear")
    return total / len(scales)


# paired_difference


@answers.right("paired_difference")
def pairs_by_statistics(ours, baseline):
    steps = [a - b for a, b in zip(ours, baseline, strict=True)]  # strict raises the ValueError
    return statistics.fmean(steps), statistics.stdev(steps) if len(steps) > 1 else float("nan")


@answers.right("paired_difference")
def pairs_by_torch(ours, baseline):
    if len(ours) != len(baseline):
        raise ValueError("not the same seeds")
    steps = torch.tensor(ours, dtype=torch.float64) - torch.tensor(baseline, dtype=torch.float64)
    return steps.mean(), steps.std()  # NaN by itself for one pair, with a warning


@answers.right("paired_difference")
def pairs_by_all_pairs_of_pairs(ours, baseline):
    n = len(ours)
    if n != len(baseline):
        raise ValueError(f"{n} and {len(baseline)}")
    steps = [ours[i] - baseline[i] for i in range(n)]
    squares = sum((a - b) ** 2 for a, b in itertools.combinations(steps, 2))
    return [math.fsum(steps) / n, math.sqrt(squares / (n * (n - 1))) if n > 1 else math.nan]


@answers.right("paired_difference")
def pairs_by_numpy(ours, baseline):
    steps = np.array(ours) - np.array(baseline) if len(ours) == len(baseline) else None
    if steps is None:
        raise ValueError("lists of different lengths")
    with np.errstate(all="ignore"):
        return np.mean(steps), np.std(steps, ddof=1)


@answers.right("paired_difference")
def pairs_by_covariance(ours, baseline):
    if len(ours) != len(baseline):
        raise ValueError
    mean = sum(ours) / len(ours) - sum(baseline) / len(baseline)
    if len(ours) == 1:
        return mean, math.nan
    a, b, both = statistics.variance(ours), statistics.variance(baseline), statistics.covariance(ours, baseline)
    return mean, math.sqrt(max(0.0, a + b - 2 * both))


def _steps(ours, baseline):
    return [a - b for a, b in zip(ours, baseline, strict=True)]


def _sd(values):
    return statistics.stdev(values) if len(values) > 1 else math.nan


@answers.wrong("paired_difference", "the deviation of a whole population")
def population(ours, baseline):
    steps = _steps(ours, baseline)
    return statistics.fmean(steps), statistics.pstdev(steps) if len(steps) > 1 else math.nan


@answers.wrong("paired_difference", "the deviation of two unrelated rows")
def unpaired(ours, baseline):
    return statistics.fmean(_steps(ours, baseline)), math.hypot(_sd(ours), _sd(baseline))


@answers.wrong("paired_difference", "baseline minus ours")
def reversed_difference(ours, baseline):
    steps = _steps(baseline, ours)
    return statistics.fmean(steps), _sd(steps)


@answers.wrong("paired_difference", "the longer list is cut without a word")
def cut(ours, baseline):
    steps = [a - b for a, b in zip(ours, baseline, strict=False)]
    return statistics.fmean(steps), _sd(steps)


@answers.wrong("paired_difference", "no deviation is 0")
def certain_of_one(ours, baseline):
    steps = _steps(ours, baseline)
    return statistics.fmean(steps), statistics.stdev(steps) if len(steps) > 1 else 0.0


@answers.wrong("paired_difference", "fails for one pair")
def fails_for_one(ours, baseline):
    steps = _steps(ours, baseline)
    return statistics.fmean(steps), statistics.stdev(steps)


@answers.wrong("paired_difference", "the error of the mean")
def standard_error(ours, baseline):
    steps = _steps(ours, baseline)
    return statistics.fmean(steps), _sd(steps) / math.sqrt(len(steps))


@answers.wrong("paired_difference", "the variance")
def variance(ours, baseline):
    steps = _steps(ours, baseline)
    return statistics.fmean(steps), _sd(steps) ** 2


@answers.wrong("paired_difference", "the deviation of ours alone")
def deviation_of_ours(ours, baseline):
    return statistics.fmean(_steps(ours, baseline)), _sd(ours)


@answers.wrong("paired_difference", "sorted before they are paired")
def sorted_first(ours, baseline):
    steps = _steps(sorted(ours), sorted(baseline))
    return statistics.fmean(steps), _sd(steps)


@answers.wrong("paired_difference", "the sign of each difference is dropped")
def without_sign(ours, baseline):
    steps = [abs(step) for step in _steps(ours, baseline)]
    return statistics.fmean(steps), _sd(steps)


@answers.wrong("paired_difference", "the median")
def median(ours, baseline):
    steps = _steps(ours, baseline)
    return statistics.median(steps), _sd(steps)


@answers.wrong("paired_difference", "one decimal, as in the table")
def one_decimal(ours, baseline):
    steps = _steps(ours, baseline)
    return round(statistics.fmean(steps), 1), round(_sd(steps), 1)


# changed_fields


@answers.right("changed_fields")
def fields_by_two_loops(recipe, other):
    found = []
    for key in recipe:
        if key not in other or recipe[key] != other[key]:
            found.append(key)
    for key in other:
        if key not in recipe:
            found.append(key)
    found.sort()
    return found


@answers.right("changed_fields")
def fields_by_sets_of_names(recipe, other):
    apart = recipe.keys() ^ other.keys()
    return sorted(apart | {key for key in recipe.keys() & other.keys() if recipe[key] != other[key]})


@answers.right("changed_fields")
def fields_by_what_is_left(recipe, other):
    rest = {**recipe, **other}
    for key, value in recipe.items():
        if key in other and other[key] == value:
            del rest[key]
    return sorted(rest)


@answers.right("changed_fields")
def fields_by_filter(recipe, other):
    def same(key):
        return (key in recipe) == (key in other) and recipe[key] == other[key]

    return list(itertools.filterfalse(same, sorted(set(itertools.chain(recipe, other)))))


@answers.wrong("changed_fields", "only the fields that both have")
def shared_only(recipe, other):
    return sorted(key for key in recipe.keys() & other.keys() if recipe[key] != other[key])


@answers.wrong("changed_fields", "what only the second has is overlooked")
def first_only(recipe, other):
    return sorted(key for key in recipe if key not in other or recipe[key] != other[key])


@answers.wrong("changed_fields", "a missing field counts as None")
def missing_is_none(recipe, other):
    return sorted(key for key in recipe | other if recipe.get(key) != other.get(key))


@answers.wrong("changed_fields", "a missing field counts as 0")
def missing_is_zero(recipe, other):
    return sorted(key for key in recipe | other if recipe.get(key, 0.0) != other.get(key, 0.0))


@answers.wrong("changed_fields", "sets can't hold lists")
def by_sets_of_items(recipe, other):
    return sorted({key for key, _ in set(recipe.items()) ^ set(other.items())})


@answers.wrong("changed_fields", "a name for each of the two dictionaries")
def named_twice(recipe, other):
    return sorted([k for k in recipe if recipe[k] != other.get(k)] + [k for k in other if other[k] != recipe.get(k)])


@answers.wrong("changed_fields", "in the order of the dictionary")
def unsorted(recipe, other):
    missing = object()
    return [key for key in recipe | other if recipe.get(key, missing) != other.get(key, missing)]


@answers.wrong("changed_fields", "the fields that agree")
def agreeing(recipe, other):
    return sorted(key for key in recipe if key in other and recipe[key] == other[key])


@answers.wrong("changed_fields", "compared by place")
def by_place(recipe, other):
    pairs = zip(recipe.items(), other.items(), strict=False)
    return sorted(one[0] for one, two in pairs if one != two)


@answers.wrong("changed_fields", "compared by truth, not by value")
def truthiness(recipe, other):
    return sorted(k for k in recipe | other if bool(recipe.get(k)) != bool(other.get(k)))


@answers.wrong("changed_fields", "how many, not which")
def how_many(recipe, other):
    return sum(recipe.get(key, ...) != other.get(key, ...) for key in recipe | other)

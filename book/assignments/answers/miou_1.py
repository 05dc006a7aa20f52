"""Other right answers to assignment 1, and wrong ones with what is wrong about them."""

import collections
import math
import statistics

import numpy as np
import torch
import torch.nn.functional as F

from spacemeshlab.course.answers import Answers

answers = Answers("1-miou")


# map_labels


@answers.right("map_labels")
def map_by_masks(ids, evaluated):
    out = torch.full(ids.shape, 255, dtype=torch.int64)
    for k, value in enumerate(evaluated):
        out[ids == value] = k
    return out


@answers.right("map_labels")
def map_by_comparison_with_all(ids, evaluated):
    same = ids[..., None] == torch.tensor(evaluated, dtype=torch.int32)  # (H, W) -> (H, W, K)
    return torch.where(same.any(-1), same.int().argmax(-1), 255)


@answers.right("map_labels")
def map_by_dictionary(ids, evaluated):
    index = {value: k for k, value in enumerate(evaluated)}
    return torch.tensor([[index.get(int(value), 255) for value in row] for row in ids])


@answers.right("map_labels")
def map_by_search(ids, evaluated):
    ordered, place = torch.sort(torch.tensor(evaluated))
    near = torch.searchsorted(ordered, ids.long()).clamp(max=len(evaluated) - 1)
    return place[near].masked_fill(ordered[near] != ids, 255)


@answers.right("map_labels")
def map_by_numpy(ids, evaluated):
    ids = ids.numpy().astype(int)
    conditions = [ids == value for value in evaluated]
    return torch.from_numpy(np.select(conditions, range(len(evaluated)), 255)).long()


@answers.wrong("map_labels", "ids that are not evaluated become the first class")
def void_is_road(ids, evaluated):
    out = torch.zeros(ids.shape, dtype=torch.int64)
    for k, value in enumerate(evaluated):
        out[ids == value] = k
    return out


@answers.wrong("map_labels", "ids that are not evaluated keep their number")
def void_keeps_its_id(ids, evaluated):
    out = ids.long()
    for k, value in enumerate(evaluated):
        out = torch.where(ids == value, k, out)
    return out


@answers.wrong("map_labels", "reads the map that it has begun to change")
def one_after_another(ids, evaluated):
    void = ~torch.isin(ids.long(), torch.tensor(evaluated))
    out = ids.long().clone()
    for k, value in enumerate(evaluated):
        out[out == value] = k
    out[void] = 255
    return out


@answers.wrong("map_labels", "an index of -1 is the table's last entry")
def table_from_behind(ids, evaluated):
    table = torch.full((max(34, int(ids.max()) + 1),), 255)
    table[evaluated] = torch.arange(len(evaluated))
    return table[ids.long()]


@answers.wrong("map_labels", "the classes are in the order of the ids, not of the list")
def sorted_classes(ids, evaluated):
    return map_by_masks(ids, sorted(evaluated))


@answers.wrong("map_labels", "the result has the type of the ids")
def type_of_the_ids(ids, evaluated):
    out = torch.full_like(ids, 255)
    for k, value in enumerate(evaluated):
        out[ids == value] = k
    return out


@answers.wrong("map_labels", "writes into the map that was handed over")
def map_in_place(ids, evaluated):
    out = map_by_masks(ids, evaluated)
    ids.copy_(out)
    return out


@answers.wrong("map_labels", "nothing is returned")
def map_and_forget(ids, evaluated):
    map_by_masks(ids, evaluated)


# count_pixels


@answers.right("count_pixels")
def count_by_comparison(target, num_classes):
    return torch.stack([(target == k).sum() for k in range(num_classes)])


@answers.right("count_pixels")
def count_by_one_hot(target, num_classes):
    one_hot = F.one_hot(target.long().flatten(), 256)  # (any shape) -> (pixels, 256)
    return one_hot.sum(0)[:num_classes]


@answers.right("count_pixels")
def count_by_scatter(target, num_classes):
    index = target.flatten().long()
    return torch.zeros(256, dtype=torch.int64).scatter_add_(0, index, torch.ones_like(index))[:num_classes]


@answers.right("count_pixels")
def count_by_unique(target, num_classes):
    out = torch.zeros(num_classes, dtype=torch.int64)
    for value, count in zip(*target.unique(return_counts=True), strict=True):
        if value != 255:
            out[value.item()] = count
    return out


@answers.right("count_pixels")
def count_in_python(target, num_classes):
    counted = collections.Counter(target.flatten().tolist())
    return torch.tensor([counted[k] for k in range(num_classes)])


@answers.wrong("count_pixels", "void is counted as the last class")
def count_clamped(target, num_classes):
    return torch.bincount(target.clamp(max=num_classes - 1).flatten(), minlength=num_classes)


@answers.wrong("count_pixels", "one number for each value up to 255")
def count_everything(target, num_classes):
    return torch.bincount(target.flatten(), minlength=num_classes)


@answers.wrong("count_pixels", "no number for the last classes if they do not occur")
def count_without_minlength(target, num_classes):
    return torch.bincount(target[target != 255])


@answers.wrong("count_pixels", "no number for any class that does not occur")
def count_what_occurs(target, num_classes):
    return target[target != 255].unique(return_counts=True)[1]


@answers.wrong("count_pixels", "shares instead of numbers")
def count_shares(target, num_classes):
    counts = torch.bincount(target[target != 255], minlength=num_classes)
    return counts / counts.sum()


@answers.wrong("count_pixels", "knows maps (H, W) only")
def count_in_two_axes(target, num_classes):
    return F.one_hot(target.long(), 256).sum((0, 1))[:num_classes]


@answers.wrong("count_pixels", "counts from class 1")
def count_one_off(target, num_classes):
    return torch.stack([(target == k).sum() for k in range(1, num_classes + 1)])


@answers.wrong("count_pixels", "takes for granted that the classes are Cityscapes' 19")
def count_nineteen(target, num_classes):
    return torch.bincount(target[target < 19], minlength=num_classes)


# flip_pair


@answers.right("flip_pair")
def flip_by_index(image, target):
    backwards = torch.arange(target.shape[1] - 1, -1, -1)
    return image[:, :, backwards], target[:, backwards]


@answers.right("flip_pair")
def flip_in_numpy(image, target):
    return tuple(torch.from_numpy(one.numpy()[..., ::-1].copy()) for one in (image, target))


@answers.right("flip_pair")
def flip_column_by_column(image, target):
    new_image, new_target = torch.empty_like(image), torch.empty_like(target)
    width = target.shape[1]
    for x in range(width):
        new_image[:, :, x] = image[:, :, width - 1 - x]
        new_target[:, x] = target[:, width - 1 - x]
    return [new_image, new_target]


@answers.right("flip_pair")
def flip_by_permutation_matrix(image, target):
    mirror = torch.eye(target.shape[1], dtype=torch.float64).flip(0)
    return (image.double() @ mirror).to(image.dtype), (target.double() @ mirror).to(target.dtype)


@answers.wrong("flip_pair", "the target stays")
def flip_image_only(image, target):
    return image.flip(-1), target


@answers.wrong("flip_pair", "axis 1 in both: the image's rows, the target's columns")
def flip_axis_one(image, target):
    return image.flip(1), target.flip(1)


@answers.wrong("flip_pair", "upside down")
def flip_rows(image, target):
    return image.flip(-2), target.flip(-2)


@answers.wrong("flip_pair", "turned by 180 degrees")
def flip_both_axes(image, target):
    return image.flip(-2, -1), target.flip(-2, -1)


@answers.wrong("flip_pair", "the image becomes float")
def flip_as_float(image, target):
    return image.float().flip(-1), target.flip(-1)


@answers.wrong("flip_pair", "works on the caller's tensors")
def flip_in_place(image, target):
    image.copy_(image.flip(-1))
    target.copy_(target.flip(-1))
    return image, target


@answers.wrong("flip_pair", "returns the target first")
def flip_and_exchange(image, target):
    return target.flip(-1), image.flip(-1)


# pad_pair


@answers.right("pad_pair")
def pad_by_placing(image, target, size, mean):
    (height, width), (rows, columns) = target.shape, (max(a, b) for a, b in zip(target.shape, size, strict=True))
    new_target = target.new_full((rows, columns), 255)
    new_target[:height, :width] = target
    new_image = torch.tensor(mean, dtype=image.dtype)[:, None, None].repeat(1, rows, columns)
    new_image[:, :height, :width] = image
    return new_image, new_target


@answers.right("pad_pair")
def pad_by_concatenation(image, target, size, mean):
    stacked = torch.cat([image.double(), target[None].double()])  # (3, H, W), (H, W) -> (4, H, W)
    margin = torch.tensor([*mean, 255], dtype=torch.float64)[:, None, None]
    for axis, wanted in ((1, size[0]), (2, size[1])):
        missing = wanted - stacked.shape[axis]
        if missing > 0:
            shape = list(stacked.shape)
            shape[axis] = missing
            stacked = torch.cat([stacked, margin.expand(shape)], axis)
    return stacked[:3].to(image.dtype), stacked[3].to(target.dtype)


@answers.right("pad_pair")
def pad_around_zero(image, target, size, mean):
    missing = [max(0, wanted - there) for wanted, there in zip(size, target.shape, strict=True)]
    mean = torch.tensor(mean, dtype=torch.float32)[:, None, None]
    padded = F.pad(image.float() - mean, (0, missing[1], 0, missing[0])) + mean
    padded = padded if image.is_floating_point() else padded.round()
    return padded.to(image.dtype), F.pad(target, (0, missing[1], 0, missing[0]), value=255)


@answers.right("pad_pair")
def pad_in_numpy(image, target, size, mean):
    margins = [(0, max(0, size[0] - target.shape[0])), (0, max(0, size[1] - target.shape[1]))]
    channels = [np.pad(c, margins, constant_values=m) for c, m in zip(image.numpy(), mean, strict=True)]
    return torch.from_numpy(np.stack(channels)), torch.from_numpy(np.pad(target.numpy(), margins, constant_values=255))


@answers.wrong("pad_pair", "an axis that is too long is cut")
def pad_and_cut(image, target, size, mean):
    margins = 0, size[1] - target.shape[1], 0, size[0] - target.shape[0]
    channels = [F.pad(c, margins, value=m) for c, m in zip(image, mean, strict=True)]
    return torch.stack(channels), F.pad(target, margins, value=255)


@answers.wrong("pad_pair", "the margin of the target is the first class")
def pad_with_road(image, target, size, mean):
    new_image, new_target = pad_by_placing(image, target, size, mean)
    outside = torch.ones_like(new_target, dtype=torch.bool)
    outside[: target.shape[0], : target.shape[1]] = False
    return new_image, new_target.masked_fill(outside, 0)


@answers.wrong("pad_pair", "the margin of the image is black")
def pad_with_black(image, target, size, mean):
    return pad_by_placing(image, target, size, (0, 0, 0))


@answers.wrong("pad_pair", "the picture lies at the bottom right")
def pad_top_left(image, target, size, mean):
    flipped = pad_by_placing(image.flip(-2, -1), target.flip(-2, -1), size, mean)
    return tuple(one.flip(-2, -1) for one in flipped)


@answers.wrong("pad_pair", "rows and columns exchanged, as F.pad's order suggests")
def pad_exchanged(image, target, size, mean):
    return pad_by_placing(image, target, size[::-1], mean)


@answers.wrong("pad_pair", "one mean for all colours")
def pad_grey(image, target, size, mean):
    return pad_by_placing(image, target, size, [sum(mean) / 3] * 3)


@answers.wrong("pad_pair", "the image's own mean instead of the given one")
def pad_with_own_mean(image, target, size, mean):
    return pad_by_placing(image, target, size, image.float().mean((1, 2)).tolist())


@answers.wrong("pad_pair", "the image becomes float")
def pad_as_float(image, target, size, mean):
    return pad_by_placing(image.float(), target, size, mean)


# confusion_matrix


@answers.right("confusion_matrix")
def pairs_by_loop(prediction, target, num_classes):
    table = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    for said, true in zip(prediction.flatten().tolist(), target.flatten().tolist(), strict=True):
        if true != 255:
            table[true, said] += 1
    return table


@answers.right("confusion_matrix")
def pairs_by_product(prediction, target, num_classes):
    counted = target != 255
    rows = F.one_hot(target[counted].long(), num_classes).float()
    columns = F.one_hot(prediction[counted].long(), num_classes).float()
    return torch.einsum("pk,pj->kj", rows, columns).round().long()


@answers.right("confusion_matrix")
def pairs_by_accumulation(prediction, target, num_classes):
    table = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    counted = target != 255
    places = target[counted].long(), prediction[counted].long()
    return table.index_put_(places, torch.tensor(1), accumulate=True)


@answers.right("confusion_matrix")
def pairs_by_masks(prediction, target, num_classes):
    rows = [[((target == k) & (prediction == j)).sum() for j in range(num_classes)] for k in range(num_classes)]
    return torch.tensor(rows)


@answers.right("confusion_matrix")
def pairs_in_numpy(prediction, target, num_classes):
    counted = (target != 255).numpy()
    edges = np.arange(num_classes + 1) - 0.5
    maps = target.numpy()[counted], prediction.numpy()[counted]
    return torch.from_numpy(np.histogram2d(*maps, bins=(edges, edges))[0]).long()


@answers.right("confusion_matrix")
def pairs_cut_off(prediction, target, num_classes):
    index = target.flatten().int() * 256 + prediction.flatten().int()
    return torch.bincount(index, minlength=256 * 256).view(256, 256)[:num_classes, :num_classes]


@answers.wrong("confusion_matrix", "rows and columns exchanged")
def pairs_transposed(prediction, target, num_classes):
    return pairs_by_loop(prediction, target, num_classes).T


@answers.wrong("confusion_matrix", "void is counted as the last class")
def pairs_clamped(prediction, target, num_classes):
    return pairs_by_loop(prediction.clamp(max=num_classes - 1), target.clamp(max=num_classes - 1), num_classes)


@answers.wrong("confusion_matrix", "each pair is counted once: += on an index does not accumulate")
def pairs_once(prediction, target, num_classes):
    table = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    counted = target != 255
    table[target[counted].long(), prediction[counted].long()] += 1
    return table


@answers.wrong("confusion_matrix", "multiplies in eight bits")
def pairs_overflow(prediction, target, num_classes):
    counted = target != 255
    pairs = target[counted] * num_classes + prediction[counted]
    return torch.bincount(pairs, minlength=num_classes**2).view(num_classes, num_classes)


@answers.wrong("confusion_matrix", "a matrix only as large as the largest pair")
def pairs_without_minlength(prediction, target, num_classes):
    counted = target != 255
    pairs = target[counted].long() * num_classes + prediction[counted].long()
    return torch.bincount(pairs).view(num_classes, num_classes)


@answers.wrong("confusion_matrix", "asks that the prediction is a class on void, too")
def pairs_with_a_void_row(prediction, target, num_classes):
    pairs = target.long().clamp(max=num_classes) * num_classes + prediction.long()
    counts = torch.bincount(pairs.flatten(), minlength=num_classes * (num_classes + 1))
    return counts.view(num_classes + 1, num_classes)[:num_classes]


@answers.wrong("confusion_matrix", "void is counted as class 0")
def pairs_void_is_road(prediction, target, num_classes):
    return pairs_by_loop(prediction.clamp(max=num_classes - 1), target.where(target != 255, 0), num_classes)


@answers.wrong("confusion_matrix", "leaves out the pixels that are right, as if only mistakes counted")
def pairs_of_mistakes(prediction, target, num_classes):
    return pairs_by_loop(prediction, target.masked_fill(prediction == target, 255), num_classes)


@answers.wrong("confusion_matrix", "rows add up to one")
def pairs_normalised(prediction, target, num_classes):
    table = pairs_by_loop(prediction, target, num_classes)
    return table / table.sum(1, keepdim=True)


# iou


@answers.right("iou")
def iou_by_loop(confusion):
    scores = []
    for k in range(len(confusion)):
        hits = confusion[k, k].item()
        union = sum(confusion[k].tolist()) + sum(confusion[:, k].tolist()) - hits
        scores.append(hits / union if union else math.nan)
    return torch.tensor(scores, dtype=torch.float64)


@answers.right("iou")
def iou_by_einsum(confusion):
    counts = confusion.double()
    hits = torch.einsum("kk->k", counts)
    missed, invented = torch.einsum("kj->k", counts) - hits, torch.einsum("kj->j", counts) - hits
    return hits / (hits + missed + invented)


@answers.right("iou")
def iou_from_dice(confusion):
    counts = confusion.double()
    both = counts.sum(0) + counts.sum(1)
    dice = torch.where(both > 0, 2 * counts.diag() / both, math.nan)
    return dice / (2 - dice)


@answers.right("iou")
def iou_in_numpy(confusion):
    counts = confusion.numpy().astype(np.float64)
    union = counts.sum(0) + counts.sum(1) - np.diag(counts)
    scores = np.full(len(counts), np.nan)
    np.divide(np.diag(counts), union, out=scores, where=union > 0)
    return torch.from_numpy(scores)


@answers.wrong("iou", "a class that is nowhere scores 0")
def iou_with_epsilon(confusion):
    hits = confusion.diagonal().double()
    return hits / (confusion.sum(0) + confusion.sum(1) - hits + 1e-12)


@answers.wrong("iou", "a class that is nowhere scores 1")
def iou_of_nothing_is_one(confusion):
    return iou_by_loop(confusion).nan_to_num(1)


@answers.wrong("iou", "a class that is only predicted is left out")
def iou_of_the_truth(confusion):
    return iou_by_loop(confusion).masked_fill(confusion.sum(1) == 0, math.nan)


@answers.wrong("iou", "a class without a hit is left out")
def iou_without_zeros(confusion):
    scores = iou_by_loop(confusion)
    return torch.where(scores > 0, scores, math.nan)


@answers.wrong("iou", "recall instead of IoU")
def recall(confusion):
    return confusion.diagonal().double() / confusion.sum(1)


@answers.wrong("iou", "the hits are in the union twice")
def iou_hits_twice(confusion):
    return confusion.diagonal().double() / (confusion.sum(0) + confusion.sum(1))


@answers.wrong("iou", "Dice instead of IoU")
def dice(confusion):
    return 2 * confusion.diagonal().double() / (confusion.sum(0) + confusion.sum(1))


@answers.wrong("iou", "counts in 32 bits")
def iou_in_32_bits(confusion):
    return iou_by_einsum(confusion.int())


@answers.wrong("iou", "single precision")
def iou_single(confusion):
    hits = confusion.diagonal()
    return hits / (confusion.sum(0) + confusion.sum(1) - hits)


# mean_iou


@answers.right("mean_iou")
def mean_by_nanmean(confusion):
    return iou_by_einsum(confusion).nanmean().item()


@answers.right("mean_iou")
def mean_by_loop(confusion):
    rows, total, classes = confusion.tolist(), 0.0, 0
    for k in range(len(rows)):
        union = sum(rows[k]) + sum(row[k] for row in rows) - rows[k][k]
        if union > 0:
            total, classes = total + rows[k][k] / union, classes + 1
    return total / classes if classes else float("nan")


@answers.right("mean_iou")
def mean_of_those_that_occur(confusion):
    counts = confusion.double()
    occurs = (counts.sum(0) + counts.sum(1)) > 0
    kept = counts[occurs][:, occurs]
    return (kept.diag() / (kept.sum(0) + kept.sum(1) - kept.diag())).mean().item()


@answers.right("mean_iou")
def mean_in_python(confusion):
    known = [score for score in iou_by_loop(confusion).tolist() if score == score]
    return statistics.fmean(known) if known else math.nan


@answers.wrong("mean_iou", "a class that is nowhere counts as 0")
def mean_over_all(confusion):
    return iou_by_loop(confusion).nan_to_num(0).mean().item()


@answers.wrong("mean_iou", "a class that is nowhere makes the mean NaN")
def mean_with_nan(confusion):
    return iou_by_loop(confusion).mean().item()


@answers.wrong("mean_iou", "classes that are only predicted are left out")
def mean_of_the_truth(confusion):
    return iou_by_loop(confusion)[confusion.sum(1) > 0].mean().item()


@answers.wrong("mean_iou", "classes with score 0 are left out")
def mean_without_zeros(confusion):
    scores = iou_by_loop(confusion)
    return scores[scores > 0].mean().item()


@answers.wrong("mean_iou", "pixel accuracy")
def accuracy(confusion):
    return (confusion.diagonal().sum() / confusion.sum()).item()


@answers.wrong("mean_iou", "hits and unions added up over the classes")
def mean_micro(confusion):
    hits = confusion.diagonal().sum()
    return (hits / (2 * confusion.sum() - hits)).item()


@answers.wrong("mean_iou", "classes weighted by their share of the pixels")
def mean_weighted(confusion):
    return (confusion.sum(1) / confusion.sum() * iou_by_loop(confusion)).nansum().item()


@answers.wrong("mean_iou", "a set without pixels scores 0")
def mean_of_nothing_is_zero(confusion):
    scores = iou_by_loop(confusion)
    known = scores[~scores.isnan()]
    return known.mean().item() if len(known) else 0.0


@answers.wrong("mean_iou", "a tensor instead of a number")
def mean_as_tensor(confusion):
    return iou_by_loop(confusion).nanmean()


@answers.wrong("mean_iou", "the mean recall")
def mean_recall(confusion):
    return (confusion.diagonal().double() / confusion.sum(1)).nanmean().item()

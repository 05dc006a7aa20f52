"""Other right answers to assignment 3, and wrong ones with what is wrong about them."""

import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F

from spacemeshlab.course.answers import Answers

answers = Answers("3-meshgrid")


@answers.right("tap_places")
def by_dividing(row, column, rate_rows, rate_columns, height, width):
    places = []
    for tap in range(9):
        v, h = divmod(tap, 3)
        place = (row + (v - 1) * rate_rows, column + (h - 1) * rate_columns)
        outside = min(place) < 0 or place[0] > height - 1 or place[1] > width - 1
        places.append(None if outside else place)
    return places


@answers.right("tap_places")
def by_numpy(row, column, rate_rows, rate_columns, height, width):
    offsets = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1], indexing="ij"), -1).reshape(9, 2)
    places = np.array([row, column]) + offsets * np.array([rate_rows, rate_columns])
    inside = ((places >= 0) & (places < np.array([height, width]))).all(1)
    return [[int(p), int(q)] if there else None for (p, q), there in zip(places, inside, strict=True)]


@answers.right("tap_places")
def by_two_lists(row, column, rate_rows, rate_columns, height, width):
    rows = [p if p in range(height) else None for p in (row - rate_rows, row, row + rate_rows)]
    columns = [q if q in range(width) else None for q in (column - rate_columns, column, column + rate_columns)]
    return tuple(None if p is None or q is None else (p, q) for p, q in itertools.product(rows, columns))


@answers.right("tap_places")
def by_a_numbered_map(row, column, rate_rows, rate_columns, height, width):
    numbers = torch.full((height + 2 * rate_rows, width + 2 * rate_columns), -1)
    numbers[rate_rows : rate_rows + height, rate_columns : rate_columns + width] = torch.arange(height * width).view(
        height, width
    )
    nine = numbers[row : row + 2 * rate_rows + 1 : rate_rows, column : column + 2 * rate_columns + 1 : rate_columns]
    return [None if number < 0 else divmod(number, width) for number in nine.flatten().tolist()]


@answers.wrong("tap_places", "rates of rows and columns exchanged")
def places_exchanged(row, column, rate_rows, rate_columns, height, width):
    places = [(row + v * rate_columns, column + h * rate_rows) for v in (-1, 0, 1) for h in (-1, 0, 1)]
    return [(p, q) if 0 <= p < height and 0 <= q < width else None for p, q in places]


@answers.wrong("tap_places", "rate cells between two taps, one too many")
def one_too_far(row, column, rate_rows, rate_columns, height, width):
    places = [(row + v * (rate_rows + 1), column + h * (rate_columns + 1)) for v in (-1, 0, 1) for h in (-1, 0, 1)]
    return [(p, q) if 0 <= p < height and 0 <= q < width else None for p, q in places]


@answers.wrong("tap_places", "read from top to bottom, column by column")
def column_by_column(row, column, rate_rows, rate_columns, height, width):
    places = [(row + v * rate_rows, column + h * rate_columns) for h in (-1, 0, 1) for v in (-1, 0, 1)]
    return [(p, q) if 0 <= p < height and 0 <= q < width else None for p, q in places]


@answers.wrong("tap_places", "the cell is the upper left tap, not the middle one")
def cell_in_the_corner(row, column, rate_rows, rate_columns, height, width):
    places = [(row + v * rate_rows, column + h * rate_columns) for v in range(3) for h in range(3)]
    return [(p, q) if 0 <= p < height and 0 <= q < width else None for p, q in places]


@answers.wrong("tap_places", "places outside left out")
def left_out(row, column, rate_rows, rate_columns, height, width):
    places = [(row + v * rate_rows, column + h * rate_columns) for v in (-1, 0, 1) for h in (-1, 0, 1)]
    return [(p, q) for p, q in places if 0 <= p < height and 0 <= q < width]


@answers.wrong("tap_places", "places outside moved to the border")
def clamped(row, column, rate_rows, rate_columns, height, width):
    places = [(row + v * rate_rows, column + h * rate_columns) for v in (-1, 0, 1) for h in (-1, 0, 1)]
    return [(min(max(p, 0), height - 1), min(max(q, 0), width - 1)) for p, q in places]


@answers.wrong("tap_places", "only negative places are outside")
def open_below(row, column, rate_rows, rate_columns, height, width):
    places = [(row + v * rate_rows, column + h * rate_columns) for v in (-1, 0, 1) for h in (-1, 0, 1)]
    return [(p, q) if p >= 0 and q >= 0 else None for p, q in places]


@answers.wrong("tap_places", "the map has one row and one column too many")
def one_row_more(row, column, rate_rows, rate_columns, height, width):
    places = [(row + v * rate_rows, column + h * rate_columns) for v in (-1, 0, 1) for h in (-1, 0, 1)]
    return [(p, q) if 0 <= p <= height and 0 <= q <= width else None for p, q in places]


@answers.wrong("tap_places", "row 0 and column 0 are outside")
def without_row_0(row, column, rate_rows, rate_columns, height, width):
    places = [(row + v * rate_rows, column + h * rate_columns) for v in (-1, 0, 1) for h in (-1, 0, 1)]
    return [(p, q) if 0 < p < height and 0 < q < width else None for p, q in places]


@answers.right("dilated_conv")
def by_framing(x, weight, rate_rows, rate_columns):
    height, width = x.shape[2:]
    framed = F.pad(x, (rate_columns, rate_columns, rate_rows, rate_rows))
    total = 0
    for v, h in itertools.product(range(3), repeat=2):
        seen = framed[:, :, v * rate_rows :, h * rate_columns :][:, :, :height, :width]
        total = total + torch.einsum("nchw,dc->ndhw", seen, weight[:, :, v, h])
    return total


@answers.right("dilated_conv")
def by_unfolding(x, weight, rate_rows, rate_columns):
    rates = (rate_rows, rate_columns)
    columns = F.unfold(x, 3, dilation=rates, padding=rates)  # (N, C*9, H*W)
    return (weight.flatten(1) @ columns).unflatten(2, x.shape[2:])


@answers.right("dilated_conv")
def by_a_filter_full_of_holes(x, weight, rate_rows, rate_columns):
    holes = weight.new_zeros(*weight.shape[:2], 2 * rate_rows + 1, 2 * rate_columns + 1)
    holes[:, :, ::rate_rows, ::rate_columns] = weight
    return F.conv2d(x, holes, padding="same")


@answers.right("dilated_conv")
def cell_by_cell(x, weight, rate_rows, rate_columns):
    n, _, height, width = x.shape
    out = torch.zeros(n, len(weight), height, width, dtype=x.dtype)
    for p, q, v, h in itertools.product(range(height), range(width), (-1, 0, 1), (-1, 0, 1)):
        row, column = p + v * rate_rows, q + h * rate_columns
        if 0 <= row < height and 0 <= column < width:
            out[:, :, p, q] += x[:, :, row, column] @ weight[:, :, v + 1, h + 1].T
    return out


@answers.right("dilated_conv")
def by_slices(x, weight, rate_rows, rate_columns):
    rows = (slice(rate_rows, None), slice(None), slice(0, -rate_rows))
    columns = (slice(rate_columns, None), slice(None), slice(0, -rate_columns))
    out = torch.zeros_like(x[:, :1]).repeat(1, len(weight), 1, 1)
    for v, h in itertools.product(range(3), repeat=2):
        seen = x[:, :, rows[2 - v], columns[2 - h]]
        out[:, :, rows[v], columns[h]] += torch.einsum("nchw,dc->ndhw", seen, weight[:, :, v, h])
    return out


@answers.wrong("dilated_conv", "rates of rows and columns exchanged")
def conv_exchanged(x, weight, rate_rows, rate_columns):
    rates = (rate_columns, rate_rows)
    return F.conv2d(x, weight, padding=rates, dilation=rates)


@answers.wrong("dilated_conv", "padding 1, whatever the rates")
def padded_by_one(x, weight, rate_rows, rate_columns):
    return F.conv2d(x, weight, padding=1, dilation=(rate_rows, rate_columns))


@answers.wrong("dilated_conv", "the rate of the rows on both axes")
def square(x, weight, rate_rows, rate_columns):
    return F.conv2d(x, weight, padding=rate_rows, dilation=rate_rows)


@answers.wrong("dilated_conv", "rate zeros between two taps, one too many")
def conv_one_too_far(x, weight, rate_rows, rate_columns):
    rates = (rate_rows + 1, rate_columns + 1)
    return F.conv2d(x, weight, padding=rates, dilation=rates)


@answers.wrong("dilated_conv", "filters mirrored, as in a textbook's convolution")
def conv_mirrored(x, weight, rate_rows, rate_columns):
    rates = (rate_rows, rate_columns)
    return F.conv2d(x, weight.flip(-1, -2), padding=rates, dilation=rates)


@answers.wrong("dilated_conv", "the border repeated where zeros belong")
def border_repeated(x, weight, rate_rows, rate_columns):
    framed = F.pad(x, (rate_columns, rate_columns, rate_rows, rate_rows), mode="replicate")
    return F.conv2d(framed, weight, dilation=(rate_rows, rate_columns))


@answers.wrong("dilated_conv", "all channels weighted like the first")
def first_channel_for_all(x, weight, rate_rows, rate_columns):
    rates = (rate_rows, rate_columns)
    return F.conv2d(x.sum(1, keepdim=True), weight[:, :1], padding=rates, dilation=rates)


@answers.wrong("dilated_conv", "the result always in single precision")
def always_float32(x, weight, rate_rows, rate_columns):
    height, width = x.shape[2:]
    framed = F.pad(x, (rate_columns, rate_columns, rate_rows, rate_rows))
    out = torch.zeros(len(x), len(weight), height, width)
    for v, h in itertools.product(range(3), repeat=2):
        seen = framed[:, :, v * rate_rows :, h * rate_columns :][:, :, :height, :width]
        out += torch.einsum("nchw,dc->ndhw", seen, weight[:, :, v, h])
    return out


@answers.wrong("dilated_conv", "slices that a rate larger than the map turns around")
def slices_from_the_end(x, weight, rate_rows, rate_columns):
    height, width = x.shape[2:]
    rows = (slice(rate_rows, None), slice(0, height), slice(0, height - rate_rows))
    columns = (slice(rate_columns, None), slice(0, width), slice(0, width - rate_columns))
    out = x.new_zeros(len(x), len(weight), height, width)
    for v, h in itertools.product(range(3), repeat=2):
        seen = x[:, :, rows[2 - v], columns[2 - h]]
        out[:, :, rows[v], columns[h]] += torch.einsum("nchw,dc->ndhw", seen, weight[:, :, v, h])
    return out


@answers.right("meshgrid_loop")
def into_one_tensor(x, weight, rates):
    m, depth = len(rates), weight.shape[2]
    out = x.new_zeros(len(x), m * m * depth, *x.shape[2:])
    for a, b in itertools.product(range(m), repeat=2):
        start, pair = (a * m + b) * depth, (rates[a], rates[b])
        out[:, start : start + depth] = F.conv2d(x, weight[a, b], padding=pair, dilation=pair)
    return out


@answers.right("meshgrid_loop")
def one_filter_full_of_holes(x, weight, rates):
    (m, _, depth, channels), far = weight.shape[:4], max(rates)
    holes = weight.new_zeros(m, m, depth, channels, 2 * far + 1, 2 * far + 1)
    for (a, i), (b, j) in itertools.product(enumerate(rates), repeat=2):
        holes[a, b, :, :, far - i : far + i + 1 : i, far - j : far + j + 1 : j] = weight[a, b]
    return F.conv2d(x, holes.flatten(0, 2), padding=far)


@answers.right("meshgrid_loop")
def by_unfolding_each_pair(x, weight, rates):
    outputs = []
    for a, b in itertools.product(range(len(rates)), repeat=2):
        columns = F.unfold(x, 3, dilation=(rates[a], rates[b]), padding=(rates[a], rates[b]))
        outputs.append(torch.einsum("df,nfp->ndp", weight[a, b].flatten(1), columns))
    return torch.cat(outputs, 1).unflatten(2, x.shape[2:])


@answers.right("meshgrid_loop")
def weighted_first(x, weight, rates):
    (height, width), far = x.shape[2:], max(rates)
    taps = torch.einsum("nchw,abdcvk->nabdvkhw", x, weight)
    taps = F.pad(taps, (far, far, far, far))
    rows = []
    for a, i in enumerate(rates):
        columns = []
        for b, j in enumerate(rates):
            nine = [
                taps[:, a, b, :, v + 1, h + 1, far + v * i :, far + h * j :][:, :, :height, :width]
                for v in (-1, 0, 1)
                for h in (-1, 0, 1)
            ]
            columns.append(torch.stack(nine).sum(0))
        rows.append(torch.stack(columns, 1))
    return torch.stack(rows, 1).flatten(1, 3)


@answers.wrong("meshgrid_loop", "the column rate is the slowest")
def columns_outside(x, weight, rates):
    outputs = []
    for b, j in enumerate(rates):
        for a, i in enumerate(rates):
            outputs.append(F.conv2d(x, weight[a, b], padding=(i, j), dilation=(i, j)))
    return torch.cat(outputs, 1)


@answers.wrong("meshgrid_loop", "d is the slowest")
def depth_outside(x, weight, rates):
    outputs = []
    for a, i in enumerate(rates):
        for b, j in enumerate(rates):
            outputs.append(F.conv2d(x, weight[a, b], padding=(i, j), dilation=(i, j)))
    return torch.stack(outputs, 2).flatten(1, 2)


@answers.wrong("meshgrid_loop", "rates[a] for the columns and rates[b] for the rows")
def loop_exchanged(x, weight, rates):
    outputs = []
    for a, j in enumerate(rates):
        for b, i in enumerate(rates):
            outputs.append(F.conv2d(x, weight[a, b], padding=(i, j), dilation=(i, j)))
    return torch.cat(outputs, 1)


@answers.wrong("meshgrid_loop", "the rates 1 to M, whatever was asked for")
def counted(x, weight, rates):
    outputs = []
    for a, b in itertools.product(range(len(rates)), repeat=2):
        pair = (a + 1, b + 1)
        outputs.append(F.conv2d(x, weight[a, b], padding=pair, dilation=pair))
    return torch.cat(outputs, 1)


@answers.wrong("meshgrid_loop", "only the pairs of equal rates")
def diagonal(x, weight, rates):
    outputs = [F.conv2d(x, weight[a, a], padding=i, dilation=i) for a, i in enumerate(rates)]
    return torch.cat(outputs, 1)


@answers.wrong("meshgrid_loop", "filters mirrored, as in a textbook's convolution")
def loop_mirrored(x, weight, rates):
    outputs = []
    for (a, i), (b, j) in itertools.product(enumerate(rates), repeat=2):
        outputs.append(F.conv2d(x, weight[a, b].flip(-2, -1), padding=(i, j), dilation=(i, j)))
    return torch.cat(outputs, 1)


@answers.wrong("meshgrid_loop", "no gradient reaches the weights")
def weights_detached(x, weight, rates):
    outputs = []
    for (a, i), (b, j) in itertools.product(enumerate(rates), repeat=2):
        outputs.append(F.conv2d(x, torch.tensor(weight[a, b].tolist()), padding=(i, j), dilation=(i, j)))
    return torch.cat(outputs, 1)


@answers.wrong("meshgrid_loop", "only the first image of the batch")
def first_image(x, weight, rates):
    outputs = []
    for (a, i), (b, j) in itertools.product(enumerate(rates), repeat=2):
        outputs.append(F.conv2d(x[0], weight[a, b], padding=(i, j), dilation=(i, j)))
    return torch.cat(outputs)[None]


@answers.right("default_depth")
def by_counting(num_rates):
    depth = 1
    while num_rates * num_rates * depth < 1280 or num_rates * num_rates * depth % 16 != 0:
        depth += 1
    return depth


@answers.right("default_depth")
def by_the_number_of_channels(num_rates):
    return next(channels for channels in itertools.count(1280, 16) if channels % num_rates**2 == 0) // num_rates**2


@answers.right("default_depth")
def by_the_least_common_multiple(num_rates):
    step = math.lcm(num_rates**2, 16)
    return math.ceil(1280 / step) * step // num_rates**2


@answers.right("default_depth")
def by_trying_all_at_once(num_rates):
    channels = num_rates**2 * np.arange(1, 1281 + 16)
    return int(np.flatnonzero((channels >= 1280) & (channels % 16 == 0))[0]) + 1


@answers.wrong("default_depth", "the paper's formula")
def formula(num_rates):
    return round(1280 / num_rates**2)


@answers.wrong("default_depth", "at least 1280, but not a multiple of 16")
def rounded_up(num_rates):
    return math.ceil(1280 / num_rates**2)


@answers.wrong("default_depth", "1296 channels always")
def always_1296(num_rates):
    return 1296 // num_rates**2


@answers.wrong("default_depth", "more than 1280, so not 1280 itself")
def more_than_1280(num_rates):
    depth = 1
    while num_rates**2 * depth <= 1280 or num_rates**2 * depth % 16:
        depth += 1
    return depth


@answers.wrong("default_depth", "D itself is a multiple of 16")
def depth_of_16(num_rates):
    return 16 * math.ceil(1280 / (16 * num_rates**2))


@answers.wrong("default_depth", "M outputs, not M times M")
def one_axis(num_rates):
    depth = 1
    while num_rates * depth < 1280 or num_rates * depth % 16:
        depth += 1
    return depth


@answers.wrong("default_depth", "a float")
def as_a_float(num_rates):
    step = math.lcm(num_rates**2, 16)
    return math.ceil(1280 / step) * step / num_rates**2


@answers.right("consensus")
def with_axes_for_the_pair(y, scale, shift, score):
    m = len(score)
    grid = y.unflatten(1, (m, m, -1))  # (N, M, M, D, H, W)
    scale, shift = (one.view(m, m, -1, 1, 1) for one in (scale, shift))
    return (score[:, :, None, None, None] * torch.relu(grid * scale + shift)).flatten(1, 3)


@answers.right("consensus")
def by_einsum(y, scale, shift, score):
    normed = torch.einsum("nkhw,k->nkhw", y, scale) + shift[None, :, None, None]
    grid = normed.clamp(min=0).unflatten(1, (*score.shape, -1))
    return torch.einsum("nabdhw,ab->nabdhw", grid, score).flatten(1, 3)


@answers.right("consensus")
def channel_by_channel(y, scale, shift, score):
    depth, channels = y.shape[1] // score.numel(), []
    for k in range(y.shape[1]):
        a, b = divmod(k // depth, len(score))
        channels.append(score[a, b] * F.relu(scale[k] * y[:, k] + shift[k]))
    return torch.stack(channels, 1)


@answers.right("consensus")
def by_batch_norm(y, scale, shift, score):
    mean, variance = torch.zeros_like(scale.detach()), torch.ones_like(scale.detach())
    normed = F.batch_norm(y, mean, variance, scale, shift, training=False, eps=0.0)
    factors = torch.kron(score.flatten(), torch.ones(y.shape[1] // score.numel()))
    return torch.where(normed > 0, normed, 0.0) * factors.reshape(1, -1, 1, 1)


@answers.wrong("consensus", "score before batch norm")
def before_batch_norm(y, scale, shift, score):
    s = score.flatten().repeat_interleave(y.shape[1] // score.numel()).view(-1, 1, 1)
    return F.relu(scale.view(-1, 1, 1) * (s * y) + shift.view(-1, 1, 1))


@answers.wrong("consensus", "score between batch norm and ReLU")
def before_relu(y, scale, shift, score):
    s = score.flatten().repeat_interleave(y.shape[1] // score.numel()).view(-1, 1, 1)
    return F.relu(s * (scale.view(-1, 1, 1) * y + shift.view(-1, 1, 1)))


@answers.wrong("consensus", "score transposed")
def transposed(y, scale, shift, score):
    s = score.T.flatten().repeat_interleave(y.shape[1] // score.numel()).view(-1, 1, 1)
    return s * F.relu(scale.view(-1, 1, 1) * y + shift.view(-1, 1, 1))


@answers.wrong("consensus", "d slower than the pairs")
def repeated(y, scale, shift, score):
    s = score.flatten().repeat(y.shape[1] // score.numel()).view(-1, 1, 1)
    return s * F.relu(scale.view(-1, 1, 1) * y + shift.view(-1, 1, 1))


@answers.wrong("consensus", "no ReLU")
def without_relu(y, scale, shift, score):
    s = score.flatten().repeat_interleave(y.shape[1] // score.numel()).view(-1, 1, 1)
    return s * (scale.view(-1, 1, 1) * y + shift.view(-1, 1, 1))


@answers.wrong("consensus", "shift first, then scale")
def shift_first(y, scale, shift, score):
    s = score.flatten().repeat_interleave(y.shape[1] // score.numel()).view(-1, 1, 1)
    return s * F.relu(scale.view(-1, 1, 1) * (y + shift.view(-1, 1, 1)))


@answers.wrong("consensus", "scores through a sigmoid")
def squashed(y, scale, shift, score):
    s = score.sigmoid().flatten().repeat_interleave(y.shape[1] // score.numel()).view(-1, 1, 1)
    return s * F.relu(scale.view(-1, 1, 1) * y + shift.view(-1, 1, 1))


@answers.wrong("consensus", "scores through a softmax")
def voted(y, scale, shift, score):
    s = score.flatten().softmax(0).repeat_interleave(y.shape[1] // score.numel()).view(-1, 1, 1)
    return s * F.relu(scale.view(-1, 1, 1) * y + shift.view(-1, 1, 1))


@answers.wrong("consensus", "a second ReLU behind the score")
def relu_twice(y, scale, shift, score):
    s = score.flatten().repeat_interleave(y.shape[1] // score.numel()).view(-1, 1, 1)
    return F.relu(s * F.relu(scale.view(-1, 1, 1) * y + shift.view(-1, 1, 1)))


@answers.wrong("consensus", "y changed in place")
def in_place(y, scale, shift, score):
    s = score.flatten().repeat_interleave(y.shape[1] // score.numel()).view(-1, 1, 1)
    y *= scale.view(-1, 1, 1)
    y += shift.view(-1, 1, 1)
    return s * F.relu(y)


@answers.wrong("consensus", "no gradient reaches the scores")
def scores_as_numbers(y, scale, shift, score):
    depth, channels = y.shape[1] // score.numel(), []
    for k, s in enumerate(number for row in score.tolist() for number in row for _ in range(depth)):
        channels.append(s * F.relu(scale[k] * y[:, k] + shift[k]))
    return torch.stack(channels, 1)


@answers.wrong("consensus", "no gradient reaches anything")
def by_numpy_alone(y, scale, shift, score):
    y, scale, shift, score = (one.detach().numpy() for one in (y, scale, shift, score))
    factors = np.repeat(score.flatten(), y.shape[1] // score.size)[:, None, None]
    return torch.from_numpy(factors * np.maximum(scale[:, None, None] * y + shift[:, None, None], 0))


@answers.right("tap_responses")
def responses_by_einsum(x, weight):
    return torch.einsum("nchw,abdcij->nabdijhw", x, weight)


@answers.right("tap_responses")
def as_a_convolution(x, weight):
    filters = weight.movedim(3, -1).reshape(-1, x.shape[1], 1, 1)
    return F.conv2d(x, filters).unflatten(1, (*weight.shape[:3], 3, 3))


@answers.right("tap_responses")
def tap_by_tap(x, weight):
    n, c, height, width = x.shape
    out = torch.empty(n, *weight.shape[:3], 3, 3, height, width)
    for v, h in itertools.product(range(3), repeat=2):
        rows = weight[..., v, h].reshape(-1, c)
        for image in range(n):
            out[image, :, :, :, v, h] = (rows @ x[image].reshape(c, -1)).view(*weight.shape[:3], height, width)
    return out


@answers.right("tap_responses")
def channels_last(x, weight):
    answered = torch.tensordot(x.permute(0, 2, 3, 1), weight, dims=([3], [3]))  # (N, H, W, M, M, D, 3, 3)
    return answered.permute(0, 3, 4, 5, 6, 7, 1, 2)


@answers.wrong("tap_responses", "weights reshaped without a permute")
def reshaped(x, weight):
    rows = weight.reshape(-1, x.shape[1])
    return (rows @ x.flatten(2)).view(len(x), *weight.shape[:3], 3, 3, *x.shape[2:])


@answers.wrong("tap_responses", "row and column rate exchanged")
def pairs_exchanged(x, weight):
    return torch.einsum("nchw,badcij->nabdijhw", x, weight)


@answers.wrong("tap_responses", "rows and columns of the taps exchanged")
def taps_exchanged(x, weight):
    return torch.einsum("nchw,abdcji->nabdijhw", x, weight)


@answers.wrong("tap_responses", "filters mirrored")
def taps_mirrored(x, weight):
    return torch.einsum("nchw,abdcij->nabdijhw", x, weight.flip(-2, -1))


@answers.wrong("tap_responses", "images and cells mixed by a view")
def images_mixed(x, weight):
    pixels = x.transpose(0, 1).flatten(1)  # (C, N*H*W)
    answered = weight.permute(0, 1, 2, 4, 5, 3) @ pixels  # (M, M, D, 3, 3, N*H*W)
    return answered.reshape(len(x), *weight.shape[:3], 3, 3, *x.shape[2:])


@answers.wrong("tap_responses", "the mean over the channels, not their sum")
def averaged(x, weight):
    return torch.einsum("nchw,abdcij->nabdijhw", x, weight) / x.shape[1]


@answers.wrong("tap_responses", "no axis for the images")
def first_image_answered(x, weight):
    return torch.einsum("chw,abdcij->abdijhw", x[0], weight)


@answers.right("shift_and_add")
def rows_first(responses, rates):
    height, width = responses.shape[-2:]
    part = responses[:, :, :, :, 1].clone()  # (N, M, M, D, 3, H, W)
    for a, rate in enumerate(rates):
        if rate < height:
            part[:, a, ..., rate:, :] += responses[:, a, :, :, 0, :, : height - rate, :]
            part[:, a, ..., : height - rate, :] += responses[:, a, :, :, 2, :, rate:, :]
    out = part[:, :, :, :, 1].clone()  # (N, M, M, D, H, W)
    for b, rate in enumerate(rates):
        if rate < width:
            out[:, :, b, ..., rate:] += part[:, :, b, :, 0, :, : width - rate]
            out[:, :, b, ..., : width - rate] += part[:, :, b, :, 2, :, rate:]
    return out.flatten(1, 3)


@answers.right("shift_and_add")
def rolled_and_masked(responses, rates):
    height, width = responses.shape[-2:]
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    outputs = []
    for (a, i), (b, j) in itertools.product(enumerate(rates), repeat=2):
        total = torch.zeros_like(responses[:, a, b, :, 0, 0])
        for v, h in itertools.product((-1, 0, 1), repeat=2):
            row, column = rows + v * i, columns + h * j
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            total += inside * responses[:, a, b, :, v + 1, h + 1].roll((-v * i, -h * j), (-2, -1))
        outputs.append(total)
    return torch.cat(outputs, 1)


@answers.right("shift_and_add")
def folded(responses, rates):
    n, m, _, depth, _, _, height, width = responses.shape
    mirrored = responses.flip(4, 5)  # fold sends numbers where a convolution would fetch them
    outputs = []
    for a, b in itertools.product(range(m), repeat=2):
        taps = mirrored[:, a, b].reshape(n, depth * 9, height * width)
        pair = (rates[a], rates[b])
        outputs.append(F.fold(taps, (height, width), 3, dilation=pair, padding=pair))
    return torch.cat(outputs, 1)


@answers.right("shift_and_add")
def as_a_convolution_that_picks(responses, rates):
    n, m, _, depth, _, _, height, width = responses.shape
    pick = torch.eye(9, dtype=responses.dtype).view(1, 9, 3, 3).repeat(depth, 1, 1, 1)
    outputs = []
    for a, b in itertools.product(range(m), repeat=2):
        taps, pair = responses[:, a, b].reshape(n, depth * 9, height, width), (rates[a], rates[b])
        outputs.append(F.conv2d(taps, pick, padding=pair, dilation=pair, groups=depth))
    return torch.cat(outputs, 1)


@answers.right("shift_and_add")
def number_by_number(responses, rates):
    n, m, _, depth, _, _, height, width = responses.shape
    out = torch.zeros(n, m, m, depth, height, width, dtype=responses.dtype)
    cells = itertools.product(range(m), range(m), range(height), range(width), range(3), range(3))
    for a, b, p, q, v, h in cells:
        row, column = p + (v - 1) * rates[a], q + (h - 1) * rates[b]
        if row in range(height) and column in range(width):
            out[:, a, b, :, p, q] += responses[:, a, b, :, v, h, row, column]
    return out.view(n, -1, height, width)


@answers.wrong("shift_and_add", "shifted in the wrong direction")
def wrong_direction(responses, rates):
    height, width = responses.shape[-2:]
    outputs = []
    for (a, i), (b, j) in itertools.product(enumerate(rates), repeat=2):
        framed, total = F.pad(responses[:, a, b], (j, j, i, i)), 0
        for v, h in itertools.product((-1, 0, 1), repeat=2):
            total = total + framed[:, :, v + 1, h + 1, i - v * i :, j - h * j :][..., :height, :width]
        outputs.append(total)
    return torch.cat(outputs, 1)


@answers.wrong("shift_and_add", "torch.roll brings back what left the map")
def rolled(responses, rates):
    outputs = []
    for (a, i), (b, j) in itertools.product(enumerate(rates), repeat=2):
        nine = itertools.product((-1, 0, 1), repeat=2)
        outputs.append(sum(responses[:, a, b, :, v + 1, h + 1].roll((-v * i, -h * j), (-2, -1)) for v, h in nine))
    return torch.cat(outputs, 1)


@answers.wrong("shift_and_add", "nothing shifted")
def added_only(responses, rates):
    return responses.sum((4, 5)).flatten(1, 3)


@answers.wrong("shift_and_add", "rates[a] for the columns and rates[b] for the rows")
def shifts_exchanged(responses, rates):
    height, width = responses.shape[-2:]
    outputs = []
    for (a, j), (b, i) in itertools.product(enumerate(rates), repeat=2):
        framed, total = F.pad(responses[:, a, b], (j, j, i, i)), 0
        for v, h in itertools.product(range(3), repeat=2):
            total = total + framed[:, :, v, h, v * i : v * i + height, h * j : h * j + width]
        outputs.append(total)
    return torch.cat(outputs, 1)


@answers.wrong("shift_and_add", "d slower than the pairs")
def depth_slowest(responses, rates):
    height, width = responses.shape[-2:]
    outputs = []
    for (a, i), (b, j) in itertools.product(enumerate(rates), repeat=2):
        framed, total = F.pad(responses[:, a, b], (j, j, i, i)), 0
        for v, h in itertools.product(range(3), repeat=2):
            total = total + framed[:, :, v, h, v * i : v * i + height, h * j : h * j + width]
        outputs.append(total)
    return torch.stack(outputs, 2).flatten(1, 2)


@answers.wrong("shift_and_add", "the column rate is the slowest")
def column_rate_slowest(responses, rates):
    height, width = responses.shape[-2:]
    outputs = []
    for (b, j), (a, i) in itertools.product(enumerate(rates), repeat=2):
        framed, total = F.pad(responses[:, a, b], (j, j, i, i)), 0
        for v, h in itertools.product(range(3), repeat=2):
            total = total + framed[:, :, v, h, v * i : v * i + height, h * j : h * j + width]
        outputs.append(total)
    return torch.cat(outputs, 1)


@answers.wrong("shift_and_add", "slices that a rate larger than the map turns around")
def counted_from_the_end(responses, rates):
    height, width = responses.shape[-2:]
    part = responses[:, :, :, :, 1].clone()
    for a, rate in enumerate(rates):
        part[:, a, ..., rate:, :] += responses[:, a, :, :, 0, :, : height - rate, :]
        part[:, a, ..., : height - rate, :] += responses[:, a, :, :, 2, :, rate:, :]
    out = part[:, :, :, :, 1].clone()
    for b, rate in enumerate(rates):
        out[:, :, b, ..., rate:] += part[:, :, b, :, 0, :, : width - rate]
        out[:, :, b, ..., : width - rate] += part[:, :, b, :, 2, :, rate:]
    return out.flatten(1, 3)


@answers.wrong("shift_and_add", "the rates 1 to M, whatever was asked for")
def shifts_counted(responses, rates):
    height, width = responses.shape[-2:]
    outputs = []
    for a, b in itertools.product(range(len(rates)), repeat=2):
        i, j = a + 1, b + 1
        framed, total = F.pad(responses[:, a, b], (j, j, i, i)), 0
        for v, h in itertools.product(range(3), repeat=2):
            total = total + framed[:, :, v, h, v * i : v * i + height, h * j : h * j + width]
        outputs.append(total)
    return torch.cat(outputs, 1)


@answers.wrong("shift_and_add", "the result always in single precision")
def sums_in_float32(responses, rates):
    n, m, _, depth, _, _, height, width = responses.shape
    out = torch.zeros(n, m, m, depth, height, width)
    for (a, i), (b, j) in itertools.product(enumerate(rates), repeat=2):
        framed = F.pad(responses[:, a, b], (j, j, i, i))
        for v, h in itertools.product(range(3), repeat=2):
            out[:, a, b] += framed[:, :, v, h, v * i : v * i + height, h * j : h * j + width]
    return out.flatten(1, 3)


@answers.wrong("shift_and_add", "added into the responses themselves")
def into_the_responses(responses, rates):
    height, width = responses.shape[-2:]
    total = responses[:, :, :, :, 1, 1]
    for (a, i), (b, j) in itertools.product(enumerate(rates), repeat=2):
        framed = F.pad(responses[:, a, b], (j, j, i, i))
        for v, h in itertools.product(range(3), repeat=2):
            if (v, h) != (1, 1):
                total[:, a, b] += framed[:, :, v, h, v * i : v * i + height, h * j : h * j + width]
    return total.flatten(1, 3)

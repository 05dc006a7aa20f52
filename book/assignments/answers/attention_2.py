"""Other right answers to assignment 2, and wrong ones with what is wrong about them."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from spacemeshlab.course.answers import Answers

answers = Answers("2-attention")


# A1 source_of: right


@answers.right("source_of")
def by_rounding_down(channel, row, column, factor):
    u = row - factor * math.floor(row / factor)
    v = column - factor * math.floor(column / factor)
    return channel * factor * factor + u * factor + v, math.floor(row / factor), math.floor(column / factor)


@answers.right("source_of")
def by_counting(channel, row, column, factor):
    p = q = 0
    while row >= factor:
        row, p = row - factor, p + 1
    while column >= factor:
        column, q = column - factor, q + 1
    return (channel * factor + row) * factor + column, p, q


@answers.right("source_of")
def by_trying_everything(channel, row, column, factor):
    for p in range(row + 1):
        for q in range(column + 1):
            for u in range(factor):
                for v in range(factor):
                    if (p * factor + u, q * factor + v) == (row, column):
                        return channel * factor**2 + u * factor + v, p, q


@answers.right("source_of")
def by_following_a_mark(channel, row, column, factor):
    h, w = row // factor + 1, column // factor + 1
    shape = ((channel + 1) * factor**2, h, w)
    addresses = torch.arange(math.prod(shape)).view(channel + 1, factor, factor, h, w)
    fine = addresses.permute(0, 3, 1, 4, 2).reshape(channel + 1, h * factor, w * factor)
    return [int(i) for i in np.unravel_index(int(fine[channel, row, column]), shape)]


# A1 source_of: wrong


@answers.wrong("source_of", "row and column of the phase exchanged")
def transposed_phase(channel, row, column, factor):
    return channel * factor**2 + column % factor * factor + row % factor, row // factor, column // factor


@answers.wrong("source_of", "quotient and remainder exchanged")
def quotient_for_remainder(channel, row, column, factor):
    return channel * factor**2 + row // factor * factor + column // factor, row % factor, column % factor


@answers.wrong("source_of", "factor channels a patch instead of factor squared")
def too_few_channels(channel, row, column, factor):
    return channel * factor + row % factor * factor + column % factor, row // factor, column // factor


@answers.wrong("source_of", "the fine channel forgotten")
def channel_forgotten(channel, row, column, factor):
    return row % factor * factor + column % factor, row // factor, column // factor


@answers.wrong("source_of", "the way of the unshuffle")
def the_other_way(channel, row, column, factor):
    phase = channel % factor**2
    return channel // factor**2, row * factor + phase // factor, column * factor + phase % factor


@answers.wrong("source_of", "a division that leaves fractions")
def fractions(channel, row, column, factor):
    return channel * factor**2 + row % factor * factor + column % factor, row / factor, column / factor


@answers.wrong("source_of", "rounded to the nearest patch")
def nearest_patch(channel, row, column, factor):
    return channel * factor**2 + row % factor * factor + column % factor, round(row / factor), round(column / factor)


@answers.wrong("source_of", "two times factor for factor squared: the same at 2 only")
def double_for_square(channel, row, column, factor):
    return channel * 2 * factor + row % factor * factor + column % factor, row // factor, column // factor


@answers.wrong("source_of", "the phase counted in rows of two: right at 2 only")
def rows_of_two(channel, row, column, factor):
    return channel * factor**2 + row % factor * 2 + column % factor, row // factor, column // factor


@answers.wrong("source_of", "the channel only")
def channel_only(channel, row, column, factor):
    return channel * factor**2 + row % factor * factor + column % factor


# A2 pixel_shuffle: right


@answers.right("pixel_shuffle")
def shuffle_by_loop(x, factor):
    n, channels, h, w = x.shape
    y = torch.empty(n, channels // factor**2, h * factor, w * factor)
    for c, u, v, p, q in np.ndindex(channels // factor**2, factor, factor, h, w):
        y[:, c, p * factor + u, q * factor + v] = x[:, c * factor**2 + u * factor + v, p, q]
    return y


@answers.right("pixel_shuffle")
def shuffle_by_slices(x, factor):
    n, channels, h, w = x.shape
    y = x.new_zeros(n, channels // factor**2, h * factor, w * factor)
    for phase in range(factor**2):
        y[:, :, phase // factor :: factor, phase % factor :: factor] = x[:, phase :: factor**2]
    return y


@answers.right("pixel_shuffle")
def shuffle_by_einsum(x, factor):
    n, channels, h, w = x.shape
    split = x.reshape(n, channels // factor**2, factor, factor, h, w)
    return torch.einsum("ncuvpq->ncpuqv", split).reshape(n, -1, h * factor, w * factor)


@answers.right("pixel_shuffle")
def shuffle_by_transposed_convolution(x, factor):
    channels = x.shape[1] // factor**2
    stamps = torch.eye(factor**2).view(factor**2, 1, factor, factor).repeat(channels, 1, 1, 1)
    return F.conv_transpose2d(x, stamps, stride=factor, groups=channels)


@answers.right("pixel_shuffle")
def shuffle_by_fold(x, factor):
    h, w = x.shape[2:]
    return F.fold(x.flatten(2), (h * factor, w * factor), kernel_size=factor, stride=factor)


@answers.right("pixel_shuffle")
def shuffle_columns_then_rows(x, factor):
    n, _, h, w = x.shape
    wide = torch.stack([x[:, v::factor] for v in range(factor)], dim=-1).reshape(n, -1, h, w * factor)
    return torch.stack([wide[:, u::factor] for u in range(factor)], dim=3).reshape(n, -1, h * factor, w * factor)


@answers.right("pixel_shuffle")
def shuffle_by_addresses(x, factor):
    channels, h, w = x.shape[1:]
    c, row, column = np.indices((channels // factor**2, h * factor, w * factor))
    return x[:, c * factor**2 + row % factor * factor + column % factor, row // factor, column // factor]


# A2 pixel_shuffle: wrong


@answers.wrong("pixel_shuffle", "a view and no more")
def view_alone(x, factor):
    n, channels, h, w = x.shape
    return x.reshape(n, channels // factor**2, h * factor, w * factor)


@answers.wrong("pixel_shuffle", "TensorFlow's order of the channels")
def depth_to_space(x, factor):
    x = x.unflatten(1, (factor, factor, -1)).permute(0, 3, 4, 1, 5, 2)
    return x.flatten(4, 5).flatten(2, 3)


@answers.wrong("pixel_shuffle", "row and column of the phase exchanged")
def shuffle_with_transposed_patches(x, factor):
    x = x.unflatten(1, (-1, factor, factor)).permute(0, 1, 4, 3, 5, 2)
    return x.flatten(4, 5).flatten(2, 3)


@answers.wrong("pixel_shuffle", "channels as tiles of a mosaic")
def mosaic(x, factor):
    x = x.unflatten(1, (-1, factor, factor)).permute(0, 1, 2, 4, 3, 5)
    return x.flatten(4, 5).flatten(2, 3)


@answers.wrong("pixel_shuffle", "rows and columns of the map exchanged")
def transposed_map(x, factor):
    x = x.unflatten(1, (-1, factor, factor)).permute(0, 1, 5, 3, 4, 2)
    return x.flatten(4, 5).flatten(2, 3)


@answers.wrong("pixel_shuffle", "the mean of each patch, enlarged")
def enlarged_mean(x, factor):
    return F.interpolate(x.unflatten(1, (-1, factor**2)).mean(2), scale_factor=factor)


@answers.wrong("pixel_shuffle", "cut off from the gradient")
def detached(x, factor):
    x = x.detach().unflatten(1, (-1, factor, factor)).permute(0, 1, 4, 2, 5, 3)
    return x.flatten(4, 5).flatten(2, 3)


@answers.wrong("pixel_shuffle", "height and width exchanged in the last reshape: seen only where they differ")
def for_squares_only(x, factor):
    n, channels, h, w = x.shape
    x = x.reshape(n, channels // factor**2, factor, factor, h, w).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(n, channels // factor**2, w * factor, h * factor)


@answers.wrong("pixel_shuffle", "the first image only")
def shuffle_the_first(x, factor):
    one = x[0].unflatten(0, (-1, factor, factor)).permute(0, 3, 1, 4, 2)
    return one.flatten(3, 4).flatten(1, 2)[None]


@answers.wrong("pixel_shuffle", "always by 2")
def always_by_two(x, factor):
    x = x.unflatten(1, (-1, 2, 2)).permute(0, 1, 4, 2, 5, 3)
    return x.flatten(4, 5).flatten(2, 3)


@answers.wrong("pixel_shuffle", "nothing returned")
def shuffle_without_return(x, factor):
    x.unflatten(1, (-1, factor, factor)).permute(0, 1, 4, 2, 5, 3)


# A3 pixel_unshuffle: right


def refuse_odd_sizes(x, factor):
    if x.shape[2] % factor or x.shape[3] % factor:
        raise ValueError(f"{tuple(x.shape[2:])} cannot be cut into patches of {factor}×{factor}")


@answers.right("pixel_unshuffle")
def unshuffle_by_slices(x, factor):
    refuse_odd_sizes(x, factor)
    phases = [x[:, :, u::factor, v::factor] for u in range(factor) for v in range(factor)]
    return torch.stack(phases, dim=2).flatten(1, 2)


@answers.right("pixel_unshuffle")
def unshuffle_by_unfold(x, factor):
    refuse_odd_sizes(x, factor)
    n, _, rows, columns = x.shape
    return F.unfold(x, factor, stride=factor).view(n, -1, rows // factor, columns // factor)


@answers.right("pixel_unshuffle")
def unshuffle_by_convolution(x, factor):
    refuse_odd_sizes(x, factor)
    channels = x.shape[1]
    filters = torch.eye(factor**2).view(factor**2, 1, factor, factor).repeat(channels, 1, 1, 1)
    return F.conv2d(x, filters, stride=factor, groups=channels)


@answers.right("pixel_unshuffle")
def unshuffle_by_loop(x, factor):
    refuse_odd_sizes(x, factor)
    n, channels, rows, columns = x.shape
    z = torch.zeros(n, channels * factor**2, rows // factor, columns // factor)
    for c, row, column in np.ndindex(channels, rows, columns):
        (p, u), (q, v) = divmod(row, factor), divmod(column, factor)
        z[:, c * factor**2 + u * factor + v, p, q] = x[:, c, row, column]
    return z


@answers.right("pixel_unshuffle")
def unshuffle_channels_last(x, factor):
    n, channels, rows, columns = x.shape
    h, w = rows // factor, columns // factor
    if (h * factor, w * factor) != (rows, columns):
        raise ValueError
    last = x.permute(0, 2, 3, 1).reshape(n, h, factor, w, factor, channels)
    return last.permute(0, 1, 3, 5, 2, 4).reshape(n, h, w, channels * factor**2).permute(0, 3, 1, 2)


# A3 pixel_unshuffle: wrong


@answers.wrong("pixel_unshuffle", "phases joined one after the other: TensorFlow's order")
def space_to_depth(x, factor):
    refuse_odd_sizes(x, factor)
    return torch.cat([x[:, :, u::factor, v::factor] for u in range(factor) for v in range(factor)], dim=1)


@answers.wrong("pixel_unshuffle", "row and column of the phase exchanged")
def unshuffle_with_transposed_patches(x, factor):
    refuse_odd_sizes(x, factor)
    phases = [x[:, :, u::factor, v::factor] for v in range(factor) for u in range(factor)]
    return torch.stack(phases, dim=2).flatten(1, 2)


@answers.wrong("pixel_unshuffle", "tiles in place of phases")
def tiles(x, factor):
    refuse_odd_sizes(x, factor)
    parts = [part for half in x.chunk(factor, dim=2) for part in half.chunk(factor, dim=3)]
    return torch.stack(parts, dim=2).flatten(1, 2)


@answers.wrong("pixel_unshuffle", "a view and no more")
def unshuffle_by_view(x, factor):
    refuse_odd_sizes(x, factor)
    n, channels, rows, columns = x.shape
    return x.reshape(n, channels * factor**2, rows // factor, columns // factor)


@answers.wrong("pixel_unshuffle", "odd sizes not looked at: torch's RuntimeError")
def no_check(x, factor):
    x = x.unflatten(3, (-1, factor)).unflatten(2, (-1, factor))
    return x.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)


@answers.wrong("pixel_unshuffle", "rows and columns too many cut off in silence")
def cut_off(x, factor):
    x = x[:, :, : x.shape[2] // factor * factor, : x.shape[3] // factor * factor]
    return no_check(x, factor)


@answers.wrong("pixel_unshuffle", "only the rows looked at")
def rows_checked(x, factor):
    if x.shape[2] % factor:
        raise ValueError("rows")
    return no_check(x, factor)


@answers.wrong("pixel_unshuffle", "refuses only where both sizes are wrong")
def both_checked(x, factor):
    if x.shape[2] % factor and x.shape[3] % factor:
        raise ValueError("rows and columns")
    return no_check(x, factor)


@answers.wrong("pixel_unshuffle", "an assert in place of ValueError")
def asserted(x, factor):
    assert x.shape[2] % factor == x.shape[3] % factor == 0
    return no_check(x, factor)


@answers.wrong("pixel_unshuffle", "the mean of each patch")
def pooled(x, factor):
    refuse_odd_sizes(x, factor)
    return F.avg_pool2d(x, factor).repeat_interleave(factor**2, dim=1)


@answers.wrong("pixel_unshuffle", "as many columns as rows: seen only where they differ")
def unshuffle_squares(x, factor):
    refuse_odd_sizes(x, factor)
    n, channels, rows, _ = x.shape
    side = rows // factor
    x = x.reshape(n, channels, side, factor, side, factor)
    return x.permute(0, 1, 3, 5, 2, 4).reshape(n, channels * factor**2, side, side)


@answers.wrong("pixel_unshuffle", "always by 2")
def unshuffle_by_two(x, factor):
    refuse_odd_sizes(x, factor)
    return no_check(x, 2)


# B1 head_maps: right


@answers.right("head_maps")
def maps_by_loop(x, heads):
    maps = []
    for own in x.chunk(heads, dim=1):
        maps.append(own.mean(1))
        maps.append(own.max(1).values)
    return torch.stack(maps, dim=1)


@answers.right("head_maps")
def maps_by_sorting(x, heads):
    n, channels, height, width = x.shape
    ordered = x.reshape(n, heads, channels // heads, height, width).sort(dim=2).values
    mean, peak = ordered.sum(2) * heads / channels, ordered[:, :, -1]
    return torch.cat((mean, peak), dim=1)[:, [k // 2 + k % 2 * heads for k in range(2 * heads)]]


@answers.right("head_maps")
def maps_by_pooling(x, heads):
    own = x.shape[1] // heads
    last = x.flatten(2).transpose(1, 2)  # (N, H·W, C)
    pair = torch.stack((F.avg_pool1d(last, own), F.max_pool1d(last, own)), dim=3)  # (N, H·W, G, 2)
    return pair.flatten(2).transpose(1, 2).unflatten(2, x.shape[2:])


@answers.right("head_maps")
def maps_by_convolution(x, heads):
    own = x.shape[1] // heads
    maps = x.new_zeros(len(x), 2 * heads, *x.shape[2:])
    maps[:, ::2] = F.conv2d(x, torch.full((heads, own, 1, 1), 1 / own), groups=heads)
    for head in range(heads):
        maps[:, 2 * head + 1] = x[:, head * own : (head + 1) * own].amax(1)
    return maps


@answers.right("head_maps")
def maps_by_one_channel_after_the_other(x, heads):
    own, maps = x.shape[1] // heads, []
    for head in range(heads):
        total = peak = x[:, head * own]
        for channel in range(head * own + 1, (head + 1) * own):
            total, peak = total + x[:, channel], torch.maximum(peak, x[:, channel])
        maps += [total / own, peak]
    return torch.stack(maps, 1)


# B1 head_maps: wrong


@answers.wrong("head_maps", "all means first")
def means_first(x, heads):
    by_head = x.unflatten(1, (heads, -1))
    return torch.cat((by_head.mean(2), by_head.amax(2)), dim=1)


@answers.wrong("head_maps", "channels dealt out to the heads")
def dealt_out(x, heads):
    by_head = x.unflatten(1, (-1, heads))
    return torch.stack((by_head.mean(1), by_head.amax(1)), dim=2).flatten(1, 2)


@answers.wrong("head_maps", "every head sees all channels")
def all_channels(x, heads):
    return torch.stack((x.mean(1), x.amax(1)), dim=1).repeat(1, heads, 1, 1)


@answers.wrong("head_maps", "mean without maximum")
def means_only(x, heads):
    return x.unflatten(1, (heads, -1)).mean(2)


@answers.wrong("head_maps", "the mean twice")
def mean_twice(x, heads):
    return x.unflatten(1, (heads, -1)).mean(2).repeat_interleave(2, dim=1)


@answers.wrong("head_maps", "maximum before mean")
def peak_first(x, heads):
    by_head = x.unflatten(1, (heads, -1))
    return torch.stack((by_head.amax(2), by_head.mean(2)), dim=2).flatten(1, 2)


@answers.wrong("head_maps", "maximum over places in place of channels")
def peak_of_places(x, heads):
    by_head = x.unflatten(1, (heads, -1))
    mean = by_head.mean(2)
    return torch.stack((mean, mean.amax((2, 3), keepdim=True).expand_as(mean)), dim=2).flatten(1, 2)


@answers.wrong("head_maps", "the maximum starts from zero")
def peak_from_zero(x, heads):
    by_head = x.unflatten(1, (heads, -1))
    return torch.stack((by_head.mean(2), by_head.amax(2).clamp(min=0)), dim=2).flatten(1, 2)


@answers.wrong("head_maps", "the maximum of the absolute values")
def peak_of_sizes(x, heads):
    by_head = x.unflatten(1, (heads, -1))
    return torch.stack((by_head.mean(2), by_head.abs().amax(2)), dim=2).flatten(1, 2)


@answers.wrong("head_maps", "max returns values and places, and both went on")
def forgotten_values(x, heads):
    return torch.stack([part for own in x.chunk(heads, 1) for part in (own.mean(1), own.max(1))], 1)


@answers.wrong("head_maps", "parts of G channels instead of G parts: the same for 4 channels in 2 heads")
def parts_of_g(x, heads):
    maps = [part for own in x.split(heads, dim=1) for part in (own.mean(1), own.amax(1))]
    return torch.stack(maps, dim=1)


@answers.wrong("head_maps", "the first image only")
def maps_of_the_first(x, heads):
    by_head = x[0].unflatten(0, (heads, -1))
    return torch.stack((by_head.mean(1), by_head.amax(1)), dim=1).flatten(0, 1)[None]


# B2 spatial_gate: right


def pairs_of(x, heads):
    by_head = x.unflatten(1, (heads, -1))
    return torch.stack((by_head.mean(2), by_head.amax(2)), dim=2).flatten(1, 2)


def spread(gate, x):
    return gate.repeat_interleave(x.shape[1] // gate.shape[1], dim=1)


@answers.right("spatial_gate")
def sca_head_by_head(x, weight, heads):
    gated = []
    for own, filters in zip(x.chunk(heads, dim=1), weight, strict=True):
        pair = torch.stack((own.mean(1), own.amax(1)), dim=1)
        gated.append(own * F.conv2d(pair, filters[None], padding=3).sigmoid())
    return torch.cat(gated, dim=1)


@answers.right("spatial_gate")
def sca_by_unfolding(x, weight, heads):
    n, _, height, width = x.shape
    windows = F.unfold(pairs_of(x, heads), 7, padding=3).view(n, heads, 98, height * width)
    a = torch.einsum("ngkl,gk->ngl", windows, weight.flatten(1)).view(n, heads, height, width)
    return x * spread(1 / (1 + torch.exp(-a)), x)


@answers.right("spatial_gate")
def sca_map_by_map(x, weight, heads):
    each = F.conv2d(pairs_of(x, heads), weight.flatten(0, 1).unsqueeze(1), padding="same", groups=2 * heads)
    return x * spread(torch.sigmoid(each[:, ::2] + each[:, 1::2]), x)


@answers.right("spatial_gate")
def sca_with_zeros_for_the_others(x, weight, heads):
    full = torch.zeros(heads, 2 * heads, 7, 7)
    for head in range(heads):
        full[head, 2 * head : 2 * head + 2] = weight[head]
    padded = F.pad(pairs_of(x, heads), (3, 3, 3, 3))
    return x * spread(torch.sigmoid(F.conv2d(padded, full)), x)


@answers.right("spatial_gate")
def sca_in_double_precision(x, weight, heads):
    maps = F.pad(pairs_of(x.double(), heads), (3, 3, 3, 3)).unflatten(1, (heads, 2))
    windows = maps.unfold(3, 7, 1).unfold(4, 7, 1)  # (N, G, 2, H, W, 7, 7)
    a = (windows * weight.double()[:, :, None, None]).sum((2, 5, 6))
    return (x.unflatten(1, (heads, -1)) * a.sigmoid()[:, :, None]).flatten(1, 2).float()


@answers.right("spatial_gate")
def sca_padded_before_it_looks(x, weight, heads):
    maps = pairs_of(F.pad(x, (3, 3, 3, 3)), heads)  # mean and maximum of zeros are zero
    return x * spread(F.conv2d(maps, weight, groups=heads).sigmoid(), x)


# B2 spatial_gate: wrong


@answers.wrong("spatial_gate", "gate added in place of multiplied")
def sca_added(x, weight, heads):
    return x + spread(torch.sigmoid(F.conv2d(pairs_of(x, heads), weight, padding=3, groups=heads)), x)


@answers.wrong("spatial_gate", "x added once more")
def sca_residual(x, weight, heads):
    return x + x * spread(torch.sigmoid(F.conv2d(pairs_of(x, heads), weight, padding=3, groups=heads)), x)


@answers.wrong("spatial_gate", "the gate alone returned")
def sca_gate_only(x, weight, heads):
    return torch.sigmoid(F.conv2d(pairs_of(x, heads), weight, padding=3, groups=heads))


@answers.wrong("spatial_gate", "no sigmoid")
def sca_without_sigmoid(x, weight, heads):
    return x * spread(F.conv2d(pairs_of(x, heads), weight, padding=3, groups=heads), x)


@answers.wrong("spatial_gate", "heads not interleaved: all means first")
def sca_means_first(x, weight, heads):
    by_head = x.unflatten(1, (heads, -1))
    maps = torch.cat((by_head.mean(2), by_head.amax(2)), dim=1)
    return x * spread(torch.sigmoid(F.conv2d(maps, weight, padding=3, groups=heads)), x)


@answers.wrong("spatial_gate", "the mean without the maximum")
def sca_of_means(x, weight, heads):
    mean = x.unflatten(1, (heads, -1)).mean(2).repeat_interleave(2, dim=1)
    return x * spread(torch.sigmoid(F.conv2d(mean, weight, padding=3, groups=heads)), x)


@answers.wrong("spatial_gate", "no padding")
def sca_without_padding(x, weight, heads):
    return x * spread(torch.sigmoid(F.conv2d(pairs_of(x, heads), weight, groups=heads)), x)


@answers.wrong("spatial_gate", "the border repeated in place of zeros")
def sca_with_repeated_border(x, weight, heads):
    padded = F.pad(pairs_of(x, heads), (3, 3, 3, 3), mode="replicate")
    return x * spread(torch.sigmoid(F.conv2d(padded, weight, groups=heads)), x)


@answers.wrong("spatial_gate", "one gate for all heads")
def sca_one_gate(x, weight, heads):
    gate = torch.sigmoid(F.conv2d(pairs_of(x, heads), weight, padding=3, groups=heads))
    return x * gate.mean(1, keepdim=True)


@answers.wrong("spatial_gate", "one head that sees all channels")
def sca_of_all_channels(x, weight, heads):
    maps = torch.stack((x.mean(1), x.amax(1)), dim=1)
    return x * spread(torch.sigmoid(F.conv2d(maps, weight, padding=3)), x)


@answers.wrong("spatial_gate", "groups forgotten")
def sca_without_groups(x, weight, heads):
    return x * spread(torch.sigmoid(F.conv2d(pairs_of(x, heads), weight, padding=3)), x)


@answers.wrong("spatial_gate", "the gates dealt out to the channels")
def sca_dealt_out(x, weight, heads):
    gate = torch.sigmoid(F.conv2d(pairs_of(x, heads), weight, padding=3, groups=heads))
    return x * gate.repeat(1, x.shape[1] // heads, 1, 1)


@answers.wrong("spatial_gate", "softmax in place of sigmoid")
def sca_softmax(x, weight, heads):
    return x * spread(F.conv2d(pairs_of(x, heads), weight, padding=3, groups=heads).softmax(1), x)


@answers.wrong("spatial_gate", "batch norm before the sigmoid")
def sca_normalised(x, weight, heads):
    a = F.conv2d(pairs_of(x, heads), weight, padding=3, groups=heads)
    return x * spread(torch.sigmoid(F.batch_norm(a, None, None, training=True)), x)


@answers.wrong("spatial_gate", "a true convolution, filters turned round")
def sca_turned_round(x, weight, heads):
    return x * spread(torch.sigmoid(F.conv2d(pairs_of(x, heads), weight.flip(2, 3), padding=3, groups=heads)), x)


@answers.wrong("spatial_gate", "x changed in place")
def sca_in_place(x, weight, heads):
    x *= spread(torch.sigmoid(F.conv2d(pairs_of(x, heads), weight, padding=3, groups=heads)), x)
    return x


@answers.wrong("spatial_gate", "the gate cut off from the gradient")
def sca_without_gradient(x, weight, heads):
    with torch.no_grad():
        gate = torch.sigmoid(F.conv2d(pairs_of(x, heads), weight, padding=3, groups=heads))
    return x * spread(gate, x)


@answers.wrong("spatial_gate", "each gate repeated G times in place of C/G: the same for 4 channels in 2 heads")
def sca_repeated_by_heads(x, weight, heads):
    gate = torch.sigmoid(F.conv2d(pairs_of(x, heads), weight, padding=3, groups=heads))
    return x * gate.repeat_interleave(heads, dim=1)


@answers.wrong("spatial_gate", "the first image's gate for all images")
def sca_first_image(x, weight, heads):
    gate = torch.sigmoid(F.conv2d(pairs_of(x[:1], heads), weight, padding=3, groups=heads))
    return x * spread(gate, x)


# B3 channel_gate: right


def two_layers(seen, reduce, expand, heads):
    return F.conv2d(F.relu(F.conv2d(seen, reduce, groups=heads)), expand, groups=heads)


def mean_and_peak(x):
    return x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)


@answers.right("channel_gate")
def cca_by_einsum(x, reduce, expand, heads):
    seen = torch.stack((x.flatten(2).mean(2), x.flatten(2).max(2).values)).unflatten(2, (heads, -1))  # (2, N, G, C/G)
    units = torch.einsum("snkc,khc->snkh", seen, reduce[:, :, 0, 0].unflatten(0, (heads, -1))).relu()
    a = torch.einsum("snkh,kch->nkc", units, expand[:, :, 0, 0].unflatten(0, (heads, -1)))
    return x * a.sigmoid().flatten(1)[:, :, None, None]


@answers.right("channel_gate")
def cca_head_by_head(x, reduce, expand, heads):
    parts = []
    for own, first, second in zip(x.chunk(heads, 1), reduce.chunk(heads), expand.chunk(heads), strict=True):
        a = 0
        for seen in (own.mean(3).mean(2), own.amax(3).amax(2)):
            a = a + F.linear(F.linear(seen, first.flatten(1)).clamp(min=0), second.flatten(1))
        parts.append(own / (1 + torch.exp(-a))[:, :, None, None])
    return torch.cat(parts, dim=1)


@answers.right("channel_gate")
def cca_by_block_diagonal_matrices(x, reduce, expand, heads):
    first = torch.block_diag(*reduce.flatten(1).chunk(heads))
    second = torch.block_diag(*expand.flatten(1).chunk(heads))
    mean, peak = x.mean((2, 3)), x.amax((2, 3))
    units = torch.relu(mean @ first.T) + torch.relu(peak @ first.T)  # the second layer is linear: add first
    return x * torch.sigmoid(units @ second.T)[:, :, None, None]


@answers.right("channel_gate")
def cca_both_in_one_batch(x, reduce, expand, heads):
    both = torch.cat((F.adaptive_avg_pool2d(x, 1), F.adaptive_max_pool2d(x, 1)))
    return torch.sigmoid(sum(two_layers(both, reduce, expand, heads).chunk(2))) * x


@answers.right("channel_gate")
def cca_in_double_precision(x, reduce, expand, heads):
    mean, peak = (seen.double() for seen in mean_and_peak(x))
    first, second = reduce.double(), expand.double()
    a = two_layers(mean, first, second, heads) + two_layers(peak, first, second, heads)
    return x * a.sigmoid().to(x.dtype)


# B3 channel_gate: wrong


@answers.wrong("channel_gate", "sigmoid before adding")
def cca_two_sigmoids(x, reduce, expand, heads):
    return x * sum(torch.sigmoid(two_layers(seen, reduce, expand, heads)) for seen in mean_and_peak(x))


@answers.wrong("channel_gate", "gate added in place of multiplied")
def cca_added(x, reduce, expand, heads):
    return x + torch.sigmoid(sum(two_layers(seen, reduce, expand, heads) for seen in mean_and_peak(x)))


@answers.wrong("channel_gate", "the gate alone returned")
def cca_gate_only(x, reduce, expand, heads):
    return torch.sigmoid(sum(two_layers(seen, reduce, expand, heads) for seen in mean_and_peak(x)))


@answers.wrong("channel_gate", "no sigmoid")
def cca_without_sigmoid(x, reduce, expand, heads):
    return x * sum(two_layers(seen, reduce, expand, heads) for seen in mean_and_peak(x))


@answers.wrong("channel_gate", "mean without maximum")
def cca_of_the_mean(x, reduce, expand, heads):
    return x * torch.sigmoid(two_layers(mean_and_peak(x)[0], reduce, expand, heads))


@answers.wrong("channel_gate", "maximum without mean")
def cca_of_the_peak(x, reduce, expand, heads):
    return x * torch.sigmoid(two_layers(mean_and_peak(x)[1], reduce, expand, heads))


@answers.wrong("channel_gate", "the maximum replaced by the mean")
def cca_of_the_mean_twice(x, reduce, expand, heads):
    return x * torch.sigmoid(2 * two_layers(mean_and_peak(x)[0], reduce, expand, heads))


@answers.wrong("channel_gate", "mean and maximum added before the MLP")
def cca_added_early(x, reduce, expand, heads):
    return x * torch.sigmoid(two_layers(sum(mean_and_peak(x)), reduce, expand, heads))


@answers.wrong("channel_gate", "no ReLU")
def cca_without_relu(x, reduce, expand, heads):
    seen = F.conv2d(F.conv2d(sum(mean_and_peak(x)), reduce, groups=heads), expand, groups=heads)
    return x * torch.sigmoid(seen)


@answers.wrong("channel_gate", "ReLU behind the second layer in place of the first")
def cca_relu_last(x, reduce, expand, heads):
    a = sum(F.relu(F.conv2d(F.conv2d(s, reduce, groups=heads), expand, groups=heads)) for s in mean_and_peak(x))
    return x * torch.sigmoid(a)


@answers.wrong("channel_gate", "ReLU behind both layers")
def cca_relu_twice(x, reduce, expand, heads):
    return x * torch.sigmoid(sum(F.relu(two_layers(seen, reduce, expand, heads)) for seen in mean_and_peak(x)))


@answers.wrong("channel_gate", "MLP not shared: the maximum goes past it")
def cca_not_shared(x, reduce, expand, heads):
    mean, peak = mean_and_peak(x)
    return x * torch.sigmoid(two_layers(mean, reduce, expand, heads) + peak)


@answers.wrong("channel_gate", "maximum over the channels in place of the map")
def cca_wrong_axis(x, reduce, expand, heads):
    mean = x.mean((2, 3), keepdim=True)
    peak = x.amax(1, keepdim=True).mean((2, 3), keepdim=True).expand_as(mean)
    return x * torch.sigmoid(two_layers(mean, reduce, expand, heads) + two_layers(peak, reduce, expand, heads))


@answers.wrong("channel_gate", "one factor for all channels of a head")
def cca_one_factor_a_head(x, reduce, expand, heads):
    gate = torch.sigmoid(sum(two_layers(seen, reduce, expand, heads) for seen in mean_and_peak(x)))
    return x * spread(gate.unflatten(1, (heads, -1)).mean(2), x)


@answers.wrong("channel_gate", "groups forgotten")
def cca_without_groups(x, reduce, expand, heads):
    return x * torch.sigmoid(sum(F.conv2d(F.relu(F.conv2d(seen, reduce)), expand) for seen in mean_and_peak(x)))


@answers.wrong("channel_gate", "heads dealt out")
def cca_dealt_out(x, reduce, expand, heads):
    dealt = torch.arange(x.shape[1]).view(-1, heads).T.flatten()  # 0, 2, 4 … to the first of two heads
    a = sum(two_layers(seen[:, dealt], reduce, expand, heads) for seen in mean_and_peak(x))
    return x * torch.sigmoid(a)


@answers.wrong("channel_gate", "the mean of the two answers in place of their sum")
def cca_averaged(x, reduce, expand, heads):
    return x * torch.sigmoid(sum(two_layers(seen, reduce, expand, heads) for seen in mean_and_peak(x)) / 2)


@answers.wrong("channel_gate", "softmax in place of sigmoid")
def cca_softmax(x, reduce, expand, heads):
    return x * sum(two_layers(seen, reduce, expand, heads) for seen in mean_and_peak(x)).softmax(1)


@answers.wrong("channel_gate", "x changed in place")
def cca_in_place(x, reduce, expand, heads):
    return x.mul_(torch.sigmoid(sum(two_layers(seen, reduce, expand, heads) for seen in mean_and_peak(x))))


@answers.wrong("channel_gate", "mean and maximum over all images: seen only with more than one")
def cca_over_the_batch(x, reduce, expand, heads):
    seen = x.mean((0, 2, 3), keepdim=True), x.amax((0, 2, 3), keepdim=True)
    return x * torch.sigmoid(sum(two_layers(s, reduce, expand, heads) for s in seen))


@answers.wrong("channel_gate", "always two heads")
def cca_two_heads(x, reduce, expand, heads):
    return x * torch.sigmoid(sum(two_layers(seen, reduce, expand, 2) for seen in mean_and_peak(x)))

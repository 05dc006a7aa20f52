"""Other right answers to assignment 4, and wrong ones with what is wrong about them."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from spacemeshlab.course.answers import Answers

answers = Answers("4-decoder")


# A1


@answers.right("memo_channels")
def step_by_step(channels, stride):
    steps = {4: 1, 16: 2}.get(stride, 0)
    if not steps:
        return 0
    for _ in range(steps):
        channels, rest = divmod(channels, 16)
        if rest:
            raise ValueError("a channel would have to be cut")
    return channels


@answers.right("memo_channels")
def by_logarithm(channels, stride):
    steps = math.log(stride, 4)
    if steps != round(steps):
        return 0
    width = channels / stride**2
    if width != int(width):
        raise ValueError(f"{channels} is no multiple of {stride**2}")
    return int(width)


@answers.right("memo_channels")
def by_asking_torch(channels, stride):
    if stride in (2, 8, 32):
        return 0
    feature = torch.empty(1, channels, 1, 1, device="meta")
    try:
        for _ in range(1 if stride == 4 else 2):
            feature = F.pixel_shuffle(feature, 4)
    except RuntimeError as error:
        raise ValueError("the shuffle does not fit") from error
    return feature.shape[1]


@answers.wrong("memo_channels", "stride 8 is given channels/64")
def every_stride(channels, stride):
    if channels % stride**2:
        raise ValueError("no multiple")
    return channels // stride**2


@answers.wrong("memo_channels", "one shuffle at stride 16 too")
def one_step_always(channels, stride):
    if stride not in (4, 16):
        return 0
    if channels % 16:
        raise ValueError("no multiple")
    return channels // 16


@answers.wrong("memo_channels", "divided by the stride, not by its square")
def one_axis(channels, stride):
    if stride not in (4, 16):
        return 0
    if channels % stride:
        raise ValueError("no multiple")
    return channels // stride


@answers.wrong("memo_channels", "a float")
def a_float(channels, stride):
    if stride not in (4, 16):
        return 0
    if channels % stride**2:
        raise ValueError("no multiple")
    return channels / stride**2


@answers.wrong("memo_channels", "rounded down where a channel would be cut")
def rounded_down(channels, stride):
    return channels // stride**2 if stride in (4, 16) else 0


@answers.wrong("memo_channels", "0 where a channel would be cut")
def silent(channels, stride):
    return channels // stride**2 if stride in (4, 16) and channels % stride**2 == 0 else 0


@answers.wrong("memo_channels", "ValueError where there is no exchange")
def divisible_first(channels, stride):
    if channels % stride**2:
        raise ValueError("no multiple")
    return channels // stride**2 if stride in (4, 16) else 0


@answers.wrong("memo_channels", "only stride 8 is left out, not 2 and 32")
def only_eight(channels, stride):
    if stride == 8:
        return 0
    if channels % stride**2:
        raise ValueError("no multiple")
    return channels // stride**2


@answers.wrong("memo_channels", "a multiple of 16 is asked for, at stride 16 too")
def sixteen_is_enough(channels, stride):
    if stride not in (4, 16):
        return 0
    if channels % 16:
        raise ValueError("no multiple")
    return channels // stride**2


# A2


@answers.right("feature_to_memo")
def by_permute(feature, steps):
    for _ in range(steps):
        n, c, h, w = feature.shape
        patches = feature.reshape(n, c // 16, 4, 4, h, w).permute(0, 1, 4, 2, 5, 3)
        feature = patches.reshape(n, c // 16, 4 * h, 4 * w)
    return feature


@answers.right("feature_to_memo")
def by_strided_slices(feature, steps):
    for _ in range(steps):
        n, c, h, w = feature.shape
        fine = feature.new_empty(n, c // 16, 4 * h, 4 * w)
        for phase in range(16):
            fine[:, :, phase // 4 :: 4, phase % 4 :: 4] = feature[:, phase::16]
        feature = fine
    return feature


@answers.right("feature_to_memo")
def by_transposed_convolution(feature, steps):
    for _ in range(steps):
        channels = feature.shape[1]
        taps = torch.eye(16, dtype=feature.dtype).view(16, 1, 4, 4).repeat(channels // 16, 1, 1, 1)
        feature = F.conv_transpose2d(feature, taps, stride=4, groups=channels // 16)
    return feature


@answers.right("feature_to_memo")
def by_fold(feature, steps):
    for _ in range(steps):
        h, w = feature.shape[-2:]
        feature = F.fold(feature.flatten(2), (4 * h, 4 * w), kernel_size=4, stride=4)
    return feature


@answers.right("feature_to_memo")
def with_modules(feature, steps):
    return nn.Sequential(*(nn.PixelShuffle(4) for _ in range(steps)))(feature)


@answers.right("feature_to_memo")
def one_by_one_in_numpy(feature, steps):
    coarse = feature.detach().numpy()
    for _ in range(steps):
        n, c, h, w = coarse.shape
        fine = np.zeros((n, c // 16, 4 * h, 4 * w), coarse.dtype)
        for k, u, v in np.ndindex(c // 16, 4, 4):
            fine[:, k, u::4, v::4] = coarse[:, 16 * k + 4 * u + v]
        coarse = fine
    return torch.from_numpy(coarse)


@answers.wrong("feature_to_memo", "one shuffle by 16")
def one_by_sixteen(feature, steps):
    return F.pixel_shuffle(feature, 4**steps)


@answers.wrong("feature_to_memo", "steps forgotten")
def steps_forgotten(feature, steps):
    return F.pixel_shuffle(feature, 4)


@answers.wrong("feature_to_memo", "the other convention: the phase is the slow axis of the channels")
def phase_first(feature, steps):
    for _ in range(steps):
        n, c, h, w = feature.shape
        patches = feature.reshape(n, 4, 4, c // 16, h, w).permute(0, 3, 4, 1, 5, 2)
        feature = patches.reshape(n, c // 16, 4 * h, 4 * w)
    return feature


@answers.wrong("feature_to_memo", "rows and columns of the patch exchanged")
def transposed_patch(feature, steps):
    for _ in range(steps):
        feature = F.pixel_shuffle(feature.mT, 4).mT
    return feature


@answers.wrong("feature_to_memo", "enlarged and averaged")
def enlarged(feature, steps):
    return F.interpolate(feature.unflatten(1, (-1, 16**steps)).mean(2), scale_factor=4**steps)


@answers.wrong("feature_to_memo", "reshaped without a permute")
def reshaped(feature, steps):
    n, c, h, w = feature.shape
    return feature.reshape(n, c // 16**steps, h * 4**steps, w * 4**steps)


@answers.wrong("feature_to_memo", "shuffled the other way")
def downwards(feature, steps):
    for _ in range(steps):
        feature = F.pixel_unshuffle(feature, 4)
    return feature


@answers.wrong("feature_to_memo", "shuffles by 2, twice as many")
def by_twos(feature, steps):
    for _ in range(2 * steps):
        feature = F.pixel_shuffle(feature, 2)
    return feature


# A3


@answers.right("exchange")
def in_two_lines_with_a_copy(feature, memo, steps):
    old = memo.clone()
    message = feature
    for _ in range(steps):
        message = F.pixel_shuffle(message, 4)
        old = F.pixel_unshuffle(old, 4)
    memo = memo + message
    return old + feature, memo


@answers.right("exchange")
def only_one_sum(feature, memo, steps):
    down = memo
    for _ in range(steps):
        down = F.pixel_unshuffle(down, 4)
    total = feature + down
    new_memo = total  # after a bare exchange both sides hold the same numbers
    for _ in range(steps):
        new_memo = F.pixel_shuffle(new_memo, 4)
    return total, new_memo


@answers.right("exchange")
def by_permutes(feature, memo, steps):
    up, down = feature, memo
    for _ in range(steps):
        n, c, h, w = up.shape
        up = up.reshape(n, c // 16, 4, 4, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, c // 16, 4 * h, 4 * w)
        n, c, h, w = down.shape
        down = down.reshape(n, c, h // 4, 4, w // 4, 4).permute(0, 1, 3, 5, 2, 4)
        down = down.reshape(n, 16 * c, h // 4, w // 4)
    return [torch.add(feature, down), torch.add(memo, up)]


@answers.right("exchange")
def by_fold_and_unfold(feature, memo, steps):
    up, down = feature, memo
    for _ in range(steps):
        h, w = up.shape[-2:]
        up = F.fold(up.flatten(2), (4 * h, 4 * w), 4, stride=4)
        h, w = down.shape[-2:]
        down = F.unfold(down, 4, stride=4).unflatten(2, (h // 4, w // 4))
    return feature + down, memo + up


@answers.wrong("exchange", "memo first, and the new memo goes down")
def memo_first(feature, memo, steps):
    up = feature
    for _ in range(steps):
        up = F.pixel_shuffle(up, 4)
    memo = down = memo + up
    for _ in range(steps):
        down = F.pixel_unshuffle(down, 4)
    return feature + down, memo


@answers.wrong("exchange", "feature first, and the new feature goes up")
def feature_first(feature, memo, steps):
    down = memo
    for _ in range(steps):
        down = F.pixel_unshuffle(down, 4)
    feature = up = feature + down
    for _ in range(steps):
        up = F.pixel_shuffle(up, 4)
    return feature, memo + up


@answers.wrong("exchange", "only upwards")
def only_up(feature, memo, steps):
    up = feature
    for _ in range(steps):
        up = F.pixel_shuffle(up, 4)
    return feature, memo + up


@answers.wrong("exchange", "only downwards")
def only_down(feature, memo, steps):
    down = memo
    for _ in range(steps):
        down = F.pixel_unshuffle(down, 4)
    return feature + down, memo


@answers.wrong("exchange", "swapped in place of added")
def swapped(feature, memo, steps):
    up, down = feature, memo
    for _ in range(steps):
        up, down = F.pixel_shuffle(up, 4), F.pixel_unshuffle(down, 4)
    return down, up


@answers.wrong("exchange", "averaged")
def averaged(feature, memo, steps):
    up, down = feature, memo
    for _ in range(steps):
        up, down = F.pixel_shuffle(up, 4), F.pixel_unshuffle(down, 4)
    return (feature + down) / 2, (memo + up) / 2


@answers.wrong("exchange", "multiplied")
def multiplied(feature, memo, steps):
    up, down = feature, memo
    for _ in range(steps):
        up, down = F.pixel_shuffle(up, 4), F.pixel_unshuffle(down, 4)
    return feature * down, memo * up


@answers.wrong("exchange", "right numbers, written into the caller's tensors")
def in_place(feature, memo, steps):
    up, down = feature, memo
    for _ in range(steps):
        up, down = F.pixel_shuffle(up, 4), F.pixel_unshuffle(down, 4)
    feature += down
    memo += up
    return feature, memo


@answers.wrong("exchange", "memo returned first")
def memo_returned_first(feature, memo, steps):
    up, down = feature, memo
    for _ in range(steps):
        up, down = F.pixel_shuffle(up, 4), F.pixel_unshuffle(down, 4)
    return memo + up, feature + down


@answers.wrong("exchange", "one shuffle by 16 each way")
def one_large_step(feature, memo, steps):
    return feature + F.pixel_unshuffle(memo, 4**steps), memo + F.pixel_shuffle(feature, 4**steps)


@answers.wrong("exchange", "one large step down only")
def one_large_step_down(feature, memo, steps):
    up = feature
    for _ in range(steps):
        up = F.pixel_shuffle(up, 4)
    return feature + F.pixel_unshuffle(memo, 4**steps), memo + up


@answers.wrong("exchange", "each step exchanges anew: the sums go on their way")
def on_the_way(feature, memo, steps):
    up, down = feature, memo
    for _ in range(steps):
        up, down = F.pixel_shuffle(up, 4), F.pixel_unshuffle(down, 4)
        if up.shape == down.shape:
            up, down = up + down, down + up
    return feature + down, memo + up


# B1


@answers.right("pad_to_stride")
def with_a_canvas(image, multiple):
    n, c, height, width = image.shape
    rows, columns = math.ceil(height / multiple) * multiple, math.ceil(width / multiple) * multiple
    canvas = image.new_zeros(n, c, rows, columns)
    canvas[:, :, :height, :width] = image
    return canvas, (height, width)


@answers.right("pad_to_stride")
def with_concatenation(image, multiple):
    size = image.shape[2:]
    for axis in (2, 3):
        shape = list(image.shape)
        if rest := shape[axis] % multiple:
            shape[axis] = multiple - rest
            image = torch.cat((image, torch.zeros(shape, dtype=image.dtype)), dim=axis)
    return image, size


@answers.right("pad_to_stride")
def with_a_module(image, multiple):
    height, width = image.shape[-2], image.shape[-1]
    border = nn.ZeroPad2d((0, (multiple - width % multiple) % multiple, 0, (multiple - height % multiple) % multiple))
    return [border(image), [height, width]]


@answers.right("pad_to_stride")
def with_numpy(image, multiple):
    height, width = image.shape[-2:]
    amounts = ((0, 0), (0, 0), (0, -height % multiple), (0, -width % multiple))
    return torch.from_numpy(np.pad(image.detach().numpy(), amounts)), (height, width)


@answers.wrong("pad_to_stride", "rows and columns exchanged in F.pad's list")
def first_axis_first(image, multiple):
    height, width = image.shape[-2:]
    return F.pad(image, (0, -height % multiple, 0, -width % multiple)), (height, width)


@answers.wrong("pad_to_stride", "at the top and the left")
def top_left(image, multiple):
    height, width = image.shape[-2:]
    return F.pad(image, (-width % multiple, 0, -height % multiple, 0)), (height, width)


@answers.wrong("pad_to_stride", "on all sides")
def centred(image, multiple):
    height, width = image.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    border = (right // 2, right - right // 2, bottom // 2, bottom - bottom // 2)
    return F.pad(image, border), (height, width)


@answers.wrong("pad_to_stride", "a whole multiple more where nothing is missing")
def always(image, multiple):
    height, width = image.shape[-2:]
    return F.pad(image, (0, multiple - width % multiple, 0, multiple - height % multiple)), (height, width)


@answers.wrong("pad_to_stride", "always to multiples of 16")
def always_sixteen(image, multiple):
    height, width = image.shape[-2:]
    return F.pad(image, (0, -width % 16, 0, -height % 16)), (height, width)


@answers.wrong("pad_to_stride", "always to a square")
def to_a_square(image, multiple):
    height, width = image.shape[-2:]
    side = math.ceil(max(height, width) / multiple) * multiple
    return F.pad(image, (0, side - width, 0, side - height)), (height, width)


@answers.wrong("pad_to_stride", "the border is repeated")
def replicated(image, multiple):
    height, width = image.shape[-2:]
    return F.pad(image, (0, -width % multiple, 0, -height % multiple), mode="replicate"), (height, width)


@answers.wrong("pad_to_stride", "the padded size is returned")
def new_size(image, multiple):
    height, width = image.shape[-2:]
    image = F.pad(image, (0, -width % multiple, 0, -height % multiple))
    return image, tuple(image.shape[-2:])


@answers.wrong("pad_to_stride", "size (columns, rows)")
def width_first(image, multiple):
    height, width = image.shape[-2:]
    return F.pad(image, (0, -width % multiple, 0, -height % multiple)), (width, height)


@answers.wrong("pad_to_stride", "cut down in place of padded")
def cut(image, multiple):
    height, width = image.shape[-2:]
    return image[..., : height // multiple * multiple, : width // multiple * multiple], (height, width)


@answers.wrong("pad_to_stride", "resized")
def resized(image, multiple):
    height, width = image.shape[-2:]
    size = height + -height % multiple, width + -width % multiple
    return F.interpolate(image, size=size, mode="bilinear"), (height, width)


# B2


@answers.right("decoder_input")
def into_one_canvas(context, memo):
    n, c, h, w = context.shape
    out = context.new_empty(n, c // 16 + 16 * memo.shape[1], 4 * h, 4 * w)
    for phase in range(16):
        u, v = divmod(phase, 4)
        out[:, : c // 16, u::4, v::4] = context[:, phase::16]
        out[:, c // 16 + phase :: 16] = memo[:, :, u::4, v::4]
    return out


@answers.right("decoder_input")
def with_fold_and_unfold(context, memo):
    size = 4 * context.shape[-2], 4 * context.shape[-1]
    up = F.fold(context.flatten(2), size, kernel_size=4, stride=4)
    down = F.unfold(memo, kernel_size=4, stride=4).unflatten(2, size)
    return torch.cat([up, down], 1)


@answers.right("decoder_input")
def with_permutes(context, memo):
    up = context.unflatten(1, (-1, 4, 4)).permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)
    down = memo.unflatten(3, (-1, 4)).unflatten(2, (-1, 4)).permute(0, 1, 3, 5, 2, 4).flatten(1, 3)
    return torch.cat((up, down), dim=-3)


@answers.right("decoder_input")
def with_convolutions(context, memo):
    taps = torch.eye(16, dtype=context.dtype).view(16, 1, 4, 4)
    c, m = context.shape[1] // 16, memo.shape[1]
    up = F.conv_transpose2d(context, taps.repeat(c, 1, 1, 1), stride=4, groups=c)
    down = F.conv2d(memo, taps.repeat(m, 1, 1, 1), stride=4, groups=m)
    return torch.hstack((up, down))


@answers.wrong("decoder_input", "memo first")
def memo_in_front(context, memo):
    return torch.cat((F.pixel_unshuffle(memo, 4), F.pixel_shuffle(context, 4)), dim=1)


@answers.wrong("decoder_input", "context enlarged bilinearly")
def context_enlarged(context, memo):
    up = F.interpolate(context, scale_factor=4, mode="bilinear")
    return torch.cat((up, F.pixel_unshuffle(memo, 4)), dim=1)


@answers.wrong("decoder_input", "context enlarged, one channel in sixteen kept")
def context_thinned(context, memo):
    up = F.interpolate(context[:, ::16], scale_factor=4, mode="bilinear")
    return torch.cat((up, F.pixel_unshuffle(memo, 4)), dim=1)


@answers.wrong("decoder_input", "memo averaged, and repeated to the right width")
def memo_averaged(context, memo):
    down = F.avg_pool2d(memo, 4).repeat_interleave(16, dim=1)
    return torch.cat((F.pixel_shuffle(context, 4), down), dim=1)


@answers.wrong("decoder_input", "memo reduced to one pixel in sixteen")
def memo_thinned(context, memo):
    return torch.cat((F.pixel_shuffle(context, 4), memo[..., ::4, ::4]), dim=1)


@answers.wrong("decoder_input", "memo unshuffled in the other convention, the phase as the slow axis")
def memo_phase_first(context, memo):
    n, c, h, w = memo.shape
    down = memo.reshape(n, c, h // 4, 4, w // 4, 4).permute(0, 3, 5, 1, 2, 4).reshape(n, 16 * c, h // 4, w // 4)
    return torch.cat((F.pixel_shuffle(context, 4), down), dim=1)


@answers.wrong("decoder_input", "context shuffled in the other convention")
def context_phase_first(context, memo):
    n, c, h, w = context.shape
    up = context.reshape(n, 4, 4, c // 16, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // 16, 4 * h, 4 * w)
    return torch.cat((up, F.pixel_unshuffle(memo, 4)), dim=1)


@answers.wrong("decoder_input", "met at 1/1")
def at_full_size(context, memo):
    up = F.interpolate(F.pixel_shuffle(context, 4), scale_factor=4)
    return torch.cat((up, memo), dim=1)


@answers.wrong("decoder_input", "rows and columns of each patch exchanged")
def transposed_patches(context, memo):
    return torch.cat((F.pixel_shuffle(context.mT, 4).mT, F.pixel_unshuffle(memo.mT, 4).mT), dim=1)


@answers.wrong("decoder_input", "added, for one channel of context only")
def added(context, memo):
    return F.pixel_shuffle(context, 4) + F.pixel_unshuffle(memo, 4)


# B3


@answers.right("decoder_parameters")
def by_building_it(context_channels, memo_channels, num_classes, width):
    if context_channels % 16:
        raise ValueError("no multiple of 16")
    layers = (
        nn.Conv2d(context_channels // 16 + 16 * memo_channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, num_classes, 1),
    )
    return sum(p.numel() for p in nn.Sequential(*layers).parameters() if p.requires_grad)


@answers.right("decoder_parameters")
def by_shapes(context_channels, memo_channels, num_classes, width):
    meeting, rest = divmod(context_channels, 16)
    if rest:
        raise ValueError(f"{rest} channels are left over")
    meeting += memo_channels * 16
    shapes = [(width, meeting, 3, 3), (width, width, 3, 3), (num_classes, width, 1, 1), (num_classes,)]
    return sum(math.prod(shape) for shape in [*shapes, *[(width,)] * 4])


@answers.right("decoder_parameters")
def factored(context_channels, memo_channels, num_classes, width):
    if context_channels != context_channels // 16 * 16:
        raise ValueError("cut")
    return int(width * (9 * (context_channels / 16 + 16 * memo_channels + width) + 4 + num_classes) + num_classes)


@answers.right("decoder_parameters")
def with_tensors(context_channels, memo_channels, num_classes, width):
    channels = F.pixel_shuffle(torch.empty(1, context_channels, 1, 1), 4).shape[1] if context_channels % 16 == 0 else 0
    if not channels:
        raise ValueError("the context cannot be shuffled")
    fan_in = torch.tensor([channels + 16 * memo_channels, width]) * 9 + 2
    return int((fan_in * width).sum()) + num_classes * (width + 1)


@answers.wrong("decoder_parameters", "a bias in the 3×3 convolutions")
def with_bias(context_channels, memo_channels, num_classes, width):
    if context_channels % 16:
        raise ValueError("no multiple")
    channels = context_channels // 16 + 16 * memo_channels
    return 9 * width * (channels + width) + 6 * width + (width + 1) * num_classes


@answers.wrong("decoder_parameters", "batch norm forgotten")
def without_norm(context_channels, memo_channels, num_classes, width):
    if context_channels % 16:
        raise ValueError("no multiple")
    channels = context_channels // 16 + 16 * memo_channels
    return 9 * width * (channels + width) + (width + 1) * num_classes


@answers.wrong("decoder_parameters", "running statistics counted")
def with_buffers(context_channels, memo_channels, num_classes, width):
    if context_channels % 16:
        raise ValueError("no multiple")
    channels = context_channels // 16 + 16 * memo_channels
    return 9 * width * (channels + width) + 8 * width + (width + 1) * num_classes


@answers.wrong("decoder_parameters", "no bias in the classifier")
def classifier_without_bias(context_channels, memo_channels, num_classes, width):
    if context_channels % 16:
        raise ValueError("no multiple")
    channels = context_channels // 16 + 16 * memo_channels
    return 9 * width * (channels + width) + 4 * width + width * num_classes


@answers.wrong("decoder_parameters", "a classifier of 3×3")
def large_classifier(context_channels, memo_channels, num_classes, width):
    if context_channels % 16:
        raise ValueError("no multiple")
    channels = context_channels // 16 + 16 * memo_channels
    return 9 * width * (channels + width) + 4 * width + (9 * width + 1) * num_classes


@answers.wrong("decoder_parameters", "context not shuffled")
def context_as_it_is(context_channels, memo_channels, num_classes, width):
    if context_channels % 16:
        raise ValueError("no multiple")
    channels = context_channels + 16 * memo_channels
    return 9 * width * (channels + width) + 4 * width + (width + 1) * num_classes


@answers.wrong("decoder_parameters", "memo not unshuffled")
def memo_as_it_is(context_channels, memo_channels, num_classes, width):
    if context_channels % 16:
        raise ValueError("no multiple")
    channels = context_channels // 16 + memo_channels
    return 9 * width * (channels + width) + 4 * width + (width + 1) * num_classes


@answers.wrong("decoder_parameters", "a context that does not fit is rounded down")
def rounded(context_channels, memo_channels, num_classes, width):
    channels = context_channels // 16 + 16 * memo_channels
    return 9 * width * (channels + width) + 4 * width + (width + 1) * num_classes


@answers.wrong("decoder_parameters", "width 256 written into the formula")
def always_256(context_channels, memo_channels, num_classes, width):
    if context_channels % 16:
        raise ValueError("no multiple")
    channels = context_channels // 16 + 16 * memo_channels
    return 9 * channels * 256 + 9 * 256 * 256 + 4 * 256 + 257 * num_classes


# B4


@answers.right("resize_logits")
def by_matrices(logits, size):
    def lines(new, old):
        middle = (torch.arange(new, dtype=logits.dtype) + 0.5) * old / new - 0.5
        distance = (middle.clamp(0, old - 1)[:, None] - torch.arange(old, dtype=logits.dtype)).abs()
        return (1 - distance).clamp(min=0)  # (new, old)

    rows, columns = lines(size[0], logits.shape[-2]), lines(size[1], logits.shape[-1])
    return rows @ logits @ columns.mT


@answers.right("resize_logits")
def with_grid_sample(logits, size):
    n = logits.shape[0]
    rows = (2 * torch.arange(size[0]) + 1) / size[0] - 1
    columns = (2 * torch.arange(size[1]) + 1) / size[1] - 1
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    grid = torch.stack((x, y), dim=-1).to(logits.dtype).expand(n, -1, -1, -1)
    return F.grid_sample(logits, grid, mode="bilinear", padding_mode="border", align_corners=False)


@answers.right("resize_logits")
def with_a_module_of_torch(logits, size):
    return nn.Upsample(size=tuple(size), mode="bilinear")(logits)


@answers.right("resize_logits")
def pixel_by_pixel(logits, size):
    (h, w), (rows, columns) = logits.shape[-2:], size
    out = torch.empty(*logits.shape[:2], rows, columns, dtype=logits.dtype)
    for i in range(rows):
        y = min(max((i + 0.5) * h / rows - 0.5, 0), h - 1)
        top, bottom = int(y), min(int(y) + 1, h - 1)
        for j in range(columns):
            x = min(max((j + 0.5) * w / columns - 0.5, 0), w - 1)
            left, right = int(x), min(int(x) + 1, w - 1)
            above = (1 - x + left) * logits[..., top, left] + (x - left) * logits[..., top, right]
            below = (1 - x + left) * logits[..., bottom, left] + (x - left) * logits[..., bottom, right]
            out[..., i, j] = (1 - y + top) * above + (y - top) * below
    return out


@answers.wrong("resize_logits", "align_corners=True")
def corners(logits, size):
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=True)


@answers.wrong("resize_logits", "nearest, the default of F.interpolate")
def nearest(logits, size):
    return F.interpolate(logits, size=size)


@answers.wrong("resize_logits", "bicubic")
def bicubic(logits, size):
    return F.interpolate(logits, size=size, mode="bicubic", align_corners=False)


@answers.wrong("resize_logits", "size read as (columns, rows)")
def columns_first(logits, size):
    return F.interpolate(logits, size=(size[1], size[0]), mode="bilinear", align_corners=False)


@answers.wrong("resize_logits", "four times the old size, whatever is asked for")
def four_times(logits, size):
    return F.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False)


@answers.wrong("resize_logits", "one factor, out of the rows, for both axes")
def one_factor(logits, size):
    factor = size[0] / logits.shape[-2]
    return F.interpolate(logits, scale_factor=factor, mode="bilinear", align_corners=False)


@answers.wrong("resize_logits", "classes in place of logits")
def classes(logits, size):
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False).argmax(dim=1)


@answers.wrong("resize_logits", "softmax on the way")
def probabilities(logits, size):
    return F.interpolate(logits.softmax(dim=1), size=size, mode="bilinear", align_corners=False)


@answers.wrong("resize_logits", "zeros outside the outermost middles")
def zeros_outside(logits, size):
    n = logits.shape[0]
    rows = (2 * torch.arange(size[0]) + 1) / size[0] - 1
    columns = (2 * torch.arange(size[1]) + 1) / size[1] - 1
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    grid = torch.stack((x, y), dim=-1).expand(n, -1, -1, -1)
    return F.grid_sample(logits, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

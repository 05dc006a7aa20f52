"""The checks of the gates: the package passes, and each common mistake is named."""

import pytest
import torch
import torch.nn.functional as F

from spacemeshlab import ChannelContextAttention, SpatialContextAttention, testing


def maps(x, heads):
    by_head = x.unflatten(1, (heads, -1))
    return torch.stack((by_head.mean(2), by_head.amax(2)), dim=2).flatten(1, 2)


def spread(gate, x):
    return gate.repeat_interleave(x.shape[1] // gate.shape[1], dim=1)


def answers(x, weight, heads):
    return F.conv2d(maps(x, heads), weight, padding=3, groups=heads)


def mlp(seen, reduce, expand, heads):
    return F.conv2d(F.conv2d(seen, reduce, groups=heads).relu(), expand, groups=heads)


def mean_and_peak(x):
    return x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)


class Seen(torch.nn.Module):
    """Stands where the package's SCA has its convolution, and keeps what it sees."""

    def forward(self, x):
        self.maps = x
        return x[:, ::2]


def maps_of_the_package(x, heads):
    sca = SpatialContextAttention(x.shape[1], heads)
    sca.conv = Seen()
    sca(x)
    return sca.conv.maps


def sca_of_the_package(x, weight, heads):
    sca = SpatialContextAttention(x.shape[1], heads).eval()
    sca.norm.eps = 0.0  # fresh statistics, mean 0 and variance 1, are then exactly nothing
    return torch.func.functional_call(sca, {"conv.weight": weight}, (x,))


def cca_of_the_package(x, reduce, expand, heads):
    cca = ChannelContextAttention(x.shape[1], heads)
    cca.mlp[0].bias = cca.mlp[2].bias = None
    return torch.func.functional_call(cca, {"mlp.0.weight": reduce, "mlp.2.weight": expand}, (x,))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("shape", "heads"), [((1, 4, 5, 5), 2), ((2, 6, 3, 4), 3), ((2, 5, 2, 8), 1), ((1, 3, 1, 2), 3)]
)
def test_the_package_passes(shape, heads, seed):
    testing.check_head_maps(maps_of_the_package, shape, heads, seed)
    testing.check_spatial_gate(sca_of_the_package, shape, heads, seed)
    testing.check_channel_gate(cca_of_the_package, shape, heads, 2 * heads, seed)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (lambda x, heads: torch.cat((maps(x, heads)[:, ::2], maps(x, heads)[:, 1::2]), 1), "all means come first"),
        (lambda x, heads: maps(x, heads)[:, [1, 0, 3, 2]], "mean and maximum are exchanged"),
        (lambda x, heads: maps(x[:, [0, 2, 1, 3]], heads), "dealt out like cards"),
        (lambda x, heads: maps(x, 1).repeat(1, heads, 1, 1), "every head here looks at all channels"),
        (lambda x, heads: maps(x, heads)[:, ::2], "the maxima are missing"),
        (lambda x, heads: maps(x, heads)[:, 1::2], "the means are missing"),
        (lambda x, heads: maps(x, heads)[:, [0, 0, 2, 2]], "the mean stands in both places"),
        (lambda x, heads: maps(x, heads)[:, [1, 1, 3, 3]], "the maximum stands in both places"),
        (lambda x, heads: maps(x, heads) * torch.tensor([2, 1, 2, 1]).view(4, 1, 1), "the sum stands where"),
        (lambda x, heads: maps(x, heads) + 1, r"\(1, 4, 5, 5\) -> \(1, 4, 5, 5\)"),
        (lambda x, heads: -maps(-x, heads), "a minimum stands where"),
        (lambda x, heads: torch.where(torch.arange(4).view(4, 1, 1) % 2 > 0, maps(x.abs(), heads), maps(x, heads)),
         "without their signs"),
        (lambda x, heads: torch.where(torch.arange(4).view(4, 1, 1) % 2 > 0, maps(x, heads).relu(), maps(x, heads)),
         "starts from zero"),
        (lambda x, heads: maps(x.detach(), heads), "a gradient of x, found none"),
        (lambda x, heads: maps(x, heads) * torch.nan, "found nan"),
        (lambda x, heads: maps(x, heads).int(), "dtype torch.float32"),
        (lambda x, heads: [x], "to be a tensor, found list"),
    ],
)  # fmt: skip
def test_check_head_maps_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_head_maps(mistake)


def sca_of_other_maps(order):
    return lambda x, w, heads: x * spread(F.conv2d(maps(x, heads)[:, order], w, padding=3, groups=heads).sigmoid(), x)


def sca_with_repeated_border(x, weight, heads):
    padded = F.pad(maps(x, heads), (3, 3, 3, 3), "replicate")
    return x * spread(F.conv2d(padded, weight, groups=heads).sigmoid(), x)


def sca_normalised(x, weight, heads):
    return x * spread(F.batch_norm(answers(x, weight, heads), None, None, training=True).sigmoid(), x)


def sca_in_place(x, weight, heads):
    return x.mul_(spread(answers(x, weight, heads).sigmoid(), x))


def sca_of_a_constant_filter(x, weight, heads):
    return x * spread(answers(x, weight.detach(), heads).sigmoid(), x)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (lambda x, w, heads: x + spread(answers(x, w, heads).sigmoid(), x), "the gate is added here"),
        (lambda x, w, heads: x + x * spread(answers(x, w, heads).sigmoid(), x), r"this is x \+ x\*gate"),
        (lambda x, w, heads: answers(x, w, heads).sigmoid(), "the gate alone"),
        (lambda x, w, heads: spread(answers(x, w, heads).sigmoid(), x), "the gate alone"),
        (lambda x, w, heads: x * spread(answers(x, w, heads), x), "the sigmoid is missing"),
        (lambda x, w, heads: x * spread(answers(x, w, heads).softmax(1), x), "a softmax over the heads"),
        (lambda x, w, heads: x * answers(x, w, heads).sigmoid().mean(1, True), "the mean of the heads' gates"),
        (lambda x, w, heads: x * answers(x, w, heads).sigmoid()[:, :1], "the first head's gate"),
        (lambda x, w, heads: x * answers(x, w, heads).sigmoid().repeat(1, 2, 1, 1), "dealt out to the channels"),
        (lambda x, w, heads: x * spread(answers(x, w.flip(2, 3), heads).sigmoid(), x), "the filters are mirrored"),
        (lambda x, w, heads: x * spread(answers(x, w.mT, heads).sigmoid(), x), "rows and columns of the filters"),
        (lambda x, w, heads: x * spread(F.conv2d(maps(x, 1), w, padding=3).sigmoid(), x), "of all channels"),
        (sca_of_other_maps([0, 2, 1, 3]), "all means came first"),
        (sca_of_other_maps([1, 0, 3, 2]), "mean and maximum are exchanged"),
        (sca_of_other_maps([0, 0, 2, 2]), "the mean went into both maps"),
        (sca_of_other_maps([1, 1, 3, 3]), "the maximum went into both maps"),
        (sca_with_repeated_border, "here the border is repeated"),
        (sca_normalised, "no batch norm"),
        (sca_in_place, "input 0 unchanged"),
        (sca_of_a_constant_filter, "a gradient of weight, found none"),
        (lambda x, w, heads: x / 2, "maps -> 7×7 convolution"),
        (lambda x, w, heads: 0.5, "to be a tensor, found float"),
    ],
)
def test_check_spatial_gate_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_spatial_gate(mistake)


def cca(combine):
    """A CCA whose factors are ``combine``d from what stands before and behind the MLP."""

    def gate(x, reduce, expand, heads):
        return combine(x, *mean_and_peak(x), lambda seen: mlp(seen, reduce, expand, heads))

    return gate


def cca_without_relu(x, reduce, expand, heads):
    both = (F.conv2d(F.conv2d(seen, reduce, groups=heads), expand, groups=heads) for seen in mean_and_peak(x))
    return x * sum(both).sigmoid()


def cca_relu_last(x, reduce, expand, heads):
    both = (F.conv2d(F.conv2d(seen, reduce, groups=heads), expand, groups=heads).relu() for seen in mean_and_peak(x))
    return x * sum(both).sigmoid()


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (cca(lambda x, mean, peak, mlp: x * (mlp(mean).sigmoid() + mlp(peak).sigmoid())), "here each has its own"),
        (cca(lambda x, mean, peak, mlp: x + (mlp(mean) + mlp(peak)).sigmoid()), "the gate is added here"),
        (cca(lambda x, mean, peak, mlp: x + x * (mlp(mean) + mlp(peak)).sigmoid()), r"this is x \+ x\*gate"),
        (cca(lambda x, mean, peak, mlp: (mlp(mean) + mlp(peak)).sigmoid()), "the gate alone"),
        (cca(lambda x, mean, peak, mlp: x * (mlp(mean) + mlp(peak))), "the sigmoid is missing"),
        (cca(lambda x, mean, peak, mlp: x * mlp(mean).sigmoid()), "only the mean went through"),
        (cca(lambda x, mean, peak, mlp: x * mlp(peak).sigmoid()), "only the maximum went through"),
        (cca(lambda x, mean, peak, mlp: x * (2 * mlp(mean)).sigmoid()), "the mean went in twice"),
        (cca(lambda x, mean, peak, mlp: x * (2 * mlp(peak)).sigmoid()), "the maximum went in twice"),
        (cca(lambda x, mean, peak, mlp: x * mlp(mean + peak).sigmoid()), "added before the MLP"),
        (cca(lambda x, mean, peak, mlp: x * ((mlp(mean) + mlp(peak)) / 2).sigmoid()), "the mean of the MLP's two"),
        (cca(lambda x, mean, peak, mlp: x * (mlp(mean).relu() + mlp(peak).relu()).sigmoid()), "no ReLU after"),
        (cca(lambda x, mean, peak, mlp: x * (mlp(mean) + peak).sigmoid()), "the same MLP"),
        (cca(lambda x, mean, peak, mlp: x * (mlp(mean) + mlp(peak)).softmax(1)), "a softmax over the channels"),
        (cca(lambda x, mean, peak, mlp: x * (mlp(mean) + mlp(peak)).sigmoid().unflatten(1, (2, 4)).mean(2)
             .repeat_interleave(4, dim=1)), "one factor for all channels of a head"),
        (cca(lambda x, mean, peak, mlp: x.mul_((mlp(mean) + mlp(peak)).sigmoid())), "input 0 unchanged"),
        (cca(lambda x, mean, peak, mlp: x * (mlp(mean) + mlp(peak)).sigmoid().detach()), "gradient"),
        (cca(lambda x, mean, peak, mlp: None), "to be a tensor, found NoneType"),
        (cca_without_relu, "the ReLU between the two layers is missing"),
        (cca_relu_last, "not after the second"),
    ],
)  # fmt: skip
def test_check_channel_gate_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_channel_gate(mistake)


def test_check_channel_gate_finds_a_mean_over_all_images():
    def over_the_batch(x, reduce, expand, heads):
        seen = x.mean((0, 2, 3), keepdim=True), x.amax((0, 2, 3), keepdim=True)
        return x * sum(mlp(s, reduce, expand, heads) for s in seen).sigmoid()

    testing.check_channel_gate(over_the_batch)  # one image: the same
    with pytest.raises(AssertionError, match="each image has its own"):
        testing.check_channel_gate(over_the_batch, (2, 8, 3, 4))

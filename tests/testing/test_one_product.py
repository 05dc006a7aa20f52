"""The checks of the fast way: the package passes them, and each names the common mistakes."""

from itertools import product

import pytest
import torch

from spacemeshlab import meshgrid_conv2d, testing
from spacemeshlab.models import meshgrid_conv_gemm as gemm
from spacemeshlab.testing.meshgrid import MESHGRID_CASES, naive_meshgrid_conv2d
from spacemeshlab.testing.one_product import SHIFT_CASES, naive_shift, naive_shift_and_add


def responses_of_the_package(x, weight):
    """The package's matrix of all taps, (3 v, M, 3·M·D h b d, C), times the map."""
    m, _, depth, *_ = weight.shape
    answers = gemm.filter_matrix(weight) @ x.flatten(2)[:, None, None]  # (N, 3, M, 3·M·D, H·W)
    answers = answers.view(len(x), 3, m, 3, m, depth, *x.shape[2:])  # (N, v, a, h, b, d, H, W)
    return answers.permute(0, 2, 4, 5, 1, 3, 6, 7)


def test_the_package_passes_the_check_of_the_responses():
    testing.check_tap_responses(responses_of_the_package)
    testing.check_tap_responses(responses_of_the_package, seed=4)


def sums_of_the_package(responses, rates):
    """The package's convolutions, of which every tap hands one response through."""
    n, m, _, depth, _, _, *size = responses.shape
    pick = torch.eye(m * m * depth * 9, dtype=responses.dtype).view(m, m, depth, 3, 3, -1).permute(0, 1, 2, 5, 3, 4)
    return meshgrid_conv2d(responses.reshape(n, -1, *size), pick, rates, "gemm")


def test_the_package_passes_the_check_of_the_sums():
    testing.check_shift_and_add(sums_of_the_package)
    testing.check_shift_and_add(sums_of_the_package, seed=4)


@pytest.mark.parametrize("case", MESHGRID_CASES)
def test_responses_shifted_and_added_are_the_definition(case):
    n, c, height, width, rates, depth = case
    x, weight = torch.randn(n, c, height, width), torch.randn(len(rates), len(rates), depth, c, 3, 3)
    responses = torch.einsum("nchw,abdcvk->nabdvkhw", x, weight)
    testing.check_same(naive_shift_and_add(responses, rates), naive_meshgrid_conv2d(x, weight, rates))


def answered(x, weight):
    return torch.einsum("nchw,abdcvk->nabdvkhw", x, weight)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (lambda x, weight: answered(x, weight.transpose(0, 1)), "the axes of the pair are exchanged"),
        (lambda x, weight: answered(x, weight.mT), "rows and columns of the taps are exchanged"),
        (lambda x, weight: answered(x, weight.flip(-2, -1)), "the filters are mirrored"),
        (
            lambda x, weight: (weight.reshape(-1, x.shape[1]) @ x.flatten(2)).view_as(answered(x, weight)),
            r"weight\.reshape\(-1, C\) mixes channels with taps",
        ),
        (lambda x, weight: answered(x, weight) / x.shape[1], "here it is their mean"),
        (lambda x, weight: answered(x, weight).flatten(-2), r"shape .*the axes are \(N, M, M, D, 3, 3, H, W\)"),
        (lambda x, weight: answered(x, weight) + 1, "needs a permute before it"),
        (lambda x, weight: [answered(x, weight)], "to be a tensor, found list"),
    ],
)
def test_check_tap_responses_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_tap_responses(mistake)


def test_check_tap_responses_has_a_case_that_tells_images_apart():
    def mixed(x, weight):
        pixels = x.transpose(0, 1).flatten(1)  # (C, N·H·W)
        return torch.einsum("cp,abdcvk->abdvkp", pixels, weight).view_as(answered(x, weight))

    testing.check_tap_responses(mixed, cases=[(1, 2, 2, 3, 2, 1)])
    with pytest.raises(AssertionError, match=r"the responses to x \(2, 3, 4, 2\)"):
        testing.check_tap_responses(mixed)


def by(shift):
    return lambda responses, rates: naive_shift_and_add(responses, rates, shift)


def sliced(responses, rates):
    """Right where every rate is smaller than the map: H - rate is negative elsewhere."""
    (height, width), total = responses.shape[-2:], torch.zeros_like(responses[:, :, :, :, 0, 0])
    for (a, i), (b, j), v, h in product(enumerate(rates), enumerate(rates), (-1, 0, 1), (-1, 0, 1)):
        (here, there), (left, right) = ends(v * i, height), ends(h * j, width)
        total[:, a, b, :, here, left] += responses[:, a, b, :, v + 1, h + 1, there, right]
    return total.flatten(1, 3)


def ends(step, size):
    inner, outer = slice(0, size - abs(step)), slice(abs(step), size)
    return (inner, outer) if step >= 0 else (outer, inner)


def in_place(responses, rates):
    total, expected = responses[:, :, :, :, 1, 1], naive_shift_and_add(responses, rates)
    return total.copy_(expected.view_as(total)).flatten(1, 3)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (by(lambda maps, rows, columns: naive_shift(maps, -rows, -columns)), "shifted the wrong way"),
        (by(lambda maps, rows, columns: maps.roll((-rows, -columns), (-2, -1))), "came in again on the other side"),
        (by(lambda maps, rows, columns: maps), "nothing was shifted"),
        (lambda responses, rates: naive_shift_and_add(responses, range(1, len(rates) + 1)), "not 1 to M"),
        (
            lambda responses, rates: (
                naive_shift_and_add(responses.transpose(1, 2), rates)
                .unflatten(1, responses.shape[1:4])
                .transpose(1, 2)
                .flatten(1, 3)
            ),
            "here they are exchanged",
        ),
        (
            lambda responses, rates: (
                naive_shift_and_add(responses, rates).unflatten(1, responses.shape[1:4]).transpose(1, 2).flatten(1, 3)
            ),
            "so a is the slowest",
        ),
        (lambda responses, rates: 2 * naive_shift_and_add(responses, rates), "wholly outside adds nothing"),
        (
            lambda responses, rates: (
                naive_shift_and_add(responses, rates).unflatten(1, responses.shape[1:4]).movedim(3, 1).flatten(1, 3)
            ),
            "so d is the fastest",
        ),
        (lambda responses, rates: naive_shift_and_add(responses, rates).float(), "take the type of responses"),
        (in_place, "responses as they were"),
        (lambda responses, rates: None, "to be a tensor, found NoneType"),
    ],
)
def test_check_shift_and_add_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_shift_and_add(mistake)


def test_a_rate_larger_than_the_map_finds_slices_that_count_from_the_end():
    testing.check_shift_and_add(sliced, cases=SHIFT_CASES[:1])
    with pytest.raises((AssertionError, RuntimeError), match=r"must match|expected the sum"):
        testing.check_shift_and_add(sliced)


def test_a_naive_shift_looks_below_and_to_the_right():
    seen = naive_shift(torch.arange(1, 7).view(2, 3), 1, -1)
    assert seen.tolist() == [[0, 4, 5], [0, 0, 0]]
    assert not naive_shift(torch.ones(2, 3), 0, 3).any()

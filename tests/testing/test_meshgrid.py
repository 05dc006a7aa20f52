"""The checks of the loop over all pairs of rates: the package passes them, and each names the common mistakes."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F

from spacemeshlab import meshgrid_conv2d, testing
from spacemeshlab.testing import naive_meshgrid_conv2d
from spacemeshlab.testing.meshgrid import DILATED_CASES, TAP_CASES


def swapped(x, weight, rates):
    return naive_meshgrid_conv2d(x.mT, weight.mT, rates).mT


def depth_first(x, weight, rates):
    return naive_meshgrid_conv2d(x, weight, rates).unflatten(1, weight.shape[:3]).movedim(3, 1).flatten(1, 3)


def columns_first(x, weight, rates):
    return naive_meshgrid_conv2d(x, weight, rates).unflatten(1, weight.shape[:3]).transpose(1, 2).flatten(1, 3)


def mirrored(x, weight, rates):
    return naive_meshgrid_conv2d(x, weight.flip(-2, -1), rates)


def wrapped_around(x, weight, rates):
    x = F.pad(x, (1, 1, 1, 1), mode="circular")
    return naive_meshgrid_conv2d(x, weight, rates)[..., 1:-1, 1:-1]


def without_gradient_of_the_middle_tap(x, weight, rates):
    centre = torch.zeros(3, 3)
    centre[1, 1] = 1
    return naive_meshgrid_conv2d(x, weight * (1 - centre) + weight.detach() * centre, rates)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (swapped, "here they are exchanged"),
        (columns_first, "a is the slowest"),
        (depth_first, "so d is the fastest"),
        (mirrored, "the filters are mirrored"),
        (lambda x, weight, rates: naive_meshgrid_conv2d(x, weight, range(1, len(rates) + 1)), "not 1 to M"),
        (wrapped_around, "taps outside the map count as zero"),
        (without_gradient_of_the_middle_tap, "gradient of weight .*backward is not"),
    ],
)
def test_check_meshgrid_conv_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_meshgrid_conv(mistake)


def test_the_definition_passes_its_own_check():
    testing.check_meshgrid_conv(naive_meshgrid_conv2d)


@pytest.mark.parametrize("method", ["loop", "gemm"])
@pytest.mark.parametrize("seed", [0, 7])
def test_the_package_passes_the_check_of_the_loop_whatever_the_seed(method, seed):
    testing.check_meshgrid_conv(lambda x, weight, rates: meshgrid_conv2d(x, weight, rates, method), seed=seed)


def test_check_meshgrid_conv_tries_the_cases_that_it_is_given():
    def first_image_only(x, weight, rates):
        return naive_meshgrid_conv2d(x[:1], weight, rates)

    testing.check_meshgrid_conv(first_image_only, cases=[(1, 2, 3, 4, (1, 2), 2)])
    with pytest.raises(AssertionError, match=r"output with rates \(1, 2\) on a 5×4 map of shape \(2, 8, 5, 4\)"):
        testing.check_meshgrid_conv(first_image_only)


def test_check_meshgrid_conv_wants_a_tensor_and_its_gradients():
    with pytest.raises(AssertionError, match="to be a tensor, found NoneType"):
        testing.check_meshgrid_conv(lambda x, weight, rates: None)
    with pytest.raises(AssertionError, match="cut off from its inputs"):
        testing.check_meshgrid_conv(lambda x, weight, rates: naive_meshgrid_conv2d(x, weight, rates).detach())
    with pytest.raises(AssertionError, match=r"a gradient of weight .*, found none"):
        testing.check_meshgrid_conv(lambda x, weight, rates: naive_meshgrid_conv2d(x, weight.detach(), rates))


def one_pair(x, weight, rate_rows, rate_columns):
    """One dilated convolution, out of the package's for all pairs of the two rates."""
    rates = sorted({rate_rows, rate_columns})
    a, b, m = rates.index(rate_rows), rates.index(rate_columns), len(rates)
    weights = torch.zeros(m, m, *weight.shape, dtype=weight.dtype)
    weights[a, b] = weight
    return meshgrid_conv2d(x, weights, rates).unflatten(1, (m, m, -1))[:, a, b]


def test_the_package_passes_the_check_of_one_pair_of_rates():
    testing.check_dilated_conv(one_pair)
    testing.check_dilated_conv(one_pair, seed=3)
    assert {case[4] == case[5] for case in DILATED_CASES} == {False}, "exchanged rates must show"


def dilated(x, weight, i, j):
    return F.conv2d(x, weight, padding=(i, j), dilation=(i, j))


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (lambda x, weight, i, j: dilated(x, weight, j, i), "here they are exchanged"),
        (lambda x, weight, i, j: dilated(x, weight.flip(2, 3), i, j), "the filters are mirrored"),
        (lambda x, weight, i, j: dilated(x, weight.mT, i, j), "the filters lie on their side"),
        (lambda x, weight, i, j: dilated(x, weight, i + 1, j + 1), "rate 1 is the next cell"),
        (lambda x, weight, i, j: dilated(x, weight, i, i), "one rate on both axes"),
        (
            lambda x, weight, i, j: F.conv2d(F.pad(x, (j, j, i, i), mode="replicate"), weight, dilation=(i, j)),
            "not the numbers of the border",
        ),
        (lambda x, weight, i, j: F.conv2d(x, weight, padding=1, dilation=(i, j)), "for the same size pad rate_rows"),
        (lambda x, weight, i, j: dilated(x.float(), weight.float(), i, j), "dtype torch.float64.*keep x's dtype"),
        (lambda x, weight, i, j: dilated(x, weight, i, j) * torch.nan, "found nan"),
        (lambda x, weight, i, j: 3, "to be a tensor, found int"),
    ],
)
def test_check_dilated_conv_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_dilated_conv(mistake)


def places_of_the_package(row, column, rate_rows, rate_columns, height, width):
    """Where the gradient of one output arrives: the filter numbers its taps from 1 to 9."""
    x, weight = torch.zeros(1, 1, height, width, requires_grad=True), torch.arange(1.0, 10).view(1, 1, 3, 3)
    (numbers,) = torch.autograd.grad(one_pair(x, weight, rate_rows, rate_columns)[0, 0, row, column], x)
    places = {int(numbers[0, 0, p, q]): (p, q) for p, q in product(range(height), range(width))}
    return [places.get(tap) for tap in range(1, 10)]


def test_the_package_passes_the_check_of_the_places():
    testing.check_tap_places(places_of_the_package)
    testing.check_tap_places(places_of_the_package, seed=11)


def places(row, column, i, j, height, width, steps=(-1, 0, 1), outside=None):
    found = [(row + v * i, column + h * j) for v in steps for h in steps]
    return [(p, q) if 0 <= p < height and 0 <= q < width else outside for p, q in found]


def reading_down(row, column, i, j, height, width):
    return [places(row, column, i, j, height, width)[3 * h + v] for v in range(3) for h in range(3)]


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (lambda p, q, i, j, *size: places(p, q, j, i, *size), "here they are exchanged"),
        (reading_down, "the order is that of reading"),
        (lambda p, q, i, j, *size: places(p, q, i + 1, j + 1, *size), "rate 1 is the next cell"),
        (lambda *case: places(*case, steps=(0, 1, 2)), "the middle tap is the cell itself"),
        (lambda *case: places(*case, outside=(0, 0)), "None is for places outside"),
        (lambda *case: [place if place and min(place) else None for place in places(*case)], "and for no others"),
        (lambda *case: [place for place in places(*case) if place], "nine entries .*, found 4"),
        (lambda *case: [[1.5, None]] * 9, "found .*1.5, None.*draw the map"),
        (lambda *case: [torch.ones(3)] * 9, "found .*tensor.*draw the map"),
        (lambda *case: [torch.ones(2, 2)] * 9, "found .*tensor.*draw the map"),
        (lambda *case: None, "a list .*, found NoneType"),
    ],
)
def test_check_tap_places_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_tap_places(mistake)


def test_check_tap_places_takes_pairs_of_any_kind_of_whole_number():
    testing.check_tap_places(lambda *case: tuple(place and [float(one) for one in place] for place in places(*case)))
    testing.check_tap_places(places, cases=TAP_CASES[:1])
    with pytest.raises(AssertionError, match=r"for cell \(0, 0\) with rates \(1, 1\) on a 2×2 map"):
        testing.check_tap_places(lambda *case: places(*case, outside=(0, 0)), cases=TAP_CASES[:2])

"""One matrix product against 324 convolutions: values, gradients, layouts, chunks, types, mistakes."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from spacemeshlab import meshgrid_conv2d, testing
from spacemeshlab.models import meshgrid_conv
from spacemeshlab.models.meshgrid_conv import filter_storage

CASES = {  # N, C, H, W, rates, D
    "odd sizes": (1, 8, 13, 9, (1, 2, 5), 4),
    "several images": (3, 4, 6, 7, (1, 3), 2),
    "one rate": (2, 4, 5, 5, (2,), 3),
    "a rate as large as the height": (1, 4, 5, 11, (1, 5), 2),
    "rates beyond the map": (2, 4, 3, 5, (1, 2, 3, 4, 7, 18), 2),
    "only the middle tap is left": (2, 3, 1, 1, (1, 2), 4),
    "the paper's eighteen": (1, 2, 10, 7, tuple(range(1, 19)), 4),
}


def make(n, c, height, width, rates, depth, storage=torch.empty):
    m = len(rates)
    weight = storage(m, m, depth, c, 3, 3).normal_()
    return torch.randn(n, c, height, width).requires_grad_(), weight.requires_grad_(), rates


def check_equals_loop(x, weight, rates):
    """Forward and both gradients of gemm against those of the loop."""
    found, expected = (meshgrid_conv2d(x, weight, rates, method) for method in ("gemm", "loop"))
    testing.check_same(found, expected)
    grad = torch.randn_like(expected)
    for got, want in zip(*(torch.autograd.grad(y, (x, weight), grad) for y in (found, expected)), strict=True):
        testing.check_same(got, want)


@pytest.mark.parametrize("method", ["auto", "loop", "gemm"])
def test_every_method_keeps_the_contract(method):
    testing.check_meshgrid_conv(lambda x, weight, rates: meshgrid_conv2d(x, weight, rates, method))


@pytest.mark.parametrize("storage", [torch.empty, filter_storage])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_gemm_equals_loop_forward_and_backward(case, storage):
    check_equals_loop(*make(*case, storage=storage))


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.contiguous(memory_format=torch.channels_last),
        lambda x: x.mT,
        lambda x: x[:, ::2, 1:, 1::2],
        lambda x: x[:1].expand(3, -1, -1, -1),
    ],
    ids=["channels_last", "transposed", "strided", "expanded"],
)
def test_gemm_equals_loop_for_every_layout_of_x(view):
    x = view(torch.randn(2, 4, 9, 8)).detach().requires_grad_()
    check_equals_loop(x, torch.randn(2, 2, 3, x.shape[1], 3, 3).requires_grad_(), (1, 3))


def test_gemm_passes_gradcheck_in_float64():
    x, weight, rates = make(2, 1, 3, 2, (1, 2), 1)
    assert torch.autograd.gradcheck(
        lambda x, weight: meshgrid_conv2d(x, weight, rates, "gemm"), (x.double(), weight.double())
    )


@pytest.mark.parametrize("asked", ["x", "weight"])
def test_only_the_gradient_that_is_asked_for_is_computed(asked):
    x, weight, rates = make(1, 3, 5, 4, (1, 2), 2)
    other = weight if asked == "x" else x
    other.requires_grad_(False)
    meshgrid_conv2d(x, weight, rates).sum().backward()
    assert (x.grad is None, weight.grad is None) == (asked == "weight", asked == "x")


def test_one_filter_by_hand():
    x = torch.arange(1.0, 10).view(1, 1, 3, 3)  # 1 2 3 / 4 5 6 / 7 8 9
    weight = torch.zeros(2, 2, 1, 1, 3, 3)
    weight[0, 1, 0, 0] = torch.tensor([[0.0, 0, 0], [1, 10, 100], [0, 0, 1000]])  # 1 row, 2 columns apart
    expected = torch.tensor(
        [  # left + 10·here + 100·right + 1000·(below and right); two columns to a side, one row below
            [10 * 1 + 100 * 3 + 1000 * 6, 10 * 2, 1 + 10 * 3],
            [10 * 4 + 100 * 6 + 1000 * 9, 10 * 5, 4 + 10 * 6],
            [10 * 7 + 100 * 9, 10 * 8, 7 + 10 * 9],
        ]
    )
    for method in ("loop", "gemm"):
        y = meshgrid_conv2d(x, weight, (1, 2), method)
        assert torch.equal(y[0, 1], expected.float())
        assert not y[0, [0, 2, 3]].any()


@pytest.mark.parametrize("method", ["loop", "gemm"])
def test_channel_a_m_plus_b_times_d_plus_d_is_the_pair_of_rates_a_and_b(method):
    m, depth, rates = 3, 2, (1, 2, 4)
    x, weight = torch.randn(1, 2, 9, 9), torch.randn(m, m, depth, 2, 3, 3)
    y = meshgrid_conv2d(x, weight, rates, method)
    for a in range(m):
        for b in range(m):
            dilation = (rates[a], rates[b])
            for d in range(depth):
                alone = torch.nn.functional.conv2d(x, weight[a, b, d : d + 1], padding=dilation, dilation=dilation)
                testing.check_same(y[:, (a * m + b) * depth + d], alone[:, 0])


def test_chunks_change_nothing(monkeypatch):
    x, weight, rates = make(2, 4, 6, 5, (1, 2, 3, 7), 2)

    def blocks_and_results():
        y = meshgrid_conv2d(x, weight, rates, "gemm")
        gradients = torch.autograd.grad(y, (x, weight), torch.ones_like(y))
        return len(list(meshgrid_conv._blocks(rates, x, weight))), (y, *gradients)

    few, whole = blocks_and_results()
    monkeypatch.setattr(meshgrid_conv, "CHUNK_BYTES", 1)
    many, cut = blocks_and_results()
    assert (few, many) == (4, 8)  # 2×2 parts by taps that count; in chunks, each of the four rows on its own
    for got, want in zip(cut, whole, strict=True):
        testing.check_same(got, want)


def test_gemm_leaves_out_the_taps_that_only_meet_padding():
    x, weight, rates = make(1, 5, 3, 3, (1, 3), 2)  # rate 3 on a 3×3 map: only the middle tap of an axis counts
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        meshgrid_conv2d(x, weight, rates, "gemm")
    taps = (3 + 1) ** 2  # over both rates of both axes; the loop multiplies (3 + 3)²
    assert counter.get_total_flops() == 2 * taps * 2 * 5 * 9  # 2 (multiply, add) · taps · D · C · H·W


@pytest.mark.parametrize("storage", [torch.empty, filter_storage])
def test_the_weights_gradient_lies_in_memory_as_the_product_wants_it(storage):
    x, weight, rates = make(1, 3, 5, 4, (1, 2), 2, storage)
    grad = torch.autograd.grad(meshgrid_conv2d(x, weight, rates).sum(), weight)[0]
    assert grad.stride() == filter_storage(*weight.shape).stride()


def test_filter_storage_is_the_matrix_of_the_product_without_a_copy():
    weight = filter_storage(2, 2, 3, 5, 3, 3, dtype=torch.float64)
    assert weight.shape == (2, 2, 3, 5, 3, 3)
    assert weight.dtype == torch.float64
    assert weight.permute(0, 1, 2, 4, 5, 3).is_contiguous()


@pytest.mark.parametrize("method", ["loop", "gemm"])
def test_inputs_stay_as_they_are(method):
    x, weight, rates = make(2, 3, 5, 4, (1, 2), 2)
    testing.check_inputs_unmodified(
        lambda x, weight: meshgrid_conv2d(x, weight, rates, method).sum().backward(), x, weight
    )


@pytest.mark.parametrize("method", ["loop", "gemm"])
def test_autocast_computes_in_bfloat16_and_hands_back_float32_gradients(method):
    x, weight, rates = make(2, 8, 6, 5, (1, 2, 7), 2)
    exact = meshgrid_conv2d(x, weight, rates)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = meshgrid_conv2d(x, weight, rates, method)
    assert y.dtype == torch.bfloat16
    testing.check_same(y.float(), exact, tolerance=2e-2)
    grad = torch.randn_like(exact)
    gradients = torch.autograd.grad(y, (x, weight), grad.bfloat16())
    for got, want in zip(gradients, torch.autograd.grad(exact, (x, weight), grad), strict=True):
        testing.check_same(got, want, tolerance=2e-2)


def test_works_inside_torch_compile_with_one_graph_break():
    x, weight, rates = make(1, 3, 5, 4, (1, 2), 2)

    def around(x, weight):
        return meshgrid_conv2d(x * 2, weight, rates) + 1

    y = torch.compile(around, backend="eager")(x, weight)
    testing.check_same(y, around(x, weight))
    assert torch.autograd.grad(y.sum(), weight)[0].any()


def test_rates_may_be_any_sequence_of_integers():
    x, weight, _ = make(1, 3, 5, 4, (1, 2), 2)
    expected = meshgrid_conv2d(x, weight, (1, 2))
    for rates in ([1, 2], range(1, 3), torch.tensor([1, 2])):
        assert torch.equal(meshgrid_conv2d(x, weight, rates), expected)


X, WEIGHT = torch.zeros(1, 3, 5, 4), torch.zeros(2, 2, 1, 3, 3, 3)


@pytest.mark.parametrize(
    ("x", "weight", "rates", "method", "message"),
    [
        (X, WEIGHT, (1, 2), "magic", "method must be one of auto, loop, gemm.*, got 'magic'"),
        (X, WEIGHT, (2, 1), "auto", r"strictly increasing integers, got \(2, 1\)"),
        (X, WEIGHT, (1, 1), "auto", r"strictly increasing integers, got \(1, 1\): sort them and drop repeats"),
        (X, WEIGHT, (0, 1), "auto", r"positive and strictly increasing integers, got \(0, 1\)"),
        (X, WEIGHT, (), "auto", r"positive and strictly increasing integers, got \(\)"),
        (X[0], WEIGHT, (1, 2), "auto", r"x must be \(N, C, H, W\), got \(3, 5, 4\)"),
        (X, WEIGHT, (1, 2, 3), "auto", r"weight must be \(M, M, D, C, 3, 3\) = \(3, 3, 'D', 3, 3, 3\), got \(2, 2"),
        (X[:, :2], WEIGHT, (1, 2), "auto", r"= \(2, 2, 'D', 2, 3, 3\), got \(2, 2, 1, 3, 3, 3\)"),
        (X, WEIGHT[:, :, 0], (1, 2), "auto", r"weight must be .*got \(2, 2, 3, 3, 3\)"),
        (X, WEIGHT[..., :2], (1, 2), "auto", r"weight must be .*got \(2, 2, 1, 3, 3, 2\)"),
    ],
)
def test_bad_input_is_refused_with_what_was_expected(x, weight, rates, method, message):
    with pytest.raises(ValueError, match=message):
        meshgrid_conv2d(x, weight, rates, method)

"""Matrix products against the loop: values, gradients, layouts, blocks, what is left out, and memory."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from spacemeshlab import meshgrid_conv2d, testing
from spacemeshlab.benchmark.measure import memory
from spacemeshlab.models import meshgrid_conv_gemm as gemm
from spacemeshlab.models.meshgrid_conv_gemm import filter_matrix, filter_storage

CASES = {  # N, C, H, W, rates, D
    "odd sizes": (1, 8, 13, 9, (1, 2, 5), 4),
    "several images": (3, 4, 6, 7, (1, 3), 2),
    "one rate": (2, 4, 5, 5, (2,), 3),
    "a rate as large as the height": (1, 4, 5, 11, (1, 5), 2),
    "rates beyond the map": (2, 4, 3, 5, (1, 2, 3, 4, 7, 18), 2),
    "only the middle tap is left": (2, 3, 1, 1, (1, 2), 4),
    "the paper's eighteen": (1, 2, 10, 7, tuple(range(1, 19)), 4),
}
CPU = torch.device("cpu")


def make(n, c, height, width, rates, depth, storage=torch.empty, dtype=torch.float32):
    m = len(rates)
    weight = storage(m, m, depth, c, 3, 3).normal_().to(dtype)
    return torch.randn(n, c, height, width).to(dtype).requires_grad_(), weight.requires_grad_(), rates


def check_equals_loop(x, weight, rates, tolerance=1e-5):
    """Forward and both gradients of gemm against those of the loop."""
    found, expected = (meshgrid_conv2d(x, weight, rates, method) for method in ("gemm", "loop"))
    testing.check_same(found, expected, tolerance)
    grad = torch.randn_like(expected)
    for got, want in zip(*(torch.autograd.grad(y, (x, weight), grad) for y in (found, expected)), strict=True):
        testing.check_same(got, want, tolerance)


@pytest.mark.parametrize("memory_bytes", [gemm.MEMORY_BYTES, 30_000, 1], ids=["at once", "in parts", "one by one"])
@pytest.mark.parametrize("storage", [torch.empty, filter_storage])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_gemm_equals_loop_forward_and_backward_whatever_the_blocks(case, storage, memory_bytes, monkeypatch):
    monkeypatch.setattr(gemm, "MEMORY_BYTES", memory_bytes)
    check_equals_loop(*make(*case, storage=storage))


@pytest.mark.parametrize("memory_bytes", [gemm.MEMORY_BYTES, 30_000])
def test_small_types_are_converted_a_strip_at_a_time(memory_bytes, monkeypatch):
    monkeypatch.setattr(gemm, "MEMORY_BYTES", memory_bytes)
    case = CASES["odd sizes"]
    check_equals_loop(*make(*case, dtype=torch.bfloat16), tolerance=2e-2)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.contiguous(memory_format=torch.channels_last),
        lambda x: x.mT,
        lambda x: x[:, ::2, 1:, 1::2],
        lambda x: x[:1].expand(3, -1, -1, -1),
        lambda x: x[:1].contiguous(memory_format=torch.channels_last),
    ],
    ids=["channels_last", "transposed", "strided", "expanded", "one image, channels_last"],
)
def test_gemm_equals_loop_for_every_layout_of_x(view):
    x = view(torch.randn(2, 4, 9, 8)).detach().requires_grad_()
    check_equals_loop(x, torch.randn(2, 2, 3, x.shape[1], 3, 3).requires_grad_(), (1, 3))


def test_small_bounds_give_many_blocks_and_large_ones_few(monkeypatch):
    x, rates = torch.zeros(1, 4, 9, 8), (1, 2, 3, 11)

    def sizes():
        return [tuple(part.stop - part.start for part in block[:3]) for block in gemm._blocks(rates, 2, x)]

    assert sizes() == [(3, 3, 2), (1, 3, 2), (3, 1, 2), (1, 1, 2)]  # 2×2 parts by taps that count; D together
    monkeypatch.setattr(gemm, "MEMORY_BYTES", 1)
    assert sizes() == [(1, 1, 1)] * (4 * 4 * 2)


@pytest.mark.parametrize(("height", "width"), [(3, 20), (20, 3), (20, 20)])
def test_blocks_cover_every_filter_once(height, width, monkeypatch):
    rates = tuple(range(1, 19))
    for memory_bytes in (2**9, 2**15, 2**20, 2**29):
        monkeypatch.setattr(gemm, "MEMORY_BYTES", memory_bytes)
        seen = torch.zeros(18, 18, 4)
        for block in gemm._blocks(rates, 4, torch.zeros(2, 1, height, width)):
            block.of(seen).add_(1)
        assert (seen == 1).all()


def test_rows_that_only_meet_padding_are_not_multiplied():
    x, weight, rates = make(2, 5, 8, 30, (2, 3, 9), 2, filter_storage)
    in_place = {torch.ops.aten.addmm_: lambda target, left, right, **_: 2 * left[0] * left[1] * right[1]}
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter, torch.no_grad():
        gemm.forward(x, weight, rates)
        forward = counter.get_total_flops()
        gemm.backward(torch.zeros(2, 18, 8, 30), x, weight, rates, True, True)
        backward = counter.get_total_flops() - forward
    rows = 2 * (8 + 6 + 6) + 8  # rates 2 and 3 together: the middle tap 8 rows, the outer ones 8 - 2; rate 9: middle
    assert forward == 2 * rows * (2 * 30) * (3 * 3 * 2) * 5  # 2 (multiply, add) · rows · n·W · (3 h · M · D) · C
    assert backward == 2 * forward


@pytest.mark.parametrize("storage", [torch.empty, filter_storage])
def test_the_weights_gradient_lies_in_memory_as_the_product_wants_it(storage):
    x, weight, rates = make(1, 3, 5, 4, (1, 2), 2, storage)
    grad = torch.autograd.grad(meshgrid_conv2d(x, weight, rates).sum(), weight)[0]
    assert grad.stride() == filter_storage(*weight.shape).stride()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("n", [1, 2])
def test_the_gradient_of_x_has_the_memory_format_of_x(n, memory_format):
    x = torch.randn(n, 3, 5, 4).contiguous(memory_format=memory_format).requires_grad_()
    grad = torch.autograd.grad(meshgrid_conv2d(x, torch.randn(2, 2, 1, 3, 3, 3), (1, 2), "gemm").sum(), x)[0]
    assert grad.is_contiguous(memory_format=memory_format)


def test_filter_storage_is_the_matrix_of_the_product_without_a_copy():
    weight = filter_storage(2, 2, 3, 5, dtype=torch.float64).normal_()
    assert weight.shape == (2, 2, 3, 5, 3, 3)
    assert weight.dtype == torch.float64
    matrix = filter_matrix(weight)
    assert matrix.shape == (3, 2, 3 * 2 * 3, 5)
    assert matrix.is_contiguous()
    assert matrix.data_ptr() == weight.data_ptr()
    v, a, h, b, d = 2, 1, 0, 1, 2
    assert torch.equal(matrix[v, a, (h * 2 + b) * 3 + d], weight[a, b, d, :, v, h])
    assert torch.equal(filter_matrix(weight.contiguous()), matrix)


@pytest.mark.parametrize(
    ("n", "dtype", "memory_format"),
    [
        (1, torch.float32, torch.contiguous_format),
        (1, torch.float32, torch.channels_last),
        (6, torch.float32, torch.channels_last),
        (1, torch.bfloat16, torch.channels_last),
    ],
)
def test_extra_memory_stays_under_the_bound(n, dtype, memory_format, monkeypatch):
    monkeypatch.setattr(gemm, "MEMORY_BYTES", 2**20)
    x, weight, rates = make(n, 24, 40, 56, (1, 2, 3, 5, 8, 60), 4, filter_storage, dtype)
    x, weight = x.detach().contiguous(memory_format=memory_format), weight.detach()
    y, forward = memory(lambda: gemm.forward(x, weight, rates), CPU)
    grad = torch.randn_like(y)
    _, backward = memory(lambda: gemm.backward(grad, x, weight, rates, True, True), CPU)
    whole = 9 * weight[..., 0, 0, 0].numel() * n * 40 * 56 * dtype.itemsize  # all taps at once
    for found in (forward["extra_bytes"], backward["extra_bytes"]):
        assert 2**17 < found <= 2**20 < whole

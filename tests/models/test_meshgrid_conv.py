"""The operation and its operators: every method agrees, in numbers, gradients, types, under compile and export."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from spacemeshlab import meshgrid_conv2d, testing
from spacemeshlab.models import meshgrid_conv
from spacemeshlab.models.meshgrid_conv import fused_meshgrid_conv2d
from spacemeshlab.models.meshgrid_conv_gemm import filter_storage

METHODS = ("auto", "loop", "gemm", "triton")


def make(n, c, height, width, rates, depth):
    weight = filter_storage(len(rates), len(rates), depth, c).normal_()
    return torch.randn(n, c, height, width).requires_grad_(), weight.requires_grad_(), rates


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_the_contract(method):
    testing.check_meshgrid_conv(lambda x, weight, rates: meshgrid_conv2d(x, weight, rates, method))


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


# The bounds, with u the unit roundoff of a type (half its eps) and s the same convolution of the absolute values. Both
# methods add products in at least float32, in some order: that costs at most (9·C + 9)·u32·s. Results in a smaller type
# are rounded too: once forward; backward once for every product that is added to the gradient of x (one a pair in the
# loop, three a block in gemm), and once for that of the weight.
def check_error_bounds(method, dtype, products):
    n, c, height, width, rates, depth = 2, 12, 7, 9, (1, 2, 8), 3
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, c, height, width, generator=generator).to(dtype).requires_grad_()
    weight = torch.randn(3, 3, depth, c, 3, 3, generator=generator).to(dtype).requires_grad_()
    grad = torch.randn(n, 9 * depth, height, width, generator=generator).to(dtype)

    def results(method, *inputs):
        x, weight, grad = inputs
        y = meshgrid_conv2d(x, weight, rates, method)
        return y, *torch.autograd.grad(y, (x, weight), grad)

    found = results(method, x, weight, grad)
    doubles = [tensor.detach().double() for tensor in (x, weight, grad)]
    exact = results("loop", *(tensor.requires_grad_() for tensor in doubles))
    sizes = results("loop", *(tensor.detach().abs().requires_grad_() for tensor in doubles))
    terms = (9 * c, 9 * 9 * depth, n * height * width)  # summands of an output, of a gradient of x, of the weight
    roundings = (1, products, 1)
    for got, want, size, count, times in zip(found, exact, sizes, terms, roundings, strict=True):
        assert got.dtype == dtype
        own = times * torch.finfo(dtype).eps / 2 if dtype.itemsize < 4 else 0
        bound = (own + (count + 9) * torch.finfo(torch.float32).eps / 2) * size
        assert ((got.double() - want).abs() <= bound).all()
        assert ((got.double() - want).abs() > 1e-4 * bound).any()  # else the bound says nothing


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("method", "products"), [("loop", 9), ("gemm", 2 * (3 + 1))])  # 2×2 blocks: 3 products or 1
def test_errors_stay_within_the_bound_for_each_type(method, products, dtype):
    check_error_bounds(method, dtype, products)


OPERATOR = torch.ops.spacemeshlab.meshgrid_conv2d.default
FUSED = torch.ops.spacemeshlab.fused_meshgrid_conv2d.default


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("asked", [("x", "weight"), ("weight",), ()])
def test_the_operator_keeps_torch_s_rules_for_operators(asked, memory_format):
    x, weight, rates = make(2, 4, 6, 5, (1, 2, 7), 2)
    x = x.detach().contiguous(memory_format=memory_format).requires_grad_("x" in asked)
    result = torch.library.opcheck(OPERATOR, (x, weight.requires_grad_("weight" in asked), rates, "auto"))
    assert set(result.values()) == {"SUCCESS"}


def test_the_fused_operator_keeps_torch_s_rules_for_operators():
    x, weight, rates = make(2, 4, 6, 5, (1, 2, 7), 2)
    result = torch.library.opcheck(FUSED, (x.detach(), weight.detach(), rates, "auto", *torch.rand(3, 18)))
    assert set(result.values()) == {"SUCCESS"}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_fused_form_is_the_composition(method, dtype):
    x, weight, rates = make(2, 4, 6, 5, (1, 2, 7), 2)
    x, weight, (scale, shift, score) = x.detach(), weight.detach(), torch.randn(3, 18)
    channel = (-1, 1, 1)
    expected = score.view(channel) * torch.relu(
        scale.view(channel) * meshgrid_conv2d(x.to(dtype).float(), weight.to(dtype).float(), rates)
        + shift.view(channel)
    )
    found = fused_meshgrid_conv2d(x.to(dtype), weight.to(dtype), rates, scale, shift, score, method)
    assert found.dtype == dtype
    testing.check_same(found.float(), expected, tolerance=1e-5 if dtype == torch.float32 else 2e-2)


def test_compiles_to_one_graph_without_a_break_forward_and_backward():
    x, weight, rates = make(2, 3, 5, 4, (1, 2), 2)

    def around(x, weight):
        return meshgrid_conv2d(x * 2, weight, rates) + 1

    with torch.no_grad():
        assert torch._dynamo.explain(around)(x, weight).graph_break_count == 0
    found, expected = torch.compile(around, backend="aot_eager", fullgraph=True)(x, weight), around(x, weight)
    testing.check_same(found, expected)
    grad = torch.randn_like(expected)
    for got, want in zip(*(torch.autograd.grad(y, (x, weight), grad) for y in (found, expected)), strict=True):
        testing.check_same(got, want)


def test_the_loop_breaks_the_graph_because_inductor_is_quadratic_in_unrolled_calls():
    x, weight, rates = make(1, 3, 5, 4, (1, 2), 2)
    compiled = torch.compile(lambda x, weight: meshgrid_conv2d(x, weight, rates, "loop"), backend="eager")
    testing.check_same(compiled(x, weight), meshgrid_conv2d(x, weight, rates, "loop"))
    whole = torch.compile(lambda x, weight: meshgrid_conv2d(x, weight, rates, "loop"), backend="eager", fullgraph=True)
    with pytest.raises(torch._dynamo.exc.Unsupported, match=r"torch.compiler.disable"):
        whole(x, weight)


def test_exports_as_one_node_for_any_number_and_size_of_images():
    class Around(torch.nn.Module):
        def forward(self, x, weight):
            return meshgrid_conv2d(x, weight, (1, 2))

    x, weight, rates = make(2, 3, 5, 4, (1, 2), 2)
    sizes = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    exported = torch.export.export(Around(), (x, weight), dynamic_shapes={"x": sizes, "weight": None})
    nodes = [node.target for node in exported.graph.nodes if node.op == "call_function"]
    assert nodes.count(OPERATOR) == 1
    x = torch.randn(1, 3, 7, 9)
    assert torch.equal(exported.module()(x, weight), meshgrid_conv2d(x, weight, rates))


def test_multiply_adds_are_counted_as_torch_counts_convolutions():
    x, weight, rates = make(2, 3, 5, 4, (1, 2), 2)
    counted = {}
    for method in ("loop", "gemm"):
        with FlopCounterMode(display=False) as counter:
            meshgrid_conv2d(x, weight, rates, method).sum().backward()
        counted[method] = counter.get_total_flops()
    assert counted["gemm"] == counted["loop"] == 3 * 2 * (2 * 5 * 4) * weight.numel()


def test_triton_falls_back_to_gemm_where_it_cannot_work(monkeypatch):
    x, weight, rates = make(1, 3, 5, 4, (1, 2), 2)
    monkeypatch.setattr(meshgrid_conv.meshgrid_conv_triton, "available", lambda x: False)
    monkeypatch.setattr(meshgrid_conv.meshgrid_conv_triton, "forward", None)
    for method in ("triton", "auto"):
        assert torch.equal(meshgrid_conv2d(x, weight, rates, method), meshgrid_conv2d(x, weight, rates, "gemm"))


@pytest.mark.parametrize(("method", "expected"), [("auto", "triton"), ("triton", "triton"), ("gemm", "gemm")])
def test_auto_prefers_triton_where_it_can_work(method, expected, monkeypatch):
    x, weight, rates = make(1, 3, 5, 4, (1, 2), 2)
    asked = []
    for name in ("gemm", "triton"):
        module = getattr(meshgrid_conv, f"meshgrid_conv_{name}")
        monkeypatch.setattr(
            module, "forward", lambda x, *_, name=name: (asked.append(name), x.new_zeros(1, 8, 5, 4))[1]
        )
    monkeypatch.setattr(meshgrid_conv.meshgrid_conv_triton, "available", lambda x: True)
    meshgrid_conv2d(x, weight, rates, method)
    assert asked == [expected]


def test_rates_may_be_any_sequence_of_integers():
    x, weight, _ = make(1, 3, 5, 4, (1, 2), 2)
    expected = meshgrid_conv2d(x, weight, (1, 2))
    for rates in ([1, 2], range(1, 3), torch.tensor([1, 2])):
        assert torch.equal(meshgrid_conv2d(x, weight, rates), expected)


X, WEIGHT = torch.zeros(1, 3, 5, 4), torch.zeros(2, 2, 1, 3, 3, 3)


@pytest.mark.parametrize(
    ("x", "weight", "rates", "method", "message"),
    [
        (X, WEIGHT, (1, 2), "magic", "method must be one of auto, loop, gemm, triton, got 'magic'"),
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

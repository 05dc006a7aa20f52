"""The GPU's method against the loop: values, gradients, layouts, types, blocks, what follows the convolution.

Without a GPU the kernel runs in Triton's interpreter, on numpy. ``triton.jit`` looks at TRITON_INTERPRET when it
decorates, and the module decorates when it first launches: so Triton is imported here without the variable, and the
fixture sets it for one test at a time. No other test meets an interpreted Triton (torch's compiler uses it too).
"""

import dataclasses
import importlib.util
import itertools
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from spacemeshlab import meshgrid_conv2d, testing
from spacemeshlab.models import meshgrid_conv_gemm as gemm
from spacemeshlab.models import meshgrid_conv_triton as module

triton = pytest.importorskip("triton", reason="Triton is not installed: its kernel can neither compile nor be tested")
from triton.runtime import interpreter  # noqa: E402

DEVICES = ["interpreter", "cuda"] if torch.cuda.is_available() else ["interpreter"]
CASES = {  # N, C, H, W, rates, D
    "odd sizes": (1, 8, 13, 9, (1, 2, 5), 4),
    "several images": (3, 4, 6, 7, (1, 3), 2),
    "one rate and seven outputs": (2, 4, 5, 5, (2,), 7),
    "a rate as large as the height": (1, 4, 5, 11, (1, 5), 2),
    "rates beyond the map": (2, 4, 3, 5, (1, 3, 7), 2),
    "only the middle tap is left": (2, 3, 1, 1, (1, 2), 3),
    "more pixels than a program": (1, 2, 23, 17, (4,), 1),
}


@pytest.fixture(params=DEVICES)
def device(request, monkeypatch):
    if request.param == "cuda":
        monkeypatch.delenv("TRITON_INTERPRET", raising=False)
        return torch.device("cuda")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    options = dataclasses.replace(
        interpreter.interpreter_builder.options, sanitize_overflow=False
    )  # three times as fast
    monkeypatch.setattr(interpreter.interpreter_builder, "options", options)
    return torch.device("cpu")


def make(device, n, c, height, width, rates, depth, dtype=torch.float32):
    m = len(rates)
    x = torch.randn(n, c, height, width).to(device, dtype)
    weight = gemm.filter_storage(m, m, depth, c, 3, 3).normal_().to(device, dtype)
    return x, weight, rates


def loop(x, weight, rates, grad):
    """Output and both gradients in float64, by one convolution for each pair of rates."""
    x, weight = (tensor.cpu().double().requires_grad_() for tensor in (x, weight))
    y = meshgrid_conv2d(x, weight, rates, "loop")
    return y.detach(), *torch.autograd.grad(y, (x, weight), grad.cpu().double())


def check(x, weight, rates, view_grad=lambda grad: grad):
    """Output and gradients are as close to float64 as roundings allow.

    A sum of k products of a type with unit roundoff u, added up in float32 (float64 for itself; unit roundoff t) and
    rounded once, is off by at most ((k + 1)·t + u)·S to first order, S the sum of the absolute products: the loop on
    absolute values. An output's k are its C products a tap and nine taps, and taps are rounded too: 2u. A gradient of x
    has k = 9·M·M·D and is rounded once for each of at most four parts of the grid of rates; a gradient of the weight
    has k = N·H·W. A tenth is for second order, and each of ten numbers may be too small to be normal.
    """
    y = module.forward(x, weight, rates)
    grad = view_grad(torch.randn(y.shape).to(y))
    found = (y, *module.backward(grad, x, weight, rates, True, True))
    exact = loop(x, weight, rates, grad)
    sums = loop(x.abs(), weight.abs(), rates, grad.abs())
    info, terms = torch.finfo(x.dtype), (x.shape[1] + 9, 9 * weight.shape[:3].numel(), x[:, 0].numel())
    u, t = info.eps / 2, min(info.eps, torch.finfo(torch.float32).eps) / 2
    for name, got, want, total, k, rounded in zip("yxw", found, exact, sums, terms, (2, 4, 1), strict=True):
        assert got.dtype == x.dtype, name
        assert got.shape == want.shape, name
        limit = 1.1 * ((k + 1) * t + rounded * u) * total + 10 * info.smallest_normal * info.eps
        assert ((got.cpu().double() - want).abs() <= limit).all(), name
    return found


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_equals_loop_forward_and_backward(device, case):
    y, _, _ = check(*make(device, *case))
    assert y.is_contiguous()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_every_type_is_off_by_its_own_roundings_only(device, dtype):
    check(*make(device, 2, 8, 6, 5, (1, 2, 7), 1, dtype))


def test_no_index_overflows_32_bits(device, monkeypatch):
    options = dataclasses.replace(interpreter.interpreter_builder.options, sanitize_overflow=True)
    monkeypatch.setattr(interpreter.interpreter_builder, "options", options)  # the interpreter then checks every sum
    check(*make(device, 1, 2, 4, 3, (1, 2), 2))


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.contiguous(memory_format=torch.channels_last),
        lambda x: x.mT,
        lambda x: x[:, ::2, 1:, 1::2],
        lambda x: x[:1].expand(3, -1, -1, -1),
    ],
    ids=["channels_last", "transposed", "cut", "expanded"],
)
def test_equals_loop_for_every_layout_of_x_and_of_the_gradient(device, view):
    x = view(torch.randn(2, 4, 5, 8).to(device))
    weight = torch.randn(2, 2, 1, x.shape[1], 3, 3).to(device)
    storage = torch.randn(2 * len(x), 8, *x.shape[2:]).to(device)
    check(x, weight, (1, 3), lambda grad: storage[::2, ::2])
    check(x, weight, (1, 3), lambda grad: grad[:, :1, :1, :1].expand_as(grad))
    _, grad_x, _ = check(x, weight, (1, 3), lambda grad: grad.contiguous(memory_format=torch.channels_last))
    assert grad_x.stride() == gemm.empty_grad_x(x).stride()


def test_the_weights_gradient_lies_in_memory_as_the_product_wants_it(device):
    x, weight, rates = make(device, 1, 3, 5, 4, (1, 2), 2)
    for stored in (weight, weight.contiguous()):
        _, grad_weight = module.backward(torch.randn(1, 8, 5, 4).to(device), x, stored, rates, False, True)
        assert grad_weight.stride() == gemm.filter_storage(*weight.shape).stride()


def test_only_the_gradients_that_are_asked_for_are_computed(device):
    x, weight, rates = make(device, 1, 3, 4, 4, (1, 2), 1)
    grad = torch.randn(1, 4, 4, 4).to(device)
    both = module.backward(grad, x, weight, rates, True, True)
    only_x, none = module.backward(grad, x, weight, rates, True, False)
    assert torch.equal(only_x, both[0])
    assert none is None
    none, only_weight = module.backward(grad, x, weight, rates, False, True)
    assert torch.equal(only_weight, both[1])
    assert none is None
    assert module.backward(grad, x, weight, rates, False, False) == (None, None)


def test_inputs_stay_as_they_are(device):
    x, weight, rates = make(device, 1, 3, 5, 4, (1, 2), 1)

    def both(grad, x, weight):
        module.forward(x, weight, rates)
        module.backward(grad, x, weight, rates, True, True)

    testing.check_inputs_unmodified(both, torch.randn(1, 4, 5, 4).to(device), x, weight)


def test_epilogue_is_scale_and_shift_then_relu_then_score(device):
    x, weight, rates = make(device, 2, 3, 5, 4, (1, 7), 3)
    scale, shift, score = torch.randn(12, 3).to(device).T  # not dense
    y = module.forward(x, weight, rates)
    expected = score[:, None, None] * torch.relu(scale[:, None, None] * y + shift[:, None, None])
    found = module.forward(x, weight, rates, (scale, shift, score))
    testing.check_same(found, expected, tolerance=1e-6)
    assert (found < 0).any()  # a negative score


def test_epilogue_is_computed_in_float32_and_rounded_once(device):
    x = torch.ones(1, 1, 1, 1, dtype=torch.bfloat16, device=device)
    weight = gemm.filter_storage(1, 1, 1, 1, 3, 3, dtype=torch.bfloat16, device=device).fill_(1)
    factors = torch.tensor([[1.001], [-1.0], [1000.0]], device=device)  # in bfloat16, 1.001 is 1
    assert module.forward(x, weight, (1,), tuple(factors)).item() == pytest.approx(1, rel=2**-8)


def test_epilogue_keeps_nan_as_relu_does(device):
    x, weight, rates = make(device, 1, 1, 1, 2, (3,), 1)
    x[..., 0] = torch.nan
    ones = torch.ones(1, device=device)
    assert module.forward(x, weight, rates, (ones, ones, ones)).isnan().flatten().tolist() == [True, False]


def count_blocks(monkeypatch):
    """Wraps the launch; the list that is returned grows by one each time."""
    launches, launch = [], module._launch
    monkeypatch.setattr(module, "_launch", lambda *a, **k: (launches.append(a[1].numel()), launch(*a, **k)))
    return launches


def test_blocks_change_nothing(device, monkeypatch):
    launches = count_blocks(monkeypatch)
    x, weight, rates = make(device, 2, 3, 4, 3, (1, 2, 5), 2)
    check(x, weight, rates)
    few = len(launches)
    monkeypatch.setattr(gemm, "MEMORY_BYTES", 1)
    check(x, weight, rates)
    assert few == 2 * 4  # forward and backward; 2×2 parts of the grid by the taps that count
    assert len(launches) - few == 2 * (2 * 9 * 2)  # each image, pair of rates and output on its own


def peak_bytes(device, function):
    """The most memory at one time that ``function`` holds beside what was there before and what it returns."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        results = function()
        most = torch.cuda.max_memory_allocated() - before
    else:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
            results = function()
        events = profile.profiler.kineto_results.events()
        most = max(itertools.accumulate(event.nbytes() for event in events if event.name() == "[memory]"))
    return most - sum(result.nbytes for result in results)


def test_memory_beside_inputs_and_results_stays_below_the_bound(device, monkeypatch):
    x, weight, rates = make(device, 2, 16, 16, 24, (1, 2), 3)
    grad = torch.randn(2, 24, 16, 24).to(device)[:, ::2]  # has to be copied, as several images' pixels are
    run = ((lambda: [module.forward(x, weight, rates)]), lambda: module.backward(grad, x, weight, rates, True, True))
    if device.type == "cuda":
        for function in run:
            function()  # the first call chooses a launch, in memory of its own
    whole = [peak_bytes(device, function) for function in run]
    monkeypatch.setattr(gemm, "MEMORY_BYTES", 150_000)
    parts = [peak_bytes(device, function) for function in run]
    assert min(whole) > 150_000
    assert max(parts) <= 150_000


def test_nothing_that_no_product_wrote_is_read(device, monkeypatch):
    empty_taps = module._Block.empty_taps
    monkeypatch.setattr(module._Block, "empty_taps", lambda self, x: empty_taps(self, x).fill_(torch.nan))
    check(*make(device, 2, 3, 7, 5, (2, 3, 6), 1))  # the outer rows of taps leave out two rows of the map


@pytest.mark.parametrize("gather", [True, False], ids=["forward", "backward"])
def test_a_program_with_more_outputs_than_there_are_writes_nothing_behind_them(device, gather):
    x, weight, rates = make(device, 1, 2, 4, 5, (1, 2), 1)
    (block,) = module._blocks(x, weight, rates, 2)
    planes, taps = (torch.full((2, *shape), 7.0, device=device) for shape in ((4, 4, 5), block.empty_taps(x).shape))
    module._launch(planes[:1], taps[0], block, rates, module.NO_EPILOGUE, gather)
    assert (planes[1] == 7).all()
    assert (taps[1] == 7).all()


def test_groups_of_rates_change_nothing(device, monkeypatch):
    monkeypatch.setattr(module, "GROUP", 2)
    launches = count_blocks(monkeypatch)
    check(*make(device, 1, 2, 7, 6, (1, 2, 4), 2))
    assert len(launches) == 2 + 1  # two groups of the forward's


def test_a_block_is_no_longer_than_a_grid_of_programs(device, monkeypatch):
    monkeypatch.setattr(module, "GRID", 3)
    launches = count_blocks(monkeypatch)
    check(*make(device, 1, 2, 4, 5, (1, 2), 2))
    assert len(launches) == 2 * 4  # 2·2·2 filters in blocks of two


@pytest.mark.parametrize("all_rows", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize(
    ("m", "depth", "shape"),
    [(18, 4, (8, 2048, 48, 48)), (18, 4, (3, 64, 700, 900)), (3, 30, (1, 8, 2000, 2500)), (18, 4, (2, 16, 16, 5))],
)
def test_blocks_cover_everything_once_within_the_memory(m, depth, shape, all_rows):
    x = torch.empty(shape, dtype=torch.bfloat16, device="meta")
    weight = gemm.filter_storage(m, m, depth, shape[1], 3, 3, dtype=torch.bfloat16, device="meta")
    covered = torch.zeros(len(x), m, m, depth, dtype=torch.int)
    for block in module._blocks(x, weight, range(1, m + 1), m if all_rows else module.GROUP):
        covered[block.images, block.a, block.b, block.d] += 1
        assert block.empty_taps(x).nbytes <= gemm.MEMORY_BYTES
        assert block.first_rate == block.a.start + 1
    assert (covered == 1).all()


def test_the_papers_settings_are_three_blocks_forward_and_few_backward():
    x = torch.empty(8, 2048, 48, 48, dtype=torch.bfloat16, device="meta")
    weight = gemm.filter_storage(18, 18, 4, 2048, 3, 3, dtype=torch.bfloat16, device="meta")
    forward, backward = (list(module._blocks(x, weight, range(1, 19), rows)) for rows in (module.GROUP, 18))
    assert [block.a for block in forward] == [slice(0, 7), slice(7, 14), slice(14, 18)]
    assert all(block.images == slice(0, 8) for block in forward)
    assert all(block.a == slice(0, 18) for block in backward)
    assert [block.images for block in backward] == [slice(0, 4), slice(4, 8)]
    assert block_is_a_view(backward[0], weight, slice(0, 3))
    assert block_is_a_view(forward[0], weight, slice(1, 2))


def block_is_a_view(block, weight, v):
    return block.matrix(weight, v)._is_view()


def test_rows_and_taps_that_only_meet_padding_are_not_multiplied(device):
    x, weight, rates = make(device, 1, 5, 3, 3, (1, 3), 2)
    with FlopCounterMode(display=False) as counter:
        module.forward(x, weight, rates)
    rows = (2 + 3 + 2) + 3  # rate 1: outer taps meet two of three rows; rate 3: only the middle tap, all rows
    taps = 3 + 1  # of a row of taps, over both rates
    assert counter.get_total_flops() == 2 * rows * 3 * taps * 2 * 5  # 2 (multiply, add) · rows · W · taps · D · C


def test_empty_batch(device):
    x, weight, rates = make(device, 0, 3, 4, 4, (1, 2), 1)
    assert module.forward(x, weight, rates).shape == (0, 4, 4, 4)
    grad_x, grad_weight = module.backward(torch.zeros(0, 4, 4, 4).to(device), x, weight, rates, True, True)
    assert grad_x.shape == x.shape
    assert not grad_weight.any()


def test_available_on_a_gpu_or_in_the_interpreter(monkeypatch):
    x = torch.zeros(1)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert not module.available(x)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert module.available(x)
    if torch.cuda.is_available():
        monkeypatch.delenv("TRITON_INTERPRET")
        assert module.available(x.cuda())


def test_without_triton_the_module_loads_and_is_not_available(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)  # as if it were not installed
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    spec = importlib.util.spec_from_file_location("without_triton", module.__file__)
    bare = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "without_triton", bare)
    spec.loader.exec_module(bare)
    assert not bare.available(torch.zeros(1))


@pytest.mark.parametrize(("gather", "epilogue"), [(True, False), (True, True), (False, False)])
@pytest.mark.skipif("nvidia" not in triton.backends.backends, reason="this Triton has no compiler for NVIDIA's GPUs")
def test_the_kernel_compiles_for_compute_capability_9_without_a_gpu(gather, epilogue, monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    kernel, (outputs, block, warps) = triton.jit(module._shift), module.LAUNCHES[0]
    total, factors = triton.language.float32, ("scale", "shift", "score")
    constants = {"V": 3, "H": 3, "GATHER": gather, "TOTAL": total, "OUTPUTS": outputs, "BLOCK": block}
    constants |= {} if epilogue else dict.fromkeys(factors)
    pointers = {"planes": "*bf16", "taps": "*bf16", "rates": "*i32"} | dict.fromkeys(factors, "*fp32")
    types = {name: "constexpr" if name in constants else pointers.get(name, "i32") for name in kernel.arg_names}
    target = triton.backends.compiler.GPUTarget("cuda", 90, 32)
    source = triton.compiler.ASTSource(kernel, types, constants)
    compiled = triton.compile(source, target=target, options={"num_warps": warps})
    assert compiled.asm["cubin"]
    loads, stores = (compiled.asm["ptx"].count(f"{kind}.global.b16") for kind in ("ld", "st"))
    assert (loads, stores) == (9 * outputs, outputs if gather else 9 * outputs)  # one pixel a thread


@pytest.mark.skipif(
    not torch.cuda.is_available() or torch.cuda.mem_get_info()[0] < 24 * 2**30, reason="needs a GPU with 24 GiB free"
)
def test_more_than_two_to_the_31_elements(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    x = torch.randn(1, 1, 16_384, 16_384, dtype=torch.bfloat16, device="cuda")
    weight = torch.randn(1, 1, 9, 1, 3, 3, dtype=torch.bfloat16, device="cuda")
    last = module.forward(x, weight, (5,))[:, -1:, -64:]  # 9·2^28 numbers came before
    expected = module.forward(x[:, :, -96:].contiguous(), weight[:, :, -1:], (5,))[:, :, -64:]
    assert torch.equal(last, expected)

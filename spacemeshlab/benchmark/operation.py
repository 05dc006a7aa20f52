"""The operation of MetroCon² by every method, beside the one matrix product that it contains and beside ASPP."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spacemeshlab.benchmark.bench import SEED, Bench, Case, name
from spacemeshlab.benchmark.measure import multiply_adds
from spacemeshlab.models import meshgrid_conv_triton
from spacemeshlab.models.aspp import ASPP
from spacemeshlab.models.meshgrid_conv import meshgrid_conv2d
from spacemeshlab.models.meshgrid_conv_gemm import MEMORY_BYTES, filter_storage

PAIRS = (("loop", "gemm"), ("loop", "triton"), ("gemm", "triton"), ("gemm", "product"), ("aspp", "gemm"))
ALL = ("loop", "gemm", "triton", "product", "aspp")
ABOUT = {
    "loop": "one F.conv2d for each pair of rates, each with a contiguous parameter of its own, then torch.cat",
    "gemm": "meshgrid_conv2d(method='gemm')",
    "triton": "meshgrid_conv2d(method='triton')",
    "product": "the bare matrix product of the same size, (9·M·M·D, C) by (C, N·H·W), written into a given tensor; "
    "with a backward pass also its two transposed products",
    "aspp": "the module ASPP, batch norm with fixed statistics and ReLU included",
    "multiply_adds": "of the definition, also where a tap meets only padding; a method that leaves those out, or that "
    "multiplies bfloat16 numbers as float32 where that is faster, may have a share_of_product above 1",
}


@dataclass(frozen=True)
class Setting:
    """One comparison: (N, C, H, W), the number type, forward or forward + backward, and what to run."""

    shape: tuple[int, int, int, int]
    dtype: torch.dtype = torch.float32
    training: bool = False
    methods: tuple[str, ...] = ALL
    repeats: int = 3
    left_out: tuple[tuple[str, str], ...] = ()
    rates: tuple[int, ...] = tuple(range(1, 19))
    depth: int = 4

    @property
    def title(self) -> str:
        size = "x".join(map(str, self.shape))
        return f"{'forward+backward' if self.training else 'forward'} {size} {name(self.dtype)}"

    @property
    def maps(self) -> int:
        """M·M·D, the channels of the result."""
        return len(self.rates) ** 2 * self.depth

    @property
    def multiply_adds(self) -> int:
        """Of the definition: nine taps a filter at every place, also where a tap meets the padding."""
        n, c, h, w = self.shape
        return 9 * self.maps * c * n * h * w * (3 if self.training else 1)


def settings(bench: Bench) -> list[Setting]:
    """What is compared on this machine; ``quick`` sizes hold a rate as large as the map."""
    bf16, slow = torch.bfloat16, "too slow on a CPU without bfloat16 arithmetic"
    if bench.quick:
        small = {"shape": (1, 32, 8, 16), "rates": (1, 2, 9)}
        return [Setting(**small), Setting(**small, training=True), Setting(**small, dtype=bf16, training=True)]
    if bench.on_gpu:
        shapes = [(8, 2048, 48, 48), (1, 2048, 64, 128), (1, 2048, 16, 32), (1, 2048, 112, 224)]
        kinds = [*itertools.product(shapes, (bf16,), (False, True))]
        kinds += itertools.product(shapes[1:3], (torch.float32,), (False, True))
        return [Setting(*kind, repeats=5) for kind in kinds]
    ours = ("gemm", "product")
    return [
        Setting((1, 2048, 64, 128)),
        Setting((1, 2048, 16, 32), training=True, repeats=5),
        Setting((1, 2048, 16, 32), bf16),
        Setting((1, 2048, 16, 32), bf16, training=True, repeats=2),
        Setting((1, 2048, 64, 128), bf16, methods=("loop", *ours), repeats=1, left_out=(("aspp", slow),)),
        Setting((1, 2048, 16, 32)),
        Setting((1, 2048, 32, 64)),
        Setting((1, 2048, 112, 224), methods=ours, repeats=2),
        Setting((1, 2048, 64, 128), training=True, methods=ours, repeats=2),
        Setting((1, 2048, 112, 224), training=True, methods=("gemm",), repeats=1),
    ]


def run(bench: Bench) -> dict[str, Any]:
    """The part "operation" of the results."""
    wanted = settings(bench)
    done = {setting.title: compare(bench, setting) for setting in wanted}
    dtypes = dict.fromkeys(setting.dtype for setting in wanted)
    return {"about": ABOUT, "bound_bytes": MEMORY_BYTES, "ceilings": bench.ceilings(dtypes), "settings": done}


def compare(bench: Bench, setting: Setting) -> dict[str, Any]:
    """Measure one setting; ``difference`` is the largest error beside the largest value of the loop's (or gemm's)."""
    torch.manual_seed(SEED)
    x = torch.randn(setting.shape, device=bench.device, dtype=setting.dtype, requires_grad=setting.training)
    builders = {
        "loop": _loop,
        "gemm": functools.partial(_meshgrid, "gemm"),
        "triton": functools.partial(_meshgrid, "triton"),
        "product": _product,
        "aspp": _aspp,
    }
    weight = _filters(setting, bench.device)
    left_out = dict(setting.left_out)
    if "triton" in setting.methods and (reason := why_no_triton(x)):
        left_out["triton"] = reason
    methods = [method for method in setting.methods if method not in left_out]
    cases = {method: builders[method](setting, x, weight) for method in methods}
    found, results = bench.compare(cases, PAIRS, setting.repeats, setting.dtype, left_out)
    same = {method: results[method] for method in methods if method in ("loop", "gemm", "triton")}
    reference = next(iter(same.values()))
    for method, result in same.items():
        found["cases"][method]["difference"] = difference(result, reference)
    return {"rates": list(setting.rates), "depth": setting.depth, **found}


def difference(result: Any, reference: Any) -> float:
    """Largest error of the outputs (and of x's gradients), as a share of the largest value of the reference's."""
    pairs = [(result, reference)] if isinstance(result, Tensor) else zip(result[:2], reference[:2], strict=True)
    errors = [((a.float() - b.float()).abs().max() / b.float().abs().max()).item() for a, b in pairs]
    return float(f"{max(errors):.3g}")


def _filters(setting: Setting, device: torch.device) -> Tensor:
    """(M, M, D, C, 3, 3) as MetroCon2 stores and starts them."""
    m, channels = len(setting.rates), setting.shape[1]
    weight = filter_storage(m, m, setting.depth, channels, 3, 3, dtype=setting.dtype, device=device)
    return nn.init.normal_(weight, std=(2 / (9 * channels)) ** 0.5).requires_grad_(setting.training)


def _case(setting: Setting, channels: int, forward: Callable[[], Tensor], leaves: Sequence[Tensor]) -> Case:
    """``forward`` to ``channels`` maps, alone or with the gradients of ``leaves`` (x first) for a gradient of ones."""
    n, _, h, w = setting.shape
    ones = leaves[0].new_ones(n, channels, h, w) if setting.training else None

    def training() -> tuple[Tensor, ...]:
        y = forward()
        return y, *torch.autograd.grad(y, leaves, ones)

    def inference() -> Tensor:
        with torch.inference_mode():
            return forward()

    return Case(training if setting.training else inference, {"multiply_adds": setting.multiply_adds})


def _meshgrid(method: str, setting: Setting, x: Tensor, weight: Tensor) -> Case:
    return _case(setting, setting.maps, lambda: meshgrid_conv2d(x, weight, setting.rates, method), [x, weight])


def _loop(setting: Setting, x: Tensor, weight: Tensor) -> Case:
    pairs = list(itertools.product(setting.rates, setting.rates))
    filters = [part.detach().clone(memory_format=torch.contiguous_format) for part in weight.flatten(0, 1)]
    filters = [part.requires_grad_(setting.training) for part in filters]

    def forward() -> Tensor:
        maps = [F.conv2d(x, part, padding=pair, dilation=pair) for part, pair in zip(filters, pairs, strict=True)]
        return torch.cat(maps, dim=1)

    return _case(setting, setting.maps, forward, [x, *filters])


def _product(setting: Setting, x: Tensor, weight: Tensor) -> Case:
    pixels = x.detach().transpose(0, 1).flatten(1)  # (N, C, H, W) -> (C, N*H*W)
    matrix = weight.detach().permute(0, 1, 2, 4, 5, 3).reshape(-1, len(pixels))  # (9*M*M*D, C)
    taps = pixels.new_empty(len(matrix), pixels.shape[1])
    others = (torch.empty_like(pixels), torch.empty_like(matrix)) if setting.training else ()

    def products() -> None:
        torch.mm(matrix, pixels, out=taps)
        if setting.training:
            torch.mm(matrix.T, taps, out=others[0])
            torch.mm(taps, pixels.T, out=others[1])

    return Case(products, {"multiply_adds": setting.multiply_adds})


def _aspp(setting: Setting, x: Tensor, weight: Tensor) -> Case:
    module = ASPP(setting.shape[1]).to(x.device, x.dtype).eval()
    with torch.device("meta"):
        count = multiply_adds(lambda: ASPP(setting.shape[1]).eval()(torch.empty(setting.shape)))
    case = _case(setting, module.out_channels, lambda: module(x), [x, *module.parameters()])
    return Case(case.call, {"multiply_adds": count * (3 if setting.training else 1)})


def why_no_triton(x: Tensor) -> str | None:
    """The reason for which method "triton" is not measured here, or None."""
    if x.device.type != "cuda":
        return "no GPU here"
    return None if meshgrid_conv_triton.available(x) else "Triton does not serve this GPU or these numbers"

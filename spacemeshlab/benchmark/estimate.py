"""What the rows of the paper's tables will cost on GPUs, calculated where nobody has run them yet (chapter 18).

A training run is counted on tensors without numbers: weights, the multiply–adds of a step, the least memory. Hours
follow from rates that a GPU is *assumed* to sustain, between two shares of what its maker states; they are no
measurements, and loading, validation and scoring come on top.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import torch

from spacemeshlab.benchmark.measure import multiply_adds
from spacemeshlab.data import DATASETS
from spacemeshlab.models.metrocon import MetroCon2
from spacemeshlab.preflight import bytes_kept
from spacemeshlab.recipe import Recipe, get_recipe
from spacemeshlab.step import build_network
from spacemeshlab.tables import TABLES, run_name

RECIPES: dict[int | str, str] = {1: "cityscapes", 2: "cityscapes", "ablations": "cityscapes", 4: "pascal-context"}
"""The tables that are trained, and the recipe of each; table 3 is table 2's last network on other images."""

SEEDS = (0, 1, 2)
AT_ONCE = 8
"""GPUs, each with a run of its own."""

PRECISIONS = {"32-true": ("tf32", "float32"), "bf16-mixed": ("bf16", "bf16")}
"""How convolutions are computed, and how MetroCon²'s products, in PyTorch's own settings for these precisions."""


class Rate(NamedTuple):
    """TFLOP/s without sparsity, as the maker states them, and the shares that training is assumed to sustain."""

    stated: float
    low: float
    high: float


@dataclass(frozen=True)
class Gpu:
    """A GPU: its rates, and where its maker states them."""

    bf16: Rate
    tf32: Rate
    float32: Rate
    source: str

    def hours(self, convolutions: int, products: int, precision: str) -> list[float]:
        """Of so many multiply–adds, at the high shares and at the low ones."""
        rates = [getattr(self, kind) for kind in PRECISIONS[precision]]
        parts = [
            [2 * count / (share * rate.stated * 1e12 * 3600) for share in (rate.high, rate.low)]
            for count, rate in zip((convolutions, products), rates, strict=True)
        ]
        return list(map(sum, zip(*parts, strict=True)))


# NVIDIA's own training of a ResNet-50 reaches 0.19 on an A100 (a test does the sum): half and twice of it. An H100
# computes three times as fast and reads its memory less than twice as fast: smaller shares. An H200 computes like it.
# Products in float32 wait for arithmetic, not for memory.
GPUS = {
    "A100": Gpu(
        bf16=Rate(312, 0.1, 0.4),
        tf32=Rate(156, 0.1, 0.4),
        float32=Rate(19.5, 0.6, 0.9),
        source="https://www.nvidia.com/en-us/data-center/a100/",
    ),
    "H100": Gpu(
        bf16=Rate(989, 0.05, 0.3),
        tf32=Rate(494, 0.05, 0.3),
        float32=Rate(67, 0.6, 0.9),
        source="https://www.nvidia.com/en-us/data-center/h100/",
    ),
}


@dataclass(frozen=True)
class Run:
    """A training run, and the rows that it serves: table -> their names."""

    recipe: Recipe
    rows: dict[str, list[str]] = field(default_factory=dict)


def plan() -> dict[str, Run]:
    """Every run of the tables, once, by the names of recipe and network."""
    runs: dict[str, Run] = {}
    for table, preset in RECIPES.items():
        base = get_recipe(preset, ["pretrained=false"])  # nothing is to be downloaded
        for row in TABLES[table]:
            recipe = row.recipe(base, SEEDS[0])
            name = f"{preset} {run_name(recipe).removesuffix(f'-seed{SEEDS[0]}')}"
            runs.setdefault(name, Run(recipe)).rows.setdefault(str(table), []).append(row.name)
    return runs


def estimate() -> dict[str, Any]:
    """All of it, ready for JSON: ``gpus``, ``runs`` by name, and ``tables``, the sums of each table."""
    runs = {name: {"rows": run.rows, **cost(run.recipe)} for name, run in plan().items()}
    return {
        "about": "calculated, not measured: hours at shares of the GPU's stated rates that are assumed",
        "seeds": len(SEEDS),
        "at_once": AT_ONCE,
        "gpus": {name: asdict(gpu) for name, gpu in GPUS.items()},
        "runs": runs,
        "tables": sums(runs.values()),
    }


def cost(recipe: Recipe) -> dict[str, Any]:
    """One training run on one GPU: weights, multiply–adds of a step, the least bytes of memory, hours by precision."""
    with torch.device("meta"):
        net = build_network(recipe, len(DATASETS[recipe.dataset].labels))
        images = torch.empty(recipe.batch_size, 3, *recipe.crop)
        step = 3 * multiply_adds(lambda: net(images))  # backward counts twice
    products = 3 * products_of(net, images)
    fixed = 3 * sum(parameter.nbytes for parameter in net.parameters())  # weights, gradients, momentum
    return {
        "weights": sum(parameter.numel() for parameter in net.parameters()),
        "multiply_adds": step,
        "products": products,
        "memory": fixed + bytes_kept(net.to_empty(device="cpu"), recipe.batch_size, recipe),
        "hours": {
            precision: {
                name: _digits(gpu.hours(recipe.iterations * (step - products), recipe.iterations * products, precision))
                for name, gpu in GPUS.items()
            }
            for precision in PRECISIONS
        },
    }


def products_of(net: torch.nn.Module, images: torch.Tensor) -> int:
    """Multiply–adds of MetroCon²: each weight once at each place of a map at stride 16."""
    n, _, h, w = images.shape
    weights = sum(module.weight.numel() for module in net.modules() if isinstance(module, MetroCon2))
    return weights * n * (h // 16) * (w // 16)


def sums(runs: Collection[Mapping[str, Any]]) -> dict[str, Any]:
    """What :func:`together` says of the runs of each table, and of all."""
    found = {str(table): together([run for run in runs if str(table) in run["rows"]]) for table in RECIPES}
    return found | {"all": together(runs)}


def together(runs: Collection[Mapping[str, Any]]) -> dict[str, Any]:
    """Runs with each seed: how many, and by precision and GPU their hours in sum and until all are done."""
    found: dict[str, Any] = {"runs": len(runs) * len(SEEDS), "gpu_hours": {}, "hours": {}}
    for precision in PRECISIONS:
        each = {name: [run["hours"][precision][name] for run in runs for _ in SEEDS] for name in GPUS}
        ends = {name: list(zip(*hours, strict=True)) for name, hours in each.items()}  # all at best, all at worst
        found["gpu_hours"][precision] = {name: _digits(map(sum, both)) for name, both in ends.items()}
        found["hours"][precision] = {
            name: _digits(makespan(hours, AT_ONCE) for hours in both) for name, both in ends.items()
        }
    return found


def makespan(hours: Iterable[float], workers: int) -> float:
    """Hours until all jobs are done if the longest start first and each worker takes the next when it is free."""
    busy = [0.0] * workers
    for job in sorted(hours, reverse=True):
        heapq.heapreplace(busy, busy[0] + job)
    return max(busy)


def _digits(values: Iterable[float]) -> list[float]:
    """To three digits: more would promise what an assumed rate cannot keep."""
    return [float(f"{value:.3g}") for value in values]

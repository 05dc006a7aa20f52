"""How time and memory grow with the input: both networks, and the operation on their maps of stride 16."""

from __future__ import annotations

import math
from typing import Any

import torch

from spacemeshlab.benchmark import networks, operation
from spacemeshlab.benchmark.bench import Bench
from spacemeshlab.models.network import OUTPUT_STRIDE


def run(bench: Bench) -> dict[str, Any]:
    """The part "growth" of the results."""
    sizes = [(128, 256), (256, 512), (512, 1024), (1024, 2048)]
    dtype = torch.bfloat16 if bench.on_gpu else torch.float32
    net, conv = {"names": (networks.OURS, networks.BASELINE)}, {"methods": ("gemm", "triton")}
    channels = 2048
    if bench.quick:
        sizes, channels = [(32, 64), (64, 128)], 32
        net, conv = net | {"backbone": "resnet18", "rates": (1, 2)}, conv | {"rates": (1, 2)}
    done, groups = {}, {"networks": [], "operation": []}
    for height, width in sizes:
        repeats = 5 if bench.on_gpu or height < 1024 else 1  # a CPU needs long for the largest
        whole = networks.Setting((1, 3, height, width), dtype=dtype, repeats=repeats, **net)
        shape = (1, channels, height // OUTPUT_STRIDE, width // OUTPUT_STRIDE)
        part = operation.Setting(shape, dtype, repeats=repeats, **conv)
        groups["networks"].append(networks.compare_forward(bench, whole, plain=False))
        groups["operation"].append(operation.compare(bench, part))
        done |= {whole.title("forward"): groups["networks"][-1], f"operation {part.title}": groups["operation"][-1]}
    pixels = math.prod(sizes[-1]) / math.prod(sizes[0])
    return {
        "about": "inference; exponent e: from the smallest to the largest input, a cost grows as pixels to the power e",
        "ceilings": bench.ceilings([dtype]),
        "settings": done,
        "exponents": {key: value for group in groups.values() for key, value in exponents(group, pixels).items()},
    }


def exponents(settings: list[dict[str, Any]], pixels: float) -> dict[str, dict[str, float]]:
    """The power of ``pixels``, the growth of the input, by which each case's time and peak memory grew."""
    found = {}
    for name, last in settings[-1]["cases"].items():
        first = settings[0]["cases"][name]
        if first["status"] == last["status"] == "run":
            time = last["seconds"]["median"] / first["seconds"]["median"]
            room = last["peak_bytes"] / first["peak_bytes"]
            found[name] = {"seconds": round(math.log(time, pixels), 3), "peak_bytes": round(math.log(room, pixels), 3)}
    return found

"""What the design asks for, as places in the results: the file of results then says itself what it proves."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

from spacemeshlab.models.meshgrid_conv_gemm import MEMORY_BYTES

SENSES = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True)
class Target:
    """A number of a setting and what it should be; ``place`` is the way to it, cut at ``|``."""

    part: str
    setting: str
    place: str
    sense: str
    bound: float

    def find(self, parts: dict[str, Any]) -> float | None:
        """The number, or None where it was not measured."""
        value: Any = parts.get(self.part, {}).get("settings", {})
        for key in (self.setting, *self.place.split("|")):
            value = value.get(key)
            if value is None:
                return None
        return value


_STEP_ON_GPU = "training step resnet101 8x3x768x768 bfloat16"
_GPU = "8x2048x48x48 bfloat16"
_SCORE = "confusion matrix 1024x2048, 19 classes"
_EXTRA = ("cases|gemm|extra_bytes", "<=", MEMORY_BYTES)
_NETWORKS = "ratios|SpaceMeshLab / DeepLabV3Plus|median"
_FUSED = "ratios|SpaceMeshLab (fused) / DeepLabV3Plus (fused)|median"

TARGETS = (
    Target("operation", "forward 1x2048x64x128 float32", "ratios|loop / gemm|median", ">=", 9),
    Target("operation", "forward 1x2048x64x128 float32", "ratios|gemm / product|median", "<=", 1.1),
    Target("operation", "forward 1x2048x64x128 bfloat16", "ratios|loop / gemm|median", ">=", 9),
    Target("operation", "forward 1x2048x64x128 bfloat16", "ratios|gemm / product|median", "<=", 1.1),
    Target("operation", "forward+backward 1x2048x16x32 float32", "ratios|loop / gemm|median", ">=", 8),
    Target("operation", "forward+backward 1x2048x16x32 bfloat16", "ratios|loop / gemm|median", ">=", 8),
    Target("operation", "forward 1x2048x64x128 float32", *_EXTRA),
    Target("operation", "forward 1x2048x112x224 float32", *_EXTRA),
    Target("operation", "forward+backward 1x2048x64x128 float32", *_EXTRA),
    Target("operation", "forward+backward 1x2048x112x224 float32", *_EXTRA),
    Target("operation", f"forward {_GPU}", "cases|triton|share_of_product", ">=", 0.6),
    Target("operation", f"forward+backward {_GPU}", "cases|triton|share_of_product", ">=", 0.6),
    Target("operation", f"forward {_GPU}", "ratios|loop / triton|median", ">=", 40),
    Target("operation", f"forward+backward {_GPU}", "ratios|loop / triton|median", ">=", 40),
    Target("networks", "forward resnet101 1x3x256x512 float32", _NETWORKS, "<=", 1.3),
    Target("networks", "forward resnet101 1x3x256x512 float32", _FUSED, "<=", 1.3),
    Target("networks", "training step resnet18 2x3x256x512 float32", _NETWORKS, "<=", 1.6),
    Target("networks", _STEP_ON_GPU, _NETWORKS, "<=", 1 / 0.75),
    Target("metrics", _SCORE, "cases|ours|seconds|median", "<=", 0.012),
    Target("metrics", _SCORE, "ratios|torchmetrics / ours|median", ">=", 8),
)


def check(parts: dict[str, Any]) -> list[dict[str, Any]]:
    """Every target whose number is in the results: what it is, its value, its bound, whether it is met."""
    found = []
    for target in TARGETS:
        value = target.find(parts)
        if value is not None:
            words = [word for word in target.place.split("|") if word not in ("cases", "ratios", "median")]
            what = f"{target.setting}: {' '.join(words)}"
            met = SENSES[target.sense](value, target.bound)
            found.append({"what": what, "value": value, "sense": target.sense, "bound": target.bound, "met": met})
    return found

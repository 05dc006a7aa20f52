"""Seconds, bytes and multiply–adds of a call, measured so that two calls can be compared (chapter 18).

Machines slow down and speed up by the minute. So what is to be compared is called in turn within one process, every
round gives one ratio, and medians are handed on with the smallest and the largest value beside them.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

Call = Callable[[], Any]
Seconds = dict[str, list[float]]
"""What each case took, round by round."""


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest value, to five digits."""
    found = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: float(f"{value:.5g}") for name, value in found.items()}


def stopwatch(call: Call, device: torch.device) -> Callable[[], float]:
    """A function that makes ``call`` once and returns its seconds; on a GPU by events on the GPU's own clock."""

    def on_cpu() -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    def on_gpu() -> float:
        torch.cuda.synchronize(device)
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1000

    return on_gpu if device.type == "cuda" else on_cpu


def alternate(timers: Mapping[str, Callable[[], float]], repeats: int) -> Seconds:
    """Ask each timer in turn, ``repeats`` rounds, every second round in reverse order."""
    seconds: Seconds = {name: [] for name in timers}
    for number in range(repeats):
        for name in list(timers)[:: -1 if number % 2 else 1]:
            seconds[name].append(timers[name]())
    return seconds


def measure(calls: Mapping[str, Call], repeats: int, device: torch.device) -> Seconds:
    """Time ``calls`` in turn, ``repeats`` times each."""
    return alternate({name: stopwatch(call, device) for name, call in calls.items()}, repeats)


def ratios(seconds: Seconds, pairs: Iterable[tuple[str, str]]) -> dict[str, dict[str, float]]:
    """``{"slow / fast": spread}`` for every pair whose two cases were measured: one ratio a round."""
    return {
        f"{slow} / {fast}": spread([a / b for a, b in zip(seconds[slow], seconds[fast], strict=True)])
        for slow, fast in pairs
        if slow in seconds and fast in seconds
    }


def memory(call: Call, device: torch.device) -> tuple[Any, dict[str, int]]:
    """Call once; return the result, and how much PyTorch allocated for it.

    ``peak_bytes`` is the highest sum of bytes that the call itself had allocated at one time, ``result_bytes`` what is
    left in its result, ``extra_bytes`` the difference. On a CPU the profiler's events are added up: they see every
    allocation of PyTorch's, also inside custom operators, but not the work space of oneDNN and MKL.
    """
    result, peak = (_memory_on_gpu if device.type == "cuda" else _memory_on_cpu)(call)
    kept = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in _tensors(result)}
    left = sum(kept.values())
    return result, {"peak_bytes": peak, "result_bytes": left, "extra_bytes": max(0, peak - left)}


def _memory_on_gpu(call: Call) -> tuple[Any, int]:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    result = call()
    torch.cuda.synchronize()
    return result, torch.cuda.max_memory_allocated() - before


def _memory_on_cpu(call: Call) -> tuple[Any, int]:
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler complains on stderr that there is no GPU
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = call()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    live = peak = 0
    for event in sorted((event for event in events if event["name"] == "[memory]"), key=lambda event: event["ts"]):
        live += event["args"]["Bytes"]  # negative when memory is given back
        peak = max(peak, live)
    return result, peak


def _tensors(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    parts = result.values() if isinstance(result, Mapping) else result if isinstance(result, list | tuple) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def multiply_adds(call: Call) -> int:
    """Multiply–adds in convolutions and matrix products, as torch counts them; on the meta device they cost nothing."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call()
    return counter.get_total_flops() // 2  # torch counts the multiplication and the addition

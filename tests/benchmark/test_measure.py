"""Seconds, bytes and multiply–adds: the instruments are checked on things whose size is known."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spacemeshlab.benchmark import measure

CPU = torch.device("cpu")
MIB = 2**20


def mebibytes(count: int) -> torch.Tensor:
    return torch.empty(count * MIB, dtype=torch.uint8)


def bytes_of(call) -> tuple[float, float, float]:
    used = measure.memory(call, CPU)[1]
    return tuple(used[key] / MIB for key in ("peak_bytes", "result_bytes", "extra_bytes"))


@torch.library.custom_op("spacemeshlab_tests::scratch", mutates_args=())
def scratch(x: torch.Tensor) -> torch.Tensor:
    """Needs 24 MiB for a moment and returns 1 MiB."""
    work = mebibytes(24)
    del work
    return mebibytes(1)


def test_a_spread_is_median_least_and_most_to_five_digits():
    assert measure.spread([3.0, 1.0, 2.0000001]) == {"median": 2.0, "min": 1.0, "max": 3.0}


def test_cases_are_called_in_turn_and_every_second_round_in_reverse():
    order = []
    timers = {name: lambda name=name: order.append(name) or float(len(order)) for name in "abc"}
    seconds = measure.alternate(timers, 3)
    assert "".join(order) == "abc" + "cba" + "abc"
    assert seconds == {"a": [1, 6, 7], "b": [2, 5, 8], "c": [3, 4, 9]}


def test_a_ratio_is_taken_round_by_round():
    seconds = {"slow": [2.0, 30.0, 8.0], "fast": [1.0, 10.0, 2.0]}
    assert measure.ratios(seconds, [("slow", "fast")]) == {"slow / fast": {"median": 3.0, "min": 2.0, "max": 4.0}}


def test_a_pair_with_a_case_that_was_not_measured_has_no_ratio():
    assert measure.ratios({"slow": [1.0]}, [("slow", "fast"), ("fast", "slow")]) == {}


def test_measuring_calls_each_case_once_a_round():
    calls = []
    seconds = measure.measure({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 4, CPU)
    assert sorted(calls) == ["a"] * 4 + ["b"] * 4
    assert all(value >= 0 for values in seconds.values() for value in values)


def test_the_peak_is_the_highest_sum_of_what_lives_at_one_time():
    def call():
        first, second = mebibytes(10), mebibytes(30)  # 40 together
        del first
        third = mebibytes(5)  # 35
        del second
        return third

    assert bytes_of(call) == (40, 5, 35)


def test_memory_inside_a_custom_operator_is_seen():
    assert bytes_of(lambda: scratch(torch.ones(1))) == pytest.approx((24, 1, 23), abs=0.01)


def test_what_was_there_before_the_call_does_not_count():
    before = mebibytes(50)
    assert bytes_of(lambda: before.zero_()) == (0, 50, 0)


def test_a_result_counts_each_storage_once_and_as_a_whole():
    def call():
        whole = mebibytes(8)
        return {"whole": whole, "parts": [whole[:10], (whole.view(2, -1), None)]}

    assert bytes_of(call) == (8, 8, 0)


def test_the_call_is_made_once_and_its_result_handed_on():
    calls = []
    result, _ = measure.memory(lambda: calls.append(1) or "result", CPU)
    assert (result, calls) == ("result", [1])


def test_the_backward_pass_is_seen_too():
    x = torch.randn(1, 4, 64, 64, requires_grad=True)  # 64 KiB
    used = measure.memory(lambda: torch.autograd.grad(F.relu(x).sum(), x), CPU)[1]
    assert used["result_bytes"] == x.nbytes
    assert used["peak_bytes"] >= 2 * x.nbytes


def test_multiply_adds_of_a_convolution_are_its_arithmetic():
    conv, x = nn.Conv2d(3, 5, 3, padding=1, bias=False), torch.randn(2, 3, 8, 16)
    assert measure.multiply_adds(lambda: conv(x)) == 9 * 3 * 5 * 2 * 8 * 16

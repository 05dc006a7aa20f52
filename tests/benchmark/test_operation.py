"""The operation's cases compute the same, cost what arithmetic says, and include those of the targets."""

from __future__ import annotations

import pytest
import torch

from spacemeshlab.benchmark import operation, targets
from spacemeshlab.benchmark.bench import Bench
from spacemeshlab.benchmark.operation import Setting

CPU = Bench(torch.device("cpu"))
QUICK = Bench(torch.device("cpu"), quick=True)
SMALL = {"shape": (2, 16, 6, 10), "rates": (1, 3, 7), "depth": 2}
MAPS = 3 * 3 * 2
BYTES = {"x": 2 * 16 * 6 * 10 * 4, "y": 2 * MAPS * 6 * 10 * 4, "weight": 9 * MAPS * 16 * 4}


@pytest.fixture(scope="module")
def forward():
    return operation.compare(QUICK, Setting(**SMALL))


@pytest.fixture(scope="module")
def training():
    return operation.compare(QUICK, Setting(**SMALL, training=True))


def test_all_methods_ran_but_triton_which_needs_a_gpu(forward, training):
    for found in (forward, training):
        status = {name: row["status"] for name, row in found["cases"].items()}
        assert status == dict.fromkeys(("loop", "gemm", "product", "aspp"), "run") | {"triton": "not run"}
        assert found["cases"]["triton"]["reason"] == "no GPU here"
        assert list(found["ratios"]) == ["loop / gemm", "gemm / product", "aspp / gemm"]


def test_loop_and_gemm_give_the_same_result_and_the_same_gradient_of_x(forward, training):
    for found in (forward, training):
        assert found["cases"]["loop"]["difference"] == 0
        assert 0 < found["cases"]["gemm"]["difference"] < 1e-5


def test_a_wrong_result_would_be_seen():
    y = torch.tensor([1.0, -4.0])
    assert operation.difference(torch.tensor([1.0, -3.0]), y) == 0.25
    assert operation.difference((y, y * 2, None), (y, y, None)) == 1.0


def test_multiply_adds_are_the_arithmetic_of_the_definition(forward, training):
    once = 9 * MAPS * 16 * 2 * 6 * 10
    for found, times in ((forward, 1), (training, 3)):
        assert {found["cases"][name]["multiply_adds"] for name in ("loop", "gemm", "product")} == {times * once}
        dilated = (1 + 3 * 9) * 16 * 256 * 2 * 6 * 10  # a 1×1 and three 3×3 branches of 256
        assert found["cases"]["aspp"]["multiply_adds"] == times * (dilated + 16 * 256 * 2)  # and one on the mean


def test_the_result_is_the_output_and_in_training_the_gradients_too(forward, training):
    for method in ("loop", "gemm"):
        assert forward["cases"][method]["result_bytes"] == BYTES["y"]
        assert training["cases"][method]["result_bytes"] == sum(BYTES.values())
        assert forward["cases"][method]["peak_bytes"] >= BYTES["y"]


def test_the_product_is_written_into_a_given_tensor_and_takes_no_memory(forward, training):
    assert forward["cases"]["product"]["peak_bytes"] == training["cases"]["product"]["peak_bytes"] == 0


def test_every_filter_of_the_loop_is_a_contiguous_parameter_of_its_own():
    setting = Setting(**SMALL, training=True)
    x = torch.randn(setting.shape, requires_grad=True)
    case = operation._loop(setting, x, operation._filters(setting, CPU.device))
    _, grad_x, *grads = case.call()
    assert grad_x.shape == x.shape
    assert [grad.shape for grad in grads] == [(2, 16, 3, 3)] * 9
    assert all(grad.is_contiguous() for grad in grads)


def test_bfloat16_runs_in_training(monkeypatch):
    found = operation.compare(QUICK, Setting(**SMALL, dtype=torch.bfloat16, training=True, methods=("loop", "gemm")))
    assert found["cases"]["gemm"]["difference"] < 0.05
    assert found["cases"]["gemm"]["result_bytes"] == sum(BYTES.values()) / 2


def test_what_a_machine_cannot_do_in_time_is_told():
    found = operation.compare(QUICK, Setting(**SMALL, methods=("gemm",), left_out=(("loop", "too slow"),)))
    assert found["cases"]["loop"] == {"status": "not run", "reason": "too slow"}


def test_a_title_names_pass_shape_and_type():
    assert Setting((1, 2, 3, 4)).title == "forward 1x2x3x4 float32"
    assert Setting((1, 2, 3, 4), torch.bfloat16, training=True).title == "forward+backward 1x2x3x4 bfloat16"


def test_every_target_of_the_operation_is_measured_on_a_cpu_or_on_a_gpu():
    on_cpu, on_gpu = (
        {setting.title: setting for setting in operation.settings(Bench(torch.device(kind)))}
        for kind in ("cpu", "cuda")
    )
    wanted = [target for target in targets.TARGETS if target.part == "operation"]
    assert wanted
    for target in wanted:
        setting = (on_gpu if "triton" in target.place else on_cpu)[target.setting]
        kind, what = target.place.split("|")[:2]
        names = what.split(" / ") if kind == "ratios" else [what]
        assert set(names) <= set(setting.methods)

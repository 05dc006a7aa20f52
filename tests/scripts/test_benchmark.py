"""scripts/benchmark.py --quick: every part runs, the numbers hang together, and no file is lost. No time is judged."""

from __future__ import annotations

import json
import math
import sys

import benchmark as script
import pytest
import torch

from spacemeshlab.benchmark import results

pytest.importorskip("segmentation_models_pytorch")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """One quick run of everything: the file, and what was printed."""
    path = tmp_path_factory.mktemp("benchmark") / "quick.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [script.__file__, "--quick", "--out", str(path)])
        script.main()
    return path


@pytest.fixture
def parts(quick):
    return json.loads(quick.read_text(), parse_constant=pytest.fail)["parts"]


def settings(parts: dict) -> list[dict]:
    return [setting for part in parts.values() for setting in part["settings"].values()]


def rows(parts: dict) -> list[dict]:
    return [row for setting in settings(parts) for row in setting["cases"].values()]


def test_every_part_is_there_and_says_where_it_comes_from(parts, tmp_path):
    assert list(parts) == list(results.PARTS) == ["operation", "networks", "growth", "metrics", "data"]
    for part in parts.values():
        assert {"commit", "machine", "threads", "torch", "command", "torchmetrics"} <= set(part["origin"])
        assert part["origin"]["command"] == "python scripts/benchmark.py --quick --out quick.json"
        assert (part["device"], part["seed"]) == ("cpu", 0)
        assert part["about"]
        assert part["settings"]
    assert str(tmp_path.parent) not in json.dumps(parts)


def test_every_ratio_and_every_time_is_a_positive_number_with_its_spread(parts):
    measured = [ratio for setting in settings(parts) for ratio in setting["ratios"].values()]
    measured += [row["seconds"] for row in rows(parts) if row["status"] == "run"]
    assert len(measured) > 40
    for value in measured:
        assert 0 < value["min"] <= value["median"] <= value["max"] < math.inf


def test_what_was_not_run_has_a_reason(parts):
    left_out = [row for row in rows(parts) if row["status"] != "run"]
    assert left_out
    assert all(row == {"status": "not run", "reason": "no GPU here"} for row in left_out)


def test_rates_follow_from_counts_and_times(parts):
    for row in rows(parts):
        if "multiply_adds" in row:
            rate = 2 * row["multiply_adds"] / row["seconds"]["median"] / 1e9
            assert row["gflop_per_second"] == pytest.approx(rate, abs=1e-3)
            assert row["share_of_product"] > 0 or row["gflop_per_second"] < 0.1
        if "images" in row:
            assert row["images_per_second"] == pytest.approx(row["images"] / row["seconds"]["median"], abs=1e-3)
        if "peak_bytes" in row:
            assert row["peak_bytes"] - row["result_bytes"] <= row["extra_bytes"] <= row["peak_bytes"]


def test_the_operations_counts_are_arithmetic(parts):
    for title, setting in parts["operation"]["settings"].items():
        times = 3 if title.startswith("forward+backward") else 1
        maps = len(setting["rates"]) ** 2 * setting["depth"]
        size = 2 if "bfloat16" in title else 4
        output, weight, x = maps * 8 * 16 * size, 9 * maps * 32 * size, 32 * 8 * 16 * size
        for method in ("loop", "gemm"):
            row = setting["cases"][method]
            assert row["multiply_adds"] == times * 9 * maps * 32 * 8 * 16
            assert row["result_bytes"] == (output if times == 1 else output + weight + x)


def test_every_network_is_compared_in_inference_and_in_a_training_step(parts):
    forward, *training = parts["networks"]["settings"].values()
    ours, others = "SpaceMeshLab", ("DeepLabV3Plus", "smp.DeepLabV3Plus")
    assert set(forward["cases"]) == {f"{name}{form}" for name in (ours, *others) for form in ("", " (fused)")}
    assert set(forward["ratios"]) == {f"{ours}{form} / {name}{form}" for name in others for form in ("", " (fused)")}
    assert set().union(*(setting["cases"] for setting in training)) == {ours, *others, "torchvision.deeplabv3"}
    trained = {name: row for setting in training for name, row in setting["cases"].items()}
    for name in (ours, *others):
        assert trained[name]["multiply_adds"] == 3 * forward["cases"][name]["multiply_adds"]
        assert trained[name]["peak_bytes"] > 4 * trained[name]["parameters"]  # a gradient for each parameter


def test_four_times_the_pixels_cost_four_times_the_multiply_adds(parts):
    small, small_map, large, large_map = parts["growth"]["settings"].values()
    for less, more in ((small, large), (small_map, large_map)):
        for name, row in more["cases"].items():
            if row["status"] == "run":
                assert row["multiply_adds"] == pytest.approx(4 * less["cases"][name]["multiply_adds"], rel=0.02)
    assert set(parts["growth"]["exponents"]) == {"SpaceMeshLab (fused)", "DeepLabV3Plus (fused)", "gemm"}


def test_one_part_is_replaced_and_the_others_stay(call, quick, parts):
    outcome = call(script, "--quick", "--only", "metrics", "--out", quick)
    assert outcome.code == 0
    found = json.loads(quick.read_text())
    assert list(found["parts"]) == list(parts)
    assert found["parts"].pop("metrics")["origin"]["command"].endswith("--quick --only metrics --out quick.json")
    assert found["parts"] == {name: part for name, part in parts.items() if name != "metrics"}
    lines = outcome.out.splitlines()
    assert lines[0].startswith("== metrics: ")
    assert lines[-1] == f"done: {quick}"
    assert "torchmetrics / ours = " in outcome.out
    assert max(map(len, lines[:-1])) <= 100


def test_a_run_that_fails_leaves_the_file_as_it_was(call, quick, monkeypatch):
    def fail(bench):
        raise RuntimeError("out of memory")

    before = quick.read_text()
    monkeypatch.setitem(results.PARTS, "operation", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        call(script, "--quick", "--out", quick)
    assert quick.read_text() == before
    assert [path.name for path in quick.parent.iterdir()] == [quick.name]


def test_a_part_that_was_done_is_kept_when_the_next_one_fails(call, tmp_path, monkeypatch):
    monkeypatch.setitem(results.PARTS, "growth", lambda bench: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        call(script, "--quick", "--only", "metrics", "growth", "--out", tmp_path / "new" / "quick.json")
    assert list(json.loads((tmp_path / "new" / "quick.json").read_text())["parts"]) == ["metrics"]


def test_an_unknown_part_is_one_line_and_nothing_is_measured(refused, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "measure_part", None)
    line = refused(script, "--only", "metrics", "speed", "--out", tmp_path / "cpu.json")
    parts = "operation, networks, growth, metrics, data"
    assert line == f"error: expected parts out of {parts}; got 'speed': choose some of these"
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_one_line_and_nothing_is_measured(refused, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "measure_part", None)
    (tmp_path / "file").write_text("kept")
    assert "expected to write" in refused(script, "--quick", "--out", tmp_path / "file" / "cpu.json")
    assert "but is a directory" in refused(script, "--quick", "--out", tmp_path)
    assert "found something else" in refused(script, "--quick", "--out", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"


def test_a_quick_run_never_writes_into_full_results(refused, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "measure_part", None)
    results.merge(tmp_path / "cpu.json", False, "metrics", {"settings": {}})
    line = refused(script, "--quick", "--out", tmp_path / "cpu.json")
    assert "expected results of --quick in" in line
    full, fast = (script._default(torch.device("cpu"), quick) for quick in (False, True))
    assert full.relative_to(script.ROOT).as_posix() == "book/results/benchmark/cpu.json"
    assert fast.relative_to(script.ROOT).as_posix() == "_build/benchmark-quick.json"


def test_without_the_other_library_the_extra_is_named(refused, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.classification", None)
    line = refused(script, "--quick", "--only", "metrics", "--out", tmp_path / "quick.json")
    assert line == "error: expected the package torchmetrics, found none: pip install -e .[bench]"

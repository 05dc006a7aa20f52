"""Pairs of runs together: differences with their intervals, kind by kind (the rest: tests/scripts/test_diagnose.py)."""

from __future__ import annotations

import pytest

from spacemeshlab.diagnosis.report import compare, summary
from spacemeshlab.results import student_t


def network(loss, train, val, miou, silenced=None):
    """An examined network: its last training loss, losses on train and val, mIoU, and both without its silent taps."""
    fit = {"train": {"loss": train, "miou": 0.0}, "val": {"loss": val, "miou": miou}}
    fit["val_silenced"] = dict(zip(("loss", "miou"), silenced or (val, miou), strict=True))
    return {"curve": {"loss": {100: 9.0, 200: loss}, "val_miou": {200: miou}}, "fit": fit}


NETWORKS = {
    "a-seed0": network(1.0, 0.5, 0.7, 0.30),
    "a-seed1": network(1.2, 0.6, 0.8, 0.34),
    "b-seed0": network(1.1, 0.4, 0.6, 0.35, (0.55, 0.36)),
    "b-seed1": network(1.5, 0.5, 0.8, 0.35, (0.76, 0.35)),
    "c-seed0": network(0.9, 0.5, 0.7, 0.40),
}
PAIRS = [("a-seed0", "b-seed0"), ("a-seed1", "b-seed1"), ("a-seed0", "c-seed0")]


def test_pairs_are_gathered_by_what_they_are_without_their_seed():
    first, second = compare(PAIRS, NETWORKS)
    assert (first["network"], second["network"]) == ("b", "c")
    assert [step["baseline"] for step in first["steps"]] == ["a-seed0", "a-seed1"]
    assert [step["loss"][200] for step in first["steps"]] == [pytest.approx(0.1), pytest.approx(0.3)]


def test_every_difference_is_ours_minus_the_baseline_with_students_interval():
    found = compare(PAIRS, NETWORKS)[0]["differences"]
    means = {"training_loss": 0.2, "train_loss": -0.1, "val_loss": -0.05, "val_miou": 0.03}
    halves = {"training_loss": 0.1, "train_loss": 0.0, "val_loss": 0.05, "val_miou": 0.02}  # of the two pairs' distance
    for name, mean in means.items():
        margin = pytest.approx(student_t(1) * halves[name], abs=1e-9)
        assert found[name] == {"seeds": 2, "mean": pytest.approx(mean), "margin": margin}, name


def test_silent_taps_are_compared_with_the_same_network_and_not_with_the_baseline():
    found = compare(PAIRS, NETWORKS)[0]["differences"]
    assert found["silenced_loss"]["mean"] == pytest.approx((-0.05 - 0.04) / 2)
    assert found["silenced_miou"]["mean"] == pytest.approx((0.01 + 0.0) / 2)


def test_the_summary_names_what_is_outside_the_noise_and_what_one_seed_leaves_open():
    two, one = map(summary, compare(PAIRS, NETWORKS))
    assert two.splitlines()[0] == "b"
    assert "train_loss    -0.1000 ± 0.0000, outside the noise" in two
    assert "training_loss +0.2000 ± 1.2706, inside the noise" in two
    assert "val_miou      +0.1000, noise unknown" in one

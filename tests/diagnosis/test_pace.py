"""Logs of runs compared step by step, and what they say together."""

from __future__ import annotations

import json

import pytest

from spacemeshlab.diagnosis.pace import check_twins, curve, last_loss, learning_rates, steps
from spacemeshlab.errors import UserError
from spacemeshlab.recipe import get_recipe


def write(folder, losses, scores, recipe=None):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [{"iteration": at, "loss": loss, "lr": 0.1} for at, loss in losses.items()]
    lines += [{"iteration": at, "val_miou": score} for at, score in scores.items()]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if recipe is not None:
        (folder / "recipe.json").write_text(json.dumps({"recipe": recipe.as_dict(), "origin": {}}))
    return folder


def test_losses_are_averaged_over_windows_that_end_at_their_multiple(tmp_path):
    run = write(tmp_path, {10: 4.0, 20: 2.0, 30: 1.0, 40: 0.5, 50: 0.1}, {20: 0.1, 50: 0.3})
    assert curve(run, window=20) == {"loss": {20: 3.0, 40: 0.75, 60: 0.1}, "val_miou": {20: 0.1, 50: 0.3}}


@pytest.mark.parametrize("text", ["", "no json\n", '{"loss": 1}\n', "[1]\n[2]\n", '{"iteration": 1, "val_miou": 0}\n'])
def test_a_log_that_is_none_is_refused(text, tmp_path):
    (tmp_path / "metrics.jsonl").write_text(text)
    with pytest.raises(UserError, match=r"^expected .* in .*metrics\.jsonl, found none"):
        curve(tmp_path)


def test_a_run_without_a_log_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"expected a run's log in .*metrics\.jsonl"):
        curve(tmp_path)


def test_steps_are_ours_minus_the_baselines_where_both_were_measured():
    baseline = {"loss": {100: 2.0, 200: 1.0}, "val_miou": {200: 0.5}}
    ours = {"loss": {100: 1.5, 200: 1.25, 300: 1.0}, "val_miou": {200: 0.25}}
    assert steps(baseline, ours) == {"loss": {100: -0.5, 200: 0.25}, "val_miou": {200: -0.25}}


def test_the_last_loss_is_that_of_the_last_window():
    assert last_loss({"curve": {"loss": {100: 3.0, 300: 1.0, 200: 2.0}, "val_miou": {}}}) == 1.0


def test_twins_differ_in_their_network_alone():
    baseline = get_recipe("toycity", ["spam=false", "context=aspp"])
    check_twins(baseline, get_recipe("toycity", ["rates=1-9", "workers=2"]))
    with pytest.raises(UserError, match=r"found lr=0\.05 and 0\.1, seed=0 and 1: give each"):
        check_twins(baseline, get_recipe("toycity", ["lr=0.1", "seed=1"]))


def test_runs_of_several_learning_rates_stand_in_order_with_what_they_ended_with(tmp_path):
    for name, lr, loss, score in (("b", 0.1, 0.7, 0.4), ("a", 0.02, 0.9, 0.3)):
        recipe = get_recipe("toycity", [f"lr={lr}"])
        write(tmp_path / name, {10: 5.0, 200: loss}, {100: 0.1, 200: score}, recipe)
    first, second = learning_rates([tmp_path / "b", tmp_path / "a"])
    assert (first["run"], first["lr"], first["loss"], first["val_miou"]) == ("a", 0.02, 0.9, 0.3)
    assert (second["run"], second["lr"]) == ("b", 0.1)
    assert first["network"] == "spam=true attention=true context=metrocon2"


def test_a_run_that_was_never_validated_says_nothing_about_its_rate(tmp_path):
    write(tmp_path, {10: 5.0}, {}, get_recipe("toycity"))
    with pytest.raises(UserError, match="expected a validation in the log of"):
        learning_rates([tmp_path])

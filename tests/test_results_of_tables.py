"""What was measured: results are found, a missing one is never hidden, and no difference stands without its noise."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from spacemeshlab.errors import UserError
from spacemeshlab.evaluate import describe, protocol
from spacemeshlab.recipe import RECIPES
from spacemeshlab.results import Cost, Summary, by_class, compare, cost, difference, measured, student_t, summarise
from spacemeshlab.tables import ABLATIONS, TABLE_1, TABLE_2, TABLE_3, TABLES

RESULTS = Path(__file__).parents[1] / "book" / "results"
TOY, CITYSCAPES = RECIPES["toycity"], RECIPES["cityscapes"]
ROWS = {row.name: row for row in (*TABLE_1, *TABLE_2)}


def result(row, base=TOY, seed=0, miou=0.5, **changes):
    """What scripts/evaluate.py writes, as far as tables look at it."""
    recipe = row.recipe(base, seed)
    views = describe("val", **protocol(recipe, row.tta))
    kept = {"miou": miou, "iteration": recipe.iterations, "checkpoint": "last", "protocol": views, "seed": seed}
    return kept | {"recipe": recipe.as_dict()} | changes


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
        return tmp_path

    return write


def test_results_are_found_whatever_their_name_and_in_the_order_of_seeds(write):
    row = ROWS["r101-spam"]
    write("b", result(row, seed=3, miou=0.25))
    folder = write("a", result(row, seed=11, miou=0.75))
    assert [found["miou"] for found in measured(row, TOY, folder)] == [0.25, 0.75]
    assert measured(row, TOY.override(["seed=5", "workers=3", "validate_every=7", "cache=true"]), folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"iteration": 59},
        {"checkpoint": "best"},
        {"protocol": "val, whole image, scale 1, logits"},
        {"miou": None},
        {"recipe": {"name": "of another version", "colour": "red"}},
        {"recipe": ROWS["r101-spam"].recipe(TOY).as_dict() | {"lr": 0.04}},
        {"recipe": ROWS["r101-spam"].recipe(TOY).as_dict() | {"precision": "bf16-mixed"}},
    ],
    ids=["unfinished", "best on val", "another protocol", "no score", "another version", "lr", "precision"],
)
def test_what_is_not_exactly_this_experiment_is_no_result(write, changes):
    row = ROWS["r101-spam"]
    folder = write("right", result(row))
    assert len(measured(row, TOY, folder)) == 1
    assert measured(row, TOY, write("right", result(row) | changes)) == []


def test_other_rows_and_other_json_are_passed_over(write):
    write("predictions", {"images": [], "runs": {}})
    write("list", [1, 2])
    folder = write("other", result(ROWS["r101-attention"]))
    assert measured(ROWS["r101-spam"], TOY, folder) == []
    assert measured(ROWS["r101-attention-tta"], TOY, folder) == []
    assert len(measured(ROWS["aspp"], TOY, folder)) == 1
    assert measured(ROWS["r101"], TOY, folder / "none") == []


def test_a_result_of_a_network_with_idle_switches_counts(write):
    plain = result(ROWS["r101"])
    plain["recipe"] |= {"attention": False, "rates": [1, 2]}  # neither SpaM nor MetroCon² is there
    assert len(measured(ROWS["r101"], TOY, write("plain", plain))) == 1


def test_a_result_from_before_variants_is_the_plain_networks(write):
    old = result(ROWS["rates-18"])
    del old["recipe"]["variant"]
    folder = write("old", old)
    assert [len(measured(row, TOY, folder)) for row in ABLATIONS] == [1] + [0] * 8


def test_two_results_of_one_seed_are_refused_and_named(write):
    write("first", result(ROWS["r101"]))
    folder = write("second", result(ROWS["r101"], miou=0.6))
    with pytest.raises(UserError, match=r"one result of r101 with seed 0 .* found first.json and second.json: keep"):
        measured(ROWS["r101"], TOY, folder)


def test_a_file_that_is_no_json_is_named(tmp_path):
    (tmp_path / "cut.json").write_text('{"miou": 0.')
    with pytest.raises(UserError, match=r"expected JSON in .*cut.json, found something else: restore"):
        measured(ROWS["r101"], TOY, tmp_path)


def test_a_score_of_the_test_server_is_never_taken_from_val(write):
    on_val = dataclasses.replace(TABLE_3[0], split="val")
    folder = write("val", result(on_val, CITYSCAPES))
    assert len(measured(on_val, CITYSCAPES, folder)) == 1
    assert measured(TABLE_3[0], CITYSCAPES, folder) == []


def test_a_summary_is_mean_and_sample_deviation_or_says_what_is_missing():
    found = summarise([result(ROWS["r101"], seed=seed, miou=miou) for seed, miou in ((0, 0.5), (1, 0.51), (4, 0.52))])
    assert found.scores == pytest.approx({0: 50.0, 1: 51.0, 4: 52.0})
    assert (found.mean, found.sd) == pytest.approx((51.0, 1.0))
    assert str(found) == "51.0 ± 1.0 (3 seeds)"
    assert str(Summary({2: 51.04})) == "51.0 (1 seed)"
    assert Summary({2: 51.04}).sd is None
    assert str(Summary({})) == "not run"
    assert Summary({}).mean is None


def test_a_difference_is_paired_by_seed():
    ours, theirs = Summary({0: 51.0, 1: 54.0, 2: 57.0, 9: 99.0}), Summary({0: 50.0, 1: 52.0, 2: 54.0, 8: 0.0})
    step = difference(ours, theirs)  # 1, 2, 3
    assert (step.seeds, step.mean) == (3, pytest.approx(2.0))
    assert step.margin == pytest.approx(4.303 / math.sqrt(3), abs=1e-3)
    assert step.inside_the_noise is True
    assert str(step) == "+2.0 ± 2.5, inside the noise"
    assert difference(Summary({0: 1.0}), Summary({1: 1.0})) is None
    assert difference(Summary({}), theirs) is None


def test_one_shared_seed_leaves_the_noise_unknown_and_a_clear_step_is_outside_it():
    alone = difference(Summary({0: 45.0}), Summary({0: 47.3}))
    assert (alone.margin, alone.inside_the_noise) == (None, None)
    assert str(alone) == "-2.3, noise unknown"
    clear = difference(Summary({0: 51.0, 1: 52.1, 2: 53.2}), Summary({0: 50.0, 1: 51.0, 2: 52.0}))
    assert clear.inside_the_noise is False
    assert str(clear) == "+1.1 ± 0.2, outside the noise"


@pytest.mark.parametrize(
    ("degrees", "t"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (10, 2.228), (30, 2.042)]
)
def test_students_t_is_that_of_the_printed_tables(degrees, t):
    assert student_t(degrees) == pytest.approx(t, abs=5e-4)


def test_students_t_takes_other_levels_and_approaches_the_normal_distribution():
    assert student_t(4, 0.99) == pytest.approx(4.604, abs=5e-4)
    assert student_t(5, 0.9) == pytest.approx(2.015, abs=5e-4)
    assert student_t(2000) == pytest.approx(1.961, abs=1e-3)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(0)
    inside = 0
    for steps in random.normal(0.5, 0.7, (2000, 3)):
        step = difference(Summary(dict(enumerate(steps))), Summary({0: 0.0, 1: 0.0, 2: 0.0}))
        inside += abs(step.mean - 0.5) <= step.margin
    assert 0.94 <= inside / 2000 <= 0.96


def test_a_printed_table_has_the_paper_beside_what_was_measured_and_what_it_took(write):
    for seed, (low, high) in enumerate([(0.50, 0.52), (0.51, 0.54), (0.52, 0.53)]):
        write(f"low{seed}", result(ROWS["r101"], seed=seed, miou=low, training_minutes=10 + seed, memory_gib=1 + seed))
        folder = write(f"high{seed}", result(ROWS["r101-spam"], seed=seed, miou=high, parameters=17_020_000))
    lines = {line.split()[0]: line for line in compare(1, TOY, folder).splitlines()}
    assert list(lines) == ["row", *(row.name for row in TABLE_1)]
    assert re.search(r"78\.1 +51\.0 ± 1\.0 \(3 seeds\) +11\.0 +3\.00$", lines["r101"])
    spam = r"78\.9 +\+0\.8 +53\.0 ± 1\.0 \(3 seeds\) +\+2\.0 ± 2\.5, inside the noise +17\.02$"
    assert re.search(spam, lines["r101-spam"])
    assert lines["r101-spam"].index("17.02") == lines["row"].index("M weights")
    assert re.search(r"79\.4 +\+0\.5 +not run$", lines["r101-attention"])


def test_an_ablation_has_a_measured_step_and_none_of_the_paper(write):
    for seed, step in enumerate((0.01, 0.02, 0.03)):
        write(f"whole{seed}", result(ABLATIONS[0], seed=seed, miou=0.5))
        folder = write(f"less{seed}", result(ABLATIONS[2], seed=seed, miou=0.5 - step))
    lines = {line.split()[0]: line for line in compare("ablations", TOY, folder).splitlines()}
    assert list(lines) == ["row", *(row.name for row in ABLATIONS)]
    assert re.search(r"^spacemeshlab +80\.8 +50\.0 ± 0\.0 \(3 seeds\)$", lines["spacemeshlab"])
    assert re.search(r"^fixed-score +48\.0 ± 1\.0 \(3 seeds\) +-2\.0 ± 2\.5, inside the noise$", lines["fixed-score"])
    assert re.search(r"^to-memo +not run$", lines["to-memo"])


@pytest.mark.parametrize("table", TABLES)
def test_no_line_of_a_table_is_wider_than_120_columns(write, table):
    took = {"training_minutes": 1234.5, "memory_gib": 139.25, "parameters": 123_456_789}
    for number, row in enumerate(TABLES[table]):
        for seed in range(11):  # rows in turn 100 and 0
            miou = float((number + seed) % 2)
            folder = write(f"{number}-{seed}", result(row, CITYSCAPES, seed, miou, **took))
    assert max(map(len, compare(table, CITYSCAPES, folder).splitlines())) <= 120


def test_what_runs_took_is_a_mean_a_maximum_and_a_count_and_unknown_where_no_result_says_it():
    runs = [{"training_minutes": 10.0, "memory_gib": 1.5, "parameters": 7}, {"training_minutes": 20.0}]
    assert cost(runs) == Cost(15.0, 1.5, 7)
    assert cost(runs[1:]) == Cost(20.0, None, None)
    assert cost([{"training_minutes": None, "memory_gib": None}]) == cost([]) == Cost(None, None, None)


def test_single_classes_are_summed_up_and_paired_by_seed_as_the_mean_is():
    def row(*scores):
        runs = [{"recipe": {"seed": n}, "iou": {"pole": p, "sign": s}} for n, (p, s) in enumerate(scores)]
        return by_class(runs, ("pole", "sign"))

    plain, ours = row((0.1, 0.2), (0.2, None), (0.3, 0.4)), row((0.2, 0.5), (0.4, 0.5), (0.6, 0.5))
    assert list(plain) == ["pole", "sign"]
    assert str(plain["pole"]) == "20.0 ± 10.0 (3 seeds)"
    assert plain["sign"].scores == pytest.approx({0: 20.0, 2: 40.0})  # nowhere in seed 1
    assert str(difference(ours["pole"], plain["pole"])) == "+20.0 ± 24.8, inside the noise"
    assert difference(ours["sign"], plain["sign"]).seeds == 2
    assert by_class([], ["pole"]) == {"pole": Summary({})}


def test_a_class_that_the_data_set_does_not_have_is_named():
    with pytest.raises(UserError, match=r"expected classes out of pole, sign; got 'poles': choose some of these"):
        by_class([{"recipe": {"seed": 0}, "iou": {"pole": 0.5, "sign": 0.5}}], ["poles"])


def test_the_committed_results_of_camvid_are_found():
    folder = RESULTS / "camvid-cpu"
    found = [summarise(measured(ROWS[name], RECIPES["camvid-cpu"], folder)).scores for name in ("r101", "rates-18")]
    assert [round(scores[0], 1) for scores in found] == [47.3, 45.0]

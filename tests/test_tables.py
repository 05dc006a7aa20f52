"""The paper's tables as data: they hold its numbers, find their results, and never hide a missing one or the noise."""

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
from spacemeshlab.tables import (
    QUOTED,
    TABLE_1,
    TABLE_2,
    TABLE_3,
    TABLE_4,
    TABLES,
    Summary,
    compare,
    difference,
    identity,
    measured,
    run_name,
    student_t,
    summarise,
)

BIBLIOGRAPHY = Path(__file__).parents[1] / "book" / "references.bib"
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


def test_the_papers_numbers_are_its_numbers():
    assert [row.paper for row in TABLE_1] == [77.4, 78.2, 78.7, 78.1, 79.5, 78.9, 79.4, 80.5]
    assert [row.paper for row in TABLE_2] == [79.4, 80.5, 79.8, 80.4, 80.8, 81.8]
    assert [row.paper for row in TABLE_3] == [80.9, 82.0]
    assert [row.paper for row in TABLE_4] == [51.7, 52.8, 53.5]
    assert [row.paper for row in QUOTED if row.table == 3] == [65.3, 70.4, 73.6, 77.6, 78.4, 80.6, 81.5, 81.6]
    assert [row.paper for row in QUOTED if row.table == 4] == [37.8, 45.7, 47.8, 52.6, 52.8]
    assert [row.tta for row in TABLE_1] == [False, False, False, False, True, False, False, True]
    assert [row.tta for row in TABLE_2] == [False, True, False, False, False, True]


def test_the_row_that_two_tables_share_has_one_score_and_one_network():
    shared = ROWS["r101-attention"], ROWS["aspp"]
    assert shared[0].paper == shared[1].paper
    assert shared[0].recipe(CITYSCAPES) == shared[1].recipe(CITYSCAPES)


@pytest.mark.parametrize("rows", TABLES.values(), ids=lambda rows: f"table {rows[0].table}")
def test_a_row_is_held_against_one_that_differs_in_one_thing(rows):
    known = {row.name: row for row in rows}
    assert len(known) == len(rows)
    for row in (row for row in rows if row.against):
        other = known[row.against]
        ours, theirs = (identity(one.recipe(CITYSCAPES)) for one in (row, other))
        changed = {key for key in ours if ours[key] != theirs[key]} | ({"tta"} if row.tta != other.tta else set())
        # attention does not exist without SpaM, nor rates without MetroCon²: such a pair is one change
        allowed = [{"tta"}, {"spam", "attention"}, {"attention"}, {"context", "rates"}, {"rates"}]
        whole = {"spam", "attention", "context", "rates"}  # table 4: the whole network against the baseline
        assert changed in [*allowed, *([whole] if row.table == 4 else [])], row.name


def test_every_quoted_row_has_an_entry_in_the_bibliography():
    keys = set(re.findall(r"^@\w+\{([^,]+),", BIBLIOGRAPHY.read_text(), flags=re.MULTILINE))
    assert {row.key for row in QUOTED} <= keys


def test_the_papers_backbones_replace_the_papers_recipe_but_no_small_one():
    assert ROWS["r50-spam"].recipe(CITYSCAPES).backbone == "resnet50"
    assert ROWS["r101-spam"].recipe(CITYSCAPES).backbone == "resnet101"
    for name in ("toycity", "camvid", "camvid-cpu"):
        base = RECIPES[name]
        assert ROWS["r50-spam"].recipe(base) == ROWS["r101-spam"].recipe(base)
        assert ROWS["r101"].recipe(base).backbone == base.backbone


def test_rows_that_train_the_same_network_share_a_run_and_others_do_not():
    def names(base):
        return {row.name: run_name(row.recipe(base, 1)) for row in (*TABLE_1, *TABLE_2)}

    full, toy = names(CITYSCAPES), names(TOY)
    assert full["r101"] == full["r101-tta"] == "resnet101-aspp-seed1"
    assert full["r101-attention"] == full["aspp"] == full["aspp-tta"] == "resnet101-spam-attention-aspp-seed1"
    assert full["r101-spam"] == "resnet101-spam-aspp-seed1"
    assert full["rates-3"] == "resnet101-spam-attention-metrocon2-6.12.18-seed1"
    assert full["rates-18"] == "resnet101-spam-attention-metrocon2-1-18-seed1"
    assert (len(set(full.values())), len(set(toy.values()))) == (9, 6)
    assert toy["r50"] == toy["r101"] == "resnet18-aspp-seed1"
    assert run_name(TOY.override(["rates=7"])) == "resnet18-spam-attention-metrocon2-7-seed0"


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


def test_what_a_network_does_not_have_makes_no_other_experiment(write):
    plain = result(ROWS["r101"])
    plain["recipe"] |= {"attention": False, "rates": [1, 2]}  # neither SpaM nor MetroCon² is there
    assert len(measured(ROWS["r101"], TOY, write("plain", plain))) == 1
    without = TOY.override(["attention=false"])
    assert identity(without) != identity(TOY)
    assert identity(TOY.override(["rates=1-9"])) != identity(TOY)


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


def test_a_printed_table_has_the_paper_beside_what_was_measured(write):
    for seed, (low, high) in enumerate([(0.50, 0.52), (0.51, 0.54), (0.52, 0.53)]):
        write(f"low{seed}", result(ROWS["r101"], seed=seed, miou=low))
        folder = write(f"high{seed}", result(ROWS["r101-spam"], seed=seed, miou=high))
    lines = {line.split()[0]: line for line in compare(1, TOY, folder).splitlines()}
    assert list(lines) == ["row", *(row.name for row in TABLE_1)]
    assert re.search(r"78\.1 +51\.0 ± 1\.0 \(3 seeds\)$", lines["r101"])
    assert re.search(r"78\.9 +\+0\.8 +53\.0 ± 1\.0 \(3 seeds\) +\+2\.0 ± 2\.5, inside the noise$", lines["r101-spam"])
    assert re.search(r"79\.4 +\+0\.5 +not run$", lines["r101-attention"])


def test_the_committed_results_of_camvid_are_found():
    folder = BIBLIOGRAPHY.parent / "results" / "camvid-cpu"
    found = [summarise(measured(ROWS[name], RECIPES["camvid-cpu"], folder)).scores for name in ("r101", "rates-18")]
    assert [round(scores[0], 1) for scores in found] == [47.3, 45.0]

"""The paper's tables as data: they hold its numbers, and a row differs from another in what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spacemeshlab.errors import UserError
from spacemeshlab.models.variants import VARIANTS
from spacemeshlab.recipe import RECIPES
from spacemeshlab.tables import (
    ABLATIONS,
    QUOTED,
    TABLE_1,
    TABLE_2,
    TABLE_3,
    TABLE_4,
    TABLES,
    choose,
    identity,
    run_name,
)

BIBLIOGRAPHY = Path(__file__).parents[1] / "book" / "references.bib"
TOY, CITYSCAPES = RECIPES["toycity"], RECIPES["cityscapes"]
ROWS = {row.name: row for row in (*TABLE_1, *TABLE_2)}


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
        allowed = [{"tta"}, {"spam", "attention"}, {"attention"}, {"context", "rates"}, {"rates"}, {"variant"}]
        whole = {"spam", "attention", "context", "rates"}  # table 4: the whole network against the baseline
        assert changed in [*allowed, *([whole] if row.table == 4 else [])], row.name


def test_each_variant_has_its_ablation_which_differs_from_the_whole_network_alone():
    whole, without, *others = ABLATIONS
    assert whole.recipe(CITYSCAPES) == ROWS["rates-18"].recipe(CITYSCAPES)
    assert (whole.name, whole.paper, whole.against) == ("spacemeshlab", ROWS["rates-18"].paper, "")
    assert [row.recipe(TOY).variant for row in others] == list(VARIANTS[1:])
    assert [row.name for row in others] == list(VARIANTS[1:])
    assert not without.recipe(TOY).spam
    assert {(row.against, row.paper, row.tta, row.split) for row in ABLATIONS[1:]} == {
        ("spacemeshlab", None, False, "val")
    }


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


def test_a_variant_has_a_run_and_a_name_of_its_own():
    names = [run_name(row.recipe(TOY, 2)) for row in ABLATIONS]
    assert len(set(names)) == len(ABLATIONS)
    assert names[0] == "resnet18-spam-attention-metrocon2-1-18-seed2"
    assert names[1] == "resnet18-metrocon2-1-18-seed2"
    assert names[2] == "resnet18-spam-attention-metrocon2-1-18-fixed-score-seed2"
    assert identity(ABLATIONS[2].recipe(TOY)) != identity(ABLATIONS[0].recipe(TOY))


def test_what_a_network_does_not_have_makes_no_other_experiment():
    plain = ROWS["r101"].recipe(TOY)
    assert identity(plain) == identity(plain.override(["attention=false", "rates=1,2"]))  # neither SpaM nor MetroCon²
    assert identity(plain) == identity(plain.override(["seed=5", "workers=3", "validate_every=7", "cache=true"]))
    assert identity(TOY.override(["attention=false"])) != identity(TOY)
    assert identity(TOY.override(["rates=1-9"])) != identity(TOY)


def test_unknown_rows_are_refused_with_the_list_of_those_that_exist():
    with pytest.raises(UserError, match=r"expected rows out of r50, r50-spam, .*; got 'r18': choose some of these"):
        choose(TABLE_1, ["r50", "r18"])
    assert [row.name for row in choose(TABLE_1, ["r101", "r50", "r101"])] == ["r101", "r50"]

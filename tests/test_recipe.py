"""Recipes: presets, ``key=value``, refusals in one line, the way through JSON, and a comment at every field."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re

import pytest

from spacemeshlab.data import DATASETS
from spacemeshlab.errors import UserError
from spacemeshlab.recipe import RECIPES, Recipe, get_recipe

FIELDS = [field.name for field in dataclasses.fields(Recipe)]


def test_the_presets_of_the_ladder_exist_under_their_own_names():
    assert {"toycity", "camvid", "camvid-cpu", "cityscapes"} <= set(RECIPES)
    assert all(recipe.name == name for name, recipe in RECIPES.items())
    assert {recipe.dataset for recipe in RECIPES.values()} <= set(DATASETS)


def test_the_cityscapes_preset_holds_the_papers_values():
    recipe = get_recipe("cityscapes")
    assert (recipe.backbone, recipe.pretrained, recipe.context) == ("resnet101", True, "metrocon2")
    assert recipe.rates == tuple(range(1, 19))
    assert (recipe.iterations, recipe.batch_size, recipe.lr, recipe.aux_weight) == (80_000, 8, 0.01, 0.4)
    assert (recipe.momentum, recipe.weight_decay, recipe.poly_power) == (0.9, 5e-4, 0.9)
    assert (recipe.crop, recipe.scale, recipe.scale_range, recipe.flip) == ((768, 768), 1.0, (0.5, 2.0), True)


def test_presets_for_a_cpu_download_nothing_and_use_the_smallest_backbone():
    for name in ("toycity", "camvid-cpu", "camvid-small"):
        assert (get_recipe(name).pretrained, get_recipe(name).backbone) == (False, "resnet18")


@pytest.mark.parametrize(
    ("pairs", "part"),
    [
        (["variant=one-head", "attention=false"], "attention"),
        (["variant=two-heads", "spam=false"], "attention"),
        (["variant=to-memo", "spam=false"], "spam"),
        (["variant=fixed-score", "context=aspp"], "metrocon2"),
    ],
)
def test_a_variant_of_a_part_that_is_not_there_is_refused(pairs, part):
    with pytest.raises(UserError, match=f"needs a network with {part}, got one without: set variant=none"):
        get_recipe("toycity", pairs)
    assert get_recipe("toycity", pairs[:1]).variant == pairs[0].partition("=")[2]


def test_every_recipe_has_a_place_for_its_data():
    places = {name: recipe.data_root.as_posix() for name, recipe in RECIPES.items()}
    assert places == {
        "toycity": "data/toycity",
        "cityscapes": "data/cityscapes",
        "pascal-context": "data/pascal-context",
        "camvid": "data/camvid",
        "camvid-cpu": "data/camvid",
        "camvid-small": "data/camvid",
    }


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("crop=768x512", (768, 512)),
        ("crop=768X512", (768, 512)),
        ("rates=1-18", tuple(range(1, 19))),
        ("rates=6,12,18", (6, 12, 18)),
        ("rates=4", (4,)),
        ("rates=3-3", (3,)),
        ("scale_range=0.5-2", (0.5, 2.0)),
        ("spam=false", False),
        ("spam=No", False),
        ("attention=0", False),
        ("pretrained=TRUE", True),
        ("flip=yes", True),
        ("compile=1", True),
        ("lr=1e-3", 0.001),
        ("aux_weight=0", 0.0),
        ("iterations=12", 12),
        ("backbone=resnet34", "resnet34"),
        ("name=mine=2", "mine=2"),
    ],
)
def test_an_override_is_read_as_its_fields_type(pair, value):
    key = pair.partition("=")[0]
    changed = getattr(get_recipe("cityscapes", [pair]), key)
    assert changed == value
    assert type(changed) is type(getattr(Recipe(), key))


def test_overrides_change_only_what_they_name_and_the_last_one_wins():
    base = get_recipe("toycity")
    changed = base.override(["lr=0.5", "seed=3", "lr=0.25"])
    assert changed == dataclasses.replace(base, lr=0.25, seed=3)
    assert get_recipe("toycity") == base


@pytest.mark.parametrize("pair", ["learning_rate=0.1", "lr", "=3", ""])
def test_an_unknown_key_lists_the_valid_ones(pair):
    with pytest.raises(UserError, match=re.escape(f"one of the keys {', '.join(FIELDS)}; got {pair!r}")):
        get_recipe("toycity", [pair])


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("iterations=many", "iterations expects a whole number, got 'many'"),
        ("iterations=1.5", "iterations expects a whole number, got '1.5'"),
        ("lr=fast", "lr expects a number, got 'fast'"),
        ("spam=maybe", "spam expects true or false, got 'maybe'"),
        ("crop=768", "crop expects HEIGHTxWIDTH such as 768x768, got '768'"),
        ("crop=768x768x3", "crop expects HEIGHTxWIDTH"),
        ("rates=a-b", "rates expects a range such as 1-18 or a list such as 6,12,18, got 'a-b'"),
        ("rates=", "rates expects a range"),
        ("scale_range=2", "scale_range expects LOW-HIGH such as 0.5-2, got '2'"),
    ],
)
def test_a_value_of_the_wrong_type_says_what_is_expected(pair, expected):
    with pytest.raises(UserError, match=f"^{re.escape(expected)}"):
        get_recipe("toycity", [pair])


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (["crop=100x130"], "crop must be positive multiples of 16, got 100x130: try crop=96x128"),
        (["crop=0x16"], "crop must be positive multiples of 16, got 0x16: try crop=16x16"),
        (["batch_size=1"], "batch_size must be at least 2 (batch norm needs two images), got 1: set batch_size=2"),
        (["devices=0"], "devices must be at least 1, got 0: set devices=1"),
        (["devices=3"], "batch_size must be a multiple of devices=3 times accumulate=1, got 8: set batch_size=9"),
        (
            ["devices=2", "accumulate=3"],
            "batch_size must be a multiple of devices=2 times accumulate=3, got 8: set batch_size=12",
        ),
        (["accumulate=0"], "accumulate must be at least 1, got 0: set accumulate=1"),
        (["rates=6,12,12"], "rates must increase from 1 or more, got (6, 12, 12): try rates=1-18 or rates=6,12,18"),
        (["rates=18,12,6"], "rates must increase"),
        (["rates=0,1"], "rates must increase from 1 or more, got (0, 1)"),
        (["rates=18-1"], "rates must increase"),
        (["backbone=vgg"], "backbone must be one of resnet18, resnet34, resnet50, resnet101, got 'vgg'"),
        (["context=pyramid"], "context must be one of metrocon2, aspp, got 'pyramid'"),
        (
            ["dataset=kitti"],
            "dataset must be one of cityscapes, camvid, pascal-context, pascal-context-60, got 'kitti'",
        ),
        (["precision=fp8"], "precision must be one of 32-true, bf16-mixed, 16-mixed, got 'fp8'"),
        (["iterations=0"], "iterations must be at least 1"),
        (["validate_every=0"], "validate_every must be at least 1"),
        (["workers=-1"], "workers must be at least 0"),
        (["seed=-1"], "seed must be at least 0"),
        (["momentum=-0.1"], "momentum must be at least 0"),
        (["weight_decay=nan"], "weight_decay must be at least 0, got nan"),
        (["aux_weight=-1"], "aux_weight must be at least 0"),
        (["lr=0"], "lr must be positive, got 0.0: lr=0.01 is usual"),
        (["lr=nan"], "lr must be positive, got nan"),
        (["lr=inf"], "lr must be at most 1000000, got inf: set a smaller lr"),
        (["momentum=1.1"], "momentum must be at most 1, got 1.1"),
        (["weight_decay=inf"], "weight_decay must be at most 1000000, got inf"),
        (["aux_weight=inf"], "aux_weight must be at most 1000000, got inf"),
        (["poly_power=inf"], "poly_power must be at most 1000000, got inf"),
        (["scale=inf"], "scale must be at most 100, got inf"),
        (["scale_range=1-inf"], "scale_range must be LOW-HIGH"),
        ([f"seed={2**63}"], f"seed must be at most {2**63 - 1}, got {2**63}: set a smaller seed"),
        (["scale=-1"], "scale must be positive"),
        (
            ["scale_range=2-0.5"],
            "scale_range must be LOW-HIGH with 0 < LOW <= HIGH, got (2.0, 0.5): try scale_range=0.5-2",
        ),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_a_better_one(pairs, expected):
    with pytest.raises(UserError, match=f"^{re.escape(expected)}") as refused:
        get_recipe("cityscapes", pairs)
    assert "\n" not in str(refused.value)


def test_values_are_checked_however_a_recipe_is_made():
    with pytest.raises(UserError, match="rates must increase"):
        Recipe(rates=())
    with pytest.raises(UserError, match="multiples of 16"):
        Recipe.from_dict(Recipe().as_dict() | {"crop": [769, 769]})
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().lr = 0.0


def test_an_unknown_recipe_lists_the_known_ones():
    with pytest.raises(UserError, match=re.escape(f"expected a recipe out of {', '.join(RECIPES)}; got 'toy'")):
        get_recipe("toy")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_comes_back_from_json_equal(name):
    recipe = get_recipe(name, ["rates=6,12,18", "scale_range=0.75-1.25"])
    again = Recipe.from_dict(json.loads(json.dumps(recipe.as_dict())))
    assert again == recipe
    assert hash(again) == hash(recipe)


def test_fields_of_another_version_are_named_and_missing_ones_take_the_papers_value():
    with pytest.raises(UserError, match=r"unknown fields \['colour'\]: it was written by another version"):
        Recipe.from_dict(Recipe().as_dict() | {"colour": 1})
    assert Recipe.from_dict({"name": "old"}) == Recipe(name="old")


@pytest.mark.parametrize("values", [3, None, ["name"], {"crop": 7}, {"crop": [1, 2, 3]}, {"iterations": "many"}])
def test_what_is_no_recipe_is_refused(values):
    with pytest.raises(UserError, match=r"recipe, found .*train again$"):
        Recipe.from_dict(values)


def test_every_field_has_a_comment_and_the_papers_fields_say_paper_or_reading():
    comments = dict(re.findall(r"^    (\w+): [^#\n]*# (.+)$", inspect.getsource(Recipe), re.MULTILINE))
    assert [field for field in FIELDS if field not in comments] == []
    ours = {"name", "channels_last", "compile", "cache", "workers", "validate_every"}  # not the paper's: how it is run
    unmarked = {field for field, comment in comments.items() if not re.match(r"P \(\w+ [\d.]+\)|R: ", comment)}
    assert unmarked & set(FIELDS) == ours

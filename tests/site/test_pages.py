"""Every page loads without a complaint and without a network, shows its equations and figures, and fits a phone."""

from __future__ import annotations

import itertools


def test_a_page_loads_without_a_complaint_and_asks_nobody_else(look, name):
    seen = look(name)
    assert seen.complaints == []
    assert seen.strangers == []
    assert seen.facts["fonts"] == []


def test_a_page_shows_its_equations(look, name):
    facts = look(name).facts
    assert facts["rendered"] >= facts["formulas"]
    assert facts["failed"] == []


def test_a_page_shows_its_figures_and_each_says_what_it_shows(look, name):
    facts = look(name).facts
    assert facts["broken"] == []
    assert facts["unseen"] == []
    assert facts["mute"] == []
    assert facts["stretched"] == []


def test_a_page_has_one_title_and_skips_no_level_of_headings(look, name):
    levels = look(name).facts["headings"]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), levels


def test_a_page_uses_no_id_twice(look, name):
    assert look(name).facts["twice"] == []


def test_a_page_fits_a_screen_and_a_phone(look, name):
    seen = look(name)
    assert seen.facts["wide"] <= 0
    assert seen.phone["wide"] <= 0

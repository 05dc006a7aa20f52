"""Where a prediction is wrong: borders, things in pieces, the grid of the logits."""

from __future__ import annotations

import math

import pytest
import torch

from spacemeshlab.analysis import (
    Thing,
    at_budget,
    border_errors,
    components,
    count_things,
    log_odds,
    middles,
    near_border,
    squeezed,
    things,
)


def naive_near(target, radius):
    near = torch.zeros(target.shape, dtype=torch.bool)
    for p in torch.cartesian_prod(*map(torch.arange, target.shape)).tolist():
        for q in torch.cartesian_prod(*map(torch.arange, target.shape)).tolist():
            pair = int(target[tuple(p)]), int(target[tuple(q)])
            if 255 not in pair and pair[0] != pair[1] and max(abs(p[0] - q[0]), abs(p[1] - q[1])) <= radius:
                near[tuple(p)] = True
    return near


def test_the_band_around_borders_is_that_of_the_definition():
    target = torch.randint(0, 3, (2, 3)).repeat_interleave(4, 0).repeat_interleave(3, 1)
    target[2:4, 3:6] = 255
    before = target.clone()
    for radius in (1, 2, 3):
        assert torch.equal(near_border(target, radius), naive_near(target, radius))
    assert torch.equal(target, before)


def test_void_makes_no_border_and_is_near_none():
    target = torch.full((3, 6), 4)
    target[:, 3:] = 255
    assert not near_border(target, 2).any()
    target[:, 4:] = 0
    near = near_border(target, 2)
    assert near[:, 2].all()  # a 0 stands two columns away, behind the void
    assert not near[:, 3].any()


def test_errors_are_counted_over_the_set_and_void_is_left_out():
    target = torch.tensor([[0, 0, 0, 0, 1, 255]])
    prediction = torch.tensor([[1, 0, 0, 1, 1, 0]])
    assert border_errors([prediction] * 2, [target] * 2, 1) == {
        "radius": 1,
        "counted": 10,
        "wrong": 4,
        "counted_near": 4,
        "wrong_near": 2,
    }


def test_pixels_that_touch_at_a_corner_belong_together():
    mask = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0]]).bool()
    number = components(mask)
    assert torch.equal(number > 0, mask)
    assert number.max() == 3
    assert number[0, 0] == number[1, 1]
    assert number[3, 0] == number[3, 1]
    assert [int(number[place]) for place in ((0, 0), (0, 3), (3, 0))] == [1, 2, 3]  # in reading order


def test_an_empty_mask_has_no_components_and_a_full_one_has_one():
    assert components(torch.zeros(3, 4, dtype=torch.bool)).max() == 0
    assert (components(torch.ones(3, 4, dtype=torch.bool)) == 1).all()


def test_a_pole_with_a_gap_is_broken_a_shorter_one_is_whole_and_a_missed_one_has_no_piece():
    truth, found = torch.zeros(2, 8, 8, dtype=torch.bool)
    truth[:8, 0] = truth[:8, 3] = truth[:4, 6] = True
    found[:2, 0] = found[5:8, 0] = found[:6, 3:5] = True
    each = sorted(things(truth, found), key=lambda thing: thing.recalled)
    assert each == [Thing(4, 4, 1, 0.0, 0), Thing(8, 8, 1, 5 / 8, 2), Thing(8, 8, 1, 6 / 8, 1)]
    assert [thing.mean_width for thing in each] == [1, 1, 1]


def test_things_of_a_set_are_counted_and_crumbs_left_out():
    truth = torch.zeros(4, 9, dtype=torch.bool)
    truth[:, 0] = truth[0, 4:6] = True
    found = truth.clone()
    found[1, 0] = False
    tally = count_things([truth, truth], [found, torch.zeros_like(truth)], least=3)
    assert tally == {"things": 2, "missed": 1, "whole": 0, "broken": 1, "recalled": pytest.approx(3 / 8)}
    assert count_things([truth], [found], least=99) == {
        "things": 0,
        "missed": 0,
        "whole": 0,
        "broken": 0,
        "recalled": None,
    }


def test_a_thing_thinner_than_half_a_cell_does_not_fit_through_the_grid():
    target = torch.zeros(8, 24, dtype=torch.int64)
    target[:, 11:13] = 1
    assert (squeezed(target, 2, (1, 3)) == 0).all()
    target[:, 8:16] = 1
    through = squeezed(target, 2, (1, 3))
    assert (through[:, 8:16] == 1).all()
    assert torch.equal(squeezed(target, 2, (8, 24)), target)


def test_log_odds_are_those_of_the_softmax():
    logits = torch.randn(4, 3, 5)
    chance = logits.softmax(0)[2]
    assert torch.allclose(log_odds(logits, 2), (chance / (1 - chance)).log(), atol=1e-5)


def test_a_budget_is_spent_on_the_most_evident_places_that_count():
    evidence = [torch.tensor([[5.0, 4, 3]]), torch.tensor([[2.0, 9, 1]])]
    counted = [torch.tensor([[False, True, True]]), torch.ones(1, 3, dtype=torch.bool)]
    chosen = at_budget(evidence, counted, 2)
    assert torch.cat(chosen, 1).int().tolist() == [[0, 1, 0, 0, 1, 0]]
    assert not any(one.any() for one in at_budget(evidence, counted, 0))
    assert torch.equal(torch.cat(at_budget(evidence, counted, 5)), torch.cat(counted))


def test_the_middle_of_each_part_of_the_sorted_scores_stands_for_that_part():
    scores = [0.5, 0.1, 0.4, 0.2, 0.3, 0.6]
    assert middles(scores, 3) == {2: 3, 4: 2, 6: 5}
    assert middles(scores, 1) == {4: 2}
    hundred = list(middles([float(k) for k in range(101)], 4))
    assert hundred == [13, 38, 64, 89]  # as many before the first as behind the last
    assert middles([0.2, 0.2, math.nan, 0.2], 3) == {1: 0, 2: 1, 3: 3}
    with pytest.raises(ValueError, match="at least 4, one a part, got 3 without NaN"):
        middles([0.2, 0.2, math.nan, 0.2], 4)

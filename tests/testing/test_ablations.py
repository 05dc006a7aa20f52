"""The checks of paired scores and changed fields: the package passes them, and common mistakes are named."""

import math
import statistics

import pytest

from spacemeshlab.results import Summary, difference, student_t
from spacemeshlab.testing import check_changed_fields, check_paired_difference
from spacemeshlab.testing.ablations import naive_paired_difference


def package_difference(ours, baseline):
    """The package's margin is t·s/√n: the deviation s is in it."""
    if len(ours) != len(baseline):
        raise ValueError("the package takes the seeds that both have")
    found = difference(*(Summary(dict(enumerate(scores))) for scores in (ours, baseline)))
    if found.margin is None:
        return found.mean, math.nan
    return found.mean, found.margin * math.sqrt(found.seeds) / student_t(found.seeds - 1)


@pytest.mark.parametrize(
    ("ours", "baseline"),
    [
        ((77.9, 79.3, 78.4), (77.4, 78.6, 78.0)),
        ((40.0, 44.0, 43.0, 47.0), (42.5, 41.0, 45.0, 44.0)),
        ((71.5,), (70.25,)),
        ((71.5, 70.0, 72.0), (70.25, 71.0)),
        ((71.5,), (70.25, 71.0)),
    ],
)
def test_the_packages_difference_passes(ours, baseline):
    check_paired_difference(package_difference, ours, baseline)


def test_numbers_computed_by_hand():
    assert naive_paired_difference([30, 34, 33], [28, 31, 32]) == (2, 1)


def steps(ours, baseline):
    return [a - b for a, b in zip(ours, baseline, strict=True)]


def mean_and(spread):
    """The right mean, and ``spread(ours, baseline)`` beside it."""
    return lambda ours, baseline: (statistics.fmean(steps(ours, baseline)), spread(ours, baseline))


def of_steps(change):
    """Both numbers of the differences, changed one by one."""

    def function(ours, baseline):
        changed = [change(a, b) for a, b in zip(ours, baseline, strict=True)]
        return statistics.fmean(changed), statistics.stdev(changed)

    return function


def sorting(ours, baseline):
    ours.sort()
    return naive_paired_difference(ours, baseline)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (of_steps(lambda a, b: b - a), "ours minus baseline"),
        (mean_and(lambda a, b: statistics.pstdev(steps(a, b))), "divide by n - 1"),
        (mean_and(lambda a, b: math.hypot(statistics.stdev(a), statistics.stdev(b))), "subtract seed by seed first"),
        (mean_and(lambda a, b: statistics.stdev(a)), "of one row"),
        (mean_and(lambda a, b: statistics.variance(steps(a, b))), "its root is missing"),
        (mean_and(lambda a, b: statistics.stdev(steps(a, b)) / math.sqrt(len(a))), "not divided by √n"),
        (mean_and(lambda a, b: 9.0), "the mean is right"),
        (of_steps(lambda a, b: a / b - 1), "relative to the baseline"),
        (of_steps(lambda a, b: 2 * a - b), "write down the differences"),
        (lambda a, b: (math.nan, math.nan), "a mean of .*found nan"),
        (lambda a, b: statistics.fmean(steps(a, b)), "a mean and a standard deviation, found float"),
        (lambda a, b: (1, 2, 3), "found tuple of 3"),
        (lambda a, b: (None, 0.0), "the mean to be a number, found NoneType"),
        (lambda a, b: (0.5333333, "0.15"), "the deviation to be a number, found str"),
        (lambda a, b: None, "found NoneType"),
    ],
)
def test_check_paired_difference_names_the_common_mistakes(mistake, message):
    with pytest.raises(AssertionError, match=message):
        check_paired_difference(mistake)


def test_check_paired_difference_finds_what_only_other_scores_show():
    def sorted_first(ours, baseline):
        return naive_paired_difference(sorted(ours), sorted(baseline))

    unequal = [40.0, 44.0, 43.0, 47.0], [42.5, 41.0, 45.0, 44.0]
    check_paired_difference(sorted_first)
    with pytest.raises(AssertionError, match="do not sort them"):
        check_paired_difference(sorted_first, *unequal)
    with pytest.raises(AssertionError, match="keep the sign"):
        check_paired_difference(of_steps(lambda a, b: abs(a - b)), *unequal)
    with pytest.raises(AssertionError, match="both lists unchanged"):
        check_paired_difference(sorting)


def test_check_paired_difference_finds_a_certainty_out_of_one_pair():
    with pytest.raises(AssertionError, match="0 would claim certainty"):
        check_paired_difference(lambda a, b: (a[0] - b[0], 0.0), [71.5], [70.25])


def test_check_paired_difference_asks_for_a_value_error_where_lengths_differ():
    def cut(ours, baseline):
        return naive_paired_difference(ours[: len(baseline)], baseline[: len(ours)])

    def assertive(ours, baseline):
        assert len(ours) == len(baseline), "not the same seeds"

    check_paired_difference(cut)
    with pytest.raises(AssertionError, match=r"a ValueError for 3 scores against 2, .*zip stops at the shorter"):
        check_paired_difference(cut, [1.0, 2.0, 4.0], [1.0, 0.0])
    with pytest.raises(AssertionError, match="found AssertionError: not the same seeds"):
        check_paired_difference(assertive, [1.0, 2.0, 4.0], [1.0, 0.0])


ABSENT = object()


def fields(recipe, other):
    return sorted(key for key in {**recipe, **other} if recipe.get(key, ABSENT) != other.get(key, ABSENT))


def popping(recipe, other):
    found = fields(recipe, other)
    recipe.clear()
    return found


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda a, b: fields(a, b)[1:], "'context' among the changed fields, .*compare the two values"),
        (lambda a, b: [*fields(a, b), "lr"], "found 'lr' as well"),
        (lambda a, b: fields(a, b)[::-1], "in alphabetical order"),
        (lambda a, b: fields(a, b) * 2, "each key once"),
        (lambda a, b: set(fields(a, b)), "a list of keys, found set"),
        (lambda a, b: len(fields(a, b)), "a list of keys, found int"),
        (lambda a, b: [(key, a[key], b[key]) for key in fields(a, b)], "the names of the fields alone"),
        (lambda a, b: None, "found NoneType"),
        (popping, "both dictionaries unchanged"),
    ],
)
def test_check_changed_fields_names_the_common_mistakes(mistake, message):
    with pytest.raises(AssertionError, match=message):
        check_changed_fields(mistake)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda a, b: sorted(key for key in a.keys() & b.keys() if a[key] != b[key]),
        lambda a, b: sorted(key for key in a | b if a.get(key) != b.get(key)),
    ],
)
def test_check_changed_fields_finds_a_field_that_only_one_of_the_two_has(mistake):
    check_changed_fields(mistake)
    check_changed_fields(fields, {"lr": 1, "depth": None}, {"lr": 1})
    with pytest.raises(AssertionError, match=r"that only one of the two has makes a difference, even if .* None"):
        check_changed_fields(mistake, {"lr": 1, "depth": None}, {"lr": 1})

"""The package passes the checks of labels, and each check names what is wrong with other answers."""

import re

import pytest
import torch

from spacemeshlab import metrics, testing
from spacemeshlab.data.labels import CITYSCAPES, LabelSet
from spacemeshlab.testing.labels import draw_target


def map_labels(ids, evaluated):
    """The package's table, for a data set that evaluates these ids; its files say 255 for -1."""
    void = tuple(set(range(256)) - set(evaluated))
    labels = LabelSet("some", tuple(map(str, evaluated)), ((0, 0, 0),) * len(evaluated), tuple(evaluated), void)
    return torch.from_numpy(labels.to_index[torch.where(ids < 0, 255, ids.long()).numpy()])


def count_pixels(target, num_classes):
    """The rows of the package's confusion matrix, whatever was predicted."""
    return metrics.confusion_matrix(torch.zeros_like(target), target, num_classes).sum(1)


@pytest.mark.parametrize("seed", range(3))
def test_the_package_passes_the_checks_of_labels(seed):
    for evaluated in ((7, 8, 11, 26), (2, 0, 1, 33), CITYSCAPES.file_values, range(34)):
        for dtype in (torch.uint8, torch.int16, torch.int64):
            testing.check_map_labels(map_labels, evaluated, dtype, seed)
    for shape, num_classes, absent in (((4, 6), 3, ()), ((2, 3, 5), 4, (1, 3)), ((300,), 255, ()), ((3,), 2, (0, 1))):
        for dtype in (torch.uint8, torch.int64):
            testing.check_count_pixels(count_pixels, shape, num_classes, absent, dtype, seed)


def test_a_target_has_every_class_but_the_absent_ones_and_void():
    target = draw_target((2, 4), 4, (1,), torch.Generator().manual_seed(3))
    assert target.shape == (2, 4)
    assert target.unique().tolist() == [0, 2, 3, 255]
    with pytest.raises(ValueError, match="room for 5 values"):
        draw_target((2, 2), 4, (), torch.Generator())


def mapped(ids, evaluated, other=255):
    out = torch.full(ids.shape, other, dtype=torch.int64)
    for k, value in enumerate(evaluated):
        out[ids == value] = k
    return out


def test_check_map_labels_tells_void_from_a_class():
    for other, words in ((0, "which is the first class"), (-1, "here it is -1"), (4, "one past the last class")):
        with pytest.raises(AssertionError, match=rf"expected 255 for the id .*found {other}\..*{words}"):
            testing.check_map_labels(lambda ids, evaluated, other=other: mapped(ids, evaluated, other))
    with pytest.raises(AssertionError, match="keeps its own number"):
        testing.check_map_labels(
            lambda ids, evaluated: torch.where(mapped(ids, evaluated) == 255, ids, mapped(ids, evaluated))
        )


def test_check_map_labels_knows_the_traps_of_tables_and_of_maps_in_two_states():
    def behind(ids, evaluated):
        table = torch.full((34,), 255)
        table[evaluated] = torch.arange(len(evaluated))
        return table[ids.long()]

    def chained(ids, evaluated):
        out = ids.clone()
        for k, value in enumerate(evaluated):
            out[out == value] = k
        out[mapped(ids, evaluated) == 255] = 255
        return out

    testing.check_map_labels(behind)
    testing.check_map_labels(chained)
    with pytest.raises(AssertionError, match=r"for the id -1 .*last entry of a table"):
        testing.check_map_labels(behind, CITYSCAPES.file_values)
    with pytest.raises(AssertionError, match="taken for an id again"):
        testing.check_map_labels(chained, [2, 0, 1])
    with pytest.raises(AssertionError, match="not of the sorted list"):
        testing.check_map_labels(lambda ids, evaluated: mapped(ids, sorted(evaluated)), [11, 7])
    with pytest.raises(AssertionError, match="the first id of the list is class 0"):
        testing.check_map_labels(lambda ids, evaluated: mapped(ids, [-9, *evaluated]))


def test_check_map_labels_asks_for_int64_and_for_the_ids_as_they_were():
    with pytest.raises(AssertionError, match=r"dtype torch\.int64, found torch\.uint8.*whatever the type of the ids"):
        testing.check_map_labels(lambda ids, evaluated: mapped(ids, evaluated).to(ids.dtype), dtype=torch.uint8)
    with pytest.raises(AssertionError, match="input 0 unchanged"):
        testing.check_map_labels(lambda ids, evaluated: ids.copy_(mapped(ids, evaluated)))


def counted(target, num_classes):
    return torch.bincount(target[target != 255], minlength=num_classes)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (
            lambda t, k: torch.bincount(t.clamp(max=k - 1).flatten()),
            r"expected 6 pixels of class 2 .*as the last class",
        ),
        (lambda t, k: counted(t.where(t != 255, 0), k), "void pixels are counted as class 0"),
        (lambda t, k: torch.bincount(t.flatten()), r"shape \(3,\), found \(256,\).*leave the void pixels out first"),
        (lambda t, k: counted(t, k + 1), "no place for void"),
        (lambda t, k: counted(t, k).double(), "counted, not measured"),
        (lambda t, k: (counted(t, k) > 0).long(), "counted once: count pixels"),
        (lambda t, k: counted(t, k).flip(0), "how often does this class occur"),
    ],
)
def test_check_count_pixels_names_the_common_mistakes(mistake, hint):
    with pytest.raises(AssertionError, match=hint):
        testing.check_count_pixels(mistake)


def test_check_count_pixels_finds_that_an_absent_class_is_forgotten():
    testing.check_count_pixels(lambda t, k: torch.bincount(t[t != 255]))
    with pytest.raises(AssertionError, match=r"without the classes \[3\] of shape \(4,\), found \(3,\)"):
        testing.check_count_pixels(lambda t, k: torch.bincount(t[t != 255]), num_classes=4, absent=[3])


@pytest.mark.parametrize("check", ["map_labels", "count_pixels"])
@pytest.mark.parametrize(
    "nonsense",
    [
        *(None, 3, 0.5, "text", [], [1, 2], (None, None), {}, ("a", 1.0)),
        *(torch.tensor(1), torch.empty(0), torch.ones(3, 4, dtype=torch.bool), torch.full((8, 10), torch.nan)),
        *((torch.zeros(3, 3, 4), None), (torch.zeros(3, 5, 7) * torch.nan, torch.zeros(5, 7)), torch.tensor(1j)),
    ],
    ids=repr,
)
def test_nonsense_fails_the_checks_of_labels_in_words(check, nonsense):
    with pytest.raises(AssertionError, match=re.compile("expected .*, found .*Hint: ", re.DOTALL)):
        getattr(testing, f"check_{check}")(lambda *_: nonsense)

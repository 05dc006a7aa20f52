"""Checks of label maps: from ids to classes, and counting them (chapter 02)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor

from spacemeshlab.testing.contracts import check_inputs_unmodified, check_places
from spacemeshlab.testing.mistakes import named_mistake

VOID = 255
"""What a target holds where a pixel doesn't count."""


def draw_target(shape: Sequence[int], num_classes: int, absent: Collection[int], generator: torch.Generator) -> Tensor:
    """A random int64 target in which every class but the ``absent`` ones occurs, and void as well."""
    values = torch.tensor([*(k for k in range(num_classes) if k not in absent), VOID])
    size = torch.Size(shape).numel()
    if size < len(values):
        raise ValueError(f"shape must have room for {len(values)} values, got {tuple(shape)}")
    chosen = torch.randint(len(values), (size,), generator=generator)
    chosen[: len(values)] = torch.arange(len(values))
    return values[chosen[torch.randperm(size, generator=generator)]].view(*shape)


def check_map_labels(
    function: Callable[[Tensor, list[int]], Tensor],
    evaluated: Sequence[int] = (7, 8, 11, 26),
    dtype: torch.dtype = torch.int64,
    seed: int = 0,
) -> None:
    """``function(ids, evaluated)`` gives an evaluated id its place in the list, and 255 to every other id.

    Compared pixel by pixel on a map of ``dtype`` that holds all evaluated ids, and -1 (255 where ``dtype`` has no
    sign). A failure names the mistake where it is a common one: a void that is a class, an index of -1, a map that is
    read after it was written.
    """
    generator, evaluated = torch.Generator().manual_seed(seed), list(evaluated)
    unnamed = -1 if dtype.is_signed else VOID
    values = torch.tensor([*evaluated, *range(34), unnamed, unnamed])
    rows, columns = 8, 10
    spare = rows * columns - len(values)
    chosen = torch.cat([values, values[torch.randint(len(values), (spare,), generator=generator)]])
    ids = chosen[torch.randperm(len(chosen), generator=generator)].view(rows, columns)
    expected = torch.tensor([[_index(value, evaluated) for value in row] for row in ids.tolist()])
    found = function(ids.to(dtype, copy=True), list(evaluated))
    check_places(
        found,
        expected,
        what=f"the class indices for ids of {dtype} and evaluated={evaluated}",
        hint=_why_other_classes(found, ids, expected, evaluated),
        place=lambda at: f"for the id {ids[at]} at {at}",
    )
    check_inputs_unmodified(lambda one: function(one, list(evaluated)), ids.to(dtype))


def _index(value: int, evaluated: list[int]) -> int:
    """The definition."""
    return evaluated.index(value) if value in evaluated else VOID


def _why_other_classes(found: object, ids: Tensor, expected: Tensor, evaluated: list[int]) -> str:
    if isinstance(found, Tensor) and found.shape == expected.shape and found.dtype != expected.dtype:
        return "class indices are int64, whatever the type of the ids: build the result anew"
    other, chained = expected == VOID, ids.clone()
    for k, value in enumerate(evaluated):
        chained[chained == value] = k
    chained[other & (chained == ids)] = VOID
    table = [_index(value, evaluated) for value in range(34)]
    mistakes = {
        "an id that isn't in the list is void, 255; here it is 0, which is the first class":
            expected.masked_fill(other, 0),
        "an id that isn't in the list is void, 255; here it is -1":
            expected.masked_fill(other, -1),
        "an id that isn't in the list is void, 255; here it is K, one past the last class":
            expected.masked_fill(other, len(evaluated)),
        "an id that isn't in the list becomes 255; here it keeps its own number, and looks like a class":
            torch.where(other, ids, expected),
        "-1 as an index means the last entry of a table, so here it has become the class of id 33; it must be void":
            torch.where(ids == -1, table[-1], expected),
        "an id that has become a class index is taken for an id again: read from ids, write to a map of its own":
            chained,
        "class indices start at 0: the first id of the list is class 0":
            torch.where(other, VOID, expected + 1),
        "class k is the k-th id of the list as it is given, not of the sorted list":
            torch.tensor([[_index(value, sorted(evaluated)) for value in row] for row in ids.tolist()]),
    }  # fmt: skip
    otherwise = "is this id in the list, and at which place?"
    return named_mistake(found, expected, mistakes, otherwise)


def check_count_pixels(
    function: Callable[[Tensor, int], Tensor],
    shape: Sequence[int] = (4, 6),
    num_classes: int = 3,
    absent: Collection[int] = (),
    dtype: torch.dtype = torch.int64,
    seed: int = 0,
) -> None:
    """``function(target, num_classes)`` counts the pixels of each class, and the void ones nowhere.

    Compared with a loop, on a target of ``shape`` without the ``absent`` classes. A failure says whether void was
    counted, or the result has not one number for each class.
    """
    target = draw_target(shape, num_classes, absent, torch.Generator().manual_seed(seed))
    values = target.flatten().tolist()
    expected = torch.tensor([values.count(k) for k in range(num_classes)])
    found = function(target.to(dtype, copy=True), num_classes)
    shown = str(target.tolist() if len(values) <= 24 else tuple(shape))
    if absent:
        shown += f" without the classes {sorted(absent)}"
    check_places(
        found,
        expected,
        what=f"the counts of {num_classes} classes for the {dtype} target {shown}",
        hint=_why_other_counts(found, expected, values.count(VOID)),
        place=lambda at: f"pixels of class {at[0]}",
    )
    check_inputs_unmodified(lambda one: function(one, num_classes), target.to(dtype))


def _why_other_counts(found: object, expected: Tensor, void: int) -> str:
    if isinstance(found, Tensor) and found.shape == (VOID + 1,) != expected.shape:
        return "bincount goes up to the largest value, and that is void: leave the void pixels out first"
    if isinstance(found, Tensor) and found.shape != expected.shape:
        return "one number for each of the K classes in order: 0 for a class without pixels, no place for void"
    if isinstance(found, Tensor) and found.dtype != expected.dtype:
        return "pixels are counted, not measured: int64"
    mistakes = {
        "the void pixels are counted as the last class": torch.cat([expected[:-1], expected[-1:] + void]),
        "the void pixels are counted as class 0": torch.cat([expected[:1] + void, expected[1:]]),
        "each class that occurs is counted once: count pixels": (expected > 0).long(),
    }
    otherwise = "how often does this class occur? Every class from 0 to K-1 has its number"
    return named_mistake(found, expected, mistakes, otherwise)

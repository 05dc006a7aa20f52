"""What went wrong, in words: results that a common mistake gives, and results that are no pair or no number at all.

A check knows the wrong results that it has seen often. Where one of them is exactly what was found, its words become
the hint; everything else gets a hint for all cases.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spacemeshlab.testing.contracts import check_same, fail

Mistakes = Mapping[str, Any] | Iterable[tuple[str, Any]]
"""What went wrong, in words, and the result that it gives: a dictionary, or a generator, which runs only if needed."""


def same_numbers(one: object, other: Tensor) -> bool:
    """Two tensors of one shape hold the same numbers, to 1e-4 and in whatever types; NaN is the same as NaN."""
    if not isinstance(one, Tensor) or one.is_complex() or one.shape != other.shape:
        return False
    one, other = one.detach().double(), other.detach().double()
    return torch.allclose(one, other, rtol=1e-4, atol=1e-4, equal_nan=True)


def named_mistake(
    found: object,
    expected: Any,
    mistakes: Mistakes,
    otherwise: str,
    same: Callable[[Any, Any], bool] = same_numbers,
) -> str:
    """The words of the first mistake that gives the ``same`` as ``found``, or ``otherwise``.

    None has to explain what is ``expected``, even if it gives that, too: then the numbers are not what is wrong.
    """
    if same(found, expected):
        return otherwise
    pairs = mistakes.items() if isinstance(mistakes, Mapping) else mistakes
    return next((words for words, wrong in pairs if same(found, wrong)), otherwise)


def check_known(found: object, expected: Tensor, what: str, mistakes: Mistakes, otherwise: str) -> None:
    """:func:`~spacemeshlab.testing.contracts.check_same`, whose hint names the mistake that gives exactly ``found``.

    A failure means that ``found`` differs; ``otherwise`` is its hint where no known mistake fits.
    """
    check_same(found, expected, what=what, hint=named_mistake(found, expected, mistakes, otherwise))


def keep_type(found: object, expected: Tensor, otherwise: str) -> str:
    """The hint for right numbers of a wrong type; ``otherwise`` for everything else."""
    if same_numbers(found, expected) and found.dtype != expected.dtype:
        return f"the numbers are right; keep their type, {expected.dtype}"
    return otherwise


def check_parts(
    found: object, expected: str, hint: str = "return two things: return a, b", number: int = 2, parts: str = ""
) -> Sequence[Any]:
    """``found`` is a tuple or list of ``number`` things, and is returned; ``expected`` says so in words.

    A failure says what it is instead: how many ``parts`` if these have a name, or a tuple of how many.
    """
    if not isinstance(found, tuple | list):
        fail(expected, type(found).__name__, hint)
    if len(found) != number:
        fail(expected, f"{len(found)} {parts}" if parts else f"{type(found).__name__} of {len(found)}", hint)
    return found


def check_whole(found: object, what: str) -> int:
    """``found`` is a whole number, and is returned as an int; a failure says what it is instead."""
    try:
        return operator.index(found)
    except TypeError:
        hint = "use // for whole numbers" if isinstance(found, float) else "return a number"
        fail(f"{what} to be an int", f"{type(found).__name__} {found!r}"[:60], hint)


def check_number(found: object, what: str) -> float:
    """``found`` is a number, or a tensor or array that holds one, and is returned as a float.

    A failure says what it is instead.
    """
    if isinstance(found, Tensor | np.ndarray) and len(found.reshape(-1)) == 1:
        found = found.item()
    if not isinstance(found, Real) or isinstance(found, bool):
        fail(f"{what} to be a number", type(found).__name__, "does the function end in return, and return a number?")
    return float(found)

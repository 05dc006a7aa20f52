"""What the checks share: a mistake gets its name, and what is no pair or no number is called what it is."""

import operator

import numpy as np
import pytest
import torch

from spacemeshlab.testing.mistakes import (
    check_known,
    check_number,
    check_parts,
    check_whole,
    keep_type,
    named_mistake,
    same_numbers,
)

RIGHT = torch.tensor([1.0, 2.0])
MISTAKES = {"this is the sum": torch.tensor(3.0), "they are exchanged": RIGHT.flip(0), "also exchanged": RIGHT.flip(0)}


def test_numbers_are_the_same_in_any_type_but_not_in_any_shape():
    assert same_numbers(RIGHT + 5e-5, RIGHT)
    assert same_numbers(torch.tensor([1, 2]), RIGHT)
    assert same_numbers(RIGHT.clone().requires_grad_(), RIGHT.double())
    assert same_numbers(torch.tensor([torch.nan, 1]), torch.tensor([torch.nan, 1]))
    for other in (RIGHT + 1e-3, RIGHT[None], RIGHT.to(torch.complex64), RIGHT * torch.nan, RIGHT.tolist(), None):
        assert not same_numbers(other, RIGHT)


def test_the_first_mistake_that_gives_the_result_has_the_word():
    assert named_mistake(RIGHT.flip(0), RIGHT, MISTAKES, "count") == "they are exchanged"
    assert named_mistake(torch.tensor(3), RIGHT, MISTAKES, "count") == "this is the sum"
    for found in (RIGHT * 7, None, "text", [2.0, 1.0]):
        assert named_mistake(found, RIGHT, MISTAKES, "count") == "count"


def test_a_mistake_that_makes_no_difference_here_explains_nothing():
    palindrome = torch.ones(2)
    assert named_mistake(palindrome.double(), palindrome, {"exchanged": palindrome.flip(0)}, "count") == "count"


def test_mistakes_can_be_a_generator_that_runs_only_where_a_result_differs():
    def mistakes():
        raise RuntimeError("much to compute")
        yield

    check_known(RIGHT, RIGHT, "it", mistakes(), "count")
    with pytest.raises(RuntimeError, match="much to compute"):
        check_known(-RIGHT, RIGHT, "it", mistakes(), "count")
    with pytest.raises(AssertionError, match="Hint: they are exchanged"):
        check_known(RIGHT.flip(0), RIGHT, "it", iter(MISTAKES.items()), "count")


def test_what_is_no_tensor_is_compared_in_its_own_way():
    assert named_mistake([2, 1], [1, 2], {"exchanged": [2, 1]}, "count", operator.eq) == "exchanged"
    assert named_mistake([3, 1], [1, 2], {"exchanged": [2, 1]}, "count", operator.eq) == "count"


def test_check_known_names_value_mistake_and_what_is_no_tensor():
    check_known(RIGHT + 1e-6, RIGHT, "it", MISTAKES, "count")
    with pytest.raises(AssertionError, match=r"expected it 1 at \(0,\) .*found 2\. Hint: they are exchanged"):
        check_known(RIGHT.flip(0), RIGHT, "it", MISTAKES, "count")
    with pytest.raises(AssertionError, match=r"it of shape \(2,\), found \(\)\. Hint: this is the sum"):
        check_known(RIGHT.sum(), RIGHT, "it", MISTAKES, "count")
    with pytest.raises(AssertionError, match=r"it of dtype torch\.float32, found torch\.float64\. Hint: count"):
        check_known(RIGHT.double(), RIGHT, "it", MISTAKES, "count")
    with pytest.raises(AssertionError, match=r"found nan\. Hint: count"):
        check_known(RIGHT * torch.nan, RIGHT, "it", MISTAKES, "count")
    with pytest.raises(AssertionError, match="it to be a tensor, found list"):
        check_known([1.0, 2.0], RIGHT, "it", MISTAKES, "count")


def test_right_numbers_of_another_type_have_their_own_hint():
    assert keep_type(RIGHT.double(), RIGHT, "count") == "the numbers are right; keep their type, torch.float32"
    for found in (RIGHT, -RIGHT.double(), None):
        assert keep_type(found, RIGHT, "count") == "count"


def test_parts_are_a_tuple_or_a_list_of_as_many():
    assert check_parts([1, 2], "a pair") == [1, 2]
    assert check_parts(torch.Size((1, 2)), "a pair") == (1, 2)
    assert check_parts((1, 2, 3), "three", number=3) == (1, 2, 3)
    for found, kind in ((None, "NoneType"), (torch.ones(2), "Tensor"), ({1, 2}, "set"), ((1,), "tuple of 1")):
        with pytest.raises(AssertionError, match=rf"expected a pair, found {kind}\. Hint: return two things"):
            check_parts(found, "a pair")
    with pytest.raises(AssertionError, match=r"expected a pair, found 3 results\. Hint: look"):
        check_parts([1, 2, 3], "a pair", "look", parts="results")


def test_a_whole_number_is_taken_in_any_dress():
    assert check_whole(torch.tensor(3), "it") == check_whole(np.int64(3), "it") == check_whole(3, "it") == 3
    for found, words in ((3.0, "float 3.0.* use //"), (None, "NoneType None.*return a number"), ("3", "str '3'")):
        with pytest.raises(AssertionError, match=f"it to be an int, found {words}"):
            check_whole(found, "it")
    with pytest.raises(AssertionError, match="found Tensor"):
        check_whole(torch.ones(2), "it")


def test_a_number_is_taken_in_any_dress():
    for found in (2, 2.0, np.float32(2), np.array([2.0]), torch.tensor(2), torch.tensor([[2.0]])):
        assert check_number(found, "it") == 2
    assert isinstance(check_number(torch.tensor(2), "it"), float)
    wrong = (
        (None, "NoneType"),
        (True, "bool"),
        ("2", "str"),
        (torch.zeros(2), "Tensor"),
        (torch.tensor(1j), "complex"),
    )
    for found, kind in wrong:
        with pytest.raises(AssertionError, match=rf"it to be a number, found {kind}\. Hint: does the function end in"):
            check_number(found, "it")

"""The checks themselves: each must be able to fail, and say why."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spacemeshlab import testing
from spacemeshlab.testing.contracts import check_places, check_refuses, check_same_gradients, check_unchanged


def test_check_shape_tells_both_shapes():
    testing.check_shape(lambda x: x[:, :1], (1, 3, 5, 7), (1, 1, 5, 7))
    with pytest.raises(AssertionError, match=r"expected shape \(1, 1, 5, 7\) .*found \(1, 3, 5, 7\)"):
        testing.check_shape(lambda x: x, (1, 3, 5, 7), (1, 1, 5, 7))


def test_check_same_names_the_worst_place_and_nan_is_never_the_same():
    x = torch.tensor([[1.0, 2.0]])
    testing.check_same(x + 1e-6, x)
    with pytest.raises(AssertionError, match=r"expected the result 2 at \(0, 1\) .*found 3"):
        testing.check_same(torch.tensor([[1.1, 3.0]]), x)
    with pytest.raises(AssertionError, match="found nan"):
        testing.check_same(x * torch.nan, x)
    with pytest.raises(AssertionError, match=r"shape \(1, 2\)"):
        testing.check_same(x.T, x)
    with pytest.raises(AssertionError, match=r"dtype torch\.float32"):
        testing.check_same(x.double(), x)


def test_check_inputs_unmodified_finds_an_operation_in_place():
    testing.check_inputs_unmodified(torch.relu, -torch.ones(2))
    with pytest.raises(AssertionError, match="input 1 unchanged"):
        testing.check_inputs_unmodified(lambda x, y: y.relu_(), -torch.ones(2), -torch.ones(2))


def test_check_places_names_the_first_place_and_knows_nan():
    x = torch.tensor([1.0, torch.nan, 3.0])
    check_places(x + 1e-6, x, "it", "look")
    with pytest.raises(AssertionError, match=r"expected 1 at \(0,\) in it, found 9\. Hint: look"):
        check_places(torch.tensor([9.0, 0.0, 3.0]), x, "it", "look")
    with pytest.raises(AssertionError, match=r"expected nan for class 1 in it, found 2\."):
        check_places(torch.tensor([1.0, 2.0, 3.0]), x, "it", "look", lambda at: f"for class {at[0]}")
    with pytest.raises(AssertionError, match=r"it of dtype torch\.float32"):
        check_places(x.double(), x, "it", "look")
    with pytest.raises(AssertionError, match="it to be a tensor, found list"):
        check_places([1.0], x, "it", "look")


def test_whole_numbers_have_no_tolerance():
    many = torch.tensor([10**9])
    with pytest.raises(AssertionError, match="expected 1e"):
        check_places(many + 1, many, "it", "look")
    check_places(many.double() + 1, many.double(), "it", "look")


def test_check_unchanged_finds_other_numbers_and_another_shape():
    x = torch.ones(2)
    check_unchanged(x.clone().requires_grad_(), x, "x as it was")
    for now in (x + 1, x[:1]):
        with pytest.raises(AssertionError, match=r"expected x as it was, found other numbers .*Hint: \+= and other"):
            check_unchanged(now, x, "x as it was")
    with pytest.raises(AssertionError, match="Hint: add into a copy"):
        check_unchanged(x + 1, x, "x as it was", "add into a copy")


def raises(error):
    def call():
        raise error

    return call


@pytest.mark.parametrize(
    ("call", "found"),
    [
        (lambda: 3, "3"),
        (lambda: None, "NoneType"),
        (lambda: torch.ones(2, 3), r"shape \(2, 3\)"),
        (raises(RuntimeError("no room")), "RuntimeError: no room"),
        (raises(AssertionError()), "AssertionError"),
    ],
)
def test_check_refuses_says_what_came_in_place_of_a_value_error(call, found):
    check_refuses(raises(ValueError("no")), "a ValueError for 5 rows", "look")
    with pytest.raises(AssertionError, match=rf"^expected a ValueError for 5 rows, found {found}\. Hint: look$"):
        check_refuses(call, "a ValueError for 5 rows", "look")


def product(x, y):
    return x * y.exp()


class Doubled(torch.autograd.Function):
    """The right numbers with twice their gradient."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return 2 * grad


def changed_later(x, y):
    saved = y.exp()
    out = x * saved
    saved.add_(0)
    return out


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x, y: product(x, y).detach(), "a gradient of x and y here, found none: the output is cut off"),
        (lambda x, y: product(x.detach(), y), r"a gradient of x here, found none\..*cut the way back"),
        (lambda x, y: product(x, y.detach()) + 0 * y, r"a gradient of y here, found none\."),
        (lambda x, y: Doubled.apply(product(x, y)), r"the gradient of x here .*its backward is not"),
        (changed_later, r"found RuntimeError: one of the variables .* inplace operation\. Hint"),
        (lambda x, y: 3, "to be a tensor, found int"),
    ],
)
def test_check_same_gradients_tells_a_missing_gradient_from_a_wrong_one(function, words):
    inputs = {"x": torch.randn(3).requires_grad_(), "y": torch.randn(3).requires_grad_()}
    expected = product(*inputs.values())
    with pytest.raises(AssertionError, match=words):
        check_same_gradients(function(*inputs.values()), expected, inputs, "here")


def test_check_same_gradients_takes_none_for_zeros_and_any_type_of_the_definition():
    inputs = {"x": torch.randn(3).requires_grad_(), "y": torch.randn(3).requires_grad_()}
    x, y = inputs.values()
    check_same_gradients(product(x, y), product(x.double(), y.double()), inputs)
    check_same_gradients(2 * x, 2 * x + 0 * y, inputs)


def test_check_same_gradients_is_as_exact_as_it_is_asked_to_be():
    x = torch.randn(3).requires_grad_()
    check_same_gradients(x * (1 + 3e-5), x * 1, {"x": x}, tolerance=1e-4)
    with pytest.raises(AssertionError, match=r"expected the gradient of x .* at"):
        check_same_gradients(x * (1 + 3e-5), x * 1, {"x": x})


def test_check_gradients_finds_unused_and_cancelled_parameters():
    class Unused(nn.Linear):
        def forward(self, x):
            return F.linear(x, self.weight)

    x = torch.randn(8, 3)
    testing.check_gradients_reach_everything(nn.Linear(3, 2), x)
    with pytest.raises(AssertionError, match="a gradient in bias, found none"):
        testing.check_gradients_reach_everything(Unused(3, 2), x)
    dead = nn.Sequential(nn.Linear(3, 2), nn.Threshold(1e9, 0.0))
    with pytest.raises(AssertionError, match=r"a gradient in 0\.weight, found only zeros"):
        testing.check_gradients_reach_everything(dead, x)


def test_check_every_argument_finds_the_forgotten_and_the_untested():
    def make(width, bias=True, forgotten=0):
        return nn.Linear(3, width, bias)

    def check(**changes):
        testing.check_every_argument_matters(make, lambda net: net(torch.ones(1, 3)), {"width": 2}, changes)

    with pytest.raises(AssertionError, match=r"none for \['bias', 'forgotten'\]"):
        check(width=3)
    with pytest.raises(AssertionError, match="expected forgotten=1 to change something"):
        check(width=3, bias=False, forgotten=1)

"""A stand-in behaves as the function that it stands for, which is called directly here to compare."""

from __future__ import annotations

import operator
import re

import numpy as np
import pytest
import torch
from torch import nn

from spacemeshlab.course.student import Code, Student

CODE = """
import functools, operator
import numpy as np
import torch

def echo(x): return x
def add(x, y=0): x += y
def forget(x): x[x.isnan()] = 0
def grow(x): x.unsqueeze_(0)
def fill(things): things["a"][1].zero_()
def both(x, w, unused): return {"sum": [(x * w).sum(), (x ** 2).cumsum(0)], "n": 3, "ids": torch.arange(2)}
def own_gradient(x):
    w = torch.ones(2, requires_grad=True)
    (w * x).sum().backward()
    return w.grad
def recorded(x): return (x * 2).requires_grad
def apply(model, x): return model(x)
def train(model, optimizer, x):
    model.train()
    optimizer.zero_grad()
    model(x).sum().backward()
    optimizer.step()
def fail(kind):
    class Mine(ValueError): pass
    kinds = {"value": ValueError("no"), "key": KeyError("k"), "index": IndexError(3), "mine": Mine("own"),
             "assert": AssertionError("16 of 16"), "exit": SystemExit(0), "interrupt": KeyboardInterrupt(),
             "bare": NotImplementedError(), "file": FileNotFoundError(2, "None there"), "memory": MemoryError(),
             "unicode": UnicodeDecodeError("utf-8", b"", 0, 1, "bad"), "torch": torch.OutOfMemoryError("full")}
    raise kinds[kind]
def divide(x): return 1 / x

class Thing:
    def __call__(self, x): return 2 * x
thing = Thing()
bound = thing.__call__
times = functools.partial(operator.mul, 2)
short = lambda x: 2 * x
not_callable = 3
"""
NAMES = re.findall(r"^(?:def )?(\w+)(?:\(| =)", CODE, re.MULTILINE)


@pytest.fixture(scope="module")
def student():
    with Student([Code("cell", CODE)]) as student:
        yield student


@pytest.fixture(scope="module")
def far(student):
    """The student's functions by name, as stand-ins."""
    found = student.functions(NAMES)
    assert set(found) == set(NAMES) - {"not_callable"}
    return found


@pytest.fixture(scope="module")
def near():
    """The same functions in this process."""
    namespace = {}
    exec(CODE, namespace)
    return namespace


@pytest.mark.parametrize("name", ["thing", "bound", "times", "short"])
def test_whatever_can_be_called_is_a_function(far, name):
    assert far[name](3) == 6


def test_arguments_and_results_are_what_they_were(far):
    value = [torch.tensor(1.5), (np.ones(2), None), {"a": "b", 3: [True, 2.5]}, torch.zeros(0, 2), np.array(3.0)]
    found = far["echo"](x=value)
    assert [type(part) for part in found] == [type(part) for part in value]
    assert torch.equal(found[0], value[0])
    assert found[1][1] is None
    assert found[2] == value[2]
    assert (found[3].shape, found[4].shape) == ((0, 2), ())


@pytest.mark.parametrize(
    "x",
    [
        torch.arange(6.0).view(2, 3).T,
        torch.arange(6.0)[::2],
        torch.ones(1).expand(3),
        torch.ones(2, 3, dtype=torch.uint8),
    ],
)
def test_other_memory_layouts_and_types_arrive_and_come_back_in_value(far, x):
    assert torch.equal(far["echo"](x), x)


@pytest.mark.parametrize(
    ("kind", "error", "says"),
    [
        ("value", ValueError, "^no$"),
        ("key", KeyError, "^'k'$"),
        ("index", IndexError, "^3$"),
        ("mine", ValueError, "^Mine: own$"),
        ("file", FileNotFoundError, "None there"),
        ("memory", MemoryError, "^$"),
        ("bare", NotImplementedError, "^$"),
        ("torch", RuntimeError, "^OutOfMemoryError: full$"),
        ("unicode", RuntimeError, "^UnicodeDecodeError: "),
        ("assert", RuntimeError, "^AssertionError: 16 of 16$"),
        ("exit", RuntimeError, "^it would have ended its own process$"),
        ("interrupt", RuntimeError, "^KeyboardInterrupt: $"),
    ],
)
def test_an_exception_keeps_its_builtin_type_and_its_words_but_cannot_speak_for_a_test(far, kind, error, says):
    with pytest.raises(error, match=says) as raised:
        far["fail"](kind)
    assert raised.type is error


def test_an_exception_names_the_students_line(far):
    with pytest.raises(ZeroDivisionError) as raised:
        far["divide"](0)
    assert re.fullmatch(r"line \d+: def divide\(x\): return 1 / x", raised.value.student_line)


def test_changed_arguments_come_back_changed_and_others_are_not_touched(far):
    x, y, things = torch.ones(2, 3), torch.ones(3, 2).T, {"a": [torch.ones(1), torch.ones(2)]}
    far["add"](x, y)
    assert torch.equal(x, torch.full((2, 3), 2.0))
    assert (x._version, y._version) == (1, 0)
    far["fill"](things)
    assert [tensor.tolist() for tensor in things["a"]] == [[1.0], [0.0, 0.0]]
    lost, array = torch.tensor([1.0, torch.nan]), torch.tensor([3], dtype=torch.int64)
    far["forget"](lost)
    far["add"](array, 2**60)
    assert (lost.tolist(), array.tolist()) == ([1.0, 0.0], [3 + 2**60])
    far["grow"](array)
    assert array.shape == (1, 1)
    nan = torch.tensor([torch.nan, torch.inf])
    far["echo"](nan)
    assert nan._version == 0


def test_gradients_of_all_outputs_reach_all_inputs_as_in_a_direct_call(far, near):
    def gradients(function):
        inputs = [
            torch.arange(1.0, 4).requires_grad_(),
            torch.full((3,), 2.0).requires_grad_(),
            torch.ones(1).requires_grad_(),
        ]
        result = function(*inputs)
        assert (result["n"], result["ids"].tolist(), result["ids"].requires_grad) == (3, [0, 1], False)
        first, second = result["sum"]
        each = [torch.autograd.grad(out.sum(), inputs, retain_graph=True, allow_unused=True) for out in (first, second)]
        (first * second[-1]).backward()
        return [first, second, *each[0], *each[1], *(tensor.grad for tensor in inputs)]

    theirs, ours = gradients(far["both"]), gradients(near["both"])
    assert [tensor is None for tensor in theirs] == [tensor is None for tensor in ours]
    assert ours[4] is None
    assert all(torch.equal(a, b) for a, b in zip(theirs, ours, strict=True) if a is not None)


def test_an_earlier_call_keeps_its_gradient_while_others_are_made(far):
    x = torch.ones(2, requires_grad=True)
    first = far["short"](x)
    for _ in range(40):
        far["short"](x)
    first.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_gradcheck_of_torch_accepts_a_stand_in(far):
    assert torch.autograd.gradcheck(far["short"], torch.ones(2, dtype=torch.float64, requires_grad=True))


def test_without_gradients_nothing_is_recorded_and_a_function_may_use_its_own(far):
    x = torch.ones(2, requires_grad=True)
    assert far["recorded"](x) is True
    assert far["own_gradient"](torch.tensor([2.0, 3.0])).tolist() == [2.0, 3.0]
    with torch.no_grad():
        assert far["recorded"](x) is False
        assert not far["short"](x).requires_grad
    assert far["short"](x).requires_grad


def test_modules_and_optimizers_come_back_trained(far, near):
    def trained(functions):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)).eval()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        functions["train"](model, optimizer, torch.arange(8.0).view(4, 2))
        return model

    theirs, ours = trained(far), trained(near)
    assert all(module.training for module in theirs.modules())
    assert theirs.state_dict().keys() == ours.state_dict().keys()
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(theirs.state_dict()[name], value)


def test_a_gradient_goes_through_a_module_too(far):
    model, x = nn.Linear(2, 1), torch.ones(1, 2, requires_grad=True)
    far["apply"](model, x).sum().backward()
    assert torch.equal(x.grad, model.weight)
    assert model.training


@pytest.mark.parametrize("value", [{1}, object, nn.Linear(1, 1), [nn.Linear(1, 1)]])
def test_what_does_not_travel_is_said(far, value):
    with pytest.raises(TypeError, match=r"which is neither a tensor|returned a module, not tensors"):
        far["echo"](value)


def test_a_function_of_many_tensors_is_called_by_order_and_by_name(far):
    x = torch.zeros(2)
    far["add"](y=torch.ones(2), x=x)
    assert x.tolist() == [1.0, 1.0]
    assert operator.eq(far["add"].__name__, "add")


def test_nothing_of_all_this_is_worth_a_note(student, far):
    assert student.notes == []

"""Messages carry plain data as it is, and whatever else comes from a student's process is refused without being run."""

from __future__ import annotations

import os
import pickle
import time
from collections import OrderedDict

import numpy as np
import pytest
import torch

from spacemeshlab.course import wire

NOW = 0.0
"""A deadline that is past."""


def parts(message):
    text, blob = wire.HEADER.unpack(message[: wire.HEADER.size])
    assert len(message) == wire.HEADER.size + text + blob
    return message[wire.HEADER.size :][:text], message[wire.HEADER.size + text :]


def there_and_back(value):
    return wire.unpack(*parts(wire.pack(value)))


def same(found, value):
    """Equal in value and in every type inside."""
    assert type(found) is type(value)
    if isinstance(value, torch.Tensor | np.ndarray):
        assert (found.shape, found.dtype) == (value.shape, value.dtype)
        assert np.array_equal(np.asarray(found), np.asarray(value), equal_nan=value.dtype in (torch.float32, float))
    elif isinstance(value, list | tuple):
        assert len(found) == len(value)
        list(map(same, found, value))
    elif isinstance(value, dict):
        same(list(found.items()), list(value.items()))
    else:
        assert repr(found) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 3, -(10**18), 2.5, float("nan"), float("-inf"), -0.0, "", "ü\n\0", "\ud800"),
        *([], (), {}, [1, (2.0, [None])], (1,), {"a": 1, 2: (3,), (4, None): [5]}),
        *(torch.tensor(3.0), torch.zeros(0, 3), torch.ones(2, 3).T, torch.arange(6).view(2, 3)[:, ::2]),
        *(torch.ones(1).expand(2, 3), torch.tensor([True, False]), torch.tensor([1.0, torch.nan, -torch.inf])),
        *(torch.ones(2, dtype=kind) for kind in (torch.uint8, torch.int16, torch.int32, torch.float16, torch.float64)),
        *(np.array(3.0), np.ones((2, 3)), np.arange(6)[::-2], np.zeros((0, 2), np.float32), np.array([True])),
        {"both": [torch.ones(2), (np.ones(2), {"x": torch.zeros(())})]},
    ],
)
def test_a_value_arrives_as_it_was_sent(value):
    same(there_and_back(value), value)


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (np.float32(2.5), 2.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (range(3), (0, 1, 2)),
        (torch.Size([2, 3]), (2, 3)),
        (OrderedDict(a=1), {"a": 1}),
        (torch.nn.Parameter(torch.ones(1)), torch.ones(1)),
    ],
)
def test_a_value_of_a_special_kind_arrives_as_the_plain_one(value, arrives):
    same(there_and_back(value), arrives)


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({1, 2}, "a set, which is neither a tensor nor a number, text, list, tuple or dict"),
        ([1, (object(),)], "a object, which is neither"),
        (len, "a builtin_function_or_method, which is neither"),
        (b"x", "a bytes, which is neither"),
        (torch.float32, "a dtype, which is neither"),
        (nested(100), "a value that is nested more than 50 times"),
        (np.array([None]), "can't convert np.ndarray of type numpy.object_"),
    ],
)
def test_a_value_that_does_not_travel_is_named(value, says):
    with pytest.raises(TypeError, match=says):
        wire.pack(value)


class Harm:
    def __reduce__(self):
        return (pytest.fail, ("something was run",))


@pytest.mark.parametrize(
    ("text", "blob"),
    [
        *((text, b"") for text in (b"", b"no JSON", b"\xff", b"[1]", b"{}", b"[" * 10**5, b"1" * 5000)),
        *((text, b"") for text in (b'{"!": "evil", "parts": []}', b'{"!": "list"}', b'{"!": "list", "parts": 3}')),
        *((text, b"") for text in (b'{"!": "tensor", "at": 0}', b'{"!": "dict", "parts": [[1]]}')),
        (b'{"!": "list", "parts": [' * 2000 + b"1" + b"]}" * 2000, b""),
        (b'{"!": "dict", "parts": [[{"!": "list", "parts": []}, 1]]}', b""),
        (b'{"!": "tensor", "at": 0}', pickle.dumps(Harm())),
        (b"1", pickle.dumps({"0": Harm()})),
    ],
)
def test_what_is_no_message_is_unreadable_and_nothing_of_it_is_run(text, blob):
    with pytest.raises(wire.Unreadable):
        wire.unpack(text, blob)


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_messages_come_one_after_another_and_silence_ends_in_time(pipe):
    wire.send(pipe[1], wire.pack([1, torch.ones(2)]) + wire.pack("second"))
    assert wire.receive(pipe[0])[0] == 1
    assert wire.receive(pipe[0], time.monotonic() + 60) == "second"
    with pytest.raises(wire.TimeUp):
        wire.receive(pipe[0], NOW)


@pytest.mark.parametrize("sizes", [(wire.LONGEST + 1, 0), (0, wire.LARGEST + 1), (2**63, 2**63), (8, wire.LARGEST)])
def test_a_message_that_says_it_is_huge_is_not_waited_for(pipe, sizes):
    wire.send(pipe[1], wire.HEADER.pack(*sizes))
    with pytest.raises(wire.Unreadable, match=f"{sum(sizes)} bytes"):
        wire.receive(pipe[0])


def test_a_process_that_reads_nothing_does_not_stop_who_writes(pipe):
    os.set_blocking(pipe[1], False)
    with pytest.raises(wire.TimeUp):
        wire.send(pipe[1], bytes(2**20), time.monotonic() + 0.3)


def test_the_end_of_the_other_side_is_noticed_by_who_reads_and_by_who_writes():
    reader, writer = os.pipe()
    os.close(writer)
    with pytest.raises(wire.Closed):
        wire.receive(reader)
    os.close(reader)
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(wire.Closed):
        wire.send(writer, b"x")
    os.close(writer)


def test_who_waits_can_be_called_off(pipe):
    def watch():
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        wire.receive(pipe[0], watch=watch)


def test_what_the_grader_sends_may_hold_modules_and_shared_parameters(pipe):
    module = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    wire.send(pipe[1], wire.pickled({"args": (module, optimizer)}))
    found, theirs = wire.unpickle(pipe[0])["args"]
    assert theirs.param_groups[0]["params"][0] is found.weight


def test_tensors_and_modules_are_found_in_one_order_wherever_they_are():
    a, b, module = torch.zeros(1), torch.zeros(2), torch.nn.BatchNorm1d(3)
    value = ({"x": [a, "text"]}, module, [(b,)], 3)
    assert [tuple(tensor.shape) for tensor in wire.tensors_in(value)] == [(1,), (3,), (3,), (3,), (3,), (), (2,)]
    assert next(wire.modules_in([value, torch.nn.Sequential(module)])) is module

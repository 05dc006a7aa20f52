"""What the grader and a student's process say to each other: plain data both ways, and back nothing that could run.

A message is JSON, in which tensors are numbered, and behind it the tensors as safetensors. The student's process reads
pickles of what the grader sends, since it may trust the grader; never the other way round.

The student's process loads this file alone, without the package.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import struct
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

HEADER = struct.Struct("<QQ")
LARGEST, LONGEST = 256 * 2**20, 16 * 2**20
"""Bytes of the largest message that is read, and of the JSON in it, which takes many times its size when read."""
DEEPEST = 50
KIND = "!"


class Unreadable(Exception):
    """What came is no message."""


class Closed(Exception):
    """The other side has gone."""


class TimeUp(Exception):
    """Nothing came in time."""


def encode(value: object, tensors: list[Tensor], depth: int = 0) -> object:
    """A value as JSON; its tensors are added to ``tensors``.

    Raises:
        TypeError: a kind of value that does not travel; names it.
    """
    if depth > DEEPEST:
        raise TypeError(f"a value that is nested more than {DEEPEST} times")
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return int(value) if isinstance(value, int) else float(value)
    if isinstance(value, Tensor | np.ndarray):
        plain = torch.from_numpy(np.array(value, order="C")) if isinstance(value, np.ndarray) else value
        tensors.append(plain.detach().to("cpu").contiguous().clone())
        return {KIND: "tensor" if isinstance(value, Tensor) else "array", "at": len(tensors) - 1}
    if isinstance(value, np.generic):
        return encode(value.item(), tensors, depth)
    if isinstance(value, dict):
        pairs = [[encode(part, tensors, depth + 1) for part in pair] for pair in value.items()]
        return {KIND: "dict", "parts": pairs}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {KIND: kind, "parts": [encode(part, tensors, depth + 1) for part in value]}
    if isinstance(value, range):
        return {KIND: "tuple", "parts": list(value)}
    raise TypeError(f"a {type(value).__name__}, which is neither a tensor nor a number, text, list, tuple or dict")


def decode(value: object, tensors: dict[str, Tensor]) -> object:
    """The inverse of :func:`encode`; ranges come back as tuples, tensors as plain ones."""
    if not isinstance(value, dict):
        if isinstance(value, list):
            raise Unreadable("a bare list")
        return value
    kind = value[KIND]
    if kind in ("tensor", "array"):
        tensor = tensors[str(value["at"])]
        return tensor if kind == "tensor" else tensor.numpy()
    parts = value["parts"]
    if kind == "dict":
        return {decode(key, tensors): decode(part, tensors) for key, part in parts}
    return {"list": list, "tuple": tuple}[kind](decode(part, tensors) for part in parts)


def pack(value: object) -> bytes:
    """A whole message.

    Raises:
        TypeError: a kind of value that does not travel.
    """
    tensors: list[Tensor] = []
    text = json.dumps(encode(value, tensors)).encode()
    blob = save({str(number): tensor for number, tensor in enumerate(tensors)}) if tensors else b""
    return HEADER.pack(len(text), len(blob)) + text + blob


def unpack(text: bytes, blob: bytes) -> object:
    """The value in a message.

    Raises:
        Unreadable: it is none; whatever it holds instead, nothing of it is run.
    """
    try:
        return decode(json.loads(text), load(blob) if blob else {})
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(type(error).__name__) from None


def receive(file: int, deadline: float = float("inf"), watch: Callable[[], None] = lambda: None) -> object:
    """Wait for a message on a file descriptor. ``watch`` is called every now and then, and may raise.

    Raises:
        TimeUp: ``deadline`` (of ``time.monotonic``) is past.
        Closed: the other side has gone.
        Unreadable: something else came, or too much.
    """
    sizes = HEADER.unpack(_read(file, HEADER.size, deadline, watch))
    if sum(sizes) > LARGEST or sizes[0] > LONGEST:
        raise Unreadable(f"{sum(sizes)} bytes")
    return unpack(*(_read(file, size, deadline, watch) for size in sizes))


def _read(file: int, size: int, deadline: float, watch: Callable[[], None]) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        watch()
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeUp
        if select.select([file], [], [], min(left, 0.2))[0]:
            if not (part := os.read(file, min(size - len(parts), 1 << 20))):
                raise Closed
            parts += part
    return bytes(parts)


def pickled(value: object) -> bytes:
    """What the grader sends."""
    blob = pickle.dumps(value)
    return HEADER.pack(0, len(blob)) + blob


def unpickle(file: int) -> object:
    """Wait for what the grader sends.

    Raises:
        Closed: the grader has gone.
    """
    _, size = HEADER.unpack(_read(file, HEADER.size, float("inf"), lambda: None))
    return pickle.loads(_read(file, size, float("inf"), lambda: None))


def send(file: int, message: bytes, deadline: float = float("inf")) -> None:
    """Write all of a message. A ``deadline`` wants a file descriptor that does not block.

    Raises:
        TimeUp: it was not read before ``deadline`` (of ``time.monotonic``).
        Closed: nobody reads it.
    """
    left = memoryview(message)
    try:
        while left:
            if time.monotonic() >= deadline:
                raise TimeUp
            if select.select([], [file], [], 0.2)[1]:
                left = left[os.write(file, left[: 1 << 20]) :]
    except OSError:
        raise Closed from None


def tensors_in(value: object) -> Iterator[Tensor]:
    """Every tensor in nested lists, tuples, dictionaries and modules, always in the same order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, nn.Module):
        yield from value.state_dict(keep_vars=True).values()
    elif isinstance(value, dict):
        for part in value.values():
            yield from tensors_in(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors_in(part)


def modules_in(value: object) -> Iterator[nn.Module]:
    """Every module in nested lists, tuples and dictionaries, and those inside it."""
    if isinstance(value, nn.Module):
        yield from value.modules()
    elif isinstance(value, dict):
        for part in value.values():
            yield from modules_in(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from modules_in(part)

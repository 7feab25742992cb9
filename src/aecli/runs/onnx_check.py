"""What an ONNX file holds, looked at before ONNX Runtime reads it: a file may come from a stranger.

Only graphs of the operators in `OPERATORS` are let through, each after its rule, with all weights in the file.
The few fields needed are read from the wire format of protocol buffers here: the package `onnx` would take as long to
import as all else that a command does.
https://protobuf.dev/programming-guides/encoding, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from aecli.runs.onnx_operators import OPERATORS, Shape, Taken, Value, given_by

_MOST_BYTES = 2**31 - 1
"""The largest message of protocol buffers."""

_ALWAYS, _TIMES = 2**26, 256
"""Numbers that all values of one image may have together: so many, or so many times those of its input and the file.

The first is enough for 64 channels at 256 x 256 pixels and for every value between, with gelu.
"""

_SHORT = 8
"""Numbers of a constant whose content is looked at: a shape, scales, where to cut."""

_INT64, _FLOAT = 7, 1


@dataclass
class _Node:
    operator: str = ""
    domain: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Graph:
    nodes: list[_Node] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    inputs: dict[str, Shape | None] = field(default_factory=dict)


@dataclass(frozen=True)
class PlainGraph:
    """A graph that is safe to run: its file, and how many numbers the largest of its values has for an image."""

    content: bytes
    largest: int


def read_graph(path: Path) -> PlainGraph:
    """Read an ONNX file that is safe to run; ValueError says what is not."""
    size = path.stat().st_size
    if not path.is_file() or not 0 < size <= _MOST_BYTES:
        raise ValueError("the file is empty" if path.is_file() and not size else "its size is not that of a model")
    with path.open("rb") as file:
        content = file.read(size)
    try:
        graph = _model(memoryview(content))
    except (IndexError, UnicodeDecodeError, struct.error) as error:
        raise ValueError("the file is cut or no ONNX") from error
    for node in graph.nodes:
        if node.domain not in ("", "ai.onnx"):
            raise ValueError(f"its operator {node.operator[:40]!a} is of {node.domain[:40]!a}")
        if node.operator not in OPERATORS:
            raise ValueError(f"its operator {node.operator[:40]!a} is not one that ae exports")
    return PlainGraph(content, _largest(graph, size // 4))


def _largest(graph: _Graph, weights: int) -> int:
    """Return how many numbers the largest value of an image has; ValueError where all together have too many."""
    [name, shape], *others = [(n, s) for n, s in graph.inputs.items() if n not in graph.values] or [("", None)]
    if others or not shape:
        raise ValueError("it takes other than a batch of images or latents")
    values = {**graph.values, name: Value(shape)}
    largest = total = prod(shape)
    most = max(_ALWAYS, _TIMES * (prod(shape) + weights))
    for node in graph.nodes:
        [result], given = node.outputs or [""], [values.get(name) if name else None for name in node.inputs]
        if result in values or any(name and name not in values for name in node.inputs):
            raise ValueError("its values do not follow from each other")
        values[result] = given_by(Taken(node.operator, given, node.attributes))
        size = prod(values[result].shape)
        largest, total = max(largest, size), total + size
        if total > most:
            raise ValueError("its values grow beyond its input and its file")
    return largest


Fields = Iterator[tuple[int, "int | memoryview"]]


def _model(data: memoryview) -> _Graph:
    graph = _Graph()
    for number, value in _fields(data):
        if number == 7:
            _read_graph(_bytes(value), graph)
        elif number in (20, 25):  # training_info, functions
            raise ValueError("it holds functions of its own")
    return graph


def _read_graph(data: memoryview, graph: _Graph) -> None:
    for number, value in _fields(data):
        if number == 1:
            graph.nodes.append(_node(_bytes(value)))
        elif number == 5:
            name, constant = _tensor(_bytes(value))
            if name in graph.values:
                raise ValueError("it holds the same weights twice")
            graph.values[name] = constant
        elif number == 11:
            name, shape = _input(_bytes(value))
            graph.inputs[name] = shape
        elif number == 15:  # sparse_initializer
            raise ValueError("it holds sparse weights")


def _node(data: memoryview) -> _Node:
    node = _Node()
    for number, value in _fields(data):
        if number in (1, 2):
            (node.inputs if number == 1 else node.outputs).append(_text(value))
        elif number == 4:
            node.operator = _text(value)
        elif number == 7:
            node.domain = _text(value)
        elif number == 5:
            name, content = _attribute(_bytes(value))
            node.attributes[name] = content
    if len(node.outputs) > 1:
        raise ValueError(f"its operator {node.operator[:40]!a} gives more than one value")
    return node


def _attribute(data: memoryview) -> tuple[str, Any]:
    """Return the name of an attribute, and its content where it is a whole number, some of them, or a text."""
    name, numbers = "", list[int]()
    content: int | str | None = None
    for number, value in _fields(data):
        if number == 1:
            name = _text(value)
        elif number == 3:
            content = _signed(value)
        elif number == 4:
            content = bytes(_bytes(value)[:80]).decode("ascii", "replace")
        elif number == 8:
            numbers += [_signed(one) for one in _packed(value)]
        elif number in (5, 10):  # t, tensors
            _tensor(_bytes(value))
        elif number in (6, 11, 22, 23):  # g, graphs, sparse tensors
            raise ValueError("it holds a graph in a graph")
    return name, numbers or content


def _tensor(data: memoryview) -> tuple[str, Value]:
    """Return the name of a tensor and what is known of it."""
    name, dtype = "", 0
    shape: Shape = ()
    raw: memoryview | None = None
    for number, value in _fields(data):
        if number == 13 or (number == 14 and value != 0):  # external_data, data_location
            raise ValueError("its weights lie in another file")
        if number == 1:
            shape += tuple(_signed(side) for side in _packed(value))
        elif number == 2:
            dtype = _signed(value)
        elif number == 8:
            name = _text(value)
        elif number == 9:
            raw = _bytes(value)
    if min(shape, default=0) < 0:
        raise ValueError("its weights have no size")
    content: tuple[float, ...] = ()
    letter = {_INT64: "q", _FLOAT: "f"}.get(dtype)
    if raw is not None and letter and len(shape) == 1 and shape[0] <= _SHORT:
        content = struct.unpack(f"<{shape[0]}{letter}", raw)
    return name, Value(shape, "constant", content)


def _input(data: memoryview) -> tuple[str, Shape | None]:
    """Return the name of an input and the shape of one of its rows, None where that is not known."""
    name, sides = "", []
    for number, value in _fields(data):
        if number == 1:
            name = _text(value)
        elif number == 2:
            sides = [
                next((_signed(length) for n, length in _fields(side) if n == 1), 0)
                for kind in _inner(value, 1)
                for shape in _inner(kind, 2)
                for side in _inner(shape, 1)
            ]
    return name, tuple(sides[1:]) if len(sides) > 1 and min(sides[1:]) > 0 else None


def _inner(data: "int | memoryview", wanted: int) -> Iterator[memoryview]:
    """Yield the messages of this number in a message."""
    return (_bytes(value) for number, value in _fields(_bytes(data)) if number == wanted)


def _packed(value: "int | memoryview") -> list[int]:
    """Return numbers that may stand one by one or in a row."""
    if isinstance(value, int):
        return [value]
    numbers, place = [], 0
    while place < len(value):
        number, place = _varint(value, place)
        numbers.append(number)
    return numbers


def _signed(value: "int | memoryview") -> int:
    if not isinstance(value, int):
        raise ValueError("the file is no ONNX")
    return value - 2**64 if value >= 2**63 else value


def _fields(data: memoryview) -> Fields:
    """Yield the number and the value of each field of a message; IndexError where it is cut."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(data, place)
            yield number, value
            continue
        if wire == 2:
            length, place = _varint(data, place)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError("the file is no ONNX")
        if place + length > len(data):
            raise IndexError(place)
        yield number, data[place : place + length]
        place += length


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for i in range(10):
        byte = data[place + i]
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, place + i + 1
    raise ValueError("the file is no ONNX")


def _bytes(value: "int | memoryview") -> memoryview:
    if isinstance(value, int):
        raise ValueError("the file is no ONNX")
    return value


def _text(value: "int | memoryview") -> str:
    return bytes(_bytes(value)).decode()

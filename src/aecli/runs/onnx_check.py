"""What an ONNX file holds, looked at before ONNX Runtime reads it: a file may come from a stranger.

Only graphs of the operators in `OPERATORS` are let through, each after its rule, with all weights in the file.
The few fields needed are read from the wire format of protocol buffers here: the package `onnx` would take as long to
import as all else that a command does.
https://protobuf.dev/programming-guides/encoding, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aecli.runs.onnx_operators import OPERATORS, Rule

_MOST_BYTES = 2**31 - 1
"""The largest message of protocol buffers."""


@dataclass
class _Node:
    operator: str = ""
    domain: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


@dataclass
class _Graph:
    nodes: list[_Node] = field(default_factory=list)
    axes: dict[str, int] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def read_graph(path: Path) -> bytes:
    """Return the bytes of an ONNX file that is safe to run; ValueError says what is not."""
    size = path.stat().st_size
    if not path.is_file() or not 0 < size <= _MOST_BYTES:
        raise ValueError("the file is empty" if path.is_file() and not size else "its size is not that of a model")
    with path.open("rb") as file:
        content = file.read(size)
    try:
        graph = _model(memoryview(content))
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError("the file is cut or no ONNX") from error
    _require_plain(graph)
    return content


def _require_plain(graph: _Graph) -> None:
    for node in graph.nodes:
        if node.domain not in ("", "ai.onnx"):
            raise ValueError(f"its operator {node.operator[:40]!a} is of {node.domain[:40]!a}")
        if node.operator not in OPERATORS:
            raise ValueError(f"its operator {node.operator[:40]!a} is not one that ae exports")
    makers = {name: node.operator for node in graph.nodes for name in node.outputs}
    for node in graph.nodes:
        _require_rule(node, OPERATORS[node.operator].rule, graph, makers)
    at_end = [node for node in graph.nodes if OPERATORS[node.operator].rule.at_end]
    if sum(not set(graph.inputs).isdisjoint(node.inputs) for node in at_end) > 1:
        raise ValueError("it reshapes its input more than once")


def _require_rule(node: _Node, rule: Rule, graph: _Graph, makers: Mapping[str, str]) -> None:
    if max((graph.axes.get(name, 0) for name in node.inputs), default=0) > rule.constant_axes:
        raise ValueError(f"its operator {node.operator} takes weights of more than {rule.constant_axes} axes")
    if rule.weighted and not any(name in graph.axes for name in node.inputs[:2]):
        raise ValueError(f"its operator {node.operator} multiplies what it has computed")
    if rule.at_end and {*graph.inputs, *graph.outputs}.isdisjoint((*node.inputs, *node.outputs)):
        raise ValueError("it reshapes between its layers")
    if rule.takes is not None and [makers.get(name) for name in node.inputs] != [rule.takes]:
        raise ValueError("it makes values of a size of its own")


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
            name, axes = _tensor(_bytes(value))
            graph.axes[name] = max(axes, graph.axes.get(name, 0))
        elif number in (11, 12):
            (graph.inputs if number == 11 else graph.outputs).append(_name(_bytes(value)))
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
            for inner, content in _fields(_bytes(value)):
                if inner in (5, 10):  # t, tensors
                    _tensor(_bytes(content))
                elif inner in (6, 11, 22, 23):  # g, graphs, sparse tensors
                    raise ValueError("it holds a graph in a graph")
    return node


def _tensor(data: memoryview) -> tuple[str, int]:
    """Return the name of a tensor and the number of its axes."""
    name, axes = "", 0
    for number, value in _fields(data):
        if number == 13 or (number == 14 and value != 0):  # external_data, data_location
            raise ValueError("its weights lie in another file")
        if number == 1:
            axes += 1 if isinstance(value, int) else sum(byte < 128 for byte in value)
        elif number == 8:
            name = _text(value)
    return name, axes


def _name(data: memoryview) -> str:
    return next((_text(value) for number, value in _fields(data) if number == 1), "")


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

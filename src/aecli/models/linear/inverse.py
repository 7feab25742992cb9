"""What activations take to a value: where the output of a network must start for its images to be those wanted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol


class GraphBuilder(Protocol):
    """A graph of ONNX in the making."""

    def add(self, operator: str, *inputs: Any, **attributes: float) -> str:
        """Add a node; inputs are names of values, or constants. Return the name of its output."""


@dataclass(frozen=True)
class _Function:
    """A function of arrays of NumPy or tensors of Keras, whose operations come first, and its nodes of ONNX."""

    of: Callable[[Any, Any], Any]
    onnx: Callable[[GraphBuilder, str], str]


def _odds(graph: GraphBuilder, y: str) -> str:
    return graph.add("Div", y, graph.add("Sub", 1.0, y))


_FUNCTIONS: Mapping[str, _Function] = MappingProxyType(
    {
        "identity": _Function(lambda xp, y: y, lambda g, y: y),
        "logit": _Function(lambda xp, y: xp.log(y / (1 - y)), lambda g, y: g.add("Log", _odds(g, y))),
        "odds": _Function(lambda xp, y: y / (1 - y), _odds),
        "log": _Function(lambda xp, y: xp.log(y), lambda g, y: g.add("Log", y)),
        "log(exp - 1)": _Function(
            lambda xp, y: xp.log(xp.exp(y) - 1), lambda g, y: g.add("Log", g.add("Sub", g.add("Exp", y), 1.0))
        ),
    }
)


@dataclass(frozen=True)
class Inverse:
    """The inverse of an activation for values y from 0 to 1: gain * function(slope * y + offset)."""

    function: str = "identity"
    slope: float = 1.0
    offset: float = 0.0
    gain: float = 1.0

    def of(self, xp: Any, y: Any) -> Any:
        """Return what the activation takes to y, by the operations of `xp`: NumPy, or `keras.ops`."""
        return self.gain * _FUNCTIONS[self.function].of(xp, self.slope * y + self.offset)

    def onnx(self, graph: GraphBuilder, y: str) -> str:
        """Add the inverse of a value to a graph; return the result's name."""
        for operator, number in (("Mul", self.slope), ("Add", self.offset)):
            y = y if number == (operator == "Mul") else graph.add(operator, y, number)
        y = _FUNCTIONS[self.function].onnx(graph, y)
        return y if self.gain == 1 else graph.add("Mul", y, self.gain)

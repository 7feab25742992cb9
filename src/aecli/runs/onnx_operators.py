"""The ONNX operators that `ae` writes, and that it reads in files of strangers: a rule each.

`onnx_graph.py` adds no node of another operator, `onnx_check.py` lets no other through. A graph of these alone, each
after its rule, runs no code, reads no other file, ends, and takes memory in proportion to its input and its own size.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Rule:
    """What keeps the values that an operator gives in proportion to those that it takes.

    `constant_axes` is the most axes that its constants have. `weighted`: it multiplies by weights, never two computed
    values. `at_end`: it takes the graph's input, where no other such node does, or gives the graph's output.
    `takes` is the operator whose output it takes, where that is the only one.
    """

    constant_axes: int = 1
    weighted: bool = False
    at_end: bool = False
    takes: str | None = None


ELEMENTWISE = Rule()
PRODUCT = Rule(constant_axes=2, weighted=True)
RESHAPE = Rule(at_end=True)
FILL = Rule(takes="Shape")


@dataclass(frozen=True)
class Operator:
    """One operator of ONNX; `earlier` where only files of earlier versions have it."""

    name: str
    rule: Rule = ELEMENTWISE
    earlier: bool = False


_ROWS = (
    Operator("Abs", earlier=True),
    Operator("Add"),
    Operator("Cast", earlier=True),
    Operator("Celu"),
    Operator("Clip"),
    Operator("ConstantOfShape", FILL, earlier=True),
    Operator("Div"),
    Operator("Elu"),
    Operator("Erf"),
    Operator("Exp"),
    Operator("Flatten", RESHAPE),
    Operator("Gemm", PRODUCT),
    Operator("Greater"),
    Operator("GreaterOrEqual", earlier=True),
    Operator("HardSigmoid"),
    Operator("HardSwish"),
    Operator("Identity", earlier=True),
    Operator("LeakyRelu"),
    Operator("Less", earlier=True),
    Operator("LessOrEqual", earlier=True),
    Operator("MatMul", PRODUCT, earlier=True),
    Operator("Log"),
    Operator("Max"),
    Operator("Min", earlier=True),
    Operator("Mul"),
    Operator("Neg"),
    Operator("Not", earlier=True),
    Operator("PRelu"),
    Operator("Pow", earlier=True),
    Operator("Relu"),
    Operator("Reshape", RESHAPE),
    Operator("Selu"),
    Operator("Shape", earlier=True),
    Operator("Shrink"),
    Operator("Sigmoid"),
    Operator("Softplus"),
    Operator("Softsign"),
    Operator("Sqrt"),
    Operator("Sub"),
    Operator("Tanh"),
    Operator("Where"),
)

OPERATORS: Mapping[str, Operator] = MappingProxyType({row.name: row for row in _ROWS})

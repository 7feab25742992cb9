"""The table of activations: how Keras gets each one, its output range, initialiser, formula and source.

A row is all it takes to add an activation: config names, help, the ONNX files and the tests follow the table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import sqrt
from types import MappingProxyType
from typing import Any

from aecli.core.errors import did_you_mean
from aecli.models.linear.inverse import GraphBuilder, Inverse

_INFINITY = float("inf")
Bound = float | Callable[[Mapping[str, float]], float]
HE, LECUN, GLOROT = "he_normal", "lecun_normal", "glorot_uniform"


@dataclass(frozen=True)
class Activation:
    """One elementwise activation.

    `formula` is a NumPy expression in `x` and the parameters; the tests evaluate it beside Keras.
    `low` and `high` bound the output: a number, or a function of the parameters. `layer` names the
    class in `keras.layers` of an activation with weights or parameters, where Keras has one, and `settings` gives
    that class's arguments for the parameters; the others are functions in `keras.activations`. `learned_slope` names
    the attribute of a layer that learns its slope below zero. `onnx` adds the activation of a value to a graph and
    returns the result's name; None for a layer with weights, which is written as one (`onnx_writer.LAYERS`).
    `inverse` is that of values from 0 to 1, None where there is no formula for it.
    """

    name: str
    formula: str
    reference: str
    low: Bound = -_INFINITY
    high: Bound = _INFINITY
    initializer: str = GLOROT
    parameters: Mapping[str, float] = field(default_factory=dict)
    layer: str | None = None
    settings: Callable[[Mapping[str, float]], Mapping[str, Any]] = dict
    learned_slope: str | None = None
    onnx: Callable[..., str] | None = None
    inverse: Inverse | None = None
    aliases: tuple[str, ...] = ()

    def output_range(self, parameters: Mapping[str, float]) -> tuple[float, float]:
        """Return the infimum and the supremum of the output under these parameters."""
        return _evaluate(self.low, parameters), _evaluate(self.high, parameters)


def _evaluate(bound: Bound, parameters: Mapping[str, float]) -> float:
    return bound(parameters) if callable(bound) else bound


def _constant(value: float) -> Mapping[str, Any]:
    """Return an initializer as Keras reads it."""
    return {"class_name": "Constant", "config": {"value": value}}


def _minus_alpha(parameters: Mapping[str, float]) -> float:
    return -parameters["alpha"]


def _gelu(graph: GraphBuilder, x: str) -> str:
    doubled = graph.add("Add", graph.add("Erf", graph.add("Mul", x, sqrt(0.5))), 1.0)
    return graph.add("Mul", graph.add("Mul", x, doubled), 0.5)


def _mish(graph: GraphBuilder, x: str) -> str:
    return graph.add("Mul", x, graph.add("Tanh", graph.add("Softplus", x)))


def _squareplus(graph: GraphBuilder, x: str, b: float) -> str:
    root = graph.add("Sqrt", graph.add("Add", graph.add("Mul", x, x), b))
    return graph.add("Mul", graph.add("Add", x, root), 0.5)


def _sparse_plus(graph: GraphBuilder, x: str) -> str:
    # The parabola lies above x, which is its tangent at 1, and is 0 at -1.
    half = graph.add("Mul", graph.add("Add", graph.add("Clip", x, -1.0, 1.0), 1.0), 0.5)
    return graph.add("Max", x, graph.add("Mul", half, half))


def _soft_shrink(graph: GraphBuilder, x: str, threshold: float) -> str:
    if threshold >= 0:
        return graph.add("Shrink", x, lambd=threshold, bias=threshold)
    # Here each x lies beyond one of the thresholds or both, and programs differ in which one Shrink looks at first.
    above, below = graph.add("Sub", x, threshold), graph.add("Add", x, threshold)
    return graph.add("Where", graph.add("Greater", x, threshold), above, below)


def _threshold(graph: GraphBuilder, x: str, threshold: float, default_value: float) -> str:
    return graph.add("Where", graph.add("Greater", x, threshold), x, default_value)


_ROWS = (
    Activation("linear", "x", "identity", onnx=lambda g, x: x, inverse=Inverse()),
    Activation("relu", "maximum(x, 0)", "Nair & Hinton 2010", low=0, initializer=HE,
               onnx=lambda g, x: g.add("Relu", x), inverse=Inverse()),
    Activation("relu6", "clip(x, 0, 6)", "Krizhevsky 2010", low=0, high=6, initializer=HE,
               onnx=lambda g, x: g.add("Clip", x, 0.0, 6.0), inverse=Inverse()),
    Activation("leaky_relu", "where(x < 0, negative_slope * x, x)", "Maas et al. 2013",
               initializer=HE, parameters={"negative_slope": 0.2}, layer="LeakyReLU",
               onnx=lambda g, x, negative_slope: g.add("LeakyRelu", x, alpha=negative_slope), inverse=Inverse()),
    Activation("prelu", "where(x < 0, initial_slope * x, x)", "He et al. 2015, one trained slope a unit",
               initializer=HE, parameters={"initial_slope": 0.25}, layer="PReLU",
               settings=lambda p: {"alpha_initializer": _constant(p["initial_slope"])}, learned_slope="alpha",
               inverse=Inverse()),
    Activation("elu", "where(x < 0, alpha * expm1(minimum(x, 0)), x)", "Clevert et al. 2016",
               low=_minus_alpha, initializer=HE, parameters={"alpha": 1.0}, layer="ELU",
               onnx=lambda g, x, alpha: g.add("Elu", x, alpha=alpha), inverse=Inverse()),
    Activation("celu", "where(x < 0, alpha * expm1(minimum(x, 0) / alpha), x)", "Barron 2017",
               low=_minus_alpha, initializer=HE, parameters={"alpha": 1.0},
               onnx=lambda g, x, alpha: g.add("Celu", x, alpha=alpha), inverse=Inverse()),
    Activation("selu", "1.05070098735548 * where(x < 0, 1.67326324235438 * expm1(minimum(x, 0)), x)",
               "Klambauer et al. 2017", low=-1.7580993408473766, initializer=LECUN,
               onnx=lambda g, x: g.add("Selu", x), inverse=Inverse(gain=1 / 1.05070098735548)),
    Activation("gelu", "x * 0.5 * (1 + erf(x / sqrt(2)))", "Hendrycks & Gimpel 2016",
               low=-0.16997, initializer=HE, onnx=_gelu),
    Activation("silu", "x / (1 + exp(-x))", "Elfwing et al. 2018", low=-0.27847, initializer=HE,
               aliases=("swish",), onnx=lambda g, x: g.add("Mul", x, g.add("Sigmoid", x))),
    Activation("hard_silu", "x * clip(x / 6 + 0.5, 0, 1)", "Howard et al. 2019", low=-0.375, initializer=HE,
               aliases=("hard_swish",), onnx=lambda g, x: g.add("HardSwish", x)),
    Activation("mish", "x * tanh(log1p(exp(x)))", "Misra 2019", low=-0.30884, initializer=HE, onnx=_mish),
    Activation("softplus", "log1p(exp(x))", "Dugas et al. 2001", low=0, initializer=HE,
               onnx=lambda g, x: g.add("Softplus", x), inverse=Inverse("log(exp - 1)")),
    Activation("squareplus", "(x + sqrt(x * x + b)) / 2", "Barron 2021", low=0, initializer=HE,
               parameters={"b": 4.0}, onnx=_squareplus),
    Activation("sparse_plus", "where(x <= -1, 0, where(x < 1, (x + 1) ** 2 / 4, x))",
               "Keras documentation", low=0, initializer=HE, onnx=_sparse_plus),
    Activation("exponential", "exp(x)", "exponential function", low=0, onnx=lambda g, x: g.add("Exp", x),
               inverse=Inverse("log")),
    Activation("sigmoid", "1 / (1 + exp(-x))", "logistic function", low=0, high=1,
               onnx=lambda g, x: g.add("Sigmoid", x), inverse=Inverse("logit")),
    Activation("hard_sigmoid", "clip(x / 6 + 0.5, 0, 1)", "Courbariaux et al. 2015", low=0, high=1,
               onnx=lambda g, x: g.add("HardSigmoid", x, alpha=1 / 6, beta=0.5),
               inverse=Inverse(slope=6.0, offset=-3.0)),
    Activation("sparse_sigmoid", "clip((x + 1) / 2, 0, 1)", "Keras documentation", low=0, high=1,
               onnx=lambda g, x: g.add("HardSigmoid", x, alpha=0.5, beta=0.5),
               inverse=Inverse(slope=2.0, offset=-1.0)),
    Activation("log_sigmoid", "-log1p(exp(-x))", "logarithm of the logistic function", high=0,
               onnx=lambda g, x: g.add("Neg", g.add("Softplus", g.add("Neg", x)))),
    Activation("tanh", "tanh(x)", "hyperbolic tangent", low=-1, high=1, onnx=lambda g, x: g.add("Tanh", x),
               inverse=Inverse("logit", slope=0.5, offset=0.5, gain=0.5)),
    Activation("hard_tanh", "clip(x, -1, 1)", "Collobert 2004", low=-1, high=1,
               onnx=lambda g, x: g.add("Clip", x, -1.0, 1.0), inverse=Inverse()),
    Activation("softsign", "x / (1 + abs(x))", "Bergstra et al. 2009", low=-1, high=1,
               onnx=lambda g, x: g.add("Softsign", x), inverse=Inverse("odds")),
    Activation("tanh_shrink", "x - tanh(x)", "Keras documentation",
               onnx=lambda g, x: g.add("Sub", x, g.add("Tanh", x))),
    Activation("hard_shrink", "where(abs(x) > threshold, x, 0)", "Donoho & Johnstone 1994",
               parameters={"threshold": 0.5},
               onnx=lambda g, x, threshold: g.add("Shrink", x, lambd=threshold, bias=0.0)),
    Activation("soft_shrink", "sign(x) * maximum(abs(x) - threshold, 0)", "Donoho & Johnstone 1994",
               parameters={"threshold": 0.5}, onnx=_soft_shrink),
    Activation("threshold", "where(x > threshold, x, default_value)", "Keras documentation",
               low=lambda p: min(p["threshold"], p["default_value"]), initializer=HE,
               parameters={"threshold": 0.0, "default_value": 0.0}, onnx=_threshold),
)  # fmt: skip

ACTIVATIONS: dict[str, Activation] = {row.name: row for row in _ROWS}
ALIASES: Mapping[str, str] = MappingProxyType({alias: row.name for row in _ROWS for alias in row.aliases})
REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "glu": "it halves the width of its layer",
        "softmax": "it is not elementwise: it ties the units of a layer together",
        "log_softmax": "it is not elementwise: it ties the units of a layer together",
        "sparsemax": "it is not elementwise: it ties the units of a layer together",
    }
)


def find_activation(name: str) -> Activation:
    """Return the table's row for a name or an alias; ValueError says why a name is not one."""
    row = ACTIVATIONS.get(ALIASES.get(name, name))
    if row is not None:
        return row
    if name in REFUSED:
        raise ValueError(f"'{name}' cannot be used here: {REFUSED[name]}")
    raise ValueError(f"unknown activation '{name}'{did_you_mean(name, [*ACTIVATIONS, *ALIASES])}")

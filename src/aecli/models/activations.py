"""The table of activations: how Keras gets each one, its output range, initialiser, formula and source.

A row is all it takes to add an activation: config names, help and tests follow the table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from aecli.core.errors import did_you_mean

INFINITY = float("inf")
Bound = float | Callable[[Mapping[str, float]], float]
HE, LECUN, GLOROT = "he_normal", "lecun_normal", "glorot_uniform"


@dataclass(frozen=True)
class Activation:
    """One elementwise activation.

    `formula` is a NumPy expression in `x` and the parameters; the tests evaluate it beside Keras.
    `low` and `high` bound the output: a number, or a function of the parameters. `layer` names the
    class in `keras.layers` of an activation with weights or parameters, where Keras has one; the others
    are functions in `keras.activations`.
    """

    name: str
    formula: str
    reference: str
    low: Bound = -INFINITY
    high: Bound = INFINITY
    initializer: str = GLOROT
    parameters: Mapping[str, float] = field(default_factory=dict)
    layer: str | None = None
    aliases: tuple[str, ...] = ()

    def output_range(self, parameters: Mapping[str, float]) -> tuple[float, float]:
        """Return the infimum and the supremum of the output under these parameters."""
        return _evaluate(self.low, parameters), _evaluate(self.high, parameters)


def _evaluate(bound: Bound, parameters: Mapping[str, float]) -> float:
    return bound(parameters) if callable(bound) else bound


def _minus_alpha(parameters: Mapping[str, float]) -> float:
    return -parameters["alpha"]


_ROWS = (
    Activation("linear", "x", "identity"),
    Activation("relu", "maximum(x, 0)", "Nair & Hinton 2010", low=0, initializer=HE),
    Activation("relu6", "clip(x, 0, 6)", "Krizhevsky 2010", low=0, high=6, initializer=HE),
    Activation("leaky_relu", "where(x < 0, negative_slope * x, x)", "Maas et al. 2013",
               initializer=HE, parameters={"negative_slope": 0.2}, layer="LeakyReLU"),
    Activation("prelu", "where(x < 0, initial_slope * x, x)", "He et al. 2015, one trained slope a unit",
               initializer=HE, parameters={"initial_slope": 0.25}, layer="PReLU"),
    Activation("elu", "where(x < 0, alpha * expm1(minimum(x, 0)), x)", "Clevert et al. 2016",
               low=_minus_alpha, initializer=HE, parameters={"alpha": 1.0}, layer="ELU"),
    Activation("celu", "where(x < 0, alpha * expm1(minimum(x, 0) / alpha), x)", "Barron 2017",
               low=_minus_alpha, initializer=HE, parameters={"alpha": 1.0}),
    Activation("selu", "1.05070098735548 * where(x < 0, 1.67326324235438 * expm1(minimum(x, 0)), x)",
               "Klambauer et al. 2017", low=-1.7580993408473766, initializer=LECUN),
    Activation("gelu", "x * 0.5 * (1 + erf(x / sqrt(2)))", "Hendrycks & Gimpel 2016",
               low=-0.16997, initializer=HE),
    Activation("silu", "x / (1 + exp(-x))", "Elfwing et al. 2018", low=-0.27847, initializer=HE,
               aliases=("swish",)),
    Activation("hard_silu", "x * clip(x / 6 + 0.5, 0, 1)", "Howard et al. 2019", low=-0.375, initializer=HE,
               aliases=("hard_swish",)),
    Activation("mish", "x * tanh(log1p(exp(x)))", "Misra 2019", low=-0.30884, initializer=HE),
    Activation("softplus", "log1p(exp(x))", "Dugas et al. 2001", low=0, initializer=HE),
    Activation("squareplus", "(x + sqrt(x * x + b)) / 2", "Barron 2021", low=0, initializer=HE,
               parameters={"b": 4.0}),
    Activation("sparse_plus", "where(x <= -1, 0, where(x < 1, (x + 1) ** 2 / 4, x))",
               "Keras documentation", low=0, initializer=HE),
    Activation("exponential", "exp(x)", "exponential function", low=0),
    Activation("sigmoid", "1 / (1 + exp(-x))", "logistic function", low=0, high=1),
    Activation("hard_sigmoid", "clip(x / 6 + 0.5, 0, 1)", "Courbariaux et al. 2015", low=0, high=1),
    Activation("sparse_sigmoid", "clip((x + 1) / 2, 0, 1)", "Keras documentation", low=0, high=1),
    Activation("log_sigmoid", "-log1p(exp(-x))", "logarithm of the logistic function", high=0),
    Activation("tanh", "tanh(x)", "hyperbolic tangent", low=-1, high=1),
    Activation("hard_tanh", "clip(x, -1, 1)", "Collobert 2004", low=-1, high=1),
    Activation("softsign", "x / (1 + abs(x))", "Bergstra et al. 2009", low=-1, high=1),
    Activation("tanh_shrink", "x - tanh(x)", "Keras documentation"),
    Activation("hard_shrink", "where(abs(x) > threshold, x, 0)", "Donoho & Johnstone 1994",
               parameters={"threshold": 0.5}),
    Activation("soft_shrink", "sign(x) * maximum(abs(x) - threshold, 0)", "Donoho & Johnstone 1994",
               parameters={"threshold": 0.5}),
    Activation("threshold", "where(x > threshold, x, default_value)", "Keras documentation",
               low=lambda p: min(p["threshold"], p["default_value"]), initializer=HE,
               parameters={"threshold": 0.0, "default_value": 0.0}),
)  # fmt: skip

ACTIVATIONS: Mapping[str, Activation] = MappingProxyType({row.name: row for row in _ROWS})
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

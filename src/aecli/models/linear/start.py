"""Where a training begins: at the mean of the training images, and at the best linear code of them."""

from dataclasses import dataclass, field

import numpy as np

from aecli.core.schema import Choice
from aecli.data.format import Images
from aecli.models.activations import Activation
from aecli.models.linear.code import LinearCode, Matrix

MARGINS = (1e-2, 1e-3, 1e-4, 1e-6)
"""How near an output may begin to a bound that its activation does not reach; far ones learn faster."""


@dataclass(frozen=True)
class Gains:
    """What latents of unit variance are multiplied by on their way into and out of a linear code: (k,), or a number.

    `log_variances` are those that a Gaussian code begins with.
    """

    encoding: Matrix | float = 1.0
    decoding: Matrix | float = 1.0
    log_variances: Matrix | float = 0.0


@dataclass(frozen=True)
class Start:
    """What the training images say of a network before its first step.

    `mean` is their mean (H, W, C), None where the output is to begin at an activation of 0. `code` is the linear code
    to begin with, if any, with its `gains`. Outputs begin no nearer than `margin` to a bound of their activation.
    `error` is the mse of the reconstructions that it begins with.
    """

    mean: Images | None = None
    code: LinearCode | None = None
    margin: float = MARGINS[0]
    gains: Gains = field(default_factory=Gains)
    error: float = 1.0


def reachable(activation: Choice[Activation], margin: float) -> tuple[float, float]:
    """Return between which values an output with a linear code begins: not below 0, nor above 1 where there is a bound.

    Between them the activation's inverse is defined and its slope is not 0. A linear output begins anywhere: what
    others make of values below 0 has no inverse, and a steep slope there would make them worse.
    """
    if activation.name == "linear":
        return -np.inf, np.inf
    low, high = activation.row.output_range(activation.parameters)
    return max(0.0, low + margin), np.inf if high == np.inf else min(1.0, high - margin)


def output_bias(activation: Choice[Activation], mean: Images, margin: float = MARGINS[0]) -> Matrix | None:
    """Return what the activation takes to the mean image, (H, W, C); None where it has no inverse."""
    inverse = activation.row.inverse
    if inverse is None:
        return None
    low, high = activation.row.output_range(activation.parameters)
    inside = np.clip(mean, low + margin, high - margin)
    # An inverse is of values from 0 to 1; what images reach beyond is theirs to learn.
    inside = inside if inverse.function == "identity" else np.clip(inside, margin, 1 - margin)
    return np.asarray(inverse.of(np, inside), np.float32)

"""What a code is: plain numbers, or, with `model.code`, a distribution or a few levels. Any family can have it."""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from aecli.core.schema import Section

if TYPE_CHECKING:
    from aecli.models.linear.pca import Matrix64
    from aecli.models.linear.start import Gains

NOISE = 6
"""The purpose of the draws of a code, apart from those of corruption and augmentation."""


class GaussianCode(Section):
    """A variational code: a Gaussian for each image, kept near the standard normal distribution."""

    beta: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    """weight of the KL from the prior: 1: a VAE; more: fewer and freer latents"""
    warmup: Annotated[int, Field(ge=0, le=10**9)] = 0
    """epochs in which the weight of the KL grows to beta, against collapse"""
    free_bits: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    """nats of each latent that cost nothing, against collapse"""


class QuantisedCode(Section):
    """A code of few levels: finite scalar quantisation, whose bits can be counted."""

    levels: Annotated[int, Field(ge=2, le=256)] = 8
    """values that each number of the code may have, evenly spaced from -1 to 1"""

    def nearest(self, latents: Any) -> Any:
        """Return the values (N, k) that a code may have, nearest to these; arrays of NumPy."""
        steps = self.levels - 1
        return ((latents + 1) * (steps / 2)).round().clip(0, steps) * (2 / steps) - 1

    def bits(self, code_length: int) -> float:
        """Return how many bits a code of this length has."""
        return code_length * log2(self.levels)


class Code(Section):
    """What the numbers of a code are: one of these, or plain numbers."""

    gaussian: GaussianCode | None = None
    """variational: {beta: 1, warmup: 0, free_bits: 0}; the network becomes a VAE"""
    quantised: QuantisedCode | None = None
    """finite scalar quantisation: {levels: 8}"""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.gaussian and self.quantised:
            raise ValueError("a code is gaussian or quantised, not both: leave one of them out")
        return self


def gains_of(code: Code | None, variances: Matrix64, error: float, size: int, length: int) -> tuple[Gains, float]:
    """Return the gains with which a network of a code begins at a linear code, and the mse that it then has.

    `variances` are those of the training images along the linear code's directions, largest first, `error` its mse on
    images of `size` values; `length` is that of the network's code.
    """
    import numpy as np

    from aecli.models.linear.probabilistic import linear_gaussian
    from aecli.models.linear.start import Gains

    if code is not None and code.quantised is not None:
        encoding, decoding, lost = _best_gains(code.quantised.levels)
        return Gains(encoding, decoding), error + lost * float(variances.sum()) / size
    if code is None or code.gaussian is None:
        return Gains(), error
    best = linear_gaussian(variances, error * size, size, code.gaussian.beta)
    gains, log_variances = (np.zeros(length, np.float32) for _ in range(2))
    gains[: len(variances)], log_variances[: len(variances)] = best.gains, best.log_variances
    return Gains(gains, gains, log_variances), best.noise


def _best_gains(levels: int) -> tuple[float, float, float]:
    """Return the gains before and after a code of these levels that lose the least of a standard normal latent.

    The third number is the share of its variance that is lost.
    """
    import numpy as np

    x = np.linspace(-5, 5, 2001)
    weights = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()
    best = (1.0, 1.0, 1.0)
    for gain in np.linspace(0.2, 2.0, 91):
        code = np.round((np.tanh(gain * x) + 1) / 2 * (levels - 1)) / (levels - 1) * 2 - 1
        both, alone = float((weights * x * code).sum()), float((weights * code**2).sum())
        if 1 - both**2 / alone < best[2]:
            best = (float(gain), both / alone, 1 - both**2 / alone)
    return best

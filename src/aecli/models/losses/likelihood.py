"""A loss as the distribution that it is the logarithm of, in nats an image, with a scale that is learned.

With one scale for all pixels its best value is known: that of a Gaussian is the mse, that of a Laplace distribution
the mae (Rybkin, Daniilidis & Levine 2021, "Simple and effective VAE training with calibrated decoders"). In training it
follows them from batch to batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import log, pi, sqrt
from types import MappingProxyType
from typing import Any

from aecli.models.losses.config import Loss

RATE = 0.05
"""How far the scale follows the distance of a batch."""

LEAST = 1e-8
"""The smallest scale: images that are reconstructed exactly have no density."""


@dataclass(frozen=True)
class Likelihood:
    """The distribution of a value about its reconstruction.

    `nats` gives -log p of a value whose distance from its reconstruction is given, all for a scale: of one value, so
    that an image of D values has D times as many where the distance is the mean over its values. `sigma` is the
    standard deviation, None where the distribution has no scale. `first` is the scale to begin with, of an mse.
    """

    name: str
    distance: str
    nats: Callable[[Any, Any, Callable[[Any], Any]], Any]
    sigma: Callable[[Any], Any] | None
    first: Callable[[float], float]

    def scale(self, error: float) -> float:
        """Return the scale to begin with where the reconstructions have this mse."""
        return max(LEAST, self.first(error))


LIKELIHOODS = MappingProxyType(
    {
        "mse": Likelihood(
            "Gaussian", "mse",
            lambda mse, scale, ln: 0.5 * (log(2 * pi) + ln(scale) + mse / scale),
            lambda scale: scale**0.5,
            lambda error: error,
        ),
        "mae": Likelihood(
            "Laplace", "mae",
            lambda mae, scale, ln: log(2) + ln(scale) + mae / scale,
            lambda scale: sqrt(2) * scale,
            lambda error: sqrt(error / 2),
        ),
        "binary_crossentropy": Likelihood(
            "Bernoulli", "binary_crossentropy",
            lambda entropy, scale, ln: entropy,
            None,
            lambda error: 1.0,
        ),
    }
)  # fmt: skip
"""Name of a loss -> its distribution; a loss that stands here nowhere is the logarithm of none."""


def likelihood_of(loss: Loss) -> Likelihood | None:
    """Return the distribution of a loss, None where it is the logarithm of none, as a sum of several is."""
    return LIKELIHOODS.get(loss) if isinstance(loss, str) else None


def kl_of_gaussian(mean: Any, log_variance: Any, exp: Callable[[Any], Any]) -> Any:
    """Return the KL in nats of a Gaussian from the standard normal distribution (Kingma & Welling 2014, appendix B)."""
    return 0.5 * (mean**2 + exp(log_variance) - log_variance - 1)

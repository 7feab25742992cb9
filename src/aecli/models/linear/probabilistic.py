"""What a linear network with a Gaussian code comes to: probabilistic PCA (Tipping & Bishop 1999), in closed form."""

from dataclasses import dataclass
from math import log, pi

import numpy as np

from aecli.models.linear.pca import Matrix64

_LEAST = 1e-6
"""The smallest variance of a latent, and its square the smallest noise of a value: no logarithm is infinite."""


@dataclass(frozen=True)
class LinearGaussian:
    """The best linear network with a Gaussian code for images of `size` values.

    `variances` (k,) are those of the images along its directions, largest first, of which the first `active` carry
    something; `noise` is the variance of each value about its reconstruction.
    """

    variances: Matrix64
    active: int
    noise: float
    size: int
    beta: float = 1.0

    @property
    def gains(self) -> Matrix64:
        """How far the latents are drawn in from codes of unit variance, (k,); 0 where nothing is active."""
        share = self.beta * self.noise / self.variances[: self.active]
        return np.concatenate([np.sqrt(1 - share), np.zeros(len(self.variances) - self.active)])

    @property
    def log_variances(self) -> Matrix64:
        """The log-variance of each latent, (k,); 0, that of the prior, where it is not active."""
        share = np.maximum(self.beta * self.noise / self.variances[: self.active], _LEAST)
        return np.concatenate([np.log(share), np.zeros(len(self.variances) - self.active)])

    @property
    def negative_log_likelihood(self) -> float:
        """The mean of -log p of the images that it was fitted to, in nats an image, with a beta of 1.

        It is the least -ELBO of a linear network, since its posterior is a Gaussian of constant variance (Lucas et al.
        2019, "Don't blame the ELBO!").
        """
        along = float(np.log(self.variances[: self.active]).sum())
        return 0.5 * (self.size * (log(2 * pi) + 1) + along + (self.size - self.active) * log(self.noise))


def linear_gaussian(variances: Matrix64, beyond: float, size: int, beta: float = 1.0) -> LinearGaussian:
    """Return the best linear network with a Gaussian code whose KL has the weight `beta`.

    `variances` (k,) are those of images of `size` values along orthogonal directions, largest first, and `beyond` that
    of all other directions together. A direction is active just where its variance is more than beta times the noise,
    and leaves beta times the noise of it unexplained.
    """
    variances = np.asarray(variances, np.float64)
    for active in range(len(variances), -1, -1):
        left = size - beta * active
        if left <= 0:
            continue
        noise = max((beyond + float(variances[active:].sum())) / left, _LEAST**2)
        if active == 0 or variances[active - 1] > beta * noise:
            return LinearGaussian(variances, active, noise, size, beta)
    raise AssertionError("no direction is always possible")

"""Mixtures of Gaussians with full covariances, fitted by EM; points held out choose how many."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, pi

import numpy as np
from numpy.typing import NDArray

from aecli.core.machine import one_blas_thread, ordered_map
from aecli.core.rng import Draws, derive

Values = NDArray[np.float64]

NUMBERS_TRIED = (1, 2, 5, 10, 20, 50)
"""How many components are tried; the first that does worse on the points held out ends it."""

FLOOR = 1e-4
"""Added to the variance along every axis: points have about unit variance."""

_HELD_OUT = 0.2
_FEWEST = 20
"""Of fewer points none are held out: they get one Gaussian."""
_LEAST_POINTS = 5
"""Points that a component tried has for each of its axes, on average."""
_ROUNDS, _TOLERANCE = 200, 5e-3
_TINY = 10 * np.finfo(np.float64).eps


@dataclass(frozen=True)
class Mixture:
    """Gaussians in d dimensions: shares (K,), means (K, d), and lower Cholesky factors (K, d, d) of the covariances."""

    weights: Values
    means: Values
    factors: Values

    def __len__(self) -> int:
        return len(self.weights)

    def log_densities(self, points: Values) -> Values:
        """Return the logarithm of the density (n,) at points (n, d)."""
        return np.asarray(_log_sum(_log_joint(self, points)))

    def draw(self, choices: NDArray[np.floating], normal: NDArray[np.floating]) -> Values:
        """Return points (n, d): of the component that a uniform number (n,) falls on, by normal numbers (n, d)."""
        shares = np.cumsum(self.weights)
        chosen = np.minimum(np.searchsorted(shares, choices * shares[-1]), len(self) - 1)
        drawn: Values = self.means[chosen]
        for k in range(len(self)):
            drawn[chosen == k] += normal[chosen == k] @ self.factors[k].T
        return drawn


def named_draws(seed: int, purpose: str, count: int, first: int = 0) -> Draws:
    """Return the random numbers of `count` things: each thing's depend on the seed, the purpose and its number alone.

    `first` is the number of the first of them.
    """
    key = np.array([derive(seed, purpose, 0), derive(seed, purpose, 1)], np.uint32)
    return Draws(np, key, np.arange(first, first + count, dtype=np.uint32))


def choose_mixture(points: Values, seed: int = 0, tried: Sequence[int] = NUMBERS_TRIED) -> Mixture:
    """Fit as many components to points (n, d) as give a fifth of them, held out, the highest likelihood."""
    aside = named_draws(seed, "held out", len(points)).uniform(0, 1)[:, 0] < _HELD_OUT
    fitted, held_out = points[~aside], points[aside]
    if len(points) < _FEWEST or not len(held_out):
        return fit_mixture(points, 1, seed)
    best, highest = fit_mixture(fitted, 1, seed), -np.inf
    for number in tried:
        if number > 1 and number * _LEAST_POINTS * (points.shape[1] + 1) > len(fitted):
            break
        mixture = fit_mixture(fitted, number, seed)
        with one_blas_thread():
            likelihood = float(mixture.log_densities(held_out).mean())
        if likelihood <= highest:
            break
        best, highest = mixture, likelihood
    return climb(points, best)


def fit_mixture(points: Values, number: int, seed: int = 0, floor: float = FLOOR) -> Mixture:
    """Fit `number` Gaussians to points (n, d), no more than there are points, by EM from the seeds of k-means++."""
    with one_blas_thread():
        centres = _spread_points(points, number, named_draws(seed, f"mixture of {number}", 1).uniform(0, number)[0])
        nearest = np.argmin(_squared_distances(points, centres), axis=1)
        return climb(points, update_mixture(points, np.eye(number)[nearest], floor), floor)


def climb(points: Values, mixture: Mixture, floor: float = FLOOR) -> Mixture:
    """Return what EM makes of a mixture until the mean log-likelihood of points (n, d) hardly grows."""
    before = -np.inf
    with one_blas_thread():
        for _ in range(_ROUNDS):
            joint = _log_joint(mixture, points)
            total = _log_sum(joint)
            now = float(total.mean())
            if now - before < _TOLERANCE:
                break
            before = now
            mixture = update_mixture(points, np.exp(joint - total[:, None]), floor)
    return mixture


def update_mixture(points: Values, responsibilities: Values, floor: float = FLOOR) -> Mixture:
    """Return the most likely mixture where points (n, d) belong to components by such shares (n, K): EM's M step."""
    counts = responsibilities.sum(axis=0) + _TINY
    means = responsibilities.T @ points / counts[:, None]

    def factor(k: int) -> Values:
        apart = points - means[k]
        covariance = (responsibilities[:, k, None] * apart).T @ apart / counts[k]
        return np.asarray(np.linalg.cholesky(covariance + floor * np.eye(points.shape[1])))

    return Mixture(counts / counts.sum(), means, np.stack([*ordered_map(factor, range(len(counts)))]))


def _log_joint(mixture: Mixture, points: Values) -> Values:
    """Return the logarithms (n, K) of a component's share times its density."""

    def column(k: int) -> Values:
        mean, factor = mixture.means[k], mixture.factors[k]
        standard = (points - mean) @ np.linalg.inv(factor).T
        scale = float(np.log(np.diag(factor)).sum()) + 0.5 * len(mean) * log(2 * pi)
        return np.asarray(log(mixture.weights[k]) - scale - 0.5 * np.einsum("ij,ij->i", standard, standard))

    return np.stack([*ordered_map(column, range(len(mixture)))], axis=1)


def _log_sum(joint: Values) -> Values:
    """Return the logarithm of the sum of exponentials of each row, (n,)."""
    highest = joint.max(axis=1)
    return np.asarray(highest + np.log(np.exp(joint - highest[:, None]).sum(axis=1)))


def _spread_points(points: Values, number: int, uniform: NDArray[np.floating]) -> Values:
    """Return `number` of the points, each likelier the farther from those before (Arthur & Vassilvitskii 2007)."""
    chosen = [int(uniform[0] * len(points))]
    nearest = _squared_distances(points, points[chosen])[:, 0]
    for value in uniform[1:number]:
        reach = np.cumsum(nearest)
        # Where all points left lie on one chosen already, any will do.
        place = np.searchsorted(reach, value * reach[-1]) if reach[-1] > 0 else int(value * len(points))
        chosen.append(min(int(place), len(points) - 1))
        nearest = np.minimum(nearest, _squared_distances(points, points[chosen[-1:]])[:, 0])
    return points[chosen]


def _squared_distances(points: Values, others: Values) -> Values:
    """Return the squared distances (n, m) of points (n, d) and others (m, d)."""
    sums = (points**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * points @ others.T
    return np.asarray(np.maximum(sums, 0))

"""Softmax regression: the linear classifier of the largest penalised likelihood, by L-BFGS."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.core.rng import derive

Features = NDArray[np.float32]
"""What stands for images, float32 (N, d)."""

Classes = NDArray[np.int64]
"""The number of the class of each image, int64 (N,)."""

_ITERATIONS = 300
_TOLERANCE, _GRADIENT = 1e-7, 1e-5
"""Where L-BFGS ends: the share by which the loss still falls, and the largest value of its gradient."""

_PENALTIES = (1.0, 0.1, 0.01, 1e-3, 1e-4)
"""What is tried, strong ones first: many features of few images need another than few of many."""

_FOLDS, _FEW = 5, 2000
"""Training images are held out a fifth at a time; of more than _FEW one fifth is enough."""


@dataclass(frozen=True)
class SoftmaxRegression:
    """The weights (d, K) and the bias (K,) of K classes."""

    weights: NDArray[np.floating]
    bias: NDArray[np.floating]

    def predict(self, features: NDArray[np.floating]) -> Classes:
        """Return the most probable class of features (N, d)."""
        return np.asarray((features @ self.weights + self.bias).argmax(axis=1), np.int64)


def fit_softmax(
    features: NDArray[np.floating],
    classes: Classes,
    count: int,
    l2: float,
    start: SoftmaxRegression | None = None,
    tolerance: float = _TOLERANCE,
) -> SoftmaxRegression:
    """Fit softmax regression to features (N, d), standardised, of `count` classes; see `softmax_loss`.

    It begins at `start`, by default at zero, and ends where the loss falls by less than a share of `tolerance`.
    """
    from scipy.optimize import minimize

    shape = features.shape[1] + 1, count
    first = np.zeros(shape) if start is None else np.vstack([start.weights, start.bias]).astype(np.float64)

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = softmax_loss(flat.reshape(shape), features, classes, l2)
        return value, gradient.reshape(-1)

    options = {"maxiter": _ITERATIONS, "ftol": tolerance, "gtol": min(_GRADIENT, tolerance)}
    found: Any = minimize(loss, first.reshape(-1), jac=True, method="L-BFGS-B", options=options)
    weights = found.x.reshape(shape).astype(features.dtype)
    return SoftmaxRegression(weights[:-1], weights[-1])


def fit_penalised(features: NDArray[np.floating], classes: Classes, count: int, seed: int = 0) -> SoftmaxRegression:
    """Fit softmax regression with the penalty that held-out training images prefer, drawn by the seed."""
    order = np.random.default_rng(derive(seed, "probe", "penalty")).permutation(len(features))
    folds = np.array_split(order, min(_FOLDS, len(order)))
    losses = sum(
        _held_out_losses(features, classes, count, fold) * len(fold)
        for fold in folds[: None if len(order) <= _FEW else 1]
    )
    return fit_softmax(features, classes, count, _PENALTIES[int(np.argmin(losses))])


def _held_out_losses(
    features: NDArray[np.floating], classes: Classes, count: int, held_out: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the mean cross-entropy of images that are held out for each penalty, each fit begun at the one before.

    Of more images than _FEW it is infinite beyond the first penalty that does worse, which saves the longest fits.
    """
    training = np.ones(len(features), bool)
    training[held_out] = False
    kept, fitted = (features[training], classes[training]), None
    losses = np.full(len(_PENALTIES), np.inf)
    for i, l2 in enumerate(_PENALTIES):
        fitted = fit_softmax(*kept, count, l2, fitted)
        weights = np.vstack([fitted.weights, fitted.bias]).astype(np.float64)
        losses[i] = softmax_loss(weights, features[held_out], classes[held_out], 0.0)[0]
        if len(features) > _FEW and i and losses[i] > losses[i - 1]:
            break
    return losses


def softmax_loss(
    weights: NDArray[np.float64], features: NDArray[np.floating], classes: Classes, l2: float
) -> tuple[float, NDArray[np.float64]]:
    """Return the mean cross-entropy in nats plus l2 / 2 of the squared weights, and its gradient (d + 1, K).

    The last row of `weights` (d + 1, K) is the bias, which has no penalty.
    """
    rows, inner = np.arange(len(features)), weights[:-1]
    logits = features @ inner.astype(features.dtype) + weights[-1].astype(features.dtype)
    logits -= logits.max(axis=1, keepdims=True)
    right = logits[rows, classes].astype(np.float64)
    np.exp(logits, out=logits)
    total = logits.sum(axis=1, dtype=np.float64)
    loss = float((np.log(total) - right).mean() + l2 / 2 * (inner**2).sum())
    logits /= total[:, None].astype(features.dtype)
    logits[rows, classes] -= 1
    gradient = np.empty_like(weights)
    gradient[:-1] = features.T @ logits / len(features) + l2 * inner
    gradient[-1] = logits.mean(axis=0, dtype=np.float64)
    return loss, gradient

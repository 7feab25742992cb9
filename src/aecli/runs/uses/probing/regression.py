"""Softmax regression: the linear classifier of the largest penalised likelihood, by L-BFGS."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]
"""What stands for images, float32 (N, d)."""

Classes = NDArray[np.int64]
"""The number of the class of each image, int64 (N,)."""

_ITERATIONS = 300
_TOLERANCE, _GRADIENT = 1e-9, 1e-5
"""Where L-BFGS ends: the share by which the loss still falls, and the largest value of its gradient."""


@dataclass(frozen=True)
class SoftmaxRegression:
    """The weights (d, K) and the bias (K,) of K classes."""

    weights: NDArray[np.floating]
    bias: NDArray[np.floating]

    def predict(self, features: NDArray[np.floating]) -> Classes:
        """Return the most probable class of features (N, d)."""
        return np.asarray((features @ self.weights + self.bias).argmax(axis=1), np.int64)


def fit_softmax(
    features: NDArray[np.floating], classes: Classes, count: int, l2: float | None = None
) -> SoftmaxRegression:
    """Fit softmax regression to features (N, d), standardised, of `count` classes; see `softmax_loss`.

    `l2` is by default 1 / N: the penalty of one image, whatever their number.
    """
    from scipy.optimize import minimize

    shape = features.shape[1] + 1, count
    penalty = 1 / len(features) if l2 is None else l2

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = softmax_loss(flat.reshape(shape), features, classes, penalty)
        return value, gradient.reshape(-1)

    options = {"maxiter": _ITERATIONS, "ftol": _TOLERANCE, "gtol": _GRADIENT}
    found: Any = minimize(loss, np.zeros(shape).reshape(-1), jac=True, method="L-BFGS-B", options=options)
    weights = found.x.reshape(shape).astype(features.dtype)
    return SoftmaxRegression(weights[:-1], weights[-1])


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

"""What a reconstruction must be compared with: the mean image, and PCA with the same code length."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.data.format import Images

Pass = Callable[[Callable[[Images], Any]], Iterable[Any]]
"""One pass over the training images: applies a function to each batch of the contract, results in order."""

_Matrix = NDArray[np.float32]
_Matrix64 = NDArray[np.float64]

_EXACT_LIMIT = 1600
_OVERSAMPLING = 16
_POWER_ITERATIONS = 4


@dataclass(frozen=True)
class Baselines:
    """The mean image (H, W, C) and the first principal components (k, H * W * C) of the training images."""

    mean: Images
    components: NDArray[np.float32]

    def reconstruct_mean(self, images: Images) -> Images:
        """Return the mean image once for each image."""
        return np.broadcast_to(self.mean, images.shape)

    def reconstruct_pca(self, images: Images) -> Images:
        """Return the images projected on the components: (N, H, W, C), not clipped to [0, 1]."""
        centred = (images - self.mean).reshape(len(images), -1)
        projected = centred @ self.components.T @ self.components
        return np.asarray(projected.reshape(images.shape) + self.mean, np.float32)


def fit_baselines(over_batches: Pass, latent_dim: int) -> Baselines:
    """Fit the mean image and `latent_dim` principal components, in memory independent of the image count.

    Up to 1,600 values an image PCA is exact, from the covariance. Above that the components come from
    a randomised subspace iteration (Halko, Martinsson & Tropp 2011, algorithm 4.4) that needs a few
    passes over the images. There are at most as many components as an image has values, and one less
    than there are images: the others would have no variance to explain.
    """
    # Nearly the mean of all: moments about it lose no precision to a large mean.
    first = next(iter(over_batches(lambda images: images.mean(axis=0, dtype=np.float64).astype(np.float32))))
    fit = _fit_exactly if first.size <= _EXACT_LIMIT else _fit_randomised

    def over_rows(function: Callable[[_Matrix], Any]) -> Iterable[Any]:
        return over_batches(lambda images: function((images - first).reshape(len(images), -1)))

    offset, components = fit(over_rows, latent_dim)
    mean = first + offset.reshape(first.shape)
    return Baselines(mean.astype(np.float32), np.ascontiguousarray(components.T, np.float32))


_RowPass = Callable[[Callable[[_Matrix], Any]], Iterable[Any]]


def _fit_exactly(over_rows: _RowPass, count: int) -> tuple[_Matrix64, _Matrix64]:
    """Return the mean (size,) of the rows and their components (size, k), in one pass."""
    seen, total, products = _sums(
        over_rows(lambda rows: (len(rows), rows.sum(axis=0, dtype=np.float64), rows.T @ rows))
    )
    mean = total / seen
    return mean, _leading(products / seen - np.outer(mean, mean), min(count, seen - 1))


def _fit_randomised(over_rows: _RowPass, count: int) -> tuple[_Matrix64, _Matrix64]:
    seen, total = _sums(over_rows(lambda rows: (len(rows), rows.sum(axis=0, dtype=np.float64))))
    mean = total / seen
    shift = mean.astype(np.float32)
    width = min(count + _OVERSAMPLING, len(mean))
    basis: _Matrix64 = np.random.default_rng(0).standard_normal((len(mean), width))
    for _ in range(_POWER_ITERATIONS):
        narrow = np.linalg.qr(basis)[0].astype(np.float32)
        (basis,) = _sums(over_rows(partial(_iterate, narrow, shift)))
    narrow = np.linalg.qr(basis)[0].astype(np.float32)
    (covariance,) = _sums(over_rows(partial(_project, narrow, shift)))
    return mean, narrow @ _leading(covariance, min(count, seen - 1))


def _iterate(basis: _Matrix, mean: _Matrix, rows: _Matrix) -> tuple[Any]:
    centred = rows - mean
    return (centred.T @ (centred @ basis),)


def _project(basis: _Matrix, mean: _Matrix, rows: _Matrix) -> tuple[Any]:
    projected = (rows - mean) @ basis
    return (projected.T @ projected,)


def _sums(parts: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return the sums over all batches, place by place, in float64."""
    sums: list[Any] = []
    for part in parts:
        sums = [a + b for a, b in zip(sums, part, strict=True)] if sums else [_wide(a) for a in part]
    return tuple(sums)


def _wide(value: Any) -> Any:
    return value.astype(np.float64) if isinstance(value, np.ndarray) else value


def _leading(covariance: _Matrix64, count: int) -> _Matrix64:
    """Return the eigenvectors (size, at most `count`) of the largest eigenvalues, largest first."""
    vectors = np.linalg.eigh(covariance)[1]
    return np.asarray(vectors[:, ::-1][:, :count])


BASELINES = {"pca": "PCA", "mean_image": "mean image"}
"""The rows that stand below a model's in every table, and what they are called."""


def row_titles(run_name: str, components: int) -> dict[str, str]:
    """Return what the rows of a run's tables are called: the model's, and those of the baselines."""
    return {"model": run_name, "pca": f"{BASELINES['pca']}-{components}", "mean_image": BASELINES["mean_image"]}

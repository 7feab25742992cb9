"""What a reconstruction must be compared with: the mean image, and PCA with the same code length."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.images import Images

Batches = Callable[[], Iterable[Images]]
"""Starts one pass over the training images, in batches of the contract."""

Matrix = NDArray[np.float32]

EXACT_LIMIT = 1600
OVERSAMPLING = 16
POWER_ITERATIONS = 4


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


def fit_baselines(batches: Batches, latent_dim: int) -> Baselines:
    """Fit the mean image and `latent_dim` principal components, in memory independent of the image count.

    Up to 1,600 values an image PCA is exact, from the covariance. Above that the components come from
    a randomised subspace iteration (Halko, Martinsson & Tropp 2011, algorithm 4.4) that needs a few
    passes over the images. There are at most as many components as an image has values, and one less
    than there are images: the others would have no variance to explain.
    """
    size = next(iter(batches())).shape[1:]
    fit = _fit_exactly if math.prod(size) <= EXACT_LIMIT else _fit_randomised
    mean, components = fit(lambda: (images.reshape(len(images), -1) for images in batches()), latent_dim)
    return Baselines(mean.reshape(size), components)


def _fit_exactly(batches: Callable[[], Iterable[Matrix]], count: int) -> tuple[Matrix, Matrix]:
    # One pass: the moments are taken about the mean of the first batch, so near the true mean that
    # the correction at the end loses no precision.
    shift = next(iter(batches())).mean(axis=0, dtype=np.float64).astype(np.float32)
    total, products, seen = np.zeros(len(shift)), np.zeros((len(shift), len(shift))), 0
    for rows in batches():
        centred = rows - shift
        total += centred.sum(axis=0, dtype=np.float64)
        products += centred.T @ centred
        seen += len(rows)
    offset = total / seen
    covariance = products / seen - np.outer(offset, offset)
    return (shift + offset).astype(np.float32), _leading(covariance, min(count, seen - 1)).T.astype(np.float32)


def _fit_randomised(batches: Callable[[], Iterable[Matrix]], count: int) -> tuple[Matrix, Matrix]:
    total, seen = 0.0, 0
    for rows in batches():
        total = total + rows.sum(axis=0, dtype=np.float64)
        seen += len(rows)
    mean = (np.asarray(total) / seen).astype(np.float32)
    size = len(mean)
    width = min(count + OVERSAMPLING, size)
    basis: NDArray[Any] = np.random.default_rng(0).standard_normal((size, width))
    for _ in range(POWER_ITERATIONS):
        basis = np.linalg.qr(basis)[0].astype(np.float32)
        image = np.zeros((size, width))
        for rows in batches():
            centred = rows - mean
            image += centred.T @ (centred @ basis)
        basis = image
    basis = np.linalg.qr(basis)[0].astype(np.float32)
    covariance = np.zeros((width, width))
    for rows in batches():
        projected = (rows - mean) @ basis
        covariance += projected.T @ projected
    return mean, (basis @ _leading(covariance, min(count, seen - 1))).T.astype(np.float32)


def _leading(covariance: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the eigenvectors (size, at most `count`) of the largest eigenvalues, largest first."""
    vectors = np.linalg.eigh(covariance)[1]
    return np.asarray(vectors[:, ::-1][:, :count])

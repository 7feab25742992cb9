"""What a reconstruction must be compared with: the mean image, and PCA with the same code length."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.images import Images

Batches = Callable[[], Iterable[Images]]
"""Starts one pass over the training images, in batches of the contract."""

EXACT_LIMIT = 4096
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

    Up to 4,096 values an image PCA is exact, from the covariance. Above that the components come from
    a randomised subspace iteration (Halko, Martinsson & Tropp 2011, algorithm 4.4) that needs a few
    passes over the images. At most as many components are kept as an image has values.
    """
    total, count, mean = None, 0, None
    for images in batches():
        batch_sum = images.sum(axis=0, dtype=np.float64)
        total = batch_sum if total is None else total + batch_sum
        count += len(images)
    if total is None:
        raise ValueError("no images to fit the baselines on")
    mean = (total / count).astype(np.float32)
    size = mean.size
    components = min(latent_dim, size)
    fit = _exact_components if size <= EXACT_LIMIT else _randomised_components

    def centred() -> Iterable[NDArray[np.float32]]:
        return ((images - mean).reshape(len(images), size) for images in batches())

    return Baselines(mean, fit(centred, size, components))


def _exact_components(centred: Callable[[], Iterable[Any]], size: int, count: int) -> NDArray[np.float32]:
    covariance = np.zeros((size, size))
    for rows in centred():
        covariance += rows.T @ rows
    return _leading(covariance, count).T.astype(np.float32)


def _randomised_components(centred: Callable[[], Iterable[Any]], size: int, count: int) -> NDArray[np.float32]:
    width = min(count + OVERSAMPLING, size)
    basis: NDArray[Any] = np.random.default_rng(0).standard_normal((size, width))
    for _ in range(POWER_ITERATIONS):
        basis = np.linalg.qr(basis)[0].astype(np.float32)
        image = np.zeros((size, width))
        for rows in centred():
            image += rows.T @ (rows @ basis)
        basis = image
    basis = np.linalg.qr(basis)[0].astype(np.float32)
    covariance = np.zeros((width, width))
    for rows in centred():
        projected = rows @ basis
        covariance += projected.T @ projected
    return (basis @ _leading(covariance, count)).T.astype(np.float32)


def _leading(covariance: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the eigenvectors (size, count) of the largest eigenvalues, largest first."""
    vectors = np.linalg.eigh(covariance)[1]
    return np.asarray(vectors[:, ::-1][:, :count])

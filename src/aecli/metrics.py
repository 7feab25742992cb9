"""Reconstruction quality: every metric is one value per image, on images of the contract.

The mean of such a vector is the report, the vector itself is the score of each image, its
distribution is the plot. All arguments are float32 (N, H, W, C) with pixels in [0, 1].
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from aecli.images import Images

Matrix = NDArray[np.float32]
PerImage = NDArray[np.float64]
"""One value per image, float64 (N,)."""

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
_C1, _C2 = np.float32(0.01**2), np.float32(0.03**2)
_CACHED_PIXELS = 100_000


def mse(images: Images, reconstructions: Images) -> PerImage:
    """Mean squared error over the pixels of each image."""
    difference = _flat(images) - _flat(reconstructions)
    return np.asarray(np.einsum("np,np->n", difference, difference) / np.float64(difference.shape[1]))


def mae(images: Images, reconstructions: Images) -> PerImage:
    """Mean absolute error over the pixels of each image."""
    return np.asarray(np.abs(_flat(images) - _flat(reconstructions)).mean(axis=1, dtype=np.float64))


def sse_per_image(images: Images, reconstructions: Images) -> PerImage:
    """Sum of squared errors over the pixels of each image: mse times the number of values."""
    return mse(images, reconstructions) * np.prod(images.shape[1:])


def psnr(images: Images, reconstructions: Images) -> PerImage:
    """Peak signal-to-noise ratio in dB, 10 log10(1 / mse); infinite for an exact copy."""
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(mse(images, reconstructions))


def ssim(images: Images, reconstructions: Images) -> PerImage:
    """Structural similarity (Wang et al. 2004), mean over channels: 11 x 11 Gaussian, sigma 1.5, range 1.

    Images smaller than the window get the largest odd window that fits, see `ssim_window`. The
    Gaussian is separable: it is applied as two matrix products over many images at once, few enough
    for their intermediate maps to stay in the processor's cache.
    """
    window = ssim_window(images.shape[1], images.shape[2])
    rows, columns = (_gaussian_band(size, window) for size in images.shape[1:3])
    step = max(1, _CACHED_PIXELS // math.prod(images.shape[1:]))
    parts = [
        _ssim_maps(images[i : i + step], reconstructions[i : i + step], rows, columns)
        for i in range(0, len(images), step)
    ]
    return np.concatenate([part.mean(axis=1, dtype=np.float64) for part in parts])


def _ssim_maps(images: Images, reconstructions: Images, rows: Matrix, columns: Matrix) -> Matrix:
    """Return the SSIM of every window position: (N, channels * positions)."""
    count, height, width, channels = images.shape
    x, y = (np.moveaxis(a, 3, 1) for a in (images, reconstructions))
    maps = np.stack([x, y, x * x, y * y, x * y]).reshape(-1, width) @ columns.T
    maps = maps.reshape(5 * count * channels, height, -1).transpose(0, 2, 1).reshape(-1, height) @ rows.T
    mean_x, mean_y, square_x, square_y, product = maps.reshape(5, count, -1)
    # In place from here on: these maps are most of the work, and fresh memory would double it.
    mean_product = mean_x * mean_y
    mean_x *= mean_x
    mean_y *= mean_y
    square_x -= mean_x
    square_y -= mean_y
    product -= mean_product
    luminance = (2 * mean_product + _C1) / (mean_x + mean_y + _C1)
    structure = (2 * product + _C2) / (square_x + square_y + _C2)
    return np.asarray(luminance * structure)


def ssim_window(height: int, width: int) -> int:
    """Return the side of SSIM's window for images of this size: 11, or the largest odd one that fits."""
    return min(SSIM_WINDOW, height - 1 + height % 2, width - 1 + width % 2)


def _gaussian_band(size: int, window: int) -> Matrix:
    """Return (size - window + 1, size): each row is the window, normalised, one pixel further on."""
    offsets = np.arange(window) - window // 2
    weights = np.exp(-0.5 * (offsets / SSIM_SIGMA) ** 2)
    weights /= weights.sum()
    band = np.zeros((size - window + 1, size), np.float32)
    for row in range(len(band)):
        band[row, row : row + window] = weights
    return band


def _flat(images: Images) -> Images:
    return images.reshape(len(images), -1)


Metric = Callable[[Images, Images], PerImage]

METRICS: Mapping[str, Metric] = MappingProxyType(
    {"mse": mse, "mae": mae, "sse_per_image": sse_per_image, "psnr": psnr, "ssim": ssim}
)


def per_image(images: Images, reconstructions: Images) -> dict[str, PerImage]:
    """Return every metric of METRICS for these images."""
    return {name: metric(images, reconstructions) for name, metric in METRICS.items()}


class Means:
    """Running means of the metrics, so that no value per image need be kept."""

    def __init__(self) -> None:
        self.count = self.exact_copies = 0
        self._sums = dict.fromkeys(METRICS, 0.0)

    def add(self, values: Mapping[str, PerImage]) -> None:
        """Take in the values of more images."""
        exact = np.isposinf(values["psnr"])
        self.count += len(exact)
        self.exact_copies += int(exact.sum())
        for name, vector in values.items():
            self._sums[name] += float((vector[~exact] if name == "psnr" else vector).sum())

    def summary(self, mean_image_mse: float) -> dict[str, float | int | None]:
        """Return each metric's mean over the images, and `fvu` = mse / `mean_image_mse`.

        Exact copies have no finite PSNR: they are counted in `exact_copies`, not averaged. A mean over
        no image, and an `fvu` of images that are all the mean image, is None.
        """
        counts = {name: self.count - self.exact_copies if name == "psnr" else self.count for name in METRICS}
        means = {name: self._sums[name] / counts[name] if counts[name] else None for name in METRICS}
        error = means["mse"]
        fvu = error / mean_image_mse if error is not None and mean_image_mse > 0 else None
        return {**means, "fvu": fvu, "exact_copies": self.exact_copies}

"""Reconstruction quality: every metric is one value per image, on images of the contract.

The mean of such a vector is the report, the vector itself is the score of each image, its
distribution is the plot. All arguments are float32 (N, H, W, C) with pixels in [0, 1].
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.images import Images

PerImage = NDArray[np.float64]
"""One value per image, float64 (N,)."""

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5


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
    Gaussian is separable, so it is applied as two matrix products over all images at once.
    """
    window = ssim_window(images.shape[1], images.shape[2])
    rows, columns = (_gaussian_band(size, window) for size in images.shape[1:3])

    def blur(stack: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(rows @ stack @ columns.T)

    x, y = (np.moveaxis(a, 3, 1).astype(np.float32) for a in (images, reconstructions))
    mean_x, mean_y = blur(x), blur(y)
    variance_x = blur(x * x) - mean_x * mean_x
    variance_y = blur(y * y) - mean_y * mean_y
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = np.float32(0.01**2), np.float32(0.03**2)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return np.asarray((luminance * structure).mean(axis=(1, 2, 3), dtype=np.float64))


def ssim_window(height: int, width: int) -> int:
    """Return the side of SSIM's window for images of this size: 11, or the largest odd one that fits."""
    return min(SSIM_WINDOW, height - 1 + height % 2, width - 1 + width % 2)


def _gaussian_band(size: int, window: int) -> NDArray[np.float32]:
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

HIGHER_IS_BETTER = frozenset({"psnr", "ssim"})


def per_image(images: Images, reconstructions: Images) -> dict[str, PerImage]:
    """Return every metric of METRICS for these images."""
    return {name: metric(images, reconstructions) for name, metric in METRICS.items()}


def summarise(values: Mapping[str, PerImage], mean_image_mse: float) -> dict[str, float | int | None]:
    """Return each metric's mean over the images, and `fvu` = mse / `mean_image_mse`.

    Exact copies have no finite PSNR: they are counted in `exact_copies`, not averaged. A mean over
    no image, and an `fvu` of images that are all the mean image, is None.
    """
    finite = np.isfinite(values["psnr"])
    means = {name: _mean(vector[finite] if name == "psnr" else vector) for name, vector in values.items()}
    error = means["mse"]
    fvu = error / mean_image_mse if error is not None and mean_image_mse > 0 else None
    return {**means, "fvu": fvu, "exact_copies": int(np.isposinf(values["psnr"]).sum())}


def _mean(vector: PerImage) -> float | None:
    return float(vector.mean()) if len(vector) else None

"""Reconstruction quality: every metric is one value per image, on images of the contract.

The mean of such a vector is the report, the vector itself is the score of each image, its
distribution is the plot. All arguments are float32 (N, H, W, C) with pixels in [0, 1].
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aecli.data.format import Images
from aecli.models.losses.window import C1, C2, gaussian_band, ssim_window

_Matrix = NDArray[np.float32]
PerImage = NDArray[np.float64]
"""One value per image, float64 (N,)."""

_CACHED_PIXELS = 100_000
_TILE = 16
"""Filtered positions in one product: few, since each costs the window plus the tile."""


def mse(images: Images, reconstructions: Images) -> PerImage:
    """Mean squared error over the pixels of each image."""
    difference = _flat(images) - _flat(reconstructions)
    return np.asarray(np.einsum("np,np->n", difference, difference) / np.float64(difference.shape[1]))


def mae(images: Images, reconstructions: Images) -> PerImage:
    """Mean absolute error over the pixels of each image."""
    difference = _flat(images) - _flat(reconstructions)
    # NumPy adds pairwise along a row: float32 loses nothing here that the metric would show.
    return np.asarray(np.abs(difference, out=difference).mean(axis=1), np.float64)


@dataclass(frozen=True)
class DerivedFromMse:
    """A metric that follows from the mse and the number of values of each image, which `per_image` has at hand."""

    formula: Callable[[PerImage, int], PerImage]

    def __call__(self, images: Images, reconstructions: Images) -> PerImage:
        return self.formula(mse(images, reconstructions), math.prod(images.shape[1:]))


@DerivedFromMse
def sse_per_image(error: PerImage, size: int) -> PerImage:
    """Sum of squared errors over the pixels of each image: mse times the number of values."""
    return error * size


@DerivedFromMse
def psnr(error: PerImage, size: int) -> PerImage:
    """Peak signal-to-noise ratio in dB, 10 log10(1 / mse); infinite for an exact copy."""
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(error)


def ssim(images: Images, reconstructions: Images) -> PerImage:
    """Structural similarity (Wang et al. 2004), mean over channels: 11 x 11 Gaussian, sigma 1.5, range 1.

    Images smaller than the window get the largest odd window that fits, see `ssim_window`. They are
    taken a few at a time, for their intermediate maps to stay in the processor's cache.
    """
    window = ssim_window(images.shape[1], images.shape[2])
    x, y = (np.moveaxis(a, 3, 1) for a in (images, reconstructions))
    step = max(1, _CACHED_PIXELS // math.prod(images.shape[1:]))
    parts = [_ssim(x[i : i + step], y[i : i + step], window) for i in range(0, len(images), step)]
    return np.concatenate(parts).astype(np.float64)


def _ssim(x: Images, y: Images, window: int) -> _Matrix:
    """Return the SSIM of images (N, C, H, W), the mean over channels and window positions.

    It is written in the sum and the difference of the images instead of the images. With a and b for their
    local means and A and B for their local variances,

        4 mean_x mean_y = a^2 - b^2      2 (mean_x^2 + mean_y^2) = a^2 + b^2
        4 covariance    = A - B          2 (variance_x + variance_y) = A + B

    That takes four filtered maps where x and y take five, and rounding errors cancel in near copies.
    """
    maps = np.empty((4, *x.shape), np.float32)
    np.add(x, y, out=maps[0])
    np.subtract(x, y, out=maps[1])
    np.multiply(maps[:2], maps[:2], out=maps[2:])
    filtered = _filtered(maps, window)
    # In place from here on: these maps are most of the work, and fresh memory would double it.
    means, variances = filtered.reshape(2, 2, len(x), -1)
    means *= means
    variances -= means
    means[0] += 2 * C1
    variances[0] += 2 * C2
    similarity = means[0] - means[1]
    similarity *= variances[0] - variances[1]
    means[0] += means[1]
    variances[0] += variances[1]
    means[0] *= variances[0]
    similarity /= means[0]
    return np.asarray(similarity.mean(axis=1))


def _filtered(maps: _Matrix, window: int) -> _Matrix:
    """Return maps (..., H, W) filtered with the Gaussian where all of the window is inside.

    It is separable: two products with a band matrix. They are taken in tiles along the band, so that the
    work for a pixel does not grow with the image, and no product is worth more than one thread to BLAS.
    """
    *outer, height, width = maps.shape
    high, wide = height - window + 1, width - window + 1
    along = np.empty((*outer, high, width), np.float32)
    for part, reach, band in _tiles(high, window):
        np.matmul(band, maps[..., reach, :], out=along[..., part, :])
    filtered = np.empty((*outer, high, wide), np.float32)
    for part, reach, band in _tiles(wide, window):
        np.matmul(along[..., reach], band.T.copy(), out=filtered[..., part])
    return filtered


def _tiles(size: int, window: int) -> Iterator[tuple[slice, slice, _Matrix]]:
    """Yield parts of `size` filtered positions, the pixels each needs, and the matrix from these to those."""
    band = gaussian_band(_TILE, window)
    step = math.ceil(size / math.ceil(size / _TILE))
    for start in range(0, size, step):
        stop = min(start + step, size)
        yield slice(start, stop), slice(start, stop + window - 1), band[: stop - start, : stop - start + window - 1]


def sharpness(images: Images, reconstructions: Images) -> PerImage:
    """Squared differences between neighbouring pixels, summed up, over those of the original: 1 is as sharp as it.

    Blur is below 1 and noise above. An original of one colour has no edges to compare with: its value is NaN.
    """
    own, theirs = _edge_energy(images), _edge_energy(reconstructions)
    return np.asarray(np.divide(theirs, own, out=np.full(len(own), np.nan), where=own > 0))


def _edge_energy(images: Images) -> PerImage:
    """Return the sum of the squared differences between neighbours, down and across, over all channels."""
    differences = (_flat(np.diff(images, axis=axis)) for axis in (1, 2))
    return np.asarray(sum(np.einsum("np,np->n", each, each) for each in differences), np.float64)


def _flat(images: Images) -> Images:
    return images.reshape(len(images), -1)


@dataclass(frozen=True)
class Metric:
    """A number for each image; every column, format, direction and help text of it follows from its row.

    `of` gives the values (N,) of images and their reconstructions, NaN for an image that has none; it is None for
    `FVU` and `NLL`, which are of means. `format` is that of a mean, and `decimals` those of studies, where None takes
    three digits of the best. An exact copy has no `finite` value of some. Images without a value, or a finite one, are
    left out of the mean. `beside` says whether the page of a study shows it beside the metric that it compares by.
    """

    name: str
    title: str
    format: str
    better: Literal["lower", "higher"]
    about: str
    of: Callable[[Images, Images], PerImage] | None
    decimals: int | None = None
    finite: bool = True
    beside: bool = True

    def text(self, mean: float | None) -> str:
        """Return a mean as tables have it, "-" for none."""
        return "-" if mean is None else format(mean, self.format)


_ROWS = (
    Metric("mse", "mse", ".6f", "lower", "mean squared error, pixels in [0, 1]", mse),
    Metric("mae", "mae", ".5f", "lower", "mean absolute error", mae, beside=False),
    Metric("sse_per_image", "sse/image", ".4g", "lower", "sum of squared errors over the pixels of an image",
           sse_per_image, beside=False),
    Metric("psnr", "psnr dB", ".2f", "higher", "10 log10(1 / mse), mean over the images", psnr, decimals=2,
           finite=False),
    Metric("ssim", "ssim", ".4f", "higher", "structural similarity, Wang et al. 2004", ssim, decimals=4),
    Metric("sharpness", "sharp", ".2f", "higher",
           "energy of the edges over that of the original: 1 is as sharp, below is blur, above is noise", sharpness,
           decimals=2),
)  # fmt: skip

METRICS: dict[str, Metric] = {row.name: row for row in _ROWS}

NLL = Metric(
    "nll", "-ELBO", ".2f", "lower", "the bound -ELBO on -log p, nats an image, of a variational network", None, 2
)

FVU = Metric("fvu", "fvu", ".4f", "lower", "mse by that of the mean image: 1 means nothing was learned", None)


def table_metrics() -> tuple[Metric, ...]:
    """Return the columns of a table of means: every metric, and the fraction of variance unexplained."""
    return (*METRICS.values(), FVU)


def comparable() -> dict[str, Metric]:
    """Return what a study can compare by: every metric, and the likelihood of variational networks."""
    return {**METRICS, NLL.name: NLL}


def metrics_without_copies() -> tuple[str, ...]:
    """Return the names of the metrics that have no finite value of an exact copy."""
    return tuple(metric.name for metric in METRICS.values() if not metric.finite)


def per_image(images: Images, reconstructions: Images, names: Iterable[str] | None = None) -> dict[str, PerImage]:
    """Return these metrics of METRICS, by default all, for these images."""
    error, size = mse(images, reconstructions), math.prod(images.shape[1:])
    values = {"mse": error}
    for name in (*METRICS,) if names is None else names:
        function = METRICS[name].of
        if name != "mse" and function is not None:
            if isinstance(function, DerivedFromMse):
                values[name] = function.formula(error, size)
            else:
                values[name] = function(images, reconstructions)
    return values


class RunningMeans:
    """Running means of some metrics, mse among them, so that no value per image need be kept."""

    def __init__(self, names: Iterable[str] | None = None) -> None:
        self.count = self.exact_copies = 0
        names = [*METRICS] if names is None else [*names]
        self._sums, self._counts = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)

    def add(self, values: Mapping[str, PerImage]) -> None:
        """Take in the values of more images."""
        exact = values["mse"] == 0
        self.count += len(exact)
        self.exact_copies += int(exact.sum())
        for name, vector in values.items():
            # Whatever is NaN of a network that gives NaN is to be seen in the mean.
            has_value = ~np.isnan(vector) | np.isnan(values["mse"])
            known = vector[has_value if METRICS[name].finite else has_value & ~exact]
            self._sums[name] += float(known.sum())
            self._counts[name] += len(known)

    def summary(self, mean_image_mse: float) -> dict[str, float | int | None]:
        """Return each metric's mean over the images, and `fvu` = mse / `mean_image_mse`.

        Exact copies have no finite PSNR: they are counted in `exact_copies`, not averaged, as images of one colour are
        not in `sharpness`. A mean over no image, and an `fvu` of images that are all the mean image, is None.
        """
        means = {name: total / count if (count := self._counts[name]) else None for name, total in self._sums.items()}
        error = means["mse"]
        fvu = error / mean_image_mse if error is not None and mean_image_mse > 0 else None
        return {**means, "fvu": fvu, "exact_copies": self.exact_copies}

"""How near samples come to images that a run was not trained on, beside what is simpler and what is real."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np

from aecli.core.errors import RunError
from aecli.core.machine import one_blas_thread
from aecli.data.dataset import ImageDataset, Rows
from aecli.data.format import Images
from aecli.models.linear.pca import Matrix, fit_components
from aecli.runs.run import Run
from aecli.runs.uses.inputs import reopen_images
from aecli.runs.uses.sampling.coverage import coverage, nearest_distances, recall
from aecli.runs.uses.sampling.mixture import Values

ROWS = ("held_out", "sampler", "pca", "gaussian")
"""The rows of the table: other held-out images, the sampler, a mixture on codes of PCA, one Gaussian on the codes."""

MOST_IMAGES, FEWEST_IMAGES = 1500, 50
"""Held-out images that are measured against, and as many samples; of fewer nothing is measured."""

_AXES = 64
"""Principal components of pixels in which images are compared, at most."""

_NEAR = 0.01
"""The share of held-out images that are nearer to a training image than where copies begin."""

ImageSource = Callable[[int], Iterable[Images]]
"""Gives so many images, (n, H, W, C) at a time."""


@dataclass(frozen=True)
class Reach:
    """What one row reaches: shares in [0, 1]."""

    coverage: float
    recall: float
    copies: float


@dataclass(frozen=True)
class Measures:
    """What every row of ROWS reaches of `images` held-out images of a `part`; no rows where there are too few.

    They are compared by `axes` principal components of their pixels, and copies are searched among `training` images.
    `pca_components` is how long the codes of PCA are, `pca_mixture` how
    many components the mixture on them has.
    """

    part: str
    images: int
    training: int
    axes: int
    pca_components: int
    pca_mixture: int = 0
    rows: Mapping[str, Reach] = field(default_factory=dict)


@dataclass(frozen=True)
class HeldOut:
    """Images that a run was not trained on: its test images, or else those of validation."""

    source: ImageDataset
    rows: Rows
    part: str

    @property
    def count(self) -> int:
        """How many are measured against: half of them at most, since the other half is a row of the table."""
        return min(MOST_IMAGES, len(self.rows) // 2)

    @property
    def halves(self) -> tuple[Rows, Rows]:
        """Two sets of `count` rows, spread evenly."""
        chosen = self.rows[np.arange(2 * self.count) * len(self.rows) // max(1, 2 * self.count)]
        return chosen[::2], chosen[1::2]


def held_out_images(run: Run, source: ImageDataset) -> HeldOut:
    """Return the images that a run was not trained on; `source` are those that it was trained and validated on."""
    test = run.environment.get("test")
    if test:
        try:
            images = reopen_images(run, test, "put them back")
            return HeldOut(images, np.arange(len(images)), "test")
        except RunError:  # gone or changed; there are others
            pass
    split = run.split
    return HeldOut(source, split.test, "test") if len(split.test) else HeldOut(source, split.validation, "validation")


@dataclass(frozen=True)
class _PixelSpace:
    """The leading principal components (size, d) of training images, about their mean (H, W, C)."""

    mean: Images
    components: Matrix

    def place(self, images: Images) -> Values:
        """Return images (n, H, W, C) as points (n, d)."""
        return ((images - self.mean).reshape(len(images), -1) @ self.components).astype(np.float64)

    def place_all(self, chunks: Iterable[Images]) -> Values:
        """Return the points (N, d) of images that come chunk by chunk."""
        return np.concatenate([self.place(images) for images in chunks])


def _fit_space(source: ImageDataset, rows: Rows, mean: Images) -> _PixelSpace:
    def over(function: Callable[[Matrix], object]) -> Iterator[object]:
        return source.map(lambda images: function((images - mean).reshape(len(images), -1)), rows)

    components = fit_components(over, (len(rows), prod(mean.shape)), _AXES)[1]
    return _PixelSpace(mean, components.astype(np.float32))


def axes_of(training: int, image_shape: tuple[int, ...]) -> int:
    """Return how many principal components so many training images of this shape have, of those that are used."""
    return min(_AXES, prod(image_shape), training - 1)


def measure_reach(
    training: tuple[ImageDataset, Rows], held_out: HeldOut, mean: Images, sources: Mapping[str, ImageSource]
) -> dict[str, Reach]:
    """Return what images of every source reach of the held-out images, of which there are FEWEST_IMAGES or more.

    `sources` has the rows of ROWS but the first, which is that of other held-out images. `mean` (H, W, C) is that of
    the training images.
    """
    with one_blas_thread():
        space = _fit_space(*training, mean)
        near, real, others = (
            np.concatenate([*source.map(space.place, rows)])
            for source, rows in (training, *((held_out.source, half) for half in held_out.halves))
        )
        nearest = float(np.quantile(nearest_distances(real, near), _NEAR))

        def reach(points: Values) -> Reach:
            copies = float((nearest_distances(points, near) < nearest).mean())
            return Reach(coverage(real, points), recall(real, points), copies)

        reached = {name: reach(space.place_all(source(len(real)))) for name, source in sources.items()}
        reached["held_out"] = reach(others)
        return {name: reached[name] for name in ROWS}

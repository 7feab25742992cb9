"""The linear codes worth trying, fitted on the training images and measured on the validation images."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aecli.core.machine import one_blas_thread
from aecli.data.dataset import ImageDataset, Rows
from aecli.data.format import Images
from aecli.models.linear.bases import (
    COPIES,
    Basis,
    ImagePass,
    fit_cosines,
    fit_tiles,
    fit_whole,
    shifted_and_flipped,
)  # fmt: skip
from aecli.models.linear.code import LinearCode, Matrix
from aecli.models.linear.pca import Matrix64, sums

Kind = Literal["pca", "patches", "dct"]

FITTED_ON = 10_000
"""Training images that all but PCA of whole images are fitted on, at most."""

_COPIED = 5_000
"""Training images up to which PCA of shifted and flipped copies is tried: with more, whole images are enough."""

_SMALLEST_TILE = 2

_ROUNDING = 1e-12
"""The share of the largest variance up to which that along a direction is rounding, and its code is left small."""


@dataclass(frozen=True)
class Candidate:
    """A basis, its directions by their variance over the training images, and what they reach.

    `variances` (M,) are those of the training images along `order` (M,), largest first. `errors` (M + 1,) are the mse
    over the validation images of the first 0, 1, ... of these directions.
    """

    kind: Kind
    basis: Basis
    mean: Images
    order: NDArray[np.int64]
    variances: Matrix64
    errors: Matrix64

    @property
    def name(self) -> str:
        """What the directions are."""
        return self.basis.name

    def error(self, code_length: int) -> float:
        """Return the mse over the validation images of a code of this length."""
        return float(self.errors[min(code_length, len(self.errors) - 1)])

    def code(self, code_length: int) -> LinearCode:
        """Return the code of the first directions, of as many as there are."""
        variances = self.variances[:code_length]
        varies = variances > _ROUNDING * variances.max(initial=0)
        scale = np.sqrt(np.where(varies, variances, 1.0)).astype(np.float32)
        return LinearCode(self.name, self.mean, self.basis.directions(self.order[:code_length]), scale)


@dataclass(frozen=True)
class LinearCodes:
    """All candidates for some images; the first is PCA of whole images."""

    mean: Images
    candidates: tuple[Candidate, ...]

    def best(self, code_length: int, kind: Kind | None = None) -> Candidate:
        """Return the candidate, of this kind, with the smallest error over the validation images."""
        among = [c for c in self.candidates if kind in (None, c.kind)]
        return min(among, key=lambda candidate: candidate.error(code_length))

    @property
    def pca(self) -> Candidate:
        """PCA of whole images."""
        return self.candidates[0]


def fit_linear_codes(source: ImageDataset, train: Rows, validation: Rows, longest: int) -> LinearCodes:
    """Fit every linear code of up to `longest` values to the training images, chunk by chunk."""
    with one_blas_thread():
        return _fit_linear_codes(source, train, validation, longest)


def _fit_linear_codes(source: ImageDataset, train: Rows, validation: Rows, longest: int) -> LinearCodes:
    # Nearly the mean of all: sums about it lose no precision to a large mean.
    near = source.sample(train).mean(axis=0, dtype=np.float64).astype(np.float32)
    seen, total = sums(source.map(lambda x: (len(x), (x - near).sum(axis=0, dtype=np.float64)), train))
    mean = np.asarray(near + total / seen, np.float32)

    def over(rows: Rows) -> ImagePass:
        return lambda function: source.map(lambda images: function(images - mean), rows)

    few = some(train, FITTED_ON)
    counts = len(train), len(few)
    fitted = _fit_bases(over(train), over(few), counts, source.format.image_shape, longest)
    return LinearCodes(
        mean,
        tuple(_measured(kind, basis, mean, over(few), over(validation), longest) for kind, basis in fitted),
    )


def some(rows: Rows, most: int) -> Rows:
    """Return at most so many of these rows, evenly spaced."""
    return rows[:: -(-len(rows) // most)]


def _fit_bases(
    over_all: ImagePass, over_few: ImagePass, counts: tuple[int, int], image_shape: tuple[int, int, int], longest: int
) -> Iterator[tuple[Kind, Basis]]:
    size, (count, few) = prod(image_shape), counts
    yield "pca", fit_whole(over_all, (count, size), longest)
    if count <= _COPIED and min(image_shape[:2]) > 1:
        shape = COPIES * count, size
        yield "pca", fit_whole(_over_copies(over_all), shape, longest, "PCA of shifted and flipped copies")
    for grid in _grids(image_shape, longest):
        yield "patches", fit_tiles(over_few, (few, *image_shape), grid, longest)
    yield "dct", fit_cosines(over_few, image_shape)


def _grids(image_shape: tuple[int, int, int], longest: int) -> Iterator[int]:
    grid = 2
    while grid * grid <= longest and grid * _SMALLEST_TILE <= max(image_shape[:2]):
        yield grid
        grid *= 2


def _over_copies(over_images: ImagePass) -> ImagePass:
    def of_copy(function: Callable[[Matrix], Any], copy: int) -> Iterable[Any]:
        return over_images(lambda images: function(shifted_and_flipped(images, copy)))

    return lambda function: chain.from_iterable(of_copy(function, copy) for copy in range(COPIES))


def _measured(
    kind: Kind, basis: Basis, mean: Images, over_train: ImagePass, over_validation: ImagePass, longest: int
) -> Candidate:
    seen, energies = sums(
        over_train(lambda x: (len(x), np.square(basis.coefficients(x)).sum(axis=0, dtype=np.float64)))
    )
    order = np.argsort(-energies, kind="stable")[:longest]

    def measure(images: Images) -> tuple[int, float, Matrix64]:
        coefficients = basis.coefficients(images)[:, order]
        return len(images), float(np.square(images, dtype=np.float64).sum()), np.square(coefficients).sum(0, np.float64)

    count, whole, explained = sums(over_validation(measure))
    # Directions are orthonormal: what they explain of an image is the sum of its squared coefficients.
    errors = (whole - np.concatenate([[0.0], np.cumsum(explained)])) / (count * mean.size)
    return Candidate(kind, basis, mean, order, energies[order] / seen, np.maximum(errors, 0.0))

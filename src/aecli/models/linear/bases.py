"""Orthonormal bases of the images' space: principal components, those of tiles, and cosines of decorrelated colours.

In each of them the code is the coefficients that vary most over the training images. Tiles share their statistics
over positions, so that a few hundred photographs are thousands of samples; cosines know no image at all.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aecli.data.format import Images
from aecli.models.linear.code import Matrix
from aecli.models.linear.pca import RowPass, fit_components, sums

ImagePass = RowPass
"""One pass over centred images (n, H, W, C): applies a function to each batch of them, results in order."""


class Basis(Protocol):
    """Orthonormal directions in the space of images (H, W, C), as many as are worth choosing from."""

    @property
    def name(self) -> str:
        """What the directions are, e.g. "PCA of 4 x 4 tiles"."""

    def coefficients(self, images: Images) -> Matrix:
        """Return the products (N, M) of centred images (N, H, W, C) with every direction."""

    def directions(self, chosen: NDArray[np.int64]) -> Matrix:
        """Return some of the directions, (k, H * W * C)."""


@dataclass(frozen=True)
class Components:
    """Principal components (K, H * W * C) of whole images."""

    name: str
    components: Matrix

    def coefficients(self, images: Images) -> Matrix:
        """Return the products (N, K) of centred images with every component."""
        return images.reshape(len(images), -1) @ self.components.T

    def directions(self, chosen: NDArray[np.int64]) -> Matrix:
        """Return some of the components."""
        return self.components[chosen]


def fit_whole(over_images: ImagePass, shape: tuple[int, int], count: int, name: str = "PCA") -> Components:
    """Return the first `count` principal components of the images, n rows of so many values each."""
    _, components = fit_components(_over(over_images, _rows), shape, count)
    return Components(name, np.ascontiguousarray(components.T, np.float32))


@dataclass(frozen=True)
class _Region:
    """A part of the image that is cut into tiles of one size: places, sides, and the tiles' components (K, size)."""

    top: int
    left: int
    grid: tuple[int, int]
    sides: tuple[int, int]
    components: Matrix

    def tiles(self, images: Images) -> Matrix:
        """Return the tiles (N * tiles, size) of images (N, H, W, C), row by row."""
        (down, across), (height, width) = self.grid, self.sides
        part = images[:, self.top : self.top + down * height, self.left : self.left + across * width]
        cut = part.reshape(len(images), down, height, across, width, -1)
        return cut.transpose(0, 1, 3, 2, 4, 5).reshape(len(images) * down * across, -1)

    def coefficients(self, images: Images) -> Matrix:
        """Return the products (N, tiles * K) of every tile with every component."""
        return (self.tiles(images) @ self.components.T).reshape(len(images), -1)

    def direction(self, index: int, image: Matrix) -> None:
        """Draw the direction of this number into an image (H, W, C) of zeros."""
        tile, component = divmod(index, len(self.components))
        down, across = divmod(tile, self.grid[1])
        height, width = self.sides
        top, left = self.top + down * height, self.left + across * width
        image[top : top + height, left : left + width] = self.components[component].reshape(height, width, -1)


@dataclass(frozen=True)
class Tiles:
    """Principal components of the tiles that a grid cuts images into; tiles of the same size share theirs.

    Where a side does not divide, the last tiles are smaller, with components of their own.
    """

    name: str
    image_shape: tuple[int, int, int]
    regions: tuple[_Region, ...]

    def coefficients(self, images: Images) -> Matrix:
        """Return the products (N, M) of centred images with every component of every tile."""
        return np.concatenate([region.coefficients(images) for region in self.regions], axis=1)

    def directions(self, chosen: NDArray[np.int64]) -> Matrix:
        """Return some of the directions: images that are zero outside one tile."""
        images = np.zeros((len(chosen), *self.image_shape), np.float32)
        ends = np.cumsum([len(r.components) * r.grid[0] * r.grid[1] for r in self.regions])
        for image, index in zip(images, chosen, strict=True):
            place = int(np.searchsorted(ends, index, side="right"))
            self.regions[place].direction(int(index - (ends[place - 1] if place else 0)), image)
        return _rows(images)


def fit_tiles(over_images: ImagePass, shape: tuple[int, int, int, int], grid: int, count: int) -> Tiles:
    """Return the components of the tiles that a grid cuts images (N, H, W, C) into, at most `count` a tile."""
    images, *image_shape = shape
    height, width, channels = image_shape
    regions = []
    for (top, down, tall), (left, across, wide) in product(_spans(height, grid), _spans(width, grid)):
        size = tall * wide * channels
        bare = _Region(top, left, (down, across), (tall, wide), np.zeros((0, size), np.float32))
        shape_of_tiles = images * down * across, size
        _, components = fit_components(_over(over_images, bare.tiles), shape_of_tiles, count)
        regions.append(_Region(top, left, (down, across), (tall, wide), np.ascontiguousarray(components.T, np.float32)))
    sides = " x ".join(str(ceil(side / min(grid, side))) for side in (height, width))
    return Tiles(f"PCA of {sides} patches", (height, width, channels), tuple(regions))


def _over(over_images: ImagePass, change: Callable[[Images], Matrix]) -> RowPass:
    """Return the pass over what becomes of each batch of images."""
    return lambda function: over_images(lambda images: function(change(images)))


def _spans(length: int, grid: int) -> Iterator[tuple[int, int, int]]:
    """Yield (start, tiles, side) of the runs of equal tiles that a side is cut into: one, or one and a smaller tile."""
    side = ceil(length / min(grid, length))
    whole, rest = divmod(length, side)
    yield 0, whole, side
    if rest:
        yield whole * side, 1, rest


@dataclass(frozen=True)
class Cosines:
    """Products of cosines down and across (the DCT-II) of colours (C, C) that are uncorrelated over the images."""

    name: str
    down: Matrix
    across: Matrix
    colours: Matrix

    def coefficients(self, images: Images) -> Matrix:
        """Return the products (N, H * W * C) of centred images with every direction."""
        turned = np.tensordot(np.matmul(self.across, images @ self.colours.T), self.down, axes=(1, 1))
        return _rows(np.moveaxis(turned, 3, 1))

    def directions(self, chosen: NDArray[np.int64]) -> Matrix:
        """Return some of the directions."""
        shape = len(self.down), len(self.across), len(self.colours)
        down, across, colours = np.unravel_index(chosen, shape)
        images = np.einsum("kh,kw,kc->khwc", self.down[down], self.across[across], self.colours[colours])
        return _rows(np.asarray(images, np.float32))


def fit_cosines(over_images: ImagePass, image_shape: tuple[int, int, int]) -> Cosines:
    """Return the cosines, with the principal axes of the images' colours."""
    height, width, channels = image_shape
    (covariance,) = sums(over_images(lambda x: (_flat_colours(x).T @ _flat_colours(x),)))
    colours = np.linalg.eigh(covariance)[1].T if channels > 1 else np.ones((1, 1))
    name = "DCT of decorrelated colours" if channels > 1 else "DCT"
    return Cosines(name, _cosines(height), _cosines(width), np.asarray(colours, np.float32))


def _flat_colours(images: Images) -> Matrix:
    return images.reshape(-1, images.shape[3])


def _cosines(length: int) -> Matrix:
    """Return the orthonormal DCT-II, (length, length): each row is a cosine."""
    angles = np.pi / length * np.outer(np.arange(length), np.arange(length) + 0.5)
    rows = np.cos(angles) * np.sqrt(2 / length)
    rows[0] /= np.sqrt(2)
    return np.asarray(rows, np.float32)


def shifted_and_flipped(images: Images, copy: int) -> Images:
    """Return one of COPIES variants of images (N, H, W, C): mirrored or not, moved by a sixteenth of a side or not."""
    mirrored, move = divmod(copy, len(_MOVES))
    height, width = images.shape[1:3]
    down, across = (step * max(1, round(side / 16)) for step, side in zip(_MOVES[move], (height, width), strict=True))
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - across, 0, width - 1)
    return images[:, rows][:, :, columns[::-1] if mirrored else columns]


_MOVES = ((0, 0), (1, 1), (-1, -1))
COPIES = 2 * len(_MOVES)


def _rows(images: Images) -> Matrix:
    return images.reshape(len(images), -1)

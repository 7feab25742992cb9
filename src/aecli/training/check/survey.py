"""One pass over every image of a source: a few numbers for each, in memory that grows by 81 bytes an image."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np
from numpy.typing import NDArray

from aecli.data.dataset import ImageDataset, Rows
from aecli.data.format import Images, Stored

Values = NDArray[np.float32]
"""One number for each image, or (N, k) of them."""

_BLOCKS = 8
"""A signature begins with the means of 8 x 8 blocks, as perceptual hashes do."""

_FREQUENCIES = 4
"""It keeps 4 x 4 of their 8 x 8 frequencies, but for the mean itself."""

_SAMPLED, _SAMPLE_BYTES = 1024, 64 * 2**20
"""Images that stand for all, and the bytes of the contract that they may take."""

_OF_AN_IMAGE = np.dtype(
    [
        ("mean", "f4"),
        ("contrast", "f4"),
        ("distance", "f4"),
        ("constant", "?"),
        ("digest", "u8"),
        ("signature", "f4", _FREQUENCIES**2 - 1),
    ]
)


@dataclass(frozen=True)
class Survey:
    """What one pass over a source has found; images in the order of the file.

    `mean`, `contrast` (the standard deviation of an image's pixels) and `distance` (to `mean_image`, root mean
    square) are in the contract's units. `constant` images have one value. `digest` is the same for the same
    stored image. `signature` (N, 15) is near for images that look alike; see `signatures`. `pixel_low` and
    `pixel_high` are each pixel's extremes over all images, contract (H, W, C). `black` and `white` are the
    shares of all values at the ends of the value range, or beyond.
    """

    source: ImageDataset
    mean: Values
    contrast: Values
    distance: Values
    constant: NDArray[np.bool_]
    digest: NDArray[np.uint64]
    signature: Values
    mean_image: Images
    pixel_low: Images
    pixel_high: Images
    black: float
    white: float

    @property
    def constant_pixels(self) -> int:
        """How many of the H * W * C values are the same in all images."""
        return int((self.pixel_low == self.pixel_high).sum())


@dataclass(frozen=True)
class _Chunk:
    images: NDArray[np.void]
    pixel_low: Images
    pixel_high: Images
    black: int
    white: int


def survey(source: ImageDataset, advance: Callable[[int], object] = lambda _: None) -> Survey:
    """Survey every image of a source once; `advance` is called with the number surveyed so far."""
    mean_image = _mean_of(source)
    # Made whole before the first chunk: small pieces kept between large ones would keep the memory of these in use.
    images = np.empty(len(source), _OF_AN_IMAGE)
    lows: Images = np.full(source.format.image_shape, np.inf, np.float32)
    highs: Images = -lows
    black, white, seen = 0, 0, 0
    for chunk in source.map_stored(partial(_survey_chunk, source, mean_image)):
        images[seen : seen + len(chunk.images)] = chunk.images
        lows, highs = np.minimum(lows, chunk.pixel_low), np.maximum(highs, chunk.pixel_high)
        black, white, seen = black + chunk.black, white + chunk.white, seen + len(chunk.images)
        advance(seen)
    size = len(source) * prod(source.format.image_shape)
    columns = {name: images[name] for name in _OF_AN_IMAGE.names or ()}
    return Survey(
        source,
        **columns,
        mean_image=mean_image,
        pixel_low=lows,
        pixel_high=highs,
        black=black / size,
        white=white / size,
    )


def _survey_chunk(source: ImageDataset, mean_image: Images, stored: Stored, _: Rows) -> _Chunk:
    images, (low, high) = source.format.to_contract(stored), source.format.value_range
    rows, stored_rows = images.reshape(len(images), -1), stored.reshape(len(stored), -1)
    records = np.empty(len(images), _OF_AN_IMAGE)
    records["mean"] = rows.mean(axis=1)
    records["constant"] = stored_rows.min(axis=1) == stored_rows.max(axis=1)
    records["contrast"] = np.where(records["constant"], 0, rows.std(axis=1))
    records["digest"] = _digests(stored_rows)
    records["signature"] = signatures(images, records["contrast"])
    apart = rows - mean_image.ravel()
    records["distance"] = np.sqrt(np.einsum("ij,ij->i", apart, apart) / rows.shape[1])
    ends = (int(np.count_nonzero(stored <= low)), int(np.count_nonzero(stored >= high)))
    return _Chunk(records, images.min(axis=0), images.max(axis=0), *ends)


def spread_rows(count: int, wanted: int) -> Rows:
    """Return at most `wanted` rows spread evenly over `count`."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(np.int64))


def sample_of(source: ImageDataset) -> Images:
    """Return images spread over the file, at most _SAMPLED, and of large ones as many as _SAMPLE_BYTES hold."""
    return np.concatenate([*_spread_images(source, at_least=2)])


def _mean_of(source: ImageDataset) -> Images:
    """Return the mean (H, W, C) of such images; of large ones at least 16."""
    total, count = np.zeros(source.format.image_shape), 0
    for image in _spread_images(source, at_least=16):
        total, count = total + image[0], count + 1
    return np.asarray(total / count, np.float32)


def _spread_images(source: ImageDataset, at_least: int) -> Iterator[Images]:
    fitting = max(at_least, _SAMPLE_BYTES // (4 * prod(source.format.image_shape)))
    for row in spread_rows(len(source), min(_SAMPLED, fitting)):
        # Read one by one: in a map of the file, rows so far apart would bring most of it into memory.
        yield source.format.to_contract(source.file.read(int(row), int(row) + 1))


def _digests(rows: Stored) -> NDArray[np.uint64]:
    """Return 64 bits of BLAKE2b over the bytes of each row and their type: equal bytes of two types are two images."""
    rows, person = np.ascontiguousarray(rows), rows.dtype.str.encode()
    joined = b"".join(hashlib.blake2b(row, digest_size=8, person=person).digest() for row in rows)
    return np.frombuffer(joined, np.uint64)


def _signature_matrix(side: int) -> Values:
    """Return (_FREQUENCIES, side): the means of _BLOCKS equal parts of a side, and their lowest frequencies (DCT-II).

    A pixel on the border of two parts counts in both by its share. As the matrix shrinks no distance by more than
    means and a rotation do, |M x|^2 / _BLOCKS <= |x|^2 / side for every x.
    """
    edges = np.linspace(0, side, _BLOCKS + 1)
    pixels = np.arange(side)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    means = np.maximum(covered, 0) * (_BLOCKS / side)
    k, n = np.arange(_FREQUENCIES)[:, None], np.arange(_BLOCKS)
    waves = np.cos(np.pi * k * (2 * n + 1) / (2 * _BLOCKS)) * np.sqrt(2 / _BLOCKS)
    waves[0] /= np.sqrt(2)
    return np.asarray(waves @ means, np.float32)


def signatures(images: Images, contrast: Values) -> Values:
    """Return (N, 15): the lowest frequencies of each image, brightness and contrast taken out.

    For two images whose pixels correlate with r, the squared distance of the signatures is at most 2 (1 - r): the
    squared distance of the images brought to mean 0 and variance 1, for each pixel, of which means and a part of an
    orthonormal transform leave no more. So no pair that correlates well is overlooked by its signature.
    """
    down, across = (_signature_matrix(side) for side in images.shape[1:3])
    grey = images[..., 0] if images.shape[3] == 1 else images.mean(axis=3)
    frequencies = (down @ grey @ across.T).reshape(len(images), -1)[:, 1:] / _BLOCKS
    scale = np.divide(1, contrast, out=np.zeros_like(contrast), where=contrast > 0)
    return np.asarray(frequencies * scale[:, None], np.float32)


def mirrored(signature: Values) -> Values:
    """Return the signatures (N, 15) that the images would have with left and right swapped: odd waves change signs."""
    signs = np.tile(np.where(np.arange(_FREQUENCIES) % 2, -1, 1), _FREQUENCIES)[1:]
    return np.asarray(signature * signs, np.float32)


def take(sources: Sequence[ImageDataset], indices: Rows) -> Images:
    """Return the images of these numbers through all sources."""
    images: Images = np.empty((len(indices), *sources[0].format.image_shape), np.float32)
    start = 0
    for source in sources:
        positions = np.flatnonzero((start <= indices) & (indices < start + len(source)))
        if len(positions):
            images[positions] = source.format.to_contract(source.file.take(indices[positions] - start))
        start += len(source)
    return images

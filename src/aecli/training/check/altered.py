"""Copies that were altered: compressed anew, mirrored, shifted by some pixels, brightened beyond white.

Their pixels may correlate by less than those of two images that merely look alike. So they are told by comparison: a
copy is far nearer to its original than the original's other neighbours are (as Lowe 2004 tells matches), a look-alike
is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from aecli.core.machine import cores
from aecli.data.dataset import ImageDataset, Rows
from aecli.data.format import Images
from aecli.training.check.survey import Values, mirrored, spread_rows, take

_LEAST = 0.98
"""Correlation of the aligned, coarse images from which on two images may be copies."""

_OF_OTHERS = 0.07
"""Share of what another neighbour's correlation lacks of 1 that a copy's may lack."""

_NEARER = 0.6
"""Share of the distance of another neighbour's signature within which that of a copy lies."""

_FEWEST_PIXELS = 16
"""Images with a shorter side are too coarse: two ones of 8 x 8 pixels, say, differ by less than a copy."""

_NEIGHBOURS = 5
"""How many of an image's nearest signatures are looked at; the last is the other neighbour, and no candidate."""

_SEARCHED = 4096
"""Images, spread over the files, of which altered copies are looked for among all."""

_LOOKED_AT, _MOST_PAIRS = 2**28, 2000
"""Bytes of pixels read, at most, to confirm candidates, and how many: those nearest for their neighbours first."""

_MARGIN, _COARSE = 0.1, 16
"""A copy may be shifted by this share of the sides; what is compared has twice so many values a side, at most."""


@dataclass(frozen=True)
class _Candidates:
    """Images that may be copies (n, 2), whether a mirror shows the first so, and another neighbour of the first."""

    pairs: Rows
    flipped: NDArray[np.bool_]
    other: Rows


def find_altered(sources: Sequence[ImageDataset], images: Rows, signature: Values) -> tuple[Rows, Values]:
    """Return pairs (n, 2) of altered copies, and the correlation of what is compared of each; not all there may be.

    `images` are the numbers through all sources of those with these signatures (N, 15).
    """
    if min(sources[0].format.image_shape[:2]) < _FEWEST_PIXELS:
        return np.empty((0, 2), np.int64), np.empty(0, np.float32)
    found = _candidates(signature)
    most = min(_MOST_PAIRS, max(1, _LOOKED_AT // (12 * prod(sources[0].format.image_shape))))
    correlations: dict[tuple[int, int], float] = {}
    for (first, second), flipped, other in zip(found.pairs[:most], found.flipped, found.other, strict=False):
        image, copy, third = take(sources, images[[first, second, other]])
        image = image[:, ::-1] if flipped else image
        same = _aligned_correlation(image, copy)
        if same >= _LEAST and 1 - same <= _OF_OTHERS * (1 - _aligned_correlation(image, third)):
            low, high = sorted((int(images[first]), int(images[second])))
            correlations[low, high] = max(same, correlations.get((low, high), 0.0))
    pairs = np.array([*correlations], np.int64).reshape(-1, 2)
    return pairs, np.array([*correlations.values()], np.float32)


def _candidates(signature: Values) -> _Candidates:
    """Return neighbours that lie far nearer than others do, plain or mirrored, the nearest by comparison first."""
    if len(signature) <= _NEIGHBOURS + 1:
        return _Candidates(np.empty((0, 2), np.int64), np.empty(0, np.bool_), np.empty(0, np.int64))
    tree, asked = cKDTree(signature), spread_rows(len(signature), _SEARCHED)
    parts = []
    for flip in (False, True):
        queries = mirrored(signature[asked]) if flip else signature[asked]
        distances, near = tree.query(queries, k=_NEIGHBOURS + 1, workers=cores())
        limit = _NEARER * distances[:, -1]
        row, column = np.nonzero((near != asked[:, None]) & (distances <= limit[:, None]))
        ratio = distances[row, column] / np.maximum(limit[row], 1e-12)
        parts.append((asked[row], near[row, column], np.full(len(row), flip), near[row, -1], ratio))
    first, second, flipped, other, ratio = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(ratio, kind="stable")
    return _Candidates(np.stack([first, second], axis=1)[order], flipped[order], other[order])


def _aligned_correlation(image: Images, other: Images) -> float:
    """Return the correlation of two images (H, W, C), one shifted to where they agree, coarse, of the middle."""
    sides = image.shape[:2]
    margins = [min(ceil(_MARGIN * side), (side - 1) // 2) for side in sides]
    spectra = [np.fft.rfft2(grey - grey.mean()) for grey in (image.mean(axis=2), other.mean(axis=2))]
    agreement = np.roll(np.fft.irfft2(spectra[0] * np.conj(spectra[1]), sides), margins, (0, 1))
    window = agreement[: 2 * margins[0] + 1, : 2 * margins[1] + 1]
    down, right = np.unravel_index(window.argmax(), window.shape)
    moved = np.roll(other, (down - margins[0], right - margins[1]), (0, 1))
    inner = tuple(slice(margin, side - margin) for margin, side in zip(margins, sides, strict=True))
    a, b = (_coarse(part[inner]).ravel() for part in (image, moved))
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm else 0.0


def _coarse(image: Images) -> Images:
    """Return means of equal blocks: what compressing leaves of an image (H, W, C)."""
    down, across = (max(1, side // _COARSE) for side in image.shape[:2])
    height, width = image.shape[0] // down, image.shape[1] // across
    blocks = image[: height * down, : width * across].reshape(height, down, width, across, -1)
    return np.asarray(blocks.mean(axis=(1, 3)))

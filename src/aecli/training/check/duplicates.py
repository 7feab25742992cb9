"""Images that are there twice: bit for bit, or nearly."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from aecli.core.machine import cores
from aecli.data.dataset import ImageDataset, Rows
from aecli.data.format import Images
from aecli.training.check.altered import find_altered
from aecli.training.check.survey import Survey, Values, spread_rows, take

ALIKE = 0.995
"""Pixel correlation from which images are near duplicates whatever the others are: a brighter copy, the next frame."""

_RADIUS = 0.05
"""Distance of signatures within which an image's nearest ones are looked at. Pairs that correlate by 0.99875 are never
farther apart (see `signatures`), and from ALIKE on only those whose difference is mostly one of low frequencies."""

_NEIGHBOURS = 3
"""How many of an image's nearest signatures are looked at."""

_SEARCHED = 65_536
"""Images, spread over the files, whose nearest signatures are looked for among all."""

_LOOKED_AT, _FEWEST_LOOKED_AT = 2**29, 20
"""Bytes of pixels read, at most, to confirm pairs, the nearest signatures first; but so many pairs at least."""

_READ_AT_ONCE = 2**22
"""Bytes of pixels in memory at once; the pages of the file that hold them take several times as much."""

_FEWEST_VALUES = 64
"""Images of fewer values correlate by chance."""


@dataclass(frozen=True)
class Duplicates:
    """The images that are there twice, numbered through all sources.

    `group` (N,) is the same number for images that are the same bit for bit. `near` (n, 2) are pairs that correlate by
    ALIKE or more, and altered copies, mirrored and shifted ones too, as far as `find_altered` finds them; by falling
    `correlation`, of the pixels, or of what is compared of altered copies. Images of a single value are left out. Of
    `searched` images the near ones were looked for.
    """

    group: NDArray[np.int64]
    near: Rows
    correlation: Values
    searched: int

    def copies(self) -> Rows:
        """Return (n, 2): every image that is the same as an earlier one, after the first of its kind."""
        _, first, inverse = np.unique(self.group, return_index=True, return_inverse=True)
        originals = first[inverse]
        later = np.flatnonzero(originals < np.arange(len(originals)))
        return np.stack([originals[later], later], axis=1)


def find_duplicates(surveys: Sequence[Survey]) -> Duplicates:
    """Find the images that are there twice, in one source or in two."""
    digest = np.concatenate([survey.digest for survey in surveys])
    flat = np.concatenate([survey.constant for survey in surveys])
    _, group = np.unique(digest, return_inverse=True)
    group = np.asarray(group, np.int64)
    # Images of one value are a finding of their own; here each is the only one of its kind.
    group[flat] = len(group) + np.arange(flat.sum())
    source = surveys[0].source
    if prod(source.format.image_shape) < _FEWEST_VALUES:
        return Duplicates(group, np.empty((0, 2), np.int64), np.empty(0, np.float32), 0)
    _, different = np.unique(group, return_index=True)
    candidates = np.sort(different[~flat[different]])
    signature = np.concatenate([survey.signature for survey in surveys])
    pairs = candidates[_near(signature[candidates])]
    most = max(_FEWEST_LOOKED_AT, _LOOKED_AT // (8 * prod(source.format.image_shape)))
    correlation = _correlations([survey.source for survey in surveys], pairs[:most])
    altered, aligned = find_altered([survey.source for survey in surveys], candidates, signature[candidates])
    alike = correlation >= ALIKE
    near, again = np.unique(np.concatenate([pairs[: len(alike)][alike], altered]), axis=0, return_index=True)
    shown = np.concatenate([correlation[alike], aligned])[again]
    order = np.argsort(-shown, kind="stable")
    searched = min(_SEARCHED, len(candidates))
    return Duplicates(group, near[order], shown[order], searched)


def _near(signature: Values) -> Rows:
    """Return (n, 2): the pairs of neighbouring signatures, the nearest first."""
    if len(signature) < 2:
        return np.empty((0, 2), np.int64)
    tree = cKDTree(signature)
    asked = spread_rows(len(signature), _SEARCHED)
    distances, neighbours = tree.query(
        signature[asked], k=range(1, _NEIGHBOURS + 2), distance_upper_bound=_RADIUS, workers=cores()
    )
    valid = np.isfinite(distances) & (neighbours != asked[:, None])
    here = np.broadcast_to(asked[:, None], neighbours.shape)[valid]
    pairs = np.sort(np.stack([here, neighbours[valid]], axis=1), axis=1)
    order = np.argsort(distances[valid], kind="stable")
    _, first = np.unique(pairs[order], axis=0, return_index=True)
    return pairs[order][np.sort(first)]


def _correlations(sources: Sequence[ImageDataset], pairs: Rows) -> Values:
    """Return the correlation of the pixels of each pair."""
    step = max(1, _READ_AT_ONCE // (8 * prod(sources[0].format.image_shape)))
    parts = []
    for start in range(0, len(pairs), step):
        left, right = (_standardised(take(sources, rows)) for rows in pairs[start : start + step].T)
        parts.append(np.einsum("ij,ij->i", left, right))
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def _standardised(images: Images) -> Values:
    rows = images.reshape(len(images), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    return np.asarray(np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0))

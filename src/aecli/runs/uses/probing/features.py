"""What a probe sees of images: the latents of a run, and what stands beside them."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from aecli.core.errors import RunError
from aecli.core.rng import Draws, draw_key
from aecli.data.dataset import ImageDataset, Rows, chunk_slices
from aecli.data.format import Images
from aecli.runs.baselines import Baselines
from aecli.runs.model import Model
from aecli.runs.uses.probing.regression import Features
from aecli.runs.uses.probing.selection import MOST_VALUES

_MOST_PROJECTION = 2 * 10**7
"""Values of a random projection: one that has more is left out."""


@dataclass(frozen=True)
class Representation:
    """A name, a title, and what gives the features (n, d) of images (n, H, W, C)."""

    name: str
    title: str
    encode: Callable[[Images], Features]


def representations(
    model: Model, baselines: Baselines, images: int, seed: int
) -> tuple[list[Representation], dict[str, str]]:
    """Return the representations to be probed, and the titles of those left out with the reason.

    The latents and PCA come always; a random projection, drawn by the seed, and pixels where so many `images` have not
    too many of them.
    """
    size, length = prod(model.image_shape), model.latent_dim
    mean, components = baselines.mean, baselines.components

    def pca(batch: Images) -> Features:
        return np.asarray((batch - mean).reshape(len(batch), -1) @ components.T, np.float32)

    found = [
        Representation("latents", f"latents-{length}", model.encode),
        Representation("pca", f"PCA-{len(components)}", pca),
    ]
    left_out = {}
    if size * length <= _MOST_PROJECTION:
        matrix = _random_projection(size, length, seed)

        def project(batch: Images) -> Features:
            return np.asarray((batch - mean).reshape(len(batch), -1) @ matrix, np.float32)

        found.append(Representation("projection", f"random projection-{length}", project))
    else:
        left_out[f"random projection-{length}"] = f"more than {_MOST_PROJECTION:,} numbers"
    if images * size <= MOST_VALUES:
        found.append(Representation("pixels", f"{size:,} pixels", lambda batch: batch.reshape(len(batch), -1)))
    else:
        left_out[f"{size:,} pixels"] = f"more than {MOST_VALUES:,} values of {images:,} images"
    return found, left_out


def features_of(representation: Representation, source: ImageDataset, rows: Rows) -> Features:
    """Return the features (n, d) of rows of a source; RunError where they are not finite."""
    found = np.concatenate([*source.map(representation.encode, rows)])
    if not np.isfinite(found).all():
        raise RunError(f"{representation.title}: NaN or infinity for some images: train the run again")
    return found


def standardise(training: Features, test: Features) -> None:
    """Take the mean of the training features away from both, and divide by their spread, in place.

    The spread is one number, the root of the mean variance of the features (n, d). Divided each by its own, the last
    principal component would weigh as much as the first, and PCA and pixels look worse than they are. Features that do
    not vary at all become 0.
    """
    mean = training.mean(axis=0, dtype=np.float64)
    for features in (training, test):
        features -= mean.astype(np.float32)
    parts = chunk_slices(len(training), training.shape[1:])
    spread = np.sqrt(sum(float(np.square(training[part], dtype=np.float64).sum()) for part in parts) / training.size)
    for features in (training, test):
        features *= np.float32(1 / spread if spread > 0 else 0)


def _random_projection(size: int, length: int, seed: int) -> Features:
    """Return a matrix (size, length) of normal numbers, drawn a few rows at a time."""
    key = np.array(draw_key(seed, 0), np.uint32)
    parts = [
        Draws(np, key, np.arange(part.start, part.stop, dtype=np.uint32)).normal(0, length)
        for part in chunk_slices(size, (length,))
    ]
    return np.concatenate(parts)

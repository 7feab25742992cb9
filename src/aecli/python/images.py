"""Images as a user of Python has them: arrays, tensors, lists of either, paths; and the way back to their shape."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aecli.core.errors import DataError, one_line
from aecli.data.dataset import ImageDataset, images_like
from aecli.data.files.arrays import ArrayFile, require_images
from aecli.data.files.options import AXES
from aecli.data.format import Stored
from aecli.runs.model import Latents
from aecli.runs.run import Run
from aecli.runs.uses.inputs import open_images_for, open_latents

ImagesOrFile: TypeAlias = ArrayLike | os.PathLike[str]
"""Images as an array, a tensor of any library, or a list of either, (N, H, W), (N, H, W, C) or (N, D) in any units; or
the path of what `ae train` takes."""

_NAME = Path("images")
"""What messages call images that have no file."""


def path_of(images: object) -> Path | None:
    """Return the path that is given in the place of images, None where it is none; DataError for an empty one."""
    if not isinstance(images, str | os.PathLike):
        return None
    path = os.fspath(images)
    if not isinstance(path, str) or not path.strip():
        raise DataError(f"images: {path!r} is no path: give a file, a folder, or an array (N, H, W)")
    return Path(path)


def array_of(images: Any) -> NDArray[Any]:
    """Return images from memory as an array of numbers with axes; DataError where they are none.

    Tensors are taken from their graph and their device. Of a list every element is an image.
    """
    array = _array(images)
    require_images("images", array.shape, array.dtype)
    return np.ascontiguousarray(array)


def _array(values: Any, name: str = "images") -> NDArray[Any]:
    """Return values as an array of whatever dtype and shape; DataError, with a name for them, where there is none."""
    if isinstance(values, list | tuple):
        values = _elements(values, name)
    try:
        if hasattr(values, "detach") and hasattr(values, "cpu"):  # PyTorch's, which NumPy takes off no graph and no GPU
            values = values.detach().cpu()
        return np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        reason = "they differ in shape" if "inhomogeneous" in str(error) else one_line(error)[:120]
        cure = f"give {name} of one size as one array {'(N, H, W)' if name == 'images' else '(N, latent_dim)'}"
        raise DataError(f"{name}: are no array ({reason}): {cure}") from error


def _elements(values: Sequence[Any], name: str) -> Sequence[Any]:
    """Return the elements of a list, arrays where they are arrays or tensors; DataError where these differ in shape."""
    if not any(hasattr(value, "__array__") or hasattr(value, "detach") for value in values):
        return values
    arrays = [_array(value, name) for value in values]
    for number, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            shapes = f"0 is {list(arrays[0].shape)}, {number} is {list(array.shape)}"
            raise DataError(f"{name}: are no array (they differ in shape: {shapes}): give {name} of one size")
    return arrays


@dataclass(frozen=True)
class ArrayInMemory(ArrayFile):
    """An array of a user's as what a file would hold; nothing writes to it."""

    array: NDArray[Any] = field(kw_only=True, repr=False, compare=False)

    @classmethod
    def of(cls, array: NDArray[Any]) -> "ArrayInMemory":
        """Return an array as a file named "images"."""
        return cls(_NAME, _NAME, array.shape, array.dtype, 0, "C", array=array)

    def read(self, start: int, stop: int) -> Stored:
        """Return rows [start, stop)."""
        return np.array(self._map()[start:stop], order="C")

    def fingerprint(self) -> str:
        """Return the SHA-256 of the .npy that this array is kept as in training."""
        digest = _Digest()
        np.save(digest, self.array, allow_pickle=False)
        return digest.sha256.hexdigest()

    def state(self) -> tuple[int, int]:
        """Return the same at all times."""
        return self.array.nbytes, 0

    def _map(self, mode: str = "r") -> Stored:
        return self.arrangement.apply(self.array) if self.arrangement else self.array


class _Digest:
    """A file that keeps nothing but the hash of what is written."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.sha256.update(content)
        return len(content)


@dataclass(frozen=True)
class GivenImages:
    """Images for a run as a source; `alone` says that a single one was given, without an axis of its own."""

    source: ImageDataset
    alone: bool = False

    def shaped(self, stored: Stored) -> Stored:
        """Return images of the source's format (N, *sample_shape) with the axes of those that were given."""
        arrangement = self.source.file.arrangement
        if arrangement is not None:
            stored = stored[0] if arrangement.alone else stored
            return np.ascontiguousarray(stored.transpose(np.argsort(arrangement.order)))
        return stored[0] if self.alone else stored


def images_for(run: Run, images: Any) -> GivenImages:
    """Open images, an array or a path, for the model of a run. Raises DataError.

    An array of the shape of one of the run's images is one image.
    """
    path = path_of(images)
    if path is not None:
        return GivenImages(open_images_for(run, path))
    array, trained, axes = array_of(images), run.image_format, run.decoding.axes
    height, width, channels = trained.image_shape
    ones = [trained.sample_shape, trained.image_shape, *([(height, width)] if channels == 1 else [])]
    alone = axes is None and array.shape in ones and prod(array.shape[1:]) != prod(trained.image_shape)
    file = ArrayInMemory.of(array[None] if alone else array)
    return GivenImages(images_like(file, trained, axes=axes), alone)


def latents_for(latents: Any, latent_dim: int) -> tuple[Latents, bool]:
    """Return latents as float32 (N, latent_dim), and whether a single (latent_dim,) was given. Raises DataError."""
    path = path_of(latents)
    if path is not None:
        file = open_latents(path, latent_dim)
        return np.asarray(file.read(0, len(file)), np.float32), False
    array = _array(latents, "latents")
    if array.dtype.kind not in "iufb":
        raise DataError(f"latents: expected real numbers, found {array.dtype}: give what run.encode gives")
    alone = array.shape == (latent_dim,)
    array = array[None] if alone else array
    if array.ndim != 2 or array.shape[1] != latent_dim or not len(array):
        raise DataError(
            f"latents: the run expects (N, {latent_dim}), found shape {list(array.shape)}: give what run.encode gives"
        )
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise DataError("latents: some are NaN, infinite or beyond float32: give what run.encode gives")
    return array, alone


def in_training_axes(run: Run, stored: Stored) -> Stored:
    """Return images in the run's format (N, *sample_shape) with the axes that its training images had."""
    axes = run.decoding.axes
    if axes is None or "N" not in axes:
        return stored
    order = [axes.index(letter) for letter in AXES if letter in axes]
    return np.ascontiguousarray(stored.transpose(np.argsort(order)))

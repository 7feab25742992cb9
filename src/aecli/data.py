"""Images of a source: opened and checked without loading them whole, read by chunks, split."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from aecli.arrays import ArrayFile
from aecli.core.errors import DataError, NotFiniteError
from aecli.core.machine import ordered_map
from aecli.core.progress import Told, untold
from aecli.core.rng import derive
from aecli.decoding import Decoding
from aecli.images import ImageFormat, Images, Stored, decide_value_range, find_image_shape
from aecli.sources import manifest_of, open_source

T = TypeVar("T")
Rows = NDArray[np.int64]
"""Row numbers of a file, int64 (n,)."""

SAMPLE = 256
"""Images looked at where a few stand for all."""

ROWS_NAMED = 10
"""Rows that are named where any number of images has the same fault."""

CHUNK_BYTES = 4 * 2**20
"""Contract bytes (float32) in one chunk: large enough for full speed, small enough to stay in a cache."""


@dataclass(frozen=True)
class Scan:
    """The extremes of all values in stored units, or those of their type where they decide nothing.

    `constant` counts the images of one value where the values were read, `constant_rows` are the first of them.
    """

    low: float
    high: float
    constant: int = 0
    constant_rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class ImageSource:
    """Images in a file together with their format; `decoding` is what was asked of pictures."""

    file: ArrayFile
    format: ImageFormat
    scan: Scan
    range_reason: str
    decoding: Decoding = field(default_factory=Decoding)

    def __len__(self) -> int:
        return len(self.file)

    def __str__(self) -> str:
        low, high = self.format.value_range
        height, width, channels = self.format.image_shape
        found = (
            f"{self.file.path}: {len(self):,} image{'s' if len(self) > 1 else ''} of {height} x {width} x {channels}, "
            f"values from {low:g} to {high:g} stand for 0 to 1 ({self.range_reason})"
        )
        return "\n".join([*self.file.notes, found])

    @cached_property
    def names(self) -> tuple[str, ...] | None:
        """The file that each row was decoded from, where that is known."""
        manifest = manifest_of(self.file)
        return manifest.files if manifest else None

    def name(self, row: int) -> str | None:
        """Return the file that a row was decoded from, None where that is not known."""
        return self.names[row] if self.names else None

    def map(self, function: Callable[[Images], T], rows: Rows | None = None) -> Iterator[T]:
        """Yield function(images) for each chunk of the file, or of these rows, in order; all cores work."""
        return self.map_stored(lambda stored, _: function(self.format.to_contract(stored)), rows)

    def map_stored(self, function: Callable[[Stored, Rows], T], rows: Rows | None = None) -> Iterator[T]:
        """Yield function(images as stored, their row numbers) for the same chunks as `map`."""

        def read_and_apply(part: slice) -> T:
            if rows is None:
                return function(self.file.read(part.start, part.stop), np.arange(part.start, part.stop))
            return function(self.file.take(rows[part]), rows[part])

        return ordered_map(read_and_apply, self._parts(rows))

    def chunks(self, rows: Rows | None = None) -> Iterator[tuple[slice, Images]]:
        """Yield (positions, images) over the file, or over these rows, in order."""
        return zip(self._parts(rows), self.map(lambda images: images, rows), strict=True)

    def sample(self, rows: Rows) -> Images:
        """Return the first of these rows as images: SAMPLE, or as many as fit one chunk."""
        count = next(chunk_slices(min(SAMPLE, len(rows)), self.format.image_shape)).stop
        return self.format.to_contract(self.file.take(rows[:count]))

    def _parts(self, rows: Rows | None) -> Iterator[slice]:
        return chunk_slices(len(self) if rows is None else len(rows), self.format.image_shape)


def chunk_slices(count: int, image_shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield slices that cut `count` images of this shape into chunks of CHUNK_BYTES."""
    step = max(1, CHUNK_BYTES // (4 * prod(image_shape)))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def open_images(
    path: Path,
    image_shape: tuple[int, ...] | None = None,
    value_range: tuple[float, float] | None = None,
    given_reason: str = "as given",
    decoding: Decoding | None = None,
    told: Told = untold,
) -> ImageSource:
    """Open and check the images of a source: known layout, finite values, a value range.

    `image_shape` is needed for flat rows that are not square. `value_range` None decides it from
    the dtype and the data, otherwise `given_reason` says where it comes from. `decoding` is what pictures
    become, and `told` hears how far that is. Raises DataError.
    """
    decoding = decoding or Decoding()
    return images_of(open_source(path, decoding, told), image_shape, value_range, given_reason, decoding)


def images_of(
    file: ArrayFile,
    image_shape: tuple[int, ...] | None = None,
    value_range: tuple[float, float] | None = None,
    given_reason: str = "as given",
    decoding: Decoding | None = None,
) -> ImageSource:
    """Check the images of an array that is open; see `open_images`."""
    path = file.path
    shape = find_image_shape(str(path), file.shape, image_shape)
    found = _nothing_to_find(file.dtype, value_range) or scan(file)
    if value_range is None:
        value_range, reason = decide_value_range(file.dtype, found.low, found.high)
    else:
        reason = given_reason
    if not np.isfinite(value_range[1] - value_range[0]):
        raise DataError(f"{path}: values from {found.low:g} to {found.high:g} are too far apart: scale the images down")
    image_format = ImageFormat(file.dtype.str, file.shape[1:], shape, value_range)
    return ImageSource(file, image_format, found, reason, decoding or Decoding())


def _nothing_to_find(dtype: np.dtype[Any], value_range: tuple[float, float] | None) -> Scan | None:
    """Return the limits of an integer type that lies in a known range: reading the values would tell no more."""
    if value_range is None or dtype.kind not in "iu":
        return None
    limits = np.iinfo(dtype)
    inside = value_range[0] <= limits.min and limits.max <= value_range[1]
    return Scan(float(limits.min), float(limits.max)) if inside else None


def scan(file: ArrayFile) -> Scan:
    """Read all values once: their extremes; raises NotFiniteError with the count and rows of NaN and infinity."""

    def look(part: slice) -> tuple[float, float, Rows, int, Rows]:
        stored = file.read(part.start, part.stop)
        values = stored.reshape(len(stored), -1)
        lows, highs = values.min(axis=1), values.max(axis=1)
        low, high = float(lows.min()), float(highs.max())
        constant = part.start + np.flatnonzero(lows == highs)
        if np.isfinite(low) and np.isfinite(high):
            return low, high, constant, 0, constant[:0]
        broken = ~np.isfinite(values)
        return low, high, constant, int(broken.sum()), part.start + np.flatnonzero(broken.any(axis=1))

    low, high, bad, constants = np.inf, -np.inf, 0, 0
    constant_rows: list[int] = []
    broken_rows: list[int] = []
    for chunk_low, chunk_high, constant, broken, rows in ordered_map(look, chunk_slices(len(file), file.shape[1:])):
        low, high, bad, constants = min(low, chunk_low), max(high, chunk_high), bad + broken, constants + len(constant)
        broken_rows += [int(row) for row in rows[: ROWS_NAMED - len(broken_rows)]]
        constant_rows += [int(row) for row in constant[: ROWS_NAMED - len(constant_rows)]]
    if bad:
        raise NotFiniteError(
            f"{file.path}: {bad} value{'s are' if bad > 1 else ' is'} NaN or infinite, "
            f"the first in image {broken_rows[0]}: remove or replace such images",
            broken_rows,
        )
    return Scan(low, high, constants, tuple(constant_rows))


@dataclass(frozen=True)
class Split:
    """The rows of the training file used for training, validation and test: sorted, int64; test may have none."""

    train: Rows
    validation: Rows
    test: Rows


def split_indices(where: str, count: int, validation_split: float, seed: int, test_split: float = 0.0) -> Split:
    """Return a shuffled split: a function of the seed, at least one image in each part asked for."""
    needed = 3 if test_split else 2
    if count < needed:
        parts = "training, validation and test" if test_split else "training and validation"
        holds = f"{count} image{'s' if count > 1 else ''}"
        raise DataError(f"{where}: holds {holds}, {parts} need at least {needed}: give more images")
    held_out = min(max(1, round(count * validation_split)), count - needed + 1)
    kept_for_test = min(max(1, round(count * test_split)), count - held_out - 1) if test_split else 0
    order = np.random.default_rng(derive(seed, "split")).permutation(count)
    validation, test, train = np.split(order, [held_out, held_out + kept_for_test])
    return Split(np.sort(train), np.sort(validation), np.sort(test))

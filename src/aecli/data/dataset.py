"""Images of a source: opened and checked without loading them whole, read by chunks, split."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import DataError, NotFiniteError
from aecli.core.machine import ordered_map
from aecli.core.progress import ProgressCallback, no_progress
from aecli.data.axes import arranged
from aecli.data.files.arrays import ArrayFile
from aecli.data.files.open import holds_pictures, manifest_of, open_source
from aecli.data.files.options import Color, DecodeOptions, Fit, WhichFrames
from aecli.data.format import ImageFormat, Images, Stored, decide_value_range, find_image_shape
from aecli.data.units import other_units

T = TypeVar("T")
Rows = NDArray[np.int64]
"""Row numbers of a file, int64 (n,)."""

_USUAL = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
_SAMPLE = 256
"""Images looked at where a few stand for all."""

ROWS_NAMED = 10
"""Rows that are named where any number of images has the same fault."""

_CHUNK_BYTES = 4 * 2**20
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
class ImageDataset:
    """Images in a file together with their format; `decoding` is what was asked of pictures."""

    file: ArrayFile
    format: ImageFormat
    scan: Scan
    range_reason: str
    decoding: DecodeOptions = field(default_factory=DecodeOptions)

    def __len__(self) -> int:
        return len(self.file)

    def __str__(self) -> str:
        low, high = self.format.value_range
        height, width, channels = self.format.image_shape
        description = (
            f"{self.file.path}: {len(self):,} image{'s' if len(self) > 1 else ''} of {height} x {width} x {channels}, "
            f"values from {low:g} to {high:g} stand for 0 to 1 ({self.range_reason})"
        )
        return "\n".join([*self.file.notes, description])

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
        """Return the first of these rows as images: _SAMPLE, or as many as fit one chunk."""
        count = next(chunk_slices(min(_SAMPLE, len(rows)), self.format.image_shape)).stop
        return self.format.to_contract(self.file.take(rows[:count]))

    def _parts(self, rows: Rows | None) -> Iterator[slice]:
        return chunk_slices(len(self) if rows is None else len(rows), self.format.image_shape)


def chunk_slices(count: int, image_shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield slices that cut `count` images of this shape into chunks of _CHUNK_BYTES."""
    step = max(1, _CHUNK_BYTES // (4 * prod(image_shape)))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def open_images(
    path: Path,
    image_shape: tuple[int, ...] | None = None,
    value_range: tuple[float, float] | None = None,
    given_reason: str = "as given",
    decoding: DecodeOptions | None = None,
    on_progress: ProgressCallback = no_progress,
) -> ImageDataset:
    """Open and check the images of a source: known layout, finite values, a value range.

    `image_shape` is needed for flat rows that are not square. `value_range` None decides it from
    the dtype and the data, otherwise `given_reason` says where it comes from. `decoding` is what pictures
    become, and `on_progress` reports how far that is. Raises DataError.
    """
    decoding = decoding or DecodeOptions()
    return images_of(open_source(path, decoding, on_progress), image_shape, value_range, given_reason, decoding)


def images_of(
    file: ArrayFile,
    image_shape: tuple[int, ...] | None = None,
    value_range: tuple[float, float] | None = None,
    given_reason: str = "as given",
    decoding: DecodeOptions | None = None,
) -> ImageDataset:
    """Check the images of an array that is open; see `open_images`."""
    path = file.path
    shape = find_image_shape(str(path), file.shape, image_shape)
    scanned = _nothing_to_find(file.dtype, value_range) or scan(file)
    if value_range is None:
        value_range, reason = decide_value_range(file.dtype, scanned.low, scanned.high)
    else:
        reason = given_reason
    if not np.isfinite(value_range[1] - value_range[0]):
        raise DataError(
            f"{path}: values from {scanned.low:g} to {scanned.high:g} are too far apart: scale the images down"
        )
    image_format = ImageFormat(file.dtype.str, file.shape[1:], shape, value_range)
    return ImageDataset(file, image_format, scanned, reason, decoding or DecodeOptions())


def _nothing_to_find(dtype: np.dtype[Any], value_range: tuple[float, float] | None) -> Scan | None:
    """Return the limits of an integer type that lies in a known range: reading the values would tell no more."""
    if value_range is None or dtype.kind not in "iu":
        return None
    limits = np.iinfo(dtype)
    inside = value_range[0] <= limits.min and limits.max <= value_range[1]
    return Scan(float(limits.min), float(limits.max)) if inside else None


def scan(file: ArrayFile) -> Scan:
    """Read all values once: their extremes; raises NotFiniteError with the count and rows of NaN and infinity."""

    def scan_part(part: slice) -> tuple[float, float, Rows, int, Rows]:
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
    for chunk_low, chunk_high, constant, broken, rows in ordered_map(
        scan_part, chunk_slices(len(file), file.shape[1:])
    ):
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


def open_images_like(
    path: Path,
    trained: ImageFormat,
    value_range: tuple[float, float] | None = None,
    fit: Fit = "crop",
    frames: WhichFrames = "all",
    on_progress: ProgressCallback = no_progress,
    axes: str | None = None,
) -> ImageDataset:
    """Open images for a model trained on images of the format `trained`.

    Pictures are brought to its size and channels. Flat rows are read with the model's image shape. Images of the
    dtype trained on have its value range; for another dtype `value_range` or, where that is None, the data decide.
    An array that does not fit as it is is taken to have the `axes` of the training's. Raises DataError.
    """
    decoding = _decoding_like(path, trained, fit, frames)
    file = open_source(path, decoding, on_progress)
    return images_like(file, trained, value_range, axes, decoding, pictures=holds_pictures(path))


def images_like(
    file: ArrayFile,
    trained: ImageFormat,
    value_range: tuple[float, float] | None = None,
    axes: str | None = None,
    decoding: DecodeOptions | None = None,
    pictures: bool = False,
) -> ImageDataset:
    """Check an array that is open for a model trained on images of a format; see `open_images_like`.

    `decoding` is what was asked of its `pictures`, where they are some.
    """
    path, decoding = file.path, decoding or DecodeOptions()
    if axes is not None and file.manifest is None and file.shape[1:] != trained.sample_shape:
        file, decoding = arranged(file, axes), replace(decoding, axes=axes)
    if prod(file.shape[1:]) != prod(trained.image_shape):
        raise DataError(
            f"{path}: the run expects images of {_size(trained.image_shape)}, "
            f"found shape {list(file.shape)}: give images of that size"
        )
    expected = trained.image_shape if file.shape[3:] else trained.image_shape[:2]
    if len(file.shape) > 2 and file.shape[1:] != expected:
        raise DataError(
            f"{path}: the run expects images of {_size(trained.image_shape)}, "
            f"found shape {list(file.shape)}: rearrange the array's axes"
        )
    same_units = file.dtype.newbyteorder("=") == np.dtype(trained.dtype).newbyteorder("=") or (
        file.dtype.kind == "f" == np.dtype(trained.dtype).kind
    )
    known = trained.value_range if same_units else value_range
    source = images_of(file, trained.image_shape, known, "as in training", decoding)
    low, high = source.format.value_range
    slack = high - low
    if source.scan.low < low - slack or source.scan.high > high + slack:
        raise DataError(
            f"{path}: values from {source.scan.low:g} to {source.scan.high:g} are far outside the run's value range "
            f"[{low:g}, {high:g}]: bring the images to the units of the training images"
        )
    return source if pictures else _in_units(source, trained, same_units)


def _in_units(source: ImageDataset, trained: ImageFormat, same_units: bool) -> ImageDataset:
    """Return an array with a note where its units are likely to be others than the run's; DataError where they are."""
    path, dtype = source.file.path, source.file.dtype
    if not same_units:
        if dtype.kind != "f" or source.format.value_range != (source.scan.low, source.scan.high):
            return source
        low, high = source.format.value_range
        note = f"values from {low:g} to {high:g} are no usual range: these extremes are taken for black and white"
        return _noted(source, note) if high > low and (low, high) not in _USUAL else source
    found = source.scan
    if dtype.kind in "iu":
        looked = _some_extremes(source.file)
        if other_units(dtype, *looked, trained.value_range) is None:
            return source
        found = scan(source.file)
    other = other_units(dtype, found.low, found.high, trained.value_range)
    if other is not None and other.certain:
        raise DataError(f"{path}: {other}")
    return source if other is None else _noted(source, str(other))


def _some_extremes(file: ArrayFile) -> tuple[float, float]:
    """Return the extremes of the first and of the last images, as many as a chunk has."""
    count = next(chunk_slices(len(file), file.shape[1:])).stop
    parts = file.read(0, count), file.read(len(file) - count, len(file))
    return float(min(part.min() for part in parts)), float(max(part.max() for part in parts))


def _noted(source: ImageDataset, note: str) -> ImageDataset:
    file = source.file
    return replace(source, file=replace(file, notes=(*file.notes, f"{file.path}: {note}")))


def _decoding_like(path: Path, trained: ImageFormat, fit: Fit, frames: WhichFrames) -> DecodeOptions:
    if not holds_pictures(path):
        return DecodeOptions()
    height, width, channels = trained.image_shape
    colors: dict[int, Color] = {1: "grey", 3: "rgb"}
    if channels not in colors:
        raise DataError(f"{path}: the run expects images of {channels} channels, pictures have 1 or 3: give an array")
    return DecodeOptions((height, width), fit, colors[channels], frames)


def _size(image_shape: tuple[int, int, int]) -> str:
    return " x ".join(map(str, image_shape))

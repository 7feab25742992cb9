"""Reading image arrays from files without loading them whole, checking and splitting them."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from aecli.errors import DataError, NotFiniteError, did_you_mean, one_line
from aecli.images import ImageFormat, Images, Stored, decide_value_range, find_image_shape
from aecli.parallel import ordered_map
from aecli.seeds import derive

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
class ArrayFile:
    """An array in a file, read in pieces: memory does not grow with the file."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    order: str

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, start: int, stop: int) -> Stored:
        """Return rows [start, stop) as stored."""
        if self.order == "F":
            return np.array(self._map()[start:stop])
        count, values = max(0, stop - start), prod(self.shape[1:])
        offset = self.offset + start * values * self.dtype.itemsize
        try:
            # Cheaper than a map of every piece, and a file that has become shorter is an error, not a crash.
            return np.fromfile(self.path, self.dtype, count * values, offset=offset).reshape(count, *self.shape[1:])
        except (OSError, ValueError) as error:
            raise self._changed(error) from error

    def take(self, indices: Rows) -> Stored:
        """Return these rows as stored."""
        return np.asarray(self._map()[indices])

    def map(self) -> Stored:
        """Return the whole array as a memory map, whose pages all processes share; writing to it changes no file."""
        return self._map("c")

    def state(self) -> tuple[int, int]:
        """Return what differs once the file has been written to: its size and the time of its last change."""
        try:
            found = self.path.stat()
        except OSError as error:
            raise self._changed(error) from error
        return found.st_size, found.st_mtime_ns

    def require_state(self, state: tuple[int, int]) -> None:
        """Raise DataError where the file has been written to since it was in this state."""
        if self.state() != state:
            raise self._changed(OSError("another size or time"))

    def _map(self, mode: str = "r") -> Stored:
        # A map of its own for every piece: pages of a piece leave memory together with it.
        try:
            return np.memmap(self.path, self.dtype, mode, self.offset, self.shape, self.order)  # type: ignore[call-overload, no-any-return]
        except (OSError, ValueError) as error:
            raise self._changed(error) from error

    def _changed(self, error: Exception) -> DataError:
        return DataError(f"{self.path}: changed while it was read ({one_line(error)}): run the command again")


@dataclass(frozen=True)
class Scan:
    """The extremes of all values in stored units, or those of their type where they decide nothing.

    `constant` counts the images of one value where the values were read, `constant_rows` are the first of them.
    """

    low: float
    high: float
    constant: int = 0
    constant_rows: tuple[int, ...] = ()


def open_npy(path: Path) -> ArrayFile:
    """Open an .npy file of real numbers, at least one row; its values are not read yet."""
    with path.open("rb") as file:
        magic = file.read(len(np.lib.format.MAGIC_PREFIX))
    if not magic:
        raise DataError(f"{path}: the file is empty: save the images again with numpy.save")
    if magic != np.lib.format.MAGIC_PREFIX:
        raise DataError(f"{path}: not an .npy file: save the images with numpy.save")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise DataError(f"{path}: {_npy_problem(str(error))}") from error
    except Exception as error:  # NumPy's header parser lets errors of many kinds through
        raise DataError(f"{path}: the .npy file is damaged ({one_line(error)}): save it again") from error
    if array.dtype.kind not in "buif":
        kinds = {"c": "complex numbers", "O": "Python objects", "U": "text", "S": "text", "V": "records"}
        found = kinds.get(array.dtype.kind, f"values of type {array.dtype}")
        raise DataError(f"{path}: expected real numbers, found {found}: save the images as a plain numeric array")
    if array.ndim == 0:
        raise DataError(f"{path}: expected an array of images, found a single number: save an array (N, H, W)")
    if len(array) == 0:
        raise DataError(f"{path}: holds 0 images: give a file with at least one")
    if array.size == 0:
        raise DataError(f"{path}: shape {list(array.shape)} has no values: give images of at least one pixel")
    order = "C" if array.flags.c_contiguous else "F"
    return ArrayFile(path, array.shape, array.dtype, array.offset, order)


def _npy_problem(message: str) -> str:
    if "mmap length" in message or "reshape" in message or "array is too big" in message:
        return "the file ends before its last image: copy or save it again"
    if "Python objects" in message or "Object arrays" in message:
        return "expected real numbers, found Python objects: save the images as a plain numeric array"
    if "empty file" in message or "mmap an empty" in message:
        return "holds 0 images: give a file with at least one"
    return f"the .npy file is damaged ({' '.join(message.split())[:120]}): save it again"


SOURCES: Mapping[str, Callable[[Path], ArrayFile]] = MappingProxyType({".npy": open_npy})


def open_source(path: Path) -> ArrayFile:
    """Open an array of images or latents by its suffix."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{str(path)!a}: the name is not UTF-8: rename the file") from error
    try:
        exists, is_folder = path.exists(), path.is_dir()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}): check the path") from error
    if is_folder:
        raise DataError(f"{path}: is a folder, expected a file: give one of {', '.join(SOURCES)}")
    if not exists:
        here = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"{path}: no such file{did_you_mean(path.name, here) or ': check the path'}")
    if not path.is_file():
        raise DataError(f"{path}: is not a regular file: give one of {', '.join(SOURCES)}")
    reader = SOURCES.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: unknown suffix '{path.suffix}': give one of {', '.join(SOURCES)}")
    try:
        return reader(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}): check its permissions") from error


@dataclass(frozen=True)
class ImageSource:
    """Images in a file together with their format."""

    file: ArrayFile
    format: ImageFormat
    scan: Scan
    range_reason: str

    def __len__(self) -> int:
        return len(self.file)

    def __str__(self) -> str:
        low, high = self.format.value_range
        height, width, channels = self.format.image_shape
        return (
            f"{self.file.path}: {len(self):,} image{'s' if len(self) > 1 else ''} of {height} x {width} x {channels}, "
            f"values from {low:g} to {high:g} stand for 0 to 1 ({self.range_reason})"
        )

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
) -> ImageSource:
    """Open and check the images of a file: known layout, finite values, a value range.

    `image_shape` is needed for flat rows that are not square. `value_range` None decides it from
    the dtype and the data, otherwise `given_reason` says where it comes from. Raises DataError.
    """
    file = open_source(path)
    shape = find_image_shape(str(path), file.shape, image_shape)
    found = _nothing_to_find(file.dtype, value_range) or scan(file)
    if value_range is None:
        value_range, reason = decide_value_range(file.dtype, found.low, found.high)
    else:
        reason = given_reason
    if not np.isfinite(value_range[1] - value_range[0]):
        raise DataError(f"{path}: values from {found.low:g} to {found.high:g} are too far apart: scale the images down")
    image_format = ImageFormat(file.dtype.str, file.shape[1:], shape, value_range)
    return ImageSource(file, image_format, found, reason)


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


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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

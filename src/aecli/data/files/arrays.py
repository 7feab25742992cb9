"""Arrays of real numbers in files, .npy and IDX: opened by their headers, read in pieces."""

import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import AeError, DataError, one_line, unreadable
from aecli.data.files.formats.numbers import numbers_cure
from aecli.data.format import Stored

HEAD_BYTES = 16 * 2**10
"""Bytes at the start of a file that hold its header; NumPy itself trusts no longer one."""

_IDX_DTYPES = MappingProxyType({0x08: "|u1", 0x09: "|i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"})
"""Type code of an IDX file -> dtype. Y. LeCun, THE MNIST DATABASE, "the IDX file format"."""

_NPY_MAGIC = np.lib.format.MAGIC_PREFIX


@dataclass(frozen=True)
class Arrangement:
    """How the axes of an array as stored become those of images: its shape there, the order, and whether it is one."""

    stored: tuple[int, ...]
    order: tuple[int, ...]
    alone: bool

    def apply(self, array: Stored) -> Stored:
        """Return a view of the stored array with its axes in this order, an image alone as the first of one."""
        view = array.transpose(self.order)
        return view[None] if self.alone else view


@dataclass(frozen=True)
class ArrayFile:
    """An array in a file, read in pieces: memory does not grow with the file.

    `path` is what the user named, and what messages say; `content` the file that holds the values: the same, or
    what was unpacked or decoded from it into the cache, of which `lease` keeps others from removing it. `notes`
    say how that was done, and `manifest` is the file that names the rows. `shape` is that after `arrangement`.
    """

    path: Path
    content: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    order: str
    notes: tuple[str, ...] = ()
    manifest: Path | None = None
    arrangement: Arrangement | None = None
    lease: object = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def name(self) -> str:
        """The last part of its path, also where that is written as "." or ".."."""
        return os.path.basename(os.path.abspath(self.path)) or str(self.path)

    def read(self, start: int, stop: int) -> Stored:
        """Return rows [start, stop) as stored."""
        if self.order == "F" or self.arrangement:
            return np.array(self._map()[start:stop], order="C")
        count, values = max(0, stop - start), prod(self.shape[1:])
        offset = self.offset + start * values * self.dtype.itemsize
        try:
            # Cheaper than a map of every piece, and a file that has become shorter is an error, not a crash.
            return np.fromfile(self.content, self.dtype, count * values, offset=offset).reshape(count, *self.shape[1:])
        except (OSError, ValueError) as error:
            raise self._changed(error) from error

    def take(self, indices: NDArray[np.int64]) -> Stored:
        """Return these rows as stored."""
        return np.asarray(self._map()[indices])

    def rearranged(self, arrangement: Arrangement) -> "ArrayFile":
        """Return it with its axes in another order, read as they are needed."""
        shape = tuple(arrangement.stored[axis] for axis in arrangement.order)
        return replace(self, shape=(1, *shape) if arrangement.alone else shape, arrangement=arrangement)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the file that holds the values; ReadError where it cannot be read."""
        try:
            with self.content.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise unreadable(self.path, error) from error

    def map(self) -> Stored:
        """Return the whole array as a memory map, whose pages all processes share; writing to it changes no file."""
        return self._map("c")

    def state(self) -> tuple[int, int]:
        """Return what differs once the file has been written to: its size and the time of its last change."""
        try:
            status = self.content.stat()
        except OSError as error:
            raise self._changed(error) from error
        return status.st_size, status.st_mtime_ns

    def require_state(self, state: tuple[int, int]) -> None:
        """Raise DataError where the file has been written to since it was in this state."""
        if self.state() != state:
            raise self._changed(OSError("another size or time"))

    def _map(self, mode: str = "r") -> Stored:
        # A map of its own for every piece: pages of a piece leave memory together with it.
        shape = self.arrangement.stored if self.arrangement else self.shape
        try:
            array = np.memmap(self.content, self.dtype, mode, self.offset, shape, self.order)  # type: ignore[call-overload]
            return self.arrangement.apply(array) if self.arrangement else array
        except (OSError, ValueError) as error:
            raise self._changed(error) from error

    def _changed(self, error: Exception) -> AeError:
        if isinstance(error, OSError) and error.errno is not None:
            return unreadable(self.path, error)
        return DataError(f"{self.path}: changed while it was read ({one_line(error)}): run the command again")


NUMBERS, TEXT = "buif", "US"
"""Kinds of dtypes: those of images, and those that labels may have beside them."""


def open_npy(path: Path, content: Path | None = None, kinds: str = NUMBERS, lease: object = None) -> ArrayFile:
    """Open an .npy file of such kinds, at least one row; its values are not read yet.

    `content` is the file that holds them where `path` is not, and `lease` keeps it.
    """
    content = content or path
    with content.open("rb") as file:
        magic = file.read(len(_NPY_MAGIC))
    if not magic:
        raise DataError(f"{path}: the file is empty: save the images again with numpy.save")
    if magic != _NPY_MAGIC:
        raise DataError(f"{path}: not an .npy file: save the images with numpy.save")
    try:
        array = np.load(content, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise DataError(f"{path}: {_npy_problem(str(error))}") from error
    except OSError:
        raise
    except Exception as error:  # NumPy's header parser lets errors of many kinds through
        raise DataError(f"{path}: the .npy file is damaged ({one_line(error)[:120]}): save it again") from error
    require_images(path, array.shape, array.dtype, kinds)
    order = "C" if array.flags.c_contiguous else "F"
    return ArrayFile(path, content, array.shape, array.dtype, array.offset, order, lease=lease)


def open_idx(path: Path, content: Path | None = None) -> ArrayFile:
    """Open an IDX file, MNIST's own format; its values are not read yet."""
    content = content or path
    with content.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise DataError(f"{path}: the file is empty: get it again")
    header = _idx_header(path, head)
    require_images(path, header.shape, header.dtype)
    size = content.stat().st_size
    if size < header.file_size:
        raise DataError(f"{path}: the file ends before its last image: copy or download it again")
    if size > header.file_size:
        raise DataError(f"{path}: the IDX file goes on after its last image: copy or download it again")
    return ArrayFile(path, content, header.shape, header.dtype, header.offset, "C")


@dataclass(frozen=True)
class Header:
    """What the start of an array file says of it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int

    @property
    def file_size(self) -> int:
        """The bytes of the whole file."""
        return self.offset + prod(self.shape) * self.dtype.itemsize


def read_header(path: Path, head: bytes, kinds: str = NUMBERS) -> Header:
    """Read the header of an .npy or an IDX file from its first HEAD_BYTES; raises DataError that names `path`."""
    if is_idx(head):
        return _idx_header(path, head)
    if not head.startswith(_NPY_MAGIC):
        cure = numbers_cure(path, head.decode("latin-1").splitlines()[:-1])
        if cure is not None:
            raise DataError(f"{path}: {cure}")
        raise DataError(
            f"{path}: holds neither an .npy nor an IDX file: pack one of these, or give the images unpacked"
        )
    stream = io.BytesIO(head)
    try:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, _, dtype = read(stream)
        if min(shape, default=0) < 0:
            raise ValueError("negative shape")
    except Exception as error:  # NumPy's header parser lets errors of many kinds through
        raise DataError(f"{path}: the .npy file in it is damaged ({one_line(error)[:120]}): save it again") from error
    require_images(path, shape, dtype, kinds)
    return Header(tuple(shape), dtype, stream.tell())


def is_idx(head: bytes) -> bool:
    """Whether a file that begins with these bytes is an IDX file."""
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in _IDX_DTYPES and 1 <= head[3] <= 5


def _idx_header(path: Path, head: bytes) -> Header:
    if not is_idx(head):
        raise DataError(f"{path}: not an IDX file: give MNIST's own format, or save the images with numpy.save")
    axes = head[3]
    if len(head) < 4 + 4 * axes:
        raise DataError(f"{path}: the file ends in its header: copy or download it again")
    shape = tuple(int(n) for n in np.frombuffer(head, ">u4", axes, offset=4))
    return Header(shape, np.dtype(_IDX_DTYPES[head[2]]), 4 + 4 * axes)


def require_images(path: object, shape: Sequence[int], dtype: np.dtype[Any], kinds: str = NUMBERS) -> None:
    """Raise DataError, which begins with `path`, unless an array of this shape and dtype may be one of images."""
    if dtype.kind not in kinds:
        names = {"c": "complex numbers", "O": "Python objects", "U": "text", "S": "text", "V": "records"}
        kind = names.get(dtype.kind, f"values of type {dtype}")
        raise DataError(f"{path}: expected real numbers, found {kind}: save the images as a plain numeric array")
    if not shape:
        raise DataError(f"{path}: expected an array of images, found a single number: save an array (N, H, W)")
    if shape[0] == 0:
        raise DataError(f"{path}: holds 0 images: give a file with at least one")
    if prod(shape) == 0:
        raise DataError(f"{path}: shape {list(shape)} has no values: give images of at least one pixel")


def _npy_problem(message: str) -> str:
    if "mmap length" in message or "reshape" in message or "array is too big" in message:
        return "the file ends before its last image: copy or save it again"
    if "Python objects" in message or "Object arrays" in message:
        return "expected real numbers, found Python objects: save the images as a plain numeric array"
    if "empty file" in message or "mmap an empty" in message:
        return "holds 0 images: give a file with at least one"
    return f"the .npy file is damaged ({' '.join(message.split())[:120]}): save it again"

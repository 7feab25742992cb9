"""Arrays of `ae`'s own in an .npz: written whole, read in the memory that the file takes on disk.

NumPy itself takes the memory that an array's header claims, and would unpack a bomb; `ae` writes them unpacked.
"""

import io
import os
import stat
import zipfile
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from aecli.core.files import written_whole


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays into an .npz, unpacked and in this order."""
    with written_whole(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def read_arrays(path: Path, required: Sequence[str] | None = None, optional: Sequence[str] = ()) -> dict[str, Any]:
    """Read these arrays of an .npz, or all in their order; ValueError, KeyError or BadZipFile where they cannot be."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("not a regular file")
    try:
        with zipfile.ZipFile(path) as archive:
            here = [member.removesuffix(".npy") for member in archive.namelist()]
            names = here if required is None else [*required, *(name for name in optional if name in here)]
            return {name: _array(archive, f"{name}.npy") for name in names}
    except zipfile.BadZipFile:
        with path.open("rb") as file:
            while file.read(2**20):  # `zipfile` takes a disk that fails for a bad archive: here it raises what is wrong
                pass
        raise


def _array(archive: zipfile.ZipFile, member: str) -> Any:
    info = archive.getinfo(member)
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("its arrays are packed")
    content = archive.read(info)
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError("its arrays are of a version that ae does not write")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize > len(content):
        raise ValueError("an array ends before its last value")
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False)


WRITTEN_BACK = 64 * 2**20
"""Bytes after which the system begins to write them to the disk, without waiting for the last."""


class NpyWriter:
    """Writes an .npy file of known shape piece by piece, in memory that does not grow with it."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._whole = written_whole(path)
        self._waiting = 0

    def __enter__(self) -> Self:
        self._temporary = self._whole.__enter__()
        try:
            self._file = self._temporary.open("wb")
            self._write_header()
        except BaseException as error:  # Ctrl-C too must leave nothing behind
            self._whole.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def _write_header(self) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": self.shape,
        }
        np.lib.format.write_array_header_1_0(self._file, header)

    def end_after(self, count: int) -> None:
        """Say that the file has come to its end with so many rows, no more than its shape said."""
        # NumPy leaves room in the header for the first number to grow, so that it never changes its length.
        self.shape = (count, *self.shape[1:])
        self._file.seek(0)
        self._write_header()

    def write(self, rows: Any) -> None:
        """Append rows."""
        data = np.ascontiguousarray(rows, self.dtype).data
        self._file.write(data)
        self._waiting += data.nbytes
        if self._waiting >= WRITTEN_BACK and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            self._waiting = 0

    def sync(self) -> None:
        """Bring to the disk what was written: then nothing is left that could fail for want of room."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError as close_error:
            kind, error, trace = type(close_error), close_error, close_error.__traceback__
        self._whole.__exit__(kind, error, trace)

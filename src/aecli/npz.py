"""Arrays of `ae`'s own in an .npz: written whole, read in the memory that the file takes on disk.

NumPy itself takes the memory that an array's header claims, and would unpack a bomb; `ae` writes them unpacked.
"""

import io
import stat
import zipfile
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from aecli.files import written_whole


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

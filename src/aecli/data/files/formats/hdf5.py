"""An array in HDF5, and in MATLAB's files: copied in pieces into the cache, and opened there.

HDF5 can name other files, for links, virtual and external data: such are refused, and no filter is loaded from
elsewhere. What an array says of its size is checked before any of it is read.
"""

import hashlib
import os
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from aecli.core.errors import AeError, DataError, did_you_mean, one_line
from aecli.core.npy import NpyWriter
from aecli.data.files import cache
from aecli.data.files.archives import refuse_growth
from aecli.data.files.arrays import ArrayFile, open_npy, require_images
from aecli.data.files.manifest import display_name

_PIECE_BYTES = 8 * 2**20
_LARGEST_CHUNK = 2**28
"""Bytes of a chunk of HDF5, which is unpacked as a whole."""

_LARGEST_MAT = 2**32
"""Bytes of an array of a .mat of MATLAB before version 7.3, which is read as a whole."""

_MOST_NAMES = 1000


def open_hdf5(path: Path, key: str | None) -> ArrayFile:
    """Open an array of an HDF5 file: that of this name, or the only one of several axes."""
    return _copied(path, key, _from_hdf5, transposed=False)


def open_mat(path: Path, key: str | None) -> ArrayFile:
    """Open an array of a MATLAB file, of version 7.3 or before, with its axes in MATLAB's order."""
    with path.open("rb") as file:
        head = file.read(1024)
    # Version 7.3 is HDF5 behind a header of 512 bytes, with the axes turned round.
    is_hdf5 = head[512:520] == b"\x89HDF\r\n\x1a\n" or head.startswith(b"\x89HDF")
    return _copied(path, key, _from_hdf5, transposed=True) if is_hdf5 else _copied(path, key, _from_mat)


def _copied(path: Path, key: str | None, read: Any, **options: Any) -> ArrayFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(f"\0{key} {options}".encode("utf-8", "surrogateescape"))

    def make(folder: Path) -> None:
        try:
            read(path, key, folder / "array.npy", **options)
        except (AeError, MemoryError):
            raise
        except Exception as error:  # readers of other people's formats raise errors of every kind
            if isinstance(error, OSError) and error.errno is not None:
                raise
            reason = one_line(error)[:120]
            raise DataError(f"{path}: cannot be read ({reason}): save the images with numpy.save") from error

    entry = cache.cached(digest.hexdigest(), str(path), 0, make, lambda folder: (folder / "array.npy").is_file())
    return open_npy(path, entry.path / "array.npy", lease=entry)


def _from_hdf5(path: Path, key: str | None, output: Path, *, transposed: bool) -> None:
    import h5py

    os.environ.setdefault("HDF5_PLUGIN_PATH", "::")
    with h5py.File(path, "r") as file:
        name = key if key is not None else _only(path, {n: d.shape for n, d in _datasets(file)})
        dataset = _dataset(path, file, name)
        shape = tuple(reversed(dataset.shape)) if transposed else dataset.shape
        require_images(path, shape, dataset.dtype)
        stored = dataset.id.get_storage_size()
        refuse_growth(path, prod(shape) * dataset.dtype.itemsize, max(stored, 1))
        if prod(dataset.chunks or (1,)) * dataset.dtype.itemsize > _LARGEST_CHUNK:
            raise DataError(f"{path}: '{display_name(name)}' is in chunks that are too large: save it with numpy.save")
        with NpyWriter(output, shape, dataset.dtype.newbyteorder("=").str) as writer:
            for piece in _pieces(dataset, shape, transposed):
                writer.write(piece)


def _pieces(dataset: Any, shape: tuple[int, ...], transposed: bool) -> Iterator[Any]:
    """Yield rows of a dataset one piece after the other; `transposed` turns its axes round."""
    step = max(1, _PIECE_BYTES // max(1, prod(shape[1:]) * dataset.dtype.itemsize))
    for start in range(0, shape[0], step):
        piece = dataset[..., start : start + step] if transposed else dataset[start : start + step]
        yield piece.T if transposed else piece


def _dataset(path: Path, file: Any, name: str) -> Any:
    """Return a dataset that lies in this file and nowhere else."""
    import h5py

    found = file
    for part in [part for part in name.split("/") if part]:
        link = found.get(part, getlink=True) if isinstance(found, h5py.Group) else None
        if link is None:
            known = [n for n, _ in _datasets(file)]
            hint = did_you_mean(name, known) or f": it has {', '.join(map(display_name, known[:12]))}"
            raise DataError(f"{path}: no array '{display_name(name)}'{hint}")
        if not isinstance(link, h5py.HardLink):
            raise DataError(f"{path}: '{display_name(name)}' is a link: name what it leads to")
        found = found[part]
    if not isinstance(found, h5py.Dataset):
        raise DataError(f"{path}: '{display_name(name)}' is no array: {_hint(path, [n for n, _ in _datasets(file)])}")
    if found.is_virtual or found.external:
        raise DataError(f"{path}: '{display_name(name)}' lies in other files: save it with numpy.save")
    return found


def _datasets(file: Any) -> list[tuple[str, Any]]:
    """Return the datasets in a file by name, hard links only."""
    import h5py

    found: list[tuple[str, Any]] = []

    def visit(name: str, item: Any) -> int | None:
        if isinstance(item, h5py.Dataset) and not name.startswith("#refs#"):
            found.append((name, item))
        return 1 if len(found) >= _MOST_NAMES else None

    file.visititems(visit)
    return found


def _from_mat(path: Path, key: str | None, output: Path) -> None:
    from scipy.io import loadmat, whosmat

    arrays = {str(name): (tuple(shape), str(kind)) for name, shape, kind in whosmat(path)[:_MOST_NAMES]}
    name = key if key is not None else _only(path, {n: shape for n, (shape, _) in arrays.items()})
    if name not in arrays:
        known = did_you_mean(name, arrays) or f": it has {', '.join(map(display_name, list(arrays)[:12]))}"
        raise DataError(f"{path}: no array '{display_name(name)}'{known}")
    shape, kind = arrays[name]
    size = 8 * prod(shape)
    refuse_growth(path, size, path.stat().st_size)
    if kind in ("cell", "struct", "object", "opaque", "function", "char", "unknown") or size > _LARGEST_MAT:
        why = "is too large to be read at once" if size > _LARGEST_MAT else f"holds a {kind}"
        raise DataError(f"{path}: '{display_name(name)}' {why}: save the images as a numeric array, with -v7.3")
    array = np.asarray(loadmat(path, variable_names=[name])[name])
    require_images(path, array.shape, array.dtype)
    with NpyWriter(output, array.shape, array.dtype.newbyteorder("=").str) as writer:
        writer.write(array)


def _only(path: Path, shapes: dict[str, tuple[int, ...]]) -> str:
    """Return the name of the only array, or of the only one of several axes longer than 1."""
    several = [name for name, shape in shapes.items() if sum(side > 1 for side in shape) > 1]
    if len(shapes) == 1 or len(several) == 1:
        return several[0] if several else next(iter(shapes))
    if not shapes:
        raise DataError(f"{path}: holds no arrays: save the images with numpy.save")
    raise DataError(f"{path}: holds several arrays, {_hint(path, list(shapes))}")


def _hint(path: Path, names: list[str]) -> str:
    shown = ", ".join(display_name(name) for name in names[:12])
    return f"{shown}: name one, such as {path}:{display_name(names[0]) if names else 'NAME'}"

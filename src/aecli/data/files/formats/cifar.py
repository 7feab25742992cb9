"""CIFAR-10 as it is published and as Keras keeps it: the pixels are found in its pickles, which are never loaded."""

import hashlib
import re
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from aecli.core.errors import DataError
from aecli.core.npy import NpyWriter
from aecli.data.files import cache
from aecli.data.files.archives import DAMAGE, damaged
from aecli.data.files.arrays import ArrayFile, open_npy
from aecli.data.files.formats.members import read_tar

# A. Krizhevsky, Learning multiple layers of features from tiny images, 2009: rows of 3 x 32 x 32, red first.
_ROWS, _VALUES, _BATCHES = 10_000, 3072, 5
_BATCH = re.compile(r"(?:.*/)?data_batch_([1-5])")
_LARGEST = 2**26
"""Bytes of a batch: it takes half of them."""


def open_cifar(path: Path) -> ArrayFile:
    """Open the 50,000 training images, (N, 32, 32, 3), of the folder or the .tar.gz that they lie in."""
    digest = hashlib.sha256()
    for file in sorted(path.glob("data_batch_[1-5]")) if path.is_dir() else [path]:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    shape = (_ROWS * _BATCHES, 32, 32, 3)
    size = _ROWS * _BATCHES * _VALUES

    def make(folder: Path) -> None:
        with NpyWriter(folder / "images.npy", shape, "|u1") as writer:
            for batch in _batches(path):
                writer.write(_pixels(path, batch))

    entry = cache.cached(
        f"{digest.hexdigest()}-cifar",
        str(path),
        size,
        make,
        lambda folder: (folder / "images.npy").stat().st_size > size,
    )
    return open_npy(path, entry.path / "images.npy", lease=entry)


def _batches(path: Path) -> list[bytes]:
    """Return the five batches in their order."""
    try:
        found = dict(_from_folder(path) if path.is_dir() else read_tar(path, _BATCH, _LARGEST))
    except (*DAMAGE, tarfile.TarError) as error:
        raise damaged(path, error) from error
    missing = [number for number in "12345" if number not in found]
    if missing:
        raise DataError(f"{path}: lacks data_batch_{missing[0]} of CIFAR-10: download it again")
    return [found[number] for number in "12345"]


def _from_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    for file in path.glob("data_batch_[1-5]"):
        if not file.is_file() or file.stat().st_size > _LARGEST:
            raise DataError(f"{file}: is no batch of CIFAR-10: download it again")
        yield file.name[-1], file.read_bytes()


def _pixels(path: Path, batch: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return the images of a batch: the one long string in its pickle."""
    length = struct.pack("<I", _ROWS * _VALUES)
    start = next((at for code in (b"T", b"B") if (at := batch.find(code + length)) >= 0), -1) + 5
    if start < 5 or start + _ROWS * _VALUES > len(batch):
        raise DataError(f"{path}: holds no images of CIFAR-10: download it again")
    pixels = np.frombuffer(batch, np.uint8, _ROWS * _VALUES, start)
    return pixels.reshape(_ROWS, 3, 32, 32).transpose(0, 2, 3, 1)

"""The file .aez: the codes of images as whole numbers, little-endian whatever the machine.

| bytes | what |
| --- | --- |
| 8 | `MAGIC` |
| 1, 1 | version; 0: steps, 1: levels |
| 32 | SHA-256 of the run's encoder and decoder |
| 8, 4, 4 | images, length of a code, images in every block but the last |
| 8 | the common step (float64), or the levels |
| 4 | CRC-32 of all above |
| - | of steps: the exponents as packed numbers (1, length of a code) |
| - | the blocks as packed numbers (images, length of a code), each header of `integers` and what follows it |

Nothing is allocated for what the file says of itself before that is held against limits and against its size.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from aecli.core.errors import DataError, unreadable
from aecli.runs.uses.codec.integers import HEADER_BYTES, MOST_BYTES_A_VALUE, Integers, pack, packed_length, unpack
from aecli.runs.uses.codec.steps import LARGEST_STEP, SMALLEST_STEP, Levels, Steps

MAGIC = b"\x89AEZ\r\n\x1a\n"
VERSION = 1

MOST_VALUES = 4 * 2**20
"""Numbers in a block: what is held of a file at a time."""

_HEADER = struct.Struct("<8sBB32sQIId")
_CHECKSUM = struct.Struct("<I")
_MOST_IMAGES = 2**40
_CURE = "compress the images again with ae compress"


@dataclass(frozen=True)
class AezHeader:
    """What a file says of itself: the run that its codes belong to, how many there are, and what they are made of."""

    weights: bytes
    count: int
    length: int
    quantiser: Steps | Levels

    @property
    def block(self) -> int:
        """Images in every block but the last."""
        return block_of(self.length)

    @property
    def shapes(self) -> Iterator[tuple[int, int]]:
        """The shape of every block."""
        for start in range(0, self.count, self.block):
            yield min(self.block, self.count - start), self.length


def block_of(length: int) -> int:
    """Return how many codes of this length are packed together."""
    return max(1, MOST_VALUES // length)


def header_bytes(header: AezHeader) -> bytes:
    """Return what stands before the blocks."""
    quantiser = header.quantiser
    kind, number = (0, quantiser.step) if isinstance(quantiser, Steps) else (1, float(quantiser.levels))
    fields = MAGIC, VERSION, kind, header.weights, header.count, header.length, header.block, number
    content = _HEADER.pack(*fields)
    content += _CHECKSUM.pack(zlib.crc32(content))
    if isinstance(quantiser, Steps):
        content += pack(quantiser.exponents.astype(np.int64)[None])
    return content


@dataclass(frozen=True)
class AezFile:
    """A file that was opened and whose header is sound."""

    path: Path
    header: AezHeader
    start: int

    def blocks(self) -> Iterator[Integers]:
        """Yield the numbers of every block (n, k); DataError where one is damaged, or the file does not end with it."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                for shape in self.header.shapes:
                    yield _read_packed(self.path, file, shape)
                if file.read(1):
                    raise _damaged(self.path, "it goes on after its last image")
        except OSError as error:
            raise unreadable(self.path, error) from error


def open_aez(path: Path) -> AezFile:
    """Open a file of `ae compress`; DataError where it is none, or of another version, or damaged."""
    try:
        if not path.is_file():
            problem = "is no regular file" if path.exists() else "no such file"
            raise DataError(f"{path}: {problem}: give a file that ae compress wrote")
        with path.open("rb") as file:
            header = _read_header(path, file)
            _require_room(path, file, header)
            return AezFile(path, header, file.tell())
    except OSError as error:
        raise unreadable(path, error) from error


def _read_header(path: Path, file: BinaryIO) -> AezHeader:
    content, checksum = file.read(_HEADER.size), file.read(_CHECKSUM.size)
    if not content.startswith(MAGIC):
        raise DataError(f"{path}: is not a file of ae compress: give one, {path.name or 'this'} has another format")
    if len(content) > len(MAGIC) and content[len(MAGIC)] != VERSION:
        raise DataError(
            f"{path}: is of version {content[len(MAGIC)]} of the format, this ae reads version {VERSION}: "
            f"use the ae that wrote it, or {_CURE}"
        )
    if len(checksum) < _CHECKSUM.size:
        raise _damaged(path, "it ends within its header")
    if _CHECKSUM.unpack(checksum)[0] != zlib.crc32(content):
        raise _damaged(path, "a checksum is wrong")
    _, _, kind, weights, count, length, block, number = _HEADER.unpack(content)
    if not 1 <= count <= _MOST_IMAGES or not 1 <= length <= MOST_VALUES or block != block_of(length):
        raise _damaged(path, "its counts are none")
    if kind == 1 and number in range(2, 257):
        return AezHeader(weights, count, length, Levels(int(number)))
    if kind != 0 or not SMALLEST_STEP <= number <= LARGEST_STEP:
        raise _damaged(path, "its steps are none")
    exponents = _read_packed(path, file, (1, length))[0]
    if not -128 <= exponents.min() <= exponents.max() <= 127:
        raise _damaged(path, "its steps are none")
    return AezHeader(weights, count, length, Steps(number, exponents.astype(np.int8)))


def _require_room(path: Path, file: BinaryIO, header: AezHeader) -> None:
    """Raise DataError where the file is too short for as many blocks as it says."""
    left = path.stat().st_size - file.tell()
    if left < -(-header.count // header.block) * HEADER_BYTES:
        raise _damaged(path, "it ends before its last image")


def _read_packed(path: Path, file: BinaryIO, shape: tuple[int, int]) -> Integers:
    header = file.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        raise _damaged(path, "it ends before its last image")
    length = packed_length(header)
    # LZMA2 makes little more of what it cannot pack.
    if length > 2 * MOST_BYTES_A_VALUE * shape[0] * shape[1] + 64:
        raise _damaged(path, "a block is larger than its numbers can be")
    content = file.read(length)
    if len(content) < length:
        raise _damaged(path, "it ends before its last image")
    try:
        return unpack(header, content, shape)
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, problem: str) -> DataError:
    return DataError(f"{path}: is damaged ({problem}): {_CURE}")

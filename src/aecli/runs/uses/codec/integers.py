"""Whole numbers as few bytes: column by column, as the smallest unsigned numbers that hold them, through LZMA2.

LZMA's literals are an adaptive entropy coder of bytes: the numbers of one latent, one after the other, have one
distribution, which it learns. `lzma` of the standard library is the same on every machine that reads the file.
"""

import lzma
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
"""Whole numbers, int64 (N, k), within LARGEST of 0."""

LARGEST = 2**31 - 1

_HEADER = struct.Struct("<iIBII")
"""The lowest number, how many different ones lie between it and the highest, numbers a byte, bytes, CRC-32 of them."""

# No context of a byte but its own: neighbours in a column are other images.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**22, "lc": 0, "lp": 0, "pb": 0}]

HEADER_BYTES = _HEADER.size
MOST_BYTES_A_VALUE = 4


def pack(values: Integers) -> bytes:
    """Return the numbers (N, k), one or more, as bytes; ValueError where one is beyond LARGEST."""
    low, high = int(values.min()), int(values.max())
    if max(-low, high) > LARGEST:
        raise ValueError(f"numbers up to {max(-low, high)} do not fit 32 bits")
    width = high - low + 1
    columns = (values - low).T.reshape(-1).astype(np.uint32)
    tried = [(count, _compressed(_to_bytes(columns, width, count))) for count in sorted({1, _most_a_byte(width)})]
    count, content = min(tried, key=lambda pair: len(pair[1]))
    return _HEADER.pack(low, width, count, len(content), zlib.crc32(content)) + content


def packed_length(header: bytes) -> int:
    """Return how many bytes follow the header of packed numbers."""
    return int(_HEADER.unpack(header)[3])


def unpack(header: bytes, content: bytes, shape: tuple[int, int]) -> Integers:
    """Return the numbers of this shape; ValueError where the bytes are not what `pack` made of so many.

    No more is unpacked than numbers of that shape take, whatever the bytes would become.
    """
    low, width, count, length, checksum = _HEADER.unpack(header)
    if length != len(content) or zlib.crc32(content) != checksum:
        raise ValueError("a checksum is wrong")
    if not 1 <= width <= 2**32 - 1 or count not in (1, _most_a_byte(width)) or not 0 <= low + LARGEST <= 2 * LARGEST:
        raise ValueError("its numbers are of no kind")
    size = shape[0] * shape[1]
    expected = -(-size // count) if count > 1 else size * _bytes_a_value(width)
    columns = _from_bytes(_decompressed(content, expected), width, count, size)
    if int(columns.max()) >= width:
        raise ValueError("a number is beyond its range")
    return np.asarray(columns.reshape(shape[1], shape[0]).T.astype(np.int64) + low)


def _bytes_a_value(width: int) -> int:
    return max(1, -(-(width - 1).bit_length() // 8))


def _most_a_byte(width: int) -> int:
    """Return how many numbers of so many values fit one byte, 1 where none does."""
    count = 1
    while width > 1 and width ** (count + 1) <= 256:
        count += 1
    return count


def _to_bytes(columns: NDArray[np.uint32], width: int, count: int) -> bytes:
    if count > 1:
        whole = np.zeros(-(-len(columns) // count) * count, np.uint32)
        whole[: len(columns)] = columns
        places = np.array([width**i for i in range(count)], np.uint32)
        return (whole.reshape(-1, count) @ places).astype(np.uint8).tobytes()
    # The low bytes of all numbers, then the next: those of high ones hardly differ.
    planes = columns.astype("<u4").view(np.uint8).reshape(-1, MOST_BYTES_A_VALUE)
    return planes[:, : _bytes_a_value(width)].T.tobytes()


def _from_bytes(content: bytes, width: int, count: int, size: int) -> NDArray[np.uint32]:
    given = np.frombuffer(content, np.uint8)
    if count > 1:
        places = np.array([width**i for i in range(count)], np.uint32)
        return np.asarray(given[:, None] // places % width, np.uint32).reshape(-1)[:size]
    planes = np.zeros((size, MOST_BYTES_A_VALUE), np.uint8)
    planes[:, : _bytes_a_value(width)] = given.reshape(-1, size).T
    return planes.view("<u4").reshape(-1).astype(np.uint32)


def _compressed(content: bytes) -> bytes:
    return lzma.compress(content, lzma.FORMAT_RAW, filters=_FILTERS)


def _decompressed(content: bytes, expected: int) -> bytes:
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS)
    try:
        # One more than there should be: whoever has more has another file.
        found = decompressor.decompress(content, expected + 1)
    except lzma.LZMAError as error:
        raise ValueError(f"its numbers cannot be unpacked ({error})") from error
    if len(found) != expected or not decompressor.eof or decompressor.unused_data:
        raise ValueError("it holds another number of values than it says")
    return found

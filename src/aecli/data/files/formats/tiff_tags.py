"""What the tags of a TIFF say of its pixels; nothing is decoded."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO

# Adobe, TIFF 6.0, and Aware Systems, TIFF Tag Reference: types, tags, and what compressions are called.
_TYPES: Mapping[int, str] = MappingProxyType({1: "B", 3: "H", 4: "I", 16: "Q"})
_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _FORMAT = 258, 259, 262, 277, 339
_WANTED = (_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _FORMAT)
_COMPRESSIONS: Mapping[int, str] = MappingProxyType(
    {
        6: "old JPEG", 7: "JPEG", 8: "Deflate", 32809: "ThunderScan", 33003: "JPEG 2000", 33005: "JPEG 2000",
        34676: "LogLuv", 34677: "LogLuv", 34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA", 34933: "PNG",
        34934: "JPEG XR", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
    }
)  # fmt: skip
_COLORS: Mapping[int, str] = MappingProxyType(
    {
        0: "grey", 1: "grey", 2: "RGB", 3: "with a palette", 4: "a mask", 5: "CMYK", 6: "YCbCr", 8: "CIELab",
        9: "ICCLab", 10: "ITULab", 32803: "the raw mosaic of a camera", 32844: "LogL", 32845: "LogLuv",
        34892: "a camera's linear raw",
    }
)  # fmt: skip
_MOST_ENTRIES, _MOST_VALUES = 4096, 16


@dataclass(frozen=True)
class TiffTags:
    """The pixels of a TIFF's first picture: bits and sort of number of a sample, their count, colours, packing."""

    bits: int
    sample_format: int
    samples: int
    photometric: int
    compression: int

    def __str__(self) -> str:
        sort = {2: "signed integers", 3: "floats", 5: "complex integers", 6: "complex numbers"}
        numbers = sort.get(self.sample_format, "integers")
        color = _COLORS.get(self.photometric, "in unknown colours")
        channels = f" of {self.samples} channels" if self.samples not in (1, 3, 4) else ""
        packed = "" if self.compression == 1 else f", packed as {self.packing}"
        return f"TIFF of {self.bits}-bit {numbers}, {color}{channels}{packed}"

    @property
    def packing(self) -> str:
        """The name of the compression."""
        usual = {1: "nothing", 2: "CCITT", 3: "CCITT", 4: "CCITT", 5: "LZW", 32773: "PackBits", 32946: "Deflate"}
        return usual.get(self.compression) or _COMPRESSIONS.get(self.compression, f"number {self.compression}")

    @property
    def has_usual_numbers(self) -> bool:
        """Whether the samples are unsigned integers of at most 16 bits, in colours that a picture has."""
        return (
            self.sample_format in (1, 4)
            and self.bits in (1, 2, 4, 8, 16)
            and (self.photometric <= 6 and self.samples <= 4)
        )

    @property
    def is_usual(self) -> bool:
        """Whether so are the samples, and packed in a way that every program unpacks."""
        return self.has_usual_numbers and self.compression in (1, 2, 3, 4, 5, 7, 8, 32773, 32946)


def read_tiff_tags(file: IO[bytes]) -> TiffTags | None:
    """Return what the first directory of a TIFF says, None where it cannot be read."""
    try:
        values = dict(_entries(file))
        return TiffTags(*(values.get(tag, 0 if tag == _PHOTOMETRIC else 1) for tag in
                          (_BITS, _FORMAT, _SAMPLES, _PHOTOMETRIC, _COMPRESSION)))  # fmt: skip
    except (OSError, struct.error, ValueError, OverflowError, MemoryError):
        return None


def _entries(file: IO[bytes]) -> list[tuple[int, int]]:
    """Return the wanted tags, each with its first value."""
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}[head[:2]] if head[:2] in (b"II", b"MM") else ""
    if not order:
        raise ValueError("no TIFF")
    big = struct.unpack(f"{order}H", head[2:4])[0] == 43
    start = struct.unpack_from(f"{order}{'Q' if big else 'I'}", head, 8 if big else 4)[0]
    counter, entry, size = ("Q", f"{order}HHQ8s", 8) if big else ("H", f"{order}HHI4s", 4)
    file.seek(start)
    (count,) = struct.unpack(f"{order}{counter}", file.read(struct.calcsize(f"{order}{counter}")))
    if count > _MOST_ENTRIES:
        raise ValueError("too many tags")
    raw = file.read(count * struct.calcsize(entry))
    found = [item for item in struct.iter_unpack(entry, raw) if item[0] in _WANTED and item[1] in _TYPES and item[2]]
    return [(tag, _value(file, order, _TYPES[kind], number, field, size)) for tag, kind, number, field in found]


def _value(file: IO[bytes], order: str, kind: str, number: int, field: bytes, size: int) -> int:
    """Return the first value of an entry, the largest where the samples differ."""
    number = min(number, _MOST_VALUES)
    length = number * struct.calcsize(f"{order}{kind}")
    if length > size:
        file.seek(struct.unpack(f"{order}{'Q' if size == 8 else 'I'}", field)[0])
        field = file.read(length)
    return int(max(struct.unpack_from(f"{order}{number}{kind}", field)))

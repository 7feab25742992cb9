"""Picture files that hold several pictures: the pages of a TIFF, the frames of an animation; each opened by its number.

Pillow opens every file as a stream: by name it would map uncompressed ones, and cut the rows of turned ones wrongly.
A page of a TIFF is opened as if it were the first, so that a stack takes no longer than as many files.
"""

import io
import os
import re
import stat
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from aecli.data.files.formats.kinds import plugin_formats
from aecli.data.files.formats.reasons import refuse_kind, what_it_is

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.TiffImagePlugin import TiffImageFile

_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "PPM", "AVIF", "JPEG2000")

_MOST_PIXELS = 150_000_000
"""Of one picture: what the largest cameras make. Decoded in colour it takes half a gigabyte."""

_MOST_BYTES = 2**30
"""Of one picture file; of a TIFF, of one page."""

_LEAST_BYTES = 12
"""No frame of any format takes fewer."""

_PIXELS_TOGETHER, _PIXELS_A_BYTE = 2**30, 1000
"""All frames of a file may have so many pixels, or so many for each of its bytes."""

_TIFF = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
_PNG = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOR_MAP, _STRIPS, _TILES = (0, 1), 320, 279, 325
_WIDTH, _HEIGHT, _PHOTOMETRIC, _DESCRIPTION, _SAMPLES, _EXTRA, _SAMPLE_FORMAT = 256, 257, 262, 270, 277, 338, 339
_SUBFILE, _OLD_SUBFILE, _COMPRESSION, _FILL_ORDER, _PLANAR, _YCBCR = 254, 255, 259, 266, 284, 6

_MOST_PACKED = 20_000
"""Pages of a TIFF that libtiff reads: for each it looks at all of them."""

_HEAD_BYTES = 33

UNREADABLE = -1
"""The number of a file whose frames cannot be told: to open it says why."""

DEEP_ALPHA = "deep alpha"
"""Said in `info` of a PNG of 16 bits, grey and alpha: its four channels are the bytes of both, the higher first."""

_SETTING = threading.Lock()
"""Whether libtiff reads what is not compressed is a setting of Pillow's, looked at when a file is opened."""

_LAST = threading.local()
"""The animation that a thread has read last: its next frame is there without beginning anew."""


@dataclass(frozen=True)
class Frames:
    """The frames of a file that are images: their numbers, counted from 0 as the file has them.

    `copies` are passed over: thumbnails, the lower levels of a pyramid, masks. `fault` says why there are no more.
    """

    numbers: tuple[int, ...] = (0,)
    copies: int = 0
    fault: str | None = None


@dataclass(frozen=True)
class _Page:
    """A directory of a TIFF: where it begins, and what it says of its picture.

    `odd` are the uncompressed ones that Pillow itself reads wrongly, and libtiff does not: planes, whose bytes it mixes
    where they are of 16 bits, chroma of fewer pixels, and bits from right to left.
    """

    offset: int
    pixels: int
    copy: bool
    packed: bool
    odd: bool


class _File(io.FileIO):
    """A file that begins with other bytes than on the disk, closed with its last reference."""

    def __init__(self, path: str, head: bytes = b"") -> None:
        super().__init__(path, "rb")
        self._head = head

    def readinto(self, buffer: Any) -> int | None:
        start = self.tell()
        count = super().readinto(buffer)
        covered = self._head[start : start + (count or 0)]
        memoryview(buffer).cast("B")[: len(covered)] = covered
        return count

    def __del__(self) -> None:
        self.close()


def frames_of(path: str) -> Frames:
    """Return which frames of a file are images. Raises an exception of any kind where it cannot be read."""
    size = _require_file(path)
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
        if head[:4] in _TIFF:
            return _tiff_frames(*_pages(path, *_state(path)), size)
        if not _moves(head, file):
            return Frames()
    with open_frame(path) as image:
        count = int(getattr(image, "n_frames", 1))
        _require_bounds(count, count * image.width * image.height, size)
    return Frames(tuple(range(count)))


@contextmanager
def open_frame(path: str, number: int = 0) -> "Iterator[Image]":
    """Open one frame of a picture file. Raises an exception of any kind where it cannot be read, or is too large."""
    if number == UNREADABLE:
        frames_of(path)
        raise ValueError("changed while it was read")
    size = _require_file(path)
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    odd = False
    if head[:4] in _TIFF:
        pages, fault = _pages(path, *_state(path))
        if number >= len(pages):
            raise ValueError(fault or "holds no picture")
        if head.startswith(b"MM\0+"):
            raise ValueError("a BigTIFF whose high bytes come first, which Pillow cannot read: save it the other way")
        head, odd = _tiff_head(head, pages[number].offset), pages[number].odd
    elif size > _MOST_BYTES:
        raise ValueError(f"more than {_MOST_BYTES >> 20:,} MB")
    elif number:
        yield _next_frame(path, number, head)
        return
    with _reader(path, head) as file:
        yield _opened(file, head, odd)


def _next_frame(path: str, number: int, head: bytes) -> "Image":
    key = (path, *_state(path))
    if getattr(_LAST, "key", None) != key or _LAST.image.tell() > number:
        _LAST.image, _LAST.key = _opened(_reader(path, head), head, odd=False), key
    image: Image = _LAST.image
    image.seek(number)
    return image


def _reader(path: str, head: bytes) -> io.BufferedReader:
    return io.BufferedReader(_File(path, _as_rgba(head) if _is_deep_alpha(head) else head))


def _opened(file: io.BufferedReader, head: bytes, odd: bool) -> "Image":
    # Pillow would load all its plugins for four of these.
    from PIL import (  # noqa: F401
        AvifImagePlugin,
        Image,
        Jpeg2KImagePlugin,
        TiffImagePlugin,
        UnidentifiedImageError,
        WebPImagePlugin,
    )

    with _SETTING:
        before, TiffImagePlugin.READ_LIBTIFF = TiffImagePlugin.READ_LIBTIFF, odd
        try:
            image = Image.open(file, formats=(*_FORMATS, *plugin_formats()))
        except UnidentifiedImageError as error:
            raise ValueError(what_it_is(file.name)) from error
        finally:
            TiffImagePlugin.READ_LIBTIFF = before
    if image.width * image.height > _MOST_PIXELS:
        raise ValueError(f"{image.width} x {image.height} pixels, more than {_MOST_PIXELS // 10**6} million")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _mend_tiff(image)
    elif head.startswith(_PNG):
        _mend_png(image, head)
    return image


def _require_file(path: str) -> int:
    """Return the size of a file; raise ValueError where it is none, or empty."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("is not a regular file")
    if not status.st_size:
        raise ValueError("the file is empty")
    refuse_kind(path)
    return status.st_size


def _state(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def _require_bounds(count: int, pixels: int, size: int) -> None:
    """Raise ValueError where a file of this size says that it holds more than one may."""
    if count > 1 and count > size // _LEAST_BYTES:
        raise ValueError(f"says that it holds {count:,} pictures in {size:,} bytes")
    if count > 1 and pixels > max(_PIXELS_TOGETHER, _PIXELS_A_BYTE * size):
        raise ValueError(f"says that it holds {pixels / 1e6:,.0f} million pixels in {size:,} bytes")


# -- animations -----------------------------------------------------------------------------------


def _moves(head: bytes, file: IO[bytes]) -> bool:
    """Whether a file may be an animation: a GIF, a WebP with the flag of one, a PNG with such a chunk."""
    if head.startswith(_PNG):
        return _has_animation_chunk(file)
    return head[:4] == b"GIF8" or (head[8:16] == b"WEBPVP8X" and bool(head[20] & 2))


def _has_animation_chunk(file: IO[bytes]) -> bool:
    """Whether a PNG has the chunk acTL before its pixels."""
    file.seek(len(_PNG))
    while len(begin := file.read(8)) == 8 and begin[4:] not in (b"IDAT", b"IEND"):
        if begin[4:] == b"acTL":
            return True
        file.seek(int.from_bytes(begin[:4], "big") + 4, os.SEEK_CUR)
    return False


# -- PNG ------------------------------------------------------------------------------------------


def _is_deep_alpha(head: bytes) -> bool:
    """Whether a file that begins so is a PNG of 16 bits, grey and alpha."""
    return head.startswith(_PNG) and head[12:16] == b"IHDR" and head[24:26] == b"\x10\4"


def _as_rgba(head: bytes) -> bytes:
    """Return the first bytes of a PNG of 16 bits, grey and alpha, as those of 8 bits RGBA.

    Pillow would keep the higher byte of each. A pixel has 4 bytes either way, so all else in the file holds as it is.
    """
    about = b"IHDR" + head[16:24] + b"\x08\6" + head[26:29]
    return _PNG + head[8:12] + about + struct.pack(">I", zlib.crc32(about))


def _mend_png(image: "Image", head: bytes) -> None:
    """Bring the value that stands for transparent to the bits that Pillow reads pixels with."""
    image.info[DEEP_ALPHA] = _is_deep_alpha(head)
    bits, key = head[24], image.info.get("transparency")
    if isinstance(key, int) and bits in (2, 4) and image.mode == "L":
        image.info["transparency"] = key * 255 // (2**bits - 1)
    elif isinstance(key, tuple) and bits == 16:
        image.info["transparency"] = tuple(value >> 8 for value in key)


# -- TIFF -----------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _pages(path: str, size: int, changed: int) -> tuple[tuple[_Page, ...], str | None]:
    """Return the pages of a TIFF, and why there are no more where its chain of directories breaks."""
    pages: list[_Page] = []
    with open(path, "rb") as file:
        head = file.read(16)
        order, big = _TIFF[head[:4]], head[2:4] in (b"+\0", b"\0+")
        number, entry, link = ("Q", 20, "Q") if big else ("H", 12, "I")
        visited: set[int] = set()
        left = 16 * size  # of directories that lie in each other, every one is read
        (offset,) = struct.unpack_from(order + link, head, 8 if big else 4)
        try:
            while offset:
                if offset in visited:
                    return tuple(pages), "its pages go in a circle"
                visited.add(offset)
                file.seek(offset)
                (count,) = struct.unpack(order + number, file.read(struct.calcsize(number)))
                length = count * entry
                left -= length
                if left < 0 or length > size:
                    return tuple(pages), "its directories are longer than the file"
                directory = file.read(length)
                (following,) = struct.unpack(order + link, file.read(struct.calcsize(link)))
                pages.append(_page(offset, directory, order, entry))
                offset = following
        except (struct.error, OverflowError, ValueError):
            return tuple(pages), "the file ends before its last page"
    return tuple(pages), None


def _page(offset: int, directory: bytes, order: str, entry: int) -> _Page:
    """Read the few tags of a directory that hold one number, which stands in the entry itself."""
    tags = {}
    for start in range(0, len(directory), entry):
        tag, kind = struct.unpack_from(order + "HH", directory, start)
        value = order + ("H" if kind == 3 else "I")
        (tags[tag],) = struct.unpack_from(value, directory, start + (12 if entry == 20 else 8))
    # TIFF 6.0, NewSubfileType: bit 0 a reduced copy, bit 2 a mask; the older SubfileType: 2 a reduced copy.
    copy = bool(tags.get(_SUBFILE, 0) & 5) or tags.get(_OLD_SUBFILE) == 2
    odd = tags.get(_PLANAR) == 2 or tags.get(_PHOTOMETRIC) == _YCBCR or tags.get(_FILL_ORDER) == 2
    return _Page(offset, tags.get(_WIDTH, 0) * tags.get(_HEIGHT, 0), copy, tags.get(_COMPRESSION, 1) != 1, odd)


def _tiff_frames(pages: tuple[_Page, ...], fault: str | None, size: int) -> Frames:
    if not any(page.pixels for page in pages):
        raise ValueError(fault or "not a picture, or damaged")
    if sum(page.packed or page.odd for page in pages) > _MOST_PACKED:
        raise ValueError(f"holds {len(pages):,} compressed pages, more than {_MOST_PACKED:,}: save it as .npy")
    numbers = tuple(number for number, page in enumerate(pages) if not page.copy) or (0,)
    _require_bounds(len(pages), sum(page.pixels for page in pages), size)
    return Frames(numbers, len(pages) - len(numbers), fault)


def _tiff_head(head: bytes, offset: int) -> bytes:
    """Return the first bytes of a TIFF whose first page is at this offset."""
    order, big = _TIFF[head[:4]], head[2:4] in (b"+\0", b"\0+")
    return head[:8] + struct.pack(order + "Q", offset) if big else head[:4] + struct.pack(order + "I", offset)


def _mend_tiff(image: "TiffImageFile") -> None:
    """Refuse a page whose values would be read as others, and mend a palette of 8 bits."""
    tags = image.tag_v2
    if sum(tags.get(_STRIPS, tags.get(_TILES, ()))) > _MOST_BYTES:
        raise ValueError(f"a page of more than {_MOST_BYTES >> 20:,} MB")
    if 2 in tags.get(_SAMPLE_FORMAT, ()):
        raise ValueError("holds signed values, which say of none that it is black: save such images as .npy")
    bands = int(tags.get(_SAMPLES, 1))
    if tags.get(_PHOTOMETRIC) in _GREY and bands > 1 and 0 in tags.get(_EXTRA, (0,)):
        raise ValueError(f"holds {bands} bands that are no colours: save such images as .npy")
    if not tags.next and (said := _said_pages(str(tags.get(_DESCRIPTION, "")), image.width * image.height * bands)) > 1:
        raise ValueError(f"says that it holds {said:,} images, but has a directory of one: save it as .npy")
    colors = tags.get(_COLOR_MAP)
    if image.mode == "P" and colors and max(colors) < 256:
        image.putpalette(bytes(np.reshape(colors, (3, -1)).T.ravel().tolist()))


def _said_pages(description: str, values: int) -> int:
    """Return how many pages of so many values ImageJ or tifffile says there are, 1 where they say nothing.

    Both write one directory for a stack that is too large for several, or where they are told to.
    """
    if description.startswith("ImageJ="):
        match = re.search(r"^images=(\d{1,12})$", description, re.MULTILINE)
        return int(match[1]) if match else 1
    match = re.match(r'\{"shape": \[([\d, ]{1,99})\]', description)
    return prod(int(side) for side in match[1].split(",") if side.strip()) // values if match else 1

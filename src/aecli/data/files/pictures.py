"""Picture files: found in folders and lists, looked at, and decoded to arrays of one shape.

Pillow decodes, and loads when the first picture is opened. What a file says of itself bounds what it may cost: one
that is too large, or no regular file, is refused before a pixel of it is decoded.
"""

import threading
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from aecli.data.files.formats.kinds import PICTURE_SUFFIXES
from aecli.data.files.frames import DEEP_ALPHA, open_frame
from aecli.data.files.options import Fit

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = PICTURE_SUFFIXES | frozenset(
    (
        ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo", ".bmp", ".dib", ".tif", ".tiff", ".btf",
        ".tf8", ".webp", ".gif", ".pgm", ".ppm", ".pnm", ".pbm", ".avif", ".avifs", ".jp2", ".j2k", ".jpc", ".jpf",
        ".jpx", ".j2c",
    )
)  # fmt: skip
"""Suffixes of pictures: of those that are read, and of those that are counted as not read."""

_LARGE_PIXELS = 20_000_000
"""Pictures above are decoded one at a time: memory does not grow with the number of threads."""

_MARGIN = 2
"""A JPEG is decoded at no less than so many times the size wanted, then scaled: as sharp, and far quicker."""

_ONE_AT_A_TIME = threading.Lock()
_ORIENTATION, _PHOTOMETRIC = 0x0112, 262
_DEEPEST = 65_535
_SIDEWAYS = (5, 6, 7, 8)

Kind = Literal["grey", "deep grey", "rgb"]


@dataclass(frozen=True)
class PictureInfo:
    """What a picture says of itself: the height and width that it is seen at, and its kind.

    `top` is the largest value of a deep grey one, 0 of others: what is in the file need not use all of its 16 bits.
    """

    size: tuple[int, int]
    kind: Kind
    transparent: bool
    top: int = 0


@dataclass(frozen=True)
class DecodeTarget:
    """What pictures are decoded to: (height, width), 1 or 3 channels, uint8 or for deep grey uint16.

    `bits` are those of the values of deep grey, of which the largest becomes white in uint8.
    """

    size: tuple[int, int]
    fit: Fit
    channels: int
    dtype: str
    bits: int = 16

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a decoded picture: (H, W) or (H, W, 3)."""
        return self.size if self.channels == 1 else (*self.size, self.channels)

    @property
    def bytes(self) -> int:
        """The bytes of a decoded picture."""
        return self.size[0] * self.size[1] * self.channels * np.dtype(self.dtype).itemsize


def inspect(path: str, frame: int = 0) -> PictureInfo:
    """Read the header of a picture. Raises an exception of any kind where it cannot be read."""
    with open_frame(path, frame) as image:
        width, height = image.size
        if _orientation(image) in _SIDEWAYS:
            width, height = height, width
        kind, transparent = _kind(image), image.has_transparency_data
        return PictureInfo((height, width), kind, transparent, _largest(image) if kind == "deep grey" else 0)


def _largest(image: "Image") -> int:
    with _ONE_AT_A_TIME if image.width * image.height > _LARGE_PIXELS else nullcontext():
        return round(float(_deep_values(image).max()))


def decode(path: str, target: DecodeTarget, frame: int = 0) -> NDArray[Any]:
    """Return a picture as an array of the target's shape. Raises an exception of any kind where it cannot be read."""
    with open_frame(path, frame) as image:
        if image.width * image.height > _LARGE_PIXELS:
            with _ONE_AT_A_TIME:
                return _decoded(image, target)
        return _decoded(image, target)


def _orientation(image: "Image") -> int:
    """Return how EXIF says that the picture lies, 1 for upright. Pillow turns a TIFF by itself."""
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return 1
    return int(image.getexif().get(_ORIENTATION, 1))


def _kind(image: "Image") -> Kind:
    if (
        image.info.get(DEEP_ALPHA)
        or image.mode.startswith("I;16")
        or (image.mode == "I" and image.format in ("PNG", "PPM"))
    ):
        return "deep grey"
    if image.mode in ("I", "F"):
        raise ValueError("holds 32-bit values: save such images as .npy")
    if image.mode in ("1", "L", "LA", "La"):
        return "grey"
    if image.mode in ("P", "PA"):
        palette = image.getpalette("RGB") or []
        return "grey" if palette[::3] == palette[1::3] == palette[2::3] else "rgb"
    return "grey" if image.format == "GIF" and _looks_grey(image) else "rgb"


def _looks_grey(image: "Image") -> bool:
    """Whether all pixels are grey: what Pillow makes of the later frames of a GIF has no palette to ask."""
    red, green, blue = (band.tobytes() for band in image.convert("RGB").split())
    return red == green == blue


def _decoded(image: "Image", target: DecodeTarget) -> NDArray[Any]:
    kind, orientation = _kind(image), _orientation(image)
    height, width = target.size
    frame = (height, width) if orientation in _SIDEWAYS else (width, height)
    inner = _inner(image.size, frame) if target.fit == "pad" else frame
    image.draft("L" if target.channels == 1 else None, (_MARGIN * inner[0], _MARGIN * inner[1]))
    small = _to_channels(
        _scaled(_plain(image, kind, target.bits), inner, crop=target.fit == "crop"), target.channels, kind
    )
    turned = _turned(_padded(small, frame), orientation)
    pixels: NDArray[Any] = np.asarray(turned)
    if kind == "deep grey":
        if target.dtype == "uint8":
            pixels = pixels * (255 / (2**target.bits - 1))
        pixels = np.clip(np.rint(pixels), 0, np.iinfo(target.dtype).max).astype(target.dtype)
        if target.channels == 3:
            pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    return pixels


def _inner(size: tuple[int, int], frame: tuple[int, int]) -> tuple[int, int]:
    """Return the largest (width, height) in the frame that has the proportions of a picture."""
    scale = min(frame[0] / size[0], frame[1] / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _plain(image: "Image", kind: Kind, bits: int) -> "Image":
    """Return the picture in a mode that can be scaled: F for deep grey of so many bits, L, RGB, LA or RGBA."""
    from PIL import Image

    if kind == "deep grey":
        return Image.fromarray(_deep_values(image, white=2**bits - 1).astype(np.float32))
    mode = "L" if kind == "grey" else "RGB"
    if image.has_transparency_data:
        mode = {"L": "LA", "RGB": "RGBA"}[mode]
    return image if image.mode == mode else image.convert(mode)


def _deep_values(image: "Image", *, white: int = 0) -> NDArray[Any]:
    """Return the values of a grey picture of 16 bits; `white` shines through where it is transparent."""
    if image.info.get(DEEP_ALPHA):
        grey, alpha = np.moveaxis(np.ascontiguousarray(image).view(">u2").astype(np.float64), -1, 0)
        values: NDArray[Any] = grey * (alpha / _DEEPEST) + white * (1 - alpha / _DEEPEST)
        return values
    values = np.asarray(image)
    if image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0:  # type: ignore[attr-defined]
        values = _DEEPEST - values
    if isinstance(key := image.info.get("transparency"), int):
        values = np.where(values == key, white, values)
    return values


def _scaled(image: "Image", size: tuple[int, int], *, crop: bool) -> "Image":
    """Return the picture, or with `crop` its largest centred part of these proportions, at (width, height)."""
    from PIL import Image

    width, height = image.size
    part_width, part_height = float(width), float(height)
    if crop:
        part_width, part_height = min(width, height * size[0] / size[1]), min(height, width * size[1] / size[0])
    left, top = (width - part_width) / 2, (height - part_height) / 2
    box = (left, top, left + part_width, top + part_height)
    return image.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=2.0)


def _to_channels(image: "Image", channels: int, kind: Kind) -> "Image":
    """Return the picture in grey or colour, laid over white where it is transparent."""
    from PIL import Image

    if kind == "deep grey":
        return image
    if image.mode in ("LA", "RGBA"):
        opaque = image.convert(image.mode[:-1])
        white = Image.new(opaque.mode, image.size, "white")
        white.paste(opaque, mask=image.getchannel("A"))
        image = white
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _padded(image: "Image", frame: tuple[int, int]) -> "Image":
    """Return the picture in the middle of a black frame (width, height)."""
    from PIL import Image

    if image.size == frame:
        return image
    padded = Image.new(image.mode, frame)
    padded.paste(image, ((frame[0] - image.width) // 2, (frame[1] - image.height) // 2))
    return padded


def _turned(image: "Image", orientation: int) -> "Image":
    """Return the picture upright, by its EXIF orientation."""
    from PIL.Image import Transpose

    # JEITA CP-3451, Exif 2.3, tag 274: where row 0 and column 0 of what is stored belong.
    turns = {
        2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
    }  # fmt: skip
    return image.transpose(turns[orientation]) if orientation in turns else image

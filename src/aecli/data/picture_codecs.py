"""What JPEG, WebP and AVIF make of images: bytes, and the pixels that come back; PNG. Pillow encodes."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Pictures, uint8 (N, H, W, C) of 1 or 3 channels."""

PICTURE_CODECS = {"jpeg": "JPEG", "webp": "WebP", "avif": "AVIF"}
"""Name -> title, in the order they are shown."""

QUALITIES = range(1, 101)

_FEATURES = {"jpeg": "jpg", "webp": "webp", "avif": "avif"}
_LONGEST_SIDE = 16_383  # WebP's


def can_encode(codec: str) -> bool:
    """Whether the Pillow that is installed writes this kind of picture."""
    from PIL import features

    try:
        return bool(features.check(_FEATURES[codec]))
    except ValueError:  # a Pillow that does not know it
        return False


def encode_each(pixels: Pixels, codec: str, quality: int) -> tuple[int, Pixels]:
    """Return the bytes of pictures as one file each, and the pictures as they come back."""
    found = [_through(picture, codec, quality) for picture in pixels]
    return sum(size for size, _ in found), np.stack([picture for _, picture in found])


def encode_mosaic(pixels: Pixels, codec: str, quality: int) -> tuple[int, Pixels]:
    """Return the bytes of pictures side by side in one file, and the pictures as they come back.

    More than a file of that kind can hold are spread over several.
    """
    count, height, width, channels = pixels.shape
    across = max(1, min(_LONGEST_SIDE // width, round((count * height / width) ** 0.5)))
    most = across * max(1, _LONGEST_SIDE // height)
    size, restored = 0, []
    for start in range(0, count, most):
        part = pixels[start : start + most]
        down = -(-len(part) // across)
        tiles = np.zeros((down * across, height, width, channels), np.uint8)
        tiles[: len(part)] = part
        sheet = tiles.reshape(down, across, height, width, channels).swapaxes(1, 2)
        bytes_here, back = _through(sheet.reshape(down * height, across * width, channels), codec, quality)
        size += bytes_here
        back = back.reshape(down, height, across, width, channels).swapaxes(1, 2)
        restored.append(back.reshape(-1, height, width, channels)[: len(part)])
    return size, np.concatenate(restored)


def _through(picture: Pixels, codec: str, quality: int) -> tuple[int, Pixels]:
    """Return the bytes of a picture (H, W, C) in a file, and the picture that is read from it."""
    from PIL import Image

    grey = picture.shape[2] == 1
    stream = io.BytesIO()
    options: dict[str, Any] = {"quality": quality}
    if codec == "jpeg":
        options["optimize"] = True
    Image.fromarray(picture[:, :, 0] if grey else picture).save(stream, PICTURE_CODECS[codec].upper(), **options)
    size = stream.tell()
    with Image.open(stream) as back:
        pixels = np.asarray(back.convert("L" if grey else "RGB"), np.uint8)
    return size, pixels.reshape(picture.shape)


def to_png(picture: Pixels) -> bytes:
    """Return a picture, uint8 (H, W, C) of 1 or 3 channels, as the bytes of a PNG."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(stream, "PNG")
    return stream.getvalue()

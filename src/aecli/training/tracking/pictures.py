"""Images over their reconstructions as one picture."""

import numpy as np

from aecli.data.format import Images
from aecli.data.picture_codecs import Pixels, to_png

_GAP = 2
_SMALLEST, _LARGEST = 64, 256
"""Pixels of the longer side of an image: smaller ones are magnified, larger ones averaged over squares."""


def side_by_side(images: Images, reconstructions: Images) -> bytes:
    """Return a PNG of images over their reconstructions, both (N, H, W, C) in [0, 1].

    Of more than three channels the first three are shown, of two their mean.
    """
    rows = [_to_size(_to_pixels(values)) for values in (images, reconstructions)]
    count, height, width, channels = rows[0].shape
    sheet = np.full((2 * (height + _GAP) - _GAP, count * (width + _GAP) - _GAP, channels), 255, np.uint8)
    for down, row in enumerate(rows):
        for across, image in enumerate(row):
            top, left = down * (height + _GAP), across * (width + _GAP)
            sheet[top : top + height, left : left + width] = image
    return to_png(sheet)


def _to_pixels(images: Images) -> Pixels:
    shown = images[..., :3] if images.shape[-1] >= 3 else images.mean(axis=-1, keepdims=True)
    pixels: Pixels = (np.clip(np.nan_to_num(shown), 0, 1) * 255).round().astype(np.uint8)
    return pixels


def _to_size(pixels: Pixels) -> Pixels:
    count, height, width, channels = pixels.shape
    longest = max(height, width)
    if longest < _SMALLEST:
        times = _SMALLEST // longest
        return pixels.repeat(times, axis=1).repeat(times, axis=2)
    side = -(-longest // _LARGEST)
    if side == 1 or min(height, width) < side:
        return pixels
    down, across = height // side, width // side
    squares = pixels[:, : down * side, : across * side].reshape(count, down, side, across, side, channels)
    averaged: Pixels = squares.mean(axis=(2, 4)).round().astype(np.uint8)
    return averaged

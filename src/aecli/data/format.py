"""The array contract: images as the user stored them <-> float32 (N, H, W, C) in [0, 1]."""

from dataclasses import dataclass
from math import isqrt, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import DataError

Stored = NDArray[Any]
"""Images as stored: any real dtype, (N, H, W), (N, H, W, C) or (N, D), in the user's units."""
Images = NDArray[np.float32]
"""Images of the contract: float32 (N, H, W, C), [0, 1] where the value range holds."""

_BIT_DEPTHS = (1, 8, 10, 12, 14, 16, 32)
_CHANNELS = (1, 2, 3, 4)
_LEAST_SHARE = 0.01
"""Floats that fill less of a known range than this are in units of their own: in it they would all be one grey."""


@dataclass(frozen=True)
class ImageFormat:
    """How images are stored, and so how to come from there to the contract and back.

    `sample_shape` is the shape of one image as stored, `image_shape` its (H, W, C);
    `value_range` are the stored values that stand for 0 and 1.
    """

    dtype: str
    sample_shape: tuple[int, ...]
    image_shape: tuple[int, int, int]
    value_range: tuple[float, float]

    def to_contract(self, stored: Stored) -> Images:
        """Return stored images (N, *sample_shape) as float32 (N, H, W, C)."""
        scale, offset = self.scale_and_offset()
        images = stored.astype(np.result_type(stored.dtype, np.float32))
        images *= images.dtype.type(scale)
        images += images.dtype.type(offset)
        return np.asarray(images, np.float32).reshape(-1, *self.image_shape)

    def from_contract(self, images: Images) -> Stored:
        """Return images (N, H, W, C) in the stored shape, dtype and units; integers are rounded and clipped."""
        low, high = self.value_range
        dtype = np.dtype(self.dtype)
        wide = np.result_type(dtype, np.float32)
        stored: Stored = np.multiply(images, wide.type(high - low), dtype=wide)
        stored += wide.type(low)
        if dtype.kind == "b":
            stored = stored >= 0.5
        elif dtype.kind in "iu":
            limits = np.iinfo(dtype)
            # The largest float64 not above a 64-bit limit; 2**63 itself would wrap around.
            top = np.nextafter(float(limits.max), 0) if dtype.itemsize == 8 else float(limits.max)
            np.clip(np.rint(stored, out=stored), float(limits.min), top, out=stored)
        return stored.astype(dtype).reshape(-1, *self.sample_shape)

    def scale_and_offset(self) -> tuple[float, float]:
        """Return (a, b) such that contract = a * stored + b."""
        low, high = self.value_range
        return 1.0 / (high - low), -low / (high - low)


def find_image_shape(path: str, shape: tuple[int, ...], wanted: tuple[int, ...] | None) -> tuple[int, int, int]:
    """Return (H, W, C) of the images in an array of this shape.

    `wanted` is the user's `data.image_shape`, (H, W) or (H, W, C), needed for flat rows that are
    not square. Raises DataError when the array is not one of images or does not fit `wanted`.
    """
    sample = shape[1:]
    if wanted is not None:
        height, width, channels = (*wanted, 1)[:3]
        fits = prod(sample) == height * width * channels
        if fits and len(sample) > 1 and (*sample, 1)[:3] != (height, width, channels):
            raise DataError(
                f"{path}: data.image_shape {list(wanted)} is not that of the images, {list(sample)}: "
                f"it is for flat rows only, leave it out"
            )
        if not fits or len(sample) not in (1, 2, 3):
            raise DataError(
                f"{path}: data.image_shape {list(wanted)} has {height * width * channels} values an image, "
                f"the array's shape {list(shape)} has {prod(sample)}: correct data.image_shape"
            )
        return height, width, channels
    if len(sample) == 1:
        side = isqrt(sample[0])
        if side * side != sample[0]:
            raise DataError(
                f"{path}: rows of {sample[0]} values are not square images: "
                f"say their height and width with data.image_shape, e.g. --set data.image_shape=[H,W]"
            )
        return side, side, 1
    if len(sample) == 2:
        return sample[0], sample[1], 1
    if len(sample) == 3:
        if sample[0] in _CHANNELS and sample[2] not in _CHANNELS:
            raise DataError(
                f"{path}: shape {list(shape)} looks like (N, C, H, W): "
                f"set data.axes: NCHW, or save it as (N, H, W, C), e.g. with images.transpose(0, 2, 3, 1)"
            )
        return sample[0], sample[1], sample[2]
    raise DataError(
        f"{path}: expected images as (N, H, W), (N, H, W, C) or (N, D), found shape {list(shape)}: reshape the array"
    )


def bits_of(high: float) -> int:
    """Return the bits of the usual depth that whole numbers up to this one fit in."""
    return next((bits for bits in _BIT_DEPTHS if high < 2**bits), 64)


def decide_value_range(dtype: np.dtype[Any], low: float, high: float) -> tuple[tuple[float, float], str]:
    """Return the values that stand for 0 and 1, and the reason, from the dtype and the data's extremes."""
    if dtype.kind == "b":
        return (0.0, 1.0), "booleans"
    if dtype.kind in "iu" and low >= 0:
        bits = bits_of(high)
        return (0.0, float(2**bits - 1)), f"{dtype.name} values up to {high:g} fit {bits} bits"
    if dtype.kind == "f":
        for known in ((0.0, 1.0), (-1.0, 1.0)):
            if known[0] <= low and high <= known[1] and high - low >= _LEAST_SHARE * (known[1] - known[0]):
                return known, f"{dtype.name} values within [{known[0]:g}, {known[1]:g}]"
        if low >= 0 and 128 <= high <= 255:
            return (0.0, 255.0), f"{dtype.name} values up to {high:g} look like 8 bits"
    if high == low:
        # One more, or as much as makes a difference to a number of this size.
        return (low, low + max(1.0, abs(low) * 2.0**-20)), "a constant"
    return (low, high), f"the smallest and the largest of the {dtype.name} values"

"""The axes of an array: by which letters they are named, and which they look like from shape and smoothness."""

from math import isqrt, prod

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import DataError
from aecli.data.files.arrays import Arrangement, ArrayFile
from aecli.data.files.options import AXES

_MOST_CHANNELS = 4
_LEAST_SIDE = 8
_SMOOTHER = 0.8
"""By how much rougher the axis of the images must be than those of the pixels."""

_BLOCK, _MOST_VALUES = 64, 2**22


def arranged(file: ArrayFile, axes: str | None) -> ArrayFile:
    """Return an array with its axes as (N, H, W[, C]) or (N, D), given what they are; DataError where it has others."""
    if axes is None:
        return file
    if len(axes) != len(file.shape):
        raise DataError(
            f"{file.path}: data.axes {axes} names {len(axes)} axes, the array has {len(file.shape)}, "
            f"{list(file.shape)}: name these"
        )
    order = tuple(axes.index(letter) for letter in AXES if letter in axes)
    return file.rearranged(Arrangement(file.shape, order, alone="N" not in axes))


def looks_like(file: ArrayFile) -> str | None:
    """Return the axes that an array of images seems to have, None where they seem to be as they should."""
    shape = file.shape
    if len(shape) == 2:
        return _flat(file)
    if len(shape) == 3 and shape[2] <= _MOST_CHANNELS:
        return "HWC" if min(shape[:2]) >= _LEAST_SIDE else None
    if len(shape) == 4 and _channels_at(shape, 2):
        return "HWCN"
    axes = "HWN" if len(shape) == 3 else _by_channels(shape)
    rough = _roughness(file) if axes else None
    if axes is None or rough is None:
        return None
    of = dict(zip(axes, rough, strict=True))
    return axes if max(of["H"], of["W"]) < _SMOOTHER * of["N"] else None


def _by_channels(shape: tuple[int, ...]) -> str | None:
    """Return the other axes that four axes may be, by the one that is as short as channels are."""
    if len(shape) != 4:
        return None
    return "HWNC" if _channels_at(shape, 3) else "CHWN" if _channels_at(shape, 0) else None


def _channels_at(shape: tuple[int, ...], place: int) -> bool:
    """Whether an axis, and no later one, is as short as channels are."""
    return shape[place] <= _MOST_CHANNELS and all(side > _MOST_CHANNELS for side in shape[place + 1 :])


def _roughness(file: ArrayFile) -> list[float] | None:
    """Return how rough each axis is in the middle of an array, None where that is too small or of one value.

    It is the mean squared difference of neighbours over that of any two values along the axis: near 1 from image to
    image, and less from pixel to pixel. The ratio of von Neumann (1941).
    """
    if min(sorted(file.shape)[-3:]) < _LEAST_SIDE:
        return None
    block = _middle(file)
    if block.min() == block.max():
        return None
    return [_ratio(block, axis) for axis in range(block.ndim)]


def _ratio(block: NDArray[np.float64], axis: int) -> float:
    spread = 2 * float(block.var(axis=axis).mean())
    return float((np.diff(block, axis=axis) ** 2).mean()) / spread if spread and block.shape[axis] > 1 else 0.0


def _middle(file: ArrayFile) -> NDArray[np.float64]:
    """Return the middle of an array, at most _BLOCK along each axis and _MOST_VALUES in all."""
    most = _BLOCK
    while prod(min(side, most) for side in file.shape) > _MOST_VALUES:
        most //= 2
    starts = [max(0, (side - most) // 2) for side in file.shape]
    parts = tuple(slice(start, start + most) for start in starts)
    return np.asarray(file.map()[parts], np.float64)


def _flat(file: ArrayFile) -> str | None:
    """Return DN where columns are square images and rows are not, or less smooth ones."""
    rows, columns = (isqrt(side) ** 2 == side and side >= _LEAST_SIDE**2 for side in (file.shape[1], file.shape[0]))
    if not columns:
        return None
    if not rows:
        return "DN"
    return "DN" if _square_roughness(file, 0) < _SMOOTHER * _square_roughness(file, 1) else None


def _square_roughness(file: ArrayFile, axis: int) -> float:
    """Return the roughness of some images that lie along an axis of a matrix, as squares."""
    values = file.map()
    some = np.asarray(values[:, :_BLOCK].T if axis == 0 else values[:_BLOCK], np.float64)
    images = some.reshape(len(some), isqrt(some.shape[1]), -1)
    spread = float(images.std()) or 1.0
    return float(np.abs(np.diff(images, axis=1)).mean() + np.abs(np.diff(images, axis=2)).mean()) / spread

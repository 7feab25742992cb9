"""Augmentation: training images moved, turned and brightened anew in every epoch, for small sets."""

from dataclasses import dataclass
from math import pi
from typing import Annotated, Any, Literal

from pydantic import Field

from aecli.core.rng import Draws, Namespace
from aecli.core.schema import Section
from aecli.data.corruption import gaussian, within

_PURPOSE, _NOISE_PURPOSE = 4, 5

AMOUNTS = 6
"""Numbers that decide how one image is augmented."""


class Augmentation(Section):
    """How training images differ from epoch to epoch; each one draws its own amounts evenly up to these."""

    shift: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """moved by up to this share of the height and of the width, rounded to whole pixels; the edge fills what is left"""
    flip: Literal["horizontal", "vertical", "both"] | None = None
    """mirrored half of the time: horizontal swaps left and right, vertical top and bottom; null: never"""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """turned about the centre by up to this many degrees either way"""
    brightness: Annotated[float, Field(ge=0, le=1)] = 0.0
    """multiplied by 1 - this to 1 + this, and clipped to black and white"""
    noise: Annotated[float, Field(ge=0, le=10)] = 0.0
    """standard deviation of Gaussian noise on the input alone: in the target it would be learned"""

    def apply(self, xp: Namespace, images: Any, amounts: Any) -> Any:
        """Return the images (N, H, W, C) augmented, all but the noise: both the input and the target.

        `amounts` are those of `draw_amounts`.
        """
        if self.shift or self.flip or self.rotate:
            images = moved(xp, images, self._moves(xp, images.shape[1:3], amounts))
        if self.brightness:
            factor = 1 + self.brightness * (2 * amounts[:, 5] - 1)
            images = within(xp, images * factor[:, None, None, None], images)
        return images

    def add_noise(self, images: Any, draws: Draws) -> Any:
        """Return the images with the noise that only the input has."""
        if not self.noise:
            return images
        shape = (-1, *images.shape[1:])
        values = draws.xp.reshape(images, (-1, shape[1] * shape[2] * shape[3]))
        return draws.xp.reshape(gaussian(values, self.noise, draws, _NOISE_PURPOSE), shape)

    def _moves(self, xp: Namespace, sides: tuple[int, int], amounts: Any) -> "Moves":
        down, right, angle = (2 * amounts[:, i : i + 1] - 1 for i in range(3))
        over, across = (xp.where(amounts[:, i : i + 1] < 0.5, -1.0, 1.0) for i in (3, 4))
        return Moves(
            down=_whole_pixels(xp, down, self.shift * sides[0]),
            right=_whole_pixels(xp, right, self.shift * sides[1]),
            angle=angle * (self.rotate * pi / 180),
            vertical=over if self.flip in ("vertical", "both") else 1.0,
            horizontal=across if self.flip in ("horizontal", "both") else 1.0,
        )


def _whole_pixels(xp: Namespace, amounts: Any, most: float) -> Any:
    """Return whole numbers up to `most` either way, rounded, each as often, for amounts spread evenly in (-1, 1).

    Whole pixels: parts of one would blur what the network is to reproduce.
    """
    limit = float(round(most))
    # The ends get half a pixel more, or they would come half as often as the others.
    return xp.clip(xp.round(amounts * (limit + 0.5)), -limit, limit)


def draw_amounts(draws: Draws) -> Any:
    """Return what decides how each image is augmented: float32 (N, AMOUNTS), evenly spread in (0, 1)."""
    return draws.uniform(_PURPOSE, AMOUNTS)


@dataclass(frozen=True)
class Moves:
    """How each image moves, (N, 1) each: pixels, an angle in radians clockwise, and -1 for a flip or 1.

    It is flipped first, then turned, then shifted.
    """

    down: Any
    right: Any
    angle: Any
    vertical: Any
    horizontal: Any


def moved(xp: Namespace, images: Any, moves: Moves) -> Any:
    """Return the images (N, H, W, C) moved: bilinear, and the nearest pixel of the edge beyond it."""
    height, width = images.shape[1:3]
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    pixels = xp.arange(height * width)
    # Where each pixel of the result comes from, relative to the centre.
    y = xp.astype(pixels // width, "float32")[None] - middle_y - moves.down
    x = xp.astype(pixels % width, "float32")[None] - middle_x - moves.right
    cosine, sine = xp.cos(moves.angle), xp.sin(moves.angle)
    y, x = (cosine * y - sine * x) * moves.vertical + middle_y, (sine * y + cosine * x) * moves.horizontal + middle_x
    top, left = xp.floor(y), xp.floor(x)
    part_y, part_x = (y - top)[..., None], (x - left)[..., None]

    def row(y: Any) -> Any:
        return _pixels(xp, images, y, left) * (1 - part_x) + _pixels(xp, images, y, left + 1) * part_x

    return xp.reshape(row(top) * (1 - part_y) + row(top + 1) * part_y, (-1, *images.shape[1:]))


def _pixels(xp: Namespace, images: Any, y: Any, x: Any) -> Any:
    """Return the pixels (N, P, C) at these places (N, P), the nearest ones where there are none."""
    count, height, width, channels = images.shape
    y, x = xp.clip(y, 0.0, height - 1.0), xp.clip(x, 0.0, width - 1.0)
    starts = xp.arange(count)[:, None] * (height * width)
    places = starts + xp.astype(y, "int32") * width + xp.astype(x, "int32")
    return xp.take(xp.reshape(images, (-1, channels)), places, axis=0)

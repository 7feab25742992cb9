"""Augmentation: training images moved, turned, brightened and mixed anew in every epoch, against learning by heart."""

from dataclasses import dataclass
from math import pi
from typing import Annotated, Any, Literal

from pydantic import Field

from aecli.core.rng import Draws, Namespace
from aecli.core.schema import Section
from aecli.data.corruption import gaussian, within

_PURPOSE, _NOISE_PURPOSE = 4, 5

AMOUNTS = 11
"""Numbers that decide how one image is augmented."""

_SCALE, _SHEAR, _CHOSEN, _MIXUP = 6, 7, 8, 9
"""Places of some of them, of which mixup has two."""


class Augmentation(Section):
    """How training images differ from epoch to epoch; each one draws its own amounts evenly up to these."""

    probability: Annotated[float, Field(gt=0, le=1)] = 1.0
    """share of the images that are changed in an epoch; the others stay as they are"""
    shift: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """moved by up to this share of the height and of the width, rounded to whole pixels; the edge fills what is left"""
    subpixel: bool = False
    """true: shift by parts of pixels too, by bilinear interpolation, which blurs a little"""
    flip: Literal["horizontal", "vertical", "both"] | None = None
    """mirrored half of the time: horizontal swaps left and right, vertical top and bottom; null: never"""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """turned about the centre by up to this many degrees either way"""
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """made larger or smaller about the centre by up to this share"""
    shear: Annotated[float, Field(ge=0, le=1)] = 0.0
    """slanted either way, each row moved sideways by up to this times its distance from the middle"""
    brightness: Annotated[float, Field(ge=0, le=1)] = 0.0
    """multiplied by 1 - this to 1 + this, and clipped to black and white"""
    noise: Annotated[float, Field(ge=0, le=10)] = 0.0
    """standard deviation of Gaussian noise on the input alone: in the target it would be learned"""
    mixup: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """mixed with another image, whose share is drawn of Beta(this, this): 0.2 little, 1 any share; 0: never"""

    def apply(self, xp: Namespace, images: Any, amounts: Any) -> Any:
        """Return the images (N, H, W, C) augmented, all but the noise: both the input and the target.

        `amounts` are those of `draw_amounts`.
        """
        changed = images
        if self.shift or self.flip or self.rotate or self.scale or self.shear:
            changed = moved(xp, changed, self._moves(xp, images.shape[1:3], amounts))
        if self.brightness:
            factor = 1 + self.brightness * (2 * amounts[:, 5] - 1)
            changed = within(xp, changed * factor[:, None, None, None], changed)
        if self.mixup:
            changed = mixed(xp, changed, beta(xp, self.mixup, amounts[:, _MIXUP], amounts[:, _MIXUP + 1]))
        return self._where_chosen(xp, changed, images, amounts)

    def add_noise(self, images: Any, draws: Draws, amounts: Any) -> Any:
        """Return the images with the noise that only the input has."""
        if not self.noise:
            return images
        shape = (-1, *images.shape[1:])
        values = draws.xp.reshape(images, (-1, shape[1] * shape[2] * shape[3]))
        noisy = draws.xp.reshape(gaussian(values, self.noise, draws, _NOISE_PURPOSE), shape)
        return self._where_chosen(draws.xp, noisy, images, amounts)

    def _where_chosen(self, xp: Namespace, changed: Any, images: Any, amounts: Any) -> Any:
        if self.probability == 1:
            return changed
        return xp.where((amounts[:, _CHOSEN] < self.probability)[:, None, None, None], changed, images)

    def _moves(self, xp: Namespace, sides: tuple[int, int], amounts: Any) -> "Moves":
        down, right, angle = (2 * amounts[:, i : i + 1] - 1 for i in range(3))
        size = 1 + self.scale * (2 * amounts[:, _SCALE : _SCALE + 1] - 1) if self.scale else None
        slant = self.shear * (2 * amounts[:, _SHEAR : _SHEAR + 1] - 1) if self.shear else None
        over, across = (xp.where(amounts[:, i : i + 1] < 0.5, -1.0, 1.0) for i in (3, 4))
        down, right = (
            amount * self.shift * side if self.subpixel else _whole_pixels(xp, amount, self.shift * side)
            for amount, side in zip((down, right), sides, strict=True)
        )
        return Moves(
            down=down,
            right=right,
            angle=angle * (self.rotate * pi / 180),
            vertical=over if self.flip in ("vertical", "both") else 1.0,
            horizontal=across if self.flip in ("horizontal", "both") else 1.0,
            size=size,
            slant=slant,
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

    `size` is a factor, and `slant` how far right a row is moved for each that it is below the middle; None for none.
    It is flipped first, then slanted, made larger or smaller, turned, and shifted.
    """

    down: Any
    right: Any
    angle: Any
    vertical: Any
    horizontal: Any
    size: Any = None
    slant: Any = None


def moved(xp: Namespace, images: Any, moves: Moves) -> Any:
    """Return the images (N, H, W, C) moved: bilinear, and the nearest pixel of the edge beyond it."""
    height, width = images.shape[1:3]
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    pixels = xp.arange(height * width)
    # Where each pixel of the result comes from, relative to the centre.
    y = xp.astype(pixels // width, "float32")[None] - middle_y - moves.down
    x = xp.astype(pixels % width, "float32")[None] - middle_x - moves.right
    cosine, sine = xp.cos(moves.angle), xp.sin(moves.angle)
    y, x = cosine * y - sine * x, sine * y + cosine * x
    if moves.size is not None:
        y, x = y / moves.size, x / moves.size
    if moves.slant is not None:
        x = x - moves.slant * y
    y, x = y * moves.vertical + middle_y, x * moves.horizontal + middle_x
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


def mixed(xp: Namespace, images: Any, shares: Any) -> Any:
    """Return each of the images (N, H, W, C) mixed with the next one of its batch, which gets a share of `shares` (N,).

    Mixup (Zhang et al. 2018), with a share of its own for each image. The order of a batch is drawn anew in every
    epoch, so that the next image is any.
    """
    count = images.shape[0]
    following = xp.take(images, (xp.arange(count) + 1) % count, axis=0)
    return images + shares[:, None, None, None] * (following - images)


def beta(xp: Namespace, alpha: float, first: Any, second: Any) -> Any:
    """Return numbers of Beta(alpha, alpha), float32 (N,), of two that are evenly spread in (0, 1).

    (1 + r / sqrt(1 + r^2)) / 2, where r sqrt(2 alpha) is of Student's t with 2 alpha degrees of freedom by the polar
    method (Bailey 1994), r = sqrt(u^(-1/alpha) - 1) cos(2 pi v); multiplied out, since u^(-1/alpha) may be infinite.
    """
    power, direction = xp.exp(xp.log(first) / alpha), xp.cos(2 * pi * second)
    across = direction * direction * (1 - power)
    far = xp.sqrt(across / xp.maximum(power + across, 1e-30))
    return (1 + xp.where(direction < 0, -far, far)) / 2

"""Random numbers as a function of (seed, epoch, image): no state, so any of them can be drawn at any time.

The rules here and those that draw from here are written once over an array namespace, with the names of the
Python array API standard. NumPy is one; an engine brings its own, for the compiled loop.
"""

import hashlib
from dataclasses import dataclass
from math import sqrt
from typing import Any, Protocol

VALIDATION = 0
"""Stands for the epoch where every epoch must see the same; the epochs of a training count from 1."""

_DrawKey = tuple[int, int]
"""Two words of 32 bits that open a stream of random numbers."""


class Namespace(Protocol):
    """The functions of an array library that the rules are written in."""

    arange: Any
    astype: Any
    bitwise_left_shift: Any
    bitwise_right_shift: Any
    clip: Any
    cos: Any
    exp: Any
    floor: Any
    log: Any
    maximum: Any
    minimum: Any
    reshape: Any
    round: Any
    sin: Any
    sqrt: Any
    take: Any
    where: Any


def draw_key(seed: int, epoch: int) -> _DrawKey:
    """Return the key of an epoch's draws."""
    return derive(seed, "draws", epoch, 0), derive(seed, "draws", epoch, 1)


@dataclass(frozen=True)
class Draws:
    """The random numbers of some images in one epoch.

    `key` is a _DrawKey as uint32 (2,), `rows` are the rows of the images in their file, uint32 (N,). A `purpose` is a
    small number that keeps the draws of one rule apart from those of another.
    """

    xp: Namespace
    key: Any
    rows: Any

    def uniform(self, purpose: int, count: int) -> Any:
        """Return `count` numbers for each image, float32 (N, count), evenly spread inside (0, 1) in steps of 2^-23."""
        columns = self.xp.astype(self.xp.arange(count), "uint32")
        # Every counter is a pair: (row of the image, number of the draw).
        first, second = self.rows[:, None] + 0 * columns, columns + 0 * self.rows[:, None]
        word, _ = threefry(self.xp, (self.key[:1], self.key[1:] ^ purpose), (first, second))
        # Half a step away from the ends: 23 bits and the half are exact in float32.
        return (self.xp.astype(self.xp.bitwise_right_shift(word, 9), "float32") + 0.5) * 2.0**-23

    def normal(self, purpose: int, count: int) -> Any:
        """Return `count` standard normal numbers for each image, float32 (N, count), up to 5.3 either way."""
        return sqrt(2) * erfinv(self.xp, 2 * self.uniform(purpose, count) - 1)


_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def threefry(xp: Namespace, key: tuple[Any, Any], counter: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return two random words for each counter, all uint32: Threefry-2x32 of 20 rounds.

    Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3". Additions, rotations and
    exclusive ors alone, which XLA fuses into one vectorised loop with what uses the numbers.
    """
    keys = (*key, key[0] ^ key[1] ^ _PARITY)
    first, second = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(5):
        for bits in _ROTATIONS[group % 2]:
            first = first + second
            rotated = xp.bitwise_left_shift(second, bits) | xp.bitwise_right_shift(second, 32 - bits)
            second = rotated ^ first
        first = first + keys[(group + 1) % 3]
        second = second + keys[(group + 2) % 3] + (group + 1)
    return first, second


_CENTRE = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
    -0.00125372503, -0.00417768164, 0.246640727, 1.50140941,
)  # fmt: skip
_TAIL = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
    -0.0076224613, 0.00943887047, 1.00167406, 2.83297682,
)  # fmt: skip


def erfinv(xp: Namespace, x: Any) -> Any:
    """Return the inverse error function of float32 values inside (-1, 1), to single precision (Giles 2010)."""
    w = -xp.log((1 - x) * (1 + x))
    centre = _polynomial(_CENTRE, w - 2.5)
    tail = _polynomial(_TAIL, xp.sqrt(xp.maximum(w, 5.0)) - 3)
    return xp.where(w < 5.0, centre, tail) * x


def _polynomial(coefficients: tuple[float, ...], x: Any) -> Any:
    value = coefficients[0] + 0 * x
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


def derive(seed: int, *names: str | int) -> int:
    """Return a seed in [0, 2**31) that depends on `seed` and `names` alone, on every machine."""
    digest = hashlib.sha256(repr((seed, *names)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1

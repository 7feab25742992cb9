"""From latents to whole numbers and back: steps of one size for their effect on the image, or the levels of a code."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import AeError
from aecli.models.code import QuantisedCode
from aecli.runs.model import Latents, Model
from aecli.runs.uses.codec.integers import LARGEST, Integers
from aecli.runs.uses.latents import image_movement

Exponents = NDArray[np.int8]
"""Of the step of each latent, int8 (k,): it is the common step times 2 ** (exponent / 4)."""

# The same bits on every machine, which a power of the mathematical library need not have.
_ROOTS = (1.0, 1.189207115002721, 1.4142135623730951, 1.681792830507429)
_MOST_EXPONENT = 127
SMALLEST_STEP, LARGEST_STEP = 1e-6, 1e3


class Quantiser(Protocol):
    """What makes whole numbers of latents, and latents of whole numbers."""

    def to_integers(self, latents: Latents) -> Integers:
        """Return whole numbers (N, k) for latents (N, k)."""

    def to_latents(self, integers: Integers) -> Latents:
        """Return latents (N, k) for whole numbers (N, k)."""


@dataclass(frozen=True)
class Steps:
    """Uniform steps: latent i is rounded to a multiple of `step` * 2 ** (exponents[i] / 4)."""

    step: float
    exponents: Exponents

    @property
    def sizes(self) -> NDArray[np.float64]:
        """The step of each latent, float64 (k,)."""
        return np.array([math.ldexp(self.step * _ROOTS[e % 4], e // 4) for e in map(int, self.exponents)])

    def to_integers(self, latents: Latents) -> Integers:
        """Return whole numbers (N, k) for latents (N, k); AeError where they would be too large."""
        values = np.rint(latents / self.sizes)
        if float(np.abs(values).max(initial=0)) > LARGEST // 2:
            raise AeError(f"--step {self.step:g}: too small for latents as large as these: give a larger one")
        return values.astype(np.int64)

    def to_latents(self, integers: Integers) -> Latents:
        """Return latents (N, k) for whole numbers (N, k)."""
        return np.asarray(np.clip(integers * self.sizes, -3e38, 3e38), np.float32)


@dataclass(frozen=True)
class Levels:
    """The levels of a quantised code by their number, 0 for -1: nothing is lost."""

    levels: int

    def to_integers(self, latents: Latents) -> Integers:
        """Return whole numbers (N, k) from 0 to `levels` - 1 for latents (N, k)."""
        steps = self.levels - 1
        return np.rint((latents.astype(np.float64) + 1) * (steps / 2)).clip(0, steps).astype(np.int64)

    def to_latents(self, integers: Integers) -> Latents:
        """Return latents (N, k) for whole numbers (N, k)."""
        # As `Quantised` computes them, in float32.
        return integers.astype(np.float32) * np.float32(2 / (self.levels - 1)) - np.float32(1)

    @classmethod
    def of(cls, code: QuantisedCode) -> "Levels":
        """Return those of a code."""
        return cls(code.levels)


def exponents_for(model: Model, latents: Latents) -> Exponents:
    """Return the exponents with which one step of any latent moves the image about as far, from latents (N, k).

    A step of 1 then moves it by a root mean square of about 1. What moves nothing is rounded to 0.
    """
    low, high = _ways(latents)
    moved = np.sqrt(image_movement(model, latents.mean(axis=0, dtype=np.float64), low, high))
    exponents = np.full(latents.shape[1], _MOST_EXPONENT, np.int64)
    apart = high.astype(np.float64) - low
    counts = (moved > 0) & (apart > 0)
    exponents[counts] = np.rint(4 * np.log2(apart[counts] / moved[counts]))
    return exponents.clip(-_MOST_EXPONENT, _MOST_EXPONENT).astype(np.int8)


def _ways(latents: Latents) -> tuple[Latents, Latents]:
    """Return from where to where each latent (k,) is moved: most of what it takes on; of a sparse one all of it.

    One that is the same in all images still moves them: it is moved about its value.
    """
    low, high = np.quantile(latents, (0.05, 0.95), axis=0).astype(np.float32)
    low, high = np.where(low < high, (low, high), (latents.min(axis=0), latents.max(axis=0)))
    about = np.maximum(np.abs(low), 1) / 2
    low, high = np.where(low < high, (low, high), (low - about, low + about)).astype(np.float32)
    return low, high

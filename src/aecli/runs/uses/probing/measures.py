"""Shares of images with their intervals of 95 %: how many are right, and how many more than by another classifier."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from aecli.runs.uses.proportions import Z95, wilson

Right = NDArray[np.bool_]
"""Whether each image is classified rightly, (N,)."""


@dataclass(frozen=True)
class Share:
    """A share of images, or a difference of two, and its interval."""

    estimate: float
    low: float
    high: float

    def number(self, sign: str = "", digits: int = 1) -> str:
        """Return the estimate in percent, with `sign` "+" always with a sign."""
        return f"{100 * self.estimate:{sign}.{digits}f}"

    def interval(self, sign: str = "", digits: int = 1) -> str:
        """Return the interval in percent."""
        return f"[{100 * self.low:{sign}.{digits}f}, {100 * self.high:{sign}.{digits}f}]"


def share_right(right: Right) -> Share:
    """Return the share of images that are right, with Wilson's interval (1927). At least one image."""
    count = int(right.sum())
    return Share(count / len(right), *wilson(count, len(right)))


def paired_difference(right: Right, other: Right) -> Share:
    """Return by how much larger a share of the same images is right than by another classifier.

    The interval is that of Agresti & Min 2005, "Simple improved confidence intervals for comparing matched
    proportions": Wald's, with half an image more in each of the four cells. At least one image.
    """
    gained, lost = int((right & ~other).sum()), int((other & ~right).sum())
    count = len(right) + 2
    centre = (gained - lost) / count
    half = Z95 * sqrt(max(0.0, (gained + lost + 1) / count - centre**2) / count)
    return Share((gained - lost) / len(right), max(-1.0, centre - half), min(1.0, centre + half))

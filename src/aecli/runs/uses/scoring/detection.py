"""How well scores tell strange images from normal ones: the area under the ROC curve, and the share that is caught."""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
from scipy.special import ndtri

from aecli.runs.metrics import PerImage
from aecli.runs.uses.scoring.conformal import Interval

_Z = float(ndtri(0.975))


@dataclass(frozen=True)
class Auroc:
    """The probability that a strange image scores higher than a normal one, equal scores counting half.

    `strange` (m,) and `normal` (n,) hold for each image the share of the other kind that it is on the right side of:
    their means are the area, and their variances its error (DeLong et al. 1988).
    """

    strange: PerImage
    normal: PerImage

    @classmethod
    def of(cls, strange: PerImage, normal: PerImage) -> "Auroc":
        """Return the area of the scores of strange (m,) and of normal (n,) images, at least one each."""
        return cls(_share_below(normal, strange), 1 - _share_below(strange, normal))

    @property
    def area(self) -> float:
        """The area, 0 to 1; 0.5 is chance."""
        return float(self.strange.mean())

    @property
    def interval(self) -> Interval:
        """Where the area of more such images lies, 95 %: DeLong's on the logit, which stays within 0 and 1."""
        area, error = self.area, sqrt(_variance(self.strange) + _variance(self.normal))
        if not 0 < area < 1 or not error:
            return _hanley_mcneil(area, len(self.strange), len(self.normal))
        middle, half = log(area / (1 - area)), _Z * error / (area * (1 - area))
        return _logistic(middle - half), _logistic(middle + half)

    def less(self, other: "Auroc") -> tuple[float, Interval]:
        """Return by how much the area is above another of the same images, and where that difference lies, 95 %."""
        variance = _variance(self.strange - other.strange) + _variance(self.normal - other.normal)
        difference, half = self.area - other.area, _Z * sqrt(variance)
        return difference, (difference - half, difference + half)


def _share_below(others: PerImage, scores: PerImage) -> PerImage:
    """Return for each score the share of others below it, equal ones counting half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, scores, side="left") + np.searchsorted(ordered, scores, side="right")
    return np.asarray(below / (2 * len(ordered)))


def _variance(values: PerImage) -> float:
    """Return the variance of the mean of values."""
    return float(values.var(ddof=1)) / len(values) if len(values) > 1 else 0.0


def _logistic(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


def _hanley_mcneil(area: float, strange: int, normal: int) -> Interval:
    """Return the interval where all pairs are on one side, or of one image: the areas that `area` is within reach of.

    The variance is Hanley and McNeil's at the area in question (Newcombe 2006), which at 0 and 1 needs no pairs.
    """

    def reached(other: float) -> bool:
        spread = (strange - 1) * (1 - other) / (2 - other) + (normal - 1) * other / (1 + other)
        return abs(area - other) <= _Z * sqrt(other * (1 - other) * (1 + spread) / (strange * normal))

    return _farthest(reached, area, 0.0), _farthest(reached, area, 1.0)


def _farthest(reached: Callable[[float], bool], start: float, end: float) -> float:
    """Return how far from `start` to `end` is reached, by bisection."""
    inside, outside = start, end
    for _ in range(60):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if reached(middle) else (inside, middle)
    return inside

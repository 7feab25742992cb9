"""Conformal p-values: how strange an image is among held-out images, whatever the distribution of their scores.

Where an image is exchangeable with the held-out ones, its p-value is at most `rate` with a probability of at most
`rate` (Vovk et al. 2005). Scores are float64 (N,), higher where an image is stranger.
"""

from dataclasses import dataclass
from math import floor

import numpy as np
from scipy.special import betaincinv, betaln, gammaln

from aecli.core.errors import AeError
from aecli.runs.metrics import PerImage

_COVERAGE = 0.95
_ROUNDING = 1e-9

Interval = tuple[float, float]


@dataclass(frozen=True)
class Threshold:
    """The score above which an image is flagged, so that a share `rate` of normal images is, on average over trials.

    Of `count` held-out images `above` are at the threshold or above. Given these, the share of normal images that is
    flagged is a draw from Beta(above, count + 1 - above), exactly where no two scores are equal, and else stays below.
    """

    value: float
    rate: float
    above: int
    count: int

    @property
    def expected_rate(self) -> float:
        """The mean share of normal images that is flagged: at most `rate`."""
        return self.above / (self.count + 1)

    @property
    def rate_interval(self) -> Interval:
        """Where that share lies with a probability of 95 %."""
        tail = (1 - _COVERAGE) / 2
        low, high = (float(betaincinv(self.above, self.count + 1 - self.above, q)) for q in (tail, 1 - tail))
        return low, high

    def expected(self, images: int) -> float:
        """Return how many of so many normal images are flagged on average."""
        return images * self.expected_rate

    def count_interval(self, images: int) -> tuple[int, int]:
        """Return between which numbers of so many normal images are flagged with a probability of at least 95 %."""
        total = np.cumsum(_beta_binomial(images, self.above, self.count + 1 - self.above))
        tail = (1 - _COVERAGE) / 2
        low, high = np.searchsorted(total, [tail, 1 - tail])
        return int(low), int(min(high, images))


def p_values(held_out: PerImage, scores: PerImage) -> PerImage:
    """Return (1 + the number of held-out scores that are as high) / (n + 1) for each score."""
    ordered = np.sort(held_out)
    as_high = len(ordered) - np.searchsorted(ordered, scores, side="left")
    return np.asarray((1 + as_high) / (len(ordered) + 1))


def threshold(held_out: PerImage, rate: float) -> Threshold:
    """Return the threshold above which p-values are at most `rate`; AeError where there are too few held-out scores."""
    count = len(held_out)
    above = floor(rate * (count + 1) + _ROUNDING)
    if above < 1:
        raise AeError(
            f"--false-alarms {rate:g}: of {count:,} held-out images no rate below {1 / (count + 1):.2g} can be told: "
            f"ask for that or more, or give more of them with --held-out"
        )
    return Threshold(float(np.partition(held_out, count - above)[count - above]), rate, above, count)


def _beta_binomial(images: int, a: float, b: float) -> PerImage:
    """Return the probability of 0, ..., `images` flagged ones, their share being drawn from Beta(a, b)."""
    k = np.arange(images + 1.0)
    ways = gammaln(images + 1) - gammaln(k + 1) - gammaln(images - k + 1)
    return np.asarray(np.exp(ways + betaln(k + a, images - k + b) - betaln(a, b)))

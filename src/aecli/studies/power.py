"""How large a difference must be for so many seeds to show it."""

import math
from functools import lru_cache

import numpy as np

POWER = 0.8
"""Share of studies that should show a difference, where it is asked how large one or how many seeds are needed."""

SEEDS_LIMIT = 1000

_STEPS = 4000
"""Values that stand for the distribution of a standard deviation."""


def error_per_pair(variants: int, confidence: float) -> float:
    """Return what a single pair may err so that all pairs of variants together err no more (Bonferroni)."""
    return (1 - confidence) / max(1, math.comb(variants, 2))


def power(effect: float, seeds: int, error: float) -> float:
    """Return the share of studies in which the interval of a mean paired difference lies above zero.

    `effect` is the true mean in standard deviations of the paired differences, which are normal, `error` what the pair
    may err both ways. The noncentral t distribution, averaged over evenly spaced quantiles of the standard deviation:
    scipy's own fails for some. 0 for fewer than two seeds.
    """
    if seeds < 2:
        return 0.0
    from scipy.special import chdtri, ndtr, stdtrit

    spreads = np.sqrt(chdtri(seeds - 1, (np.arange(_STEPS) + 0.5) / _STEPS) / (seeds - 1))
    return float(ndtr(effect * math.sqrt(seeds) - stdtrit(seeds - 1, 1 - error / 2) * spreads).mean())


@lru_cache
def smallest_effect(seeds: int, error: float, wanted: float = POWER) -> float:
    """Return the effect, as in `power`, that so many seeds show in that share of studies; NaN for fewer than two."""
    if seeds < 2:
        return math.nan
    low, high = 0.0, 1.0
    while power(high, seeds, error) < wanted:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if power(middle, seeds, error) < wanted else (low, middle)
    return high


def seeds_to_show(effect: float, error: float, wanted: float = POWER) -> int | None:
    """Return the fewest seeds that show an effect in that share of studies, None if it would take over SEEDS_LIMIT."""
    few, many = 1, SEEDS_LIMIT
    if power(effect, many, error) < wanted:
        return None
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (middle, many) if power(effect, middle, error) < wanted else (few, middle)
    return many

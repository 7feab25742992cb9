"""Intervals of proportions."""

from math import sqrt

Z95 = 1.959963984540054
"""Of a normal variable 95 % lie within so many standard deviations."""


def wilson(count: int, of: int) -> tuple[float, float]:
    """Return where the share lies that `count` of so many is an estimate of, 95 % (Wilson 1927)."""
    share, z2 = count / of, Z95**2
    middle, half = share + z2 / (2 * of), Z95 * sqrt(share * (1 - share) / of + z2 / (4 * of**2))
    low, high = (middle - half) / (1 + z2 / of), (middle + half) / (1 + z2 / of)
    return (0.0 if count == 0 else low), (1.0 if count == of else high)

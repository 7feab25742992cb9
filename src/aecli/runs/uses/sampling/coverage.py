"""How much of what there is samples reach, by nearest neighbours: coverage and recall, and the distances to copies."""

from collections.abc import Iterator

import numpy as np

from aecli.runs.uses.sampling.mixture import Values

NEIGHBOURS = 5
"""The neighbour that the radius around a point reaches to."""

_ROWS = 256
"""Points whose distances to all others are held at once."""


def coverage(real: Values, samples: Values, neighbours: int = NEIGHBOURS) -> float:
    """Return the share of real points (n, d) with a sample (m, d) as near as their k-th real neighbour.

    Naeem, Oh, Uh, Choi & Yoo 2020, "Reliable fidelity and diversity metrics for generative models". n > k.
    """
    radii = _radii(real, neighbours)
    return float((nearest_distances(real, samples) <= radii).mean())


def recall(real: Values, samples: Values, neighbours: int = NEIGHBOURS) -> float:
    """Return the share of real points (n, d) that are as near to some sample (m, d) as its k-th neighbour among them.

    Kynkaanniemi, Karras, Laine, Lehtinen & Aila 2019, "Improved precision and recall metric". m > k.
    """
    radii = _radii(samples, neighbours)
    return float(np.concatenate([(rows <= radii).any(axis=1) for rows in _distances(real, samples)]).mean())


def nearest_distances(points: Values, others: Values) -> Values:
    """Return the distance (n,) of each point (n, d) to the nearest of others (m, d)."""
    return np.concatenate([rows.min(axis=1) for rows in _distances(points, others)])


def _radii(points: Values, neighbours: int) -> Values:
    """Return the distance (n,) of each point to its k-th neighbour among the rest."""
    # The nearest of all is the point itself.
    return np.concatenate(
        [np.partition(rows, neighbours, axis=1)[:, neighbours] for rows in _distances(points, points)]
    )


def _distances(points: Values, others: Values) -> Iterator[Values]:
    """Yield the distances (rows, m) of some points at a time to all others."""
    squares = (others**2).sum(axis=1)
    for start in range(0, len(points), _ROWS):
        part = points[start : start + _ROWS]
        sums = (part**2).sum(axis=1)[:, None] + squares - 2 * part @ others.T
        yield np.sqrt(np.maximum(sums, 0))

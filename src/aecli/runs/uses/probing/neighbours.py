"""The nearest neighbours of images among others, exactly, and the class that most of them have."""

import numpy as np
from numpy.typing import NDArray

from aecli.core.machine import ordered_map
from aecli.runs.uses.probing.regression import Classes

NEIGHBOURS = 5

_BYTES = 32 * 2**20
"""What the distances held at once take, for each thread."""


def classify_by_neighbours(
    points: NDArray[np.floating], training: NDArray[np.floating], classes: Classes, neighbours: int = NEIGHBOURS
) -> Classes:
    """Return the class (N,) that most of the nearest training points (M, d) have, for each of points (N, d).

    Of training points equally far the earlier ones are nearer; of classes with as many neighbours that with the
    nearest one is taken. Where there are fewer training points than `neighbours`, all are asked.
    """
    squares = np.square(training).sum(axis=1)
    count = min(neighbours, len(training))
    step = max(1, _BYTES // (training.itemsize * len(training)))

    def classify(start: int) -> Classes:
        part = points[start : start + step]
        # The square of the point itself is the same for all its neighbours.
        distances = squares - 2 * (part @ training.T)
        return _vote(classes[_nearest(distances, count)])

    return np.concatenate([*ordered_map(classify, range(0, len(points), step))])


def _nearest(distances: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """Return the columns (N, count) of the smallest of distances (N, M), nearest first, earlier columns first."""
    furthest = np.partition(distances, count - 1, axis=1)[:, count - 1]
    within = distances <= furthest[:, None]
    for row in np.flatnonzero(within.sum(axis=1) > count):  # several at the largest distance
        equal = np.flatnonzero(distances[row] == furthest[row])
        within[row, equal[count - int((distances[row] < furthest[row]).sum()) :]] = False
    columns = np.nonzero(within)[1].reshape(len(distances), count)
    order = np.argsort(np.take_along_axis(distances, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def _vote(classes: Classes) -> Classes:
    """Return the most frequent class (N,) of neighbours (N, k), nearest first."""
    votes = (classes[:, :, None] == classes[:, None, :]).sum(axis=2)
    return np.asarray(classes[np.arange(len(classes)), votes.argmax(axis=1)])

"""Whether the images of a file lie in some order: by class, by brightness, like to like."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import DataError, ReadError
from aecli.data.files.labels import labels_file, read_labels
from aecli.training.check.findings import Finding
from aecli.training.check.survey import Survey, Values

_HARMLESS = (
    "harmless to ae, which splits and shuffles; a tool that holds out the last rows would validate on other images "
    "than it trains on"
)
_MANY_CLASSES = 1000
_BEYOND_CHANCE = 5.0
"""Standard errors from which an order is none by chance."""


def order_findings(survey: Survey) -> Iterable[Finding]:
    """Yield what there is to say of the order of a file, and of its labels where they lie beside it."""
    path = _beside_labels(survey.source.file.path)
    if path is not None:
        try:
            labels = read_labels(labels_file(path), len(survey.source)).values
        except (DataError, ReadError) as error:
            yield Finding("warning", "labels", str(error))
        else:
            yield from _classes(path, labels)
            by_class = _by_class(labels)
            if by_class:
                yield by_class
                return
    yield from _by_likeness(survey)


def _beside_labels(images: Path) -> Path | None:
    """Return the file of labels that belongs to a file of images, `<name>_labels.npy`, where there is one."""
    whole = Path(os.path.abspath(images))  # "." has no name
    path = images.parent / f"{whole.stem}_labels.npy" if images.name else whole.with_name(f"{whole.stem}_labels.npy")
    return path if path.is_file() else None


def _classes(path: Path, labels: NDArray[np.int64]) -> Iterable[Finding]:
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) <= _MANY_CLASSES:
        yield Finding(
            "note",
            "classes",
            f"{path.name}: {len(classes)} class{'' if len(classes) == 1 else 'es'} of {counts.min():,} to "
            f"{counts.max():,} images",
            {"classes": {str(label): int(count) for label, count in zip(classes, counts, strict=True)}},
        )


def _by_class(labels: NDArray[np.int64]) -> Finding | None:
    """Return a finding where neighbours share their class far more often than in a shuffled file."""
    changes = int(np.count_nonzero(labels[1:] != labels[:-1]))
    _, counts = np.unique(labels, return_counts=True)
    expected = (len(labels) - 1) * (1 - float(((counts / len(labels)) ** 2).sum()))
    if len(counts) < 2 or expected < _BEYOND_CHANCE**2 or changes > 0.5 * expected:
        return None
    sort = "sorted by class" if changes == len(counts) - 1 else "grouped by class"
    return Finding(
        "note",
        "sorted_by_class",
        f"the images are {sort} (the class changes {changes:,} times, shuffled about {expected:,.0f}): {_HARMLESS}",
        {"changes": changes, "changes_if_shuffled": round(expected, 1)},
    )


def _by_likeness(survey: Survey) -> Iterable[Finding]:
    correlation = rank_correlation(survey.mean)
    if abs(correlation) > 0.5 and abs(correlation) * (len(survey.mean) - 1) ** 0.5 > _BEYOND_CHANCE:
        trend = "brighter" if correlation > 0 else "darker"
        yield Finding(
            "note",
            "sorted_by_brightness",
            f"the images grow {trend} along the file (rank correlation {correlation:.2f}): {_HARMLESS}",
            {"rank_correlation": round(correlation, 4)},
        )
        return
    ratio = von_neumann_ratio(survey.signature)
    if ratio < 1 - max(0.1, _BEYOND_CHANCE / len(survey.signature) ** 0.5):
        yield Finding(
            "note",
            "like_neighbours",
            f"neighbours in the file look alike (their difference is {ratio:.0%} of that of any two images), as in a "
            f"file sorted by class: {_HARMLESS}; but of scenes in many frames, keep whole scenes for data.test",
            {"ratio": round(ratio, 4)},
        )


def rank_correlation(values: Values) -> float:
    """Return Spearman's correlation of values (N,) with their position, 0 where all are the same."""
    if len(values) < 3:
        return 0.0
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[inverse]
    if ranks.std() == 0:
        return 0.0
    return float(np.corrcoef(ranks, np.arange(len(values)))[0, 1])


def von_neumann_ratio(rows: Values) -> float:
    """Return the mean squared difference of neighbours over that of any two rows (N, k): near 1 for shuffled ones.

    The ratio of von Neumann (1941), of the sums over the columns; its standard error is at most about 1 / sqrt(N).
    """
    spread = 2 * float(rows.var(axis=0, dtype=np.float64).sum())
    if len(rows) < 3 or spread == 0:
        return 1.0
    return float((np.diff(rows, axis=0) ** 2).sum(axis=1, dtype=np.float64).mean()) / spread

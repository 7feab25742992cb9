"""Duplicates in words: within the files, and between the images trained on and those measured on."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from aecli.data.dataset import ROWS_NAMED, ImageDataset, Rows
from aecli.data.split import Split
from aecli.training.check.duplicates import Duplicates
from aecli.training.check.findings import Finding, count_of, row_name

_PARTS = ("train", "validation", "test")


def parts_of(split: Split, train: ImageDataset, test: ImageDataset | None) -> NDArray[np.int8]:
    """Return the part of every image, as a place in _PARTS, -1 for none; those of the training file first."""
    parts = np.full(len(train), -1, np.int8)
    parts[split.train] = 0
    parts[split.validation] = 1
    parts[split.test] = 2
    return parts if test is None else np.concatenate([parts, np.full(len(test), 2, np.int8)])


def leaks(duplicates: Duplicates, parts: NDArray[np.int8], sources: Sequence[ImageDataset]) -> Iterable[Finding]:
    """Yield a finding for the validation and the test images that training shows the network anyway."""
    trained = np.zeros(duplicates.group.max() + 1, bool)
    trained[duplicates.group[parts == 0]] = True
    exact = trained[duplicates.group]
    first, second = duplicates.near.T
    near = np.zeros(len(parts), bool)
    near[first[parts[second] == 0]] = near[second[parts[first] == 0]] = True
    for place, part in enumerate(_PARTS[1:], start=1):
        inside = parts == place
        same, alike = np.flatnonzero(exact & inside), np.flatnonzero(near & ~exact & inside)
        count = len(same) + len(alike)
        if not count:
            continue
        rows = [int(i) for i in [*same, *alike][:ROWS_NAMED]]
        yield Finding(
            "warning" if len(same) or count > 0.01 * inside.sum() else "note",
            f"leak_{part}",
            f"{count:,} of the {count_of(int(inside.sum()), f'{part} image')} {'is' if count == 1 else 'are'} among "
            f"the training images too, {len(same):,} exactly and {len(alike):,} nearly "
            f"({_names(sources, rows, count)}): {part} metrics will look too good: remove duplicates",
            {"part": part, "images": int(inside.sum()), "exact": len(same), "near": len(alike), "rows": rows},
        )


def twice(duplicates: Duplicates, sources: Sequence[ImageDataset]) -> Iterable[Finding]:
    copies = duplicates.copies()
    if len(copies):
        yield Finding(
            "note",
            "duplicates",
            f"{count_of(len(copies))} {'is an exact copy' if len(copies) == 1 else 'are exact copies'} of an earlier "
            f"one: {_pairs(sources, copies)}",
            {"count": len(copies), "pairs": copies.tolist()},
        )
    total = sum(map(len, sources))
    sampled = duplicates.searched and duplicates.searched < total - len(copies)
    bounded = f"; searched for {duplicates.searched:,} of them among all" if sampled else ""
    # Of altered copies some are overlooked, as are pairs beyond those that were looked at.
    least = "at least " if len(duplicates.near) else ""
    if len(duplicates.near) or sampled:
        yield Finding(
            "note",
            "near_duplicates",
            f"{least}{count_of(len(duplicates.near), 'pair')} of images nearly the same"
            f"{': ' if len(duplicates.near) else ''}{_pairs(sources, duplicates.near)}{bounded}",
            {
                "count": len(duplicates.near),
                "pairs": duplicates.near.tolist(),
                "correlations": [round(float(r), 5) for r in duplicates.correlation],
                "searched": duplicates.searched,
            },
        )


def _image_name(sources: Sequence[ImageDataset], index: int) -> str:
    """Return the name of an image numbered through all sources; of a second source its file too."""
    if index < len(sources[0]):
        return row_name(sources[0], index)
    source = sources[1]
    return f"{source.file.name} {row_name(source, index - len(sources[0]))}"


def _names(sources: Sequence[ImageDataset], indices: Sequence[int], count: int) -> str:
    """Return the names of images of one source; its file is named once, where it is the second."""
    first, *others = indices
    start = 0 if first < len(sources[0]) else len(sources[0])
    named = [_image_name(sources, first), *(row_name(sources[start > 0], index - start) for index in others)]
    more = count - len(indices)
    return ", ".join(named) + (f" and {more:,} more" if more else "")


def _pairs(sources: Sequence[ImageDataset], pairs: Rows) -> str:
    shown = [f"{_image_name(sources, int(b))} = {_image_name(sources, int(a))}" for a, b in pairs[:ROWS_NAMED]]
    more = len(pairs) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")

"""Which of the images that a run is used on are its own: those that it was trained, validated or tested on."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from aecli.data.dataset import ImageDataset, Rows
from aecli.runs.run import Run

Parts = Mapping[str, Rows]
"""Part of a training ("train", "validation", "test") -> rows of a source, int64 (n,)."""

PartNumbers = NDArray[np.int8]
"""The position of its part for each image, -1 for none: int8 (N,)."""


def own_parts(run: Run, source: ImageDataset) -> Parts:
    """Return the parts of a run's training that the images of a source are; empty where the file is not the run's.

    The run's files are known by their SHA-256 in environment.json, wherever they lie, their rows by split.npz.
    """
    if _is_file_of(run.environment["data"], source):
        split = run.split
        parts = {"train": split.train, "validation": split.validation, "test": split.test}
        return {name: rows for name, rows in parts.items() if len(rows)}
    test = run.environment.get("test")
    return {"test": np.arange(len(source))} if test and _is_file_of(test, source) else {}


def _is_file_of(fields: Mapping[str, object], source: ImageDataset) -> bool:
    # The count first: a hash reads all of a file.
    return len(source) == fields["images"] and source.file.fingerprint() == fields["sha256"]


def held_out(parts: Parts) -> bool:
    """Whether a run was trained on none of the images of these parts."""
    return "train" not in parts


def parts_note(source: ImageDataset, parts: Parts) -> str | None:
    """Return the line that says that images are the run's own; None where they are not."""
    if not parts:
        return None
    if held_out(parts):
        return f"{source.file.path}: the run's own test images: it was not trained on them"
    others = " and ".join(name for name in parts if name != "train")
    return (
        f"{source.file.path}: the run was trained on {len(parts['train']):,} of these {len(source):,} images: "
        f"judge it by its {others} images"
    )


def part_numbers(parts: Parts, count: int) -> PartNumbers:
    """Return for each of so many images the position of its part."""
    numbers = np.full(count, -1, np.int8)
    for i, rows in enumerate(parts.values()):
        numbers[rows] = i
    return numbers

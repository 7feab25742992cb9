"""Labels of images: what lies beside an array, and the names of the classes."""

import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import DataError, unreadable
from aecli.data.files.archives import array_name, array_names, label_names, open_gzip, open_npz
from aecli.data.files.arrays import NUMBERS, TEXT, ArrayFile, open_idx, open_npy
from aecli.data.files.formats.locations import locate
from aecli.data.files.manifest import display_name, read_manifest

_MOST_CLASSES = 10_000
_LARGEST = 2**53
"""Beyond it a number with a fraction is no longer told from a whole one, and another does not fit."""

_LONGEST_WORD = 2**13
"""Bytes of a word."""

_ALONE = ("y", "label", "labels", "target", "targets", "class", "classes")
"""Names of the labels of the only other array of an .npz, whatever that is called."""


@dataclass(frozen=True)
class Labels:
    """The class of each image, int64 (N,), and the names of the classes in the order of their numbers."""

    values: NDArray[np.int64]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class NoLabels:
    """Why images have no labels."""

    reason: str


def labels_beside(images: ArrayFile, key: str | None = None) -> Labels | NoLabels:
    """Return the labels of an array, or why there are none.

    They are <name>_labels.npy, the label file of an IDX file (train-images-idx3-ubyte and train-labels-idx1-ubyte,
    with or without .gz), or an array or an .npy of the usual name: y beside x, labels beside images. Raises DataError
    where they are not one class for each image.
    """
    try:
        array = _array_beside(images, key)
        if isinstance(array, NoLabels):
            return array
        labels = read_labels(array, len(images))
    except OSError as error:
        raise unreadable(images.path, error) from error
    low, high = int(labels.values.min()), int(labels.values.max())
    if low < 0 or high >= _MOST_CLASSES:
        raise DataError(
            f"{array.path}: labels from {low} to {high}: number the classes from 0; ae import --no-labels takes the "
            f"images alone"
        )
    manifest = read_manifest(images.path.with_suffix(".json"))
    if manifest and manifest.classes and len(manifest.classes) > high:
        return Labels(labels.values, manifest.classes)
    return labels if labels.classes else Labels(labels.values, tuple(map(str, range(high + 1))))


def labels_file(path: Path) -> ArrayFile:
    """Open a file of labels: numbers or words, .npy or IDX, packed by gzip or not."""
    try:
        if path.suffix.lower() == ".gz":
            return open_gzip(path, NUMBERS + TEXT)
        return open_npy(path, kinds=NUMBERS + TEXT) if path.suffix.lower() == ".npy" else open_idx(path)
    except OSError as error:
        raise unreadable(path, error) from error


def read_labels(array: ArrayFile, count: int) -> Labels:
    """Return one whole number for each of so many images, and the classes where the labels are words.

    Numbers are (N,) or (N, 1), whole, as integers or as floats; words become classes in the order of their names; rows
    (N, K) of one 1 and else 0 are the class of the 1. Raises DataError for anything else.
    """
    flat = len(array.shape) <= 2 or prod(array.shape[1:]) == 1
    if array.dtype.kind in TEXT and array.dtype.itemsize > _LONGEST_WORD:  # nor read: so many take much memory
        flat = False
    labels = _numbered(array.read(0, count).reshape(count, -1)) if flat and len(array) == count else None
    if labels is None:
        raise DataError(
            f"{array.path}: expected {count:,} labels, whole numbers or words, found {array.dtype.name} of shape "
            f"{list(array.shape)}: correct or rename it; ae import --no-labels takes the images alone"
        )
    return labels


def _numbered(values: NDArray[Any]) -> Labels | None:
    """Return the labels in an array (N, K), None where it holds none."""
    if values.shape[1] > 1:
        return _hot(values)
    column = values[:, 0]
    if column.dtype.kind in TEXT:
        return _words(column)
    if column.dtype.kind == "f" and not (np.isfinite(column).all() and (column == np.rint(column)).all()):
        return None
    if column.dtype.kind in "fu" and max(-column.min(), column.max()) > _LARGEST:
        return None
    return Labels(column.astype(np.int64), ())


def _hot(values: NDArray[Any]) -> Labels | None:
    """Return the place of the one 1 in every row (N, K), None where there is another value than it and 0."""
    if values.dtype.kind not in NUMBERS or not ((values == 0) | (values == 1)).all() or not (values.sum(1) == 1).all():
        return None
    return Labels(values.argmax(axis=1).astype(np.int64), tuple(map(str, range(values.shape[1]))))


def _words(column: NDArray[Any]) -> Labels:
    """Return words (N,) as the numbers of their classes; words that are numbers stand for themselves."""
    words = np.char.decode(column, "utf-8", "backslashreplace") if column.dtype.kind == "S" else column
    if all(re.fullmatch(r"-?[0-9]{1,9}", word.strip()) for word in words.tolist()):
        return Labels(words.astype(np.int64), ())
    names, numbers = np.unique(words, return_inverse=True)
    return Labels(numbers.reshape(-1).astype(np.int64), tuple(names.tolist()))


def _array_beside(images: ArrayFile, key: str | None) -> ArrayFile | NoLabels:
    location = locate(images.path)
    path, key = location.file, location.key or key
    if path.suffix.lower() == ".npz":
        return _member_beside(path, key)
    files = [file for file in _label_files(path) if file.is_file()]
    files += [file for file in _usual_files(path) if file.is_file() and _fits(labels_file(file), len(images))]
    return labels_file(files[0]) if files else NoLabels(f"there is no {_label_files(path)[0].name} beside {path.name}")


def _member_beside(path: Path, key: str | None) -> ArrayFile | NoLabels:
    name, names = array_name(path, key), array_names(path)
    found = [label for label in label_names(name) if label in names]
    others = [other for other in names if other != name]
    if not found and len(others) == 1 and others[0].lower() in _ALONE:
        found = others
    if found:
        return open_npz(path, found[0], NUMBERS + TEXT)
    usual = " or ".join(label_names(name)[:2]) or "y"
    return NoLabels(f"{path.name} has no array {usual} beside '{display_name(name)}'")


def _usual_files(path: Path) -> list[Path]:
    return [path.with_name(f"{name}.npy") for name in label_names(path.stem)] if path.suffix.lower() == ".npy" else []


def _fits(array: ArrayFile, count: int) -> bool:
    """Whether a file that only its name makes one of labels has as many as there are images."""
    return len(array) == count and len(array.shape) <= 2


def _label_files(path: Path) -> list[Path]:
    name = re.sub(r"images([-.])idx\d", r"labels\1idx1", path.name)
    if name != path.name:
        plain = path.with_name(name.removesuffix(".gz"))
        return [plain, plain.with_name(f"{plain.name}.gz")]
    return [path.with_name(f"{path.stem}_labels.npy")]

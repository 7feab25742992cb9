"""The labels of images: those beside them, those of their list or their folders, or those of a file that is named."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import DataError, did_you_mean, escaped, unreadable
from aecli.data.dataset import ImageDataset, Rows
from aecli.data.files.labels import Labels, NoLabels, labels_beside, labels_file, read_labels
from aecli.data.files.manifest import display_name
from aecli.data.files.open import list_pictures

UNKNOWN = -1
"""The number of a class that is not among those asked for."""

_LONGEST_CELL, _NAMED = 1000, 12
_TEXTS, _ARRAYS = (".csv", ".txt"), (".npy", ".gz")
_KINDS = "an .npy, IDX, .csv or .txt of labels"


def labels_of(source: ImageDataset) -> Labels | NoLabels:
    """Return the labels beside images, else those of the list that names them, else the folders of their files."""
    beside = labels_beside(source.file, source.decoding.key)
    if isinstance(beside, Labels) or not source.names:
        return beside
    return _labels_of_list(source, source.names) or _labels_of_folders(source.names) or beside


def required_labels(source: ImageDataset, file: Path | None = None) -> Labels:
    """Return the labels of images, those of `file` where it is given; DataError where there are none."""
    found = labels_of(source) if file is None else labels_from(file, source)
    if isinstance(found, Labels):
        return found
    raise DataError(
        f"{source.file.path}: has no labels ({found.reason}): name a file of them, one for each image, or put the "
        f"pictures into a folder for each class"
    )


def labels_from(path: Path, source: ImageDataset) -> Labels:
    """Return the labels in a file, one for each image of a source.

    Numbers or words as .npy or IDX, packed by gzip or not; a .csv with a column `label`, in the order of the images, or
    in any where a column `file` names them; or one label a line. Raises DataError.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file: give {_KINDS}")
    try:
        if path.suffix.lower() in _TEXTS:
            return _from_words(_labels_in_text(path, source))
        if path.suffix.lower() not in _ARRAYS and "idx" not in path.name.lower():
            raise DataError(f"{path}: no labels are read from such a file: give {_KINDS}")
        array = labels_file(path)
        _require_count(path, len(array), source)
        found = read_labels(array, len(source))
    except OSError as error:
        raise unreadable(path, error) from error
    if found.classes:
        return found
    numbers, values = np.unique(found.values, return_inverse=True)
    return Labels(values.reshape(-1).astype(np.int64), tuple(map(str, numbers.tolist())))


def numbers_in(labels: Labels, classes: Sequence[str]) -> NDArray[np.int64]:
    """Return the labels as numbers of these classes, by their names; UNKNOWN where a class is not among them."""
    number = {name: i for i, name in enumerate(classes)}
    return np.array([number.get(name, UNKNOWN) for name in labels.classes], np.int64)[labels.values]


def rows_of_class(labels: Labels, name: str) -> Rows:
    """Return the rows of the images of a class; ValueError, which names the classes, where there is no such."""
    return np.flatnonzero(labels.values == class_number(labels, name))


def class_number(labels: Labels, name: str) -> int:
    """Return the number of a class; ValueError, which names those that there are, where no image is of it."""
    present = [labels.classes[number] for number in np.unique(labels.values)]
    if name not in present:
        more = ", ..." if len(present) > _NAMED else ""
        hint = did_you_mean(name, present) or f": they are {escaped(', '.join(present[:_NAMED]))}{more}"
        raise ValueError(f"no image is labelled '{escaped(name)}'{hint}")
    return labels.classes.index(name)


def _require_count(path: Path, count: int, source: ImageDataset) -> None:
    if count != len(source):
        raise DataError(
            f"{path}: holds {count:,} labels, and {source.file.path} {len(source):,} images: give one for each image"
        )


def _labels_in_text(path: Path, source: ImageDataset) -> list[str]:
    """Return the label of each image, as words."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (UnicodeError, csv.Error) as error:
        raise DataError(f"{path}: not a text of labels: write one a line, or a .csv with a column label") from error
    if rows and "label" in rows[0]:
        header, rows = rows[0], rows[1:]
    elif all(len(row) == 1 for row in rows):
        header = ["label"]
    else:
        raise DataError(f"{path}: has no column label: name it in the first line")
    column = header.index("label")
    if any(len(row) != len(header) or len(row[column]) > _LONGEST_CELL for row in rows):
        raise DataError(f"{path}: a line has another number of cells than the first, or too long a label: correct it")
    words = [row[column].strip() for row in rows]
    if "file" not in header:
        _require_count(path, len(words), source)
        return words
    if not source.names:
        raise DataError(f"{path}: has a column file, and the images of {source.file.path} have no names: leave it out")
    known = dict(zip((row[header.index("file")] for row in rows), words, strict=True))
    missing = [name for name in source.names if name not in known]
    if missing:
        raise DataError(
            f"{path}: has no label of {len(missing):,} images, the first is {display_name(missing[0])}: add it"
        )
    return [known[name] for name in source.names]


def _from_words(words: Sequence[str]) -> Labels:
    """Return words as labels; the classes are in their order, that of numbers where all are."""
    numbers = all(word.isdecimal() for word in words)
    classes = sorted(set(words), key=lambda word: (int(word), word) if numbers else (0, word))
    number = {name: i for i, name in enumerate(classes)}
    return Labels(np.array([number[word] for word in words], np.int64), tuple(classes))


def _labels_of_list(source: ImageDataset, names: Sequence[str]) -> Labels | None:
    """Return the labels that stand in a list of pictures, None where it gives none to some."""
    listing = list_pictures(source.file.path)
    if listing is None or not listing.labels:
        return None
    known = listing.labels
    # Pictures of one file are named after it: stack.tif#3.
    words = [known.get(name) or known.get(name.rpartition("#")[0]) for name in names]
    given = [word for word in words if word is not None]
    return _from_words(given) if len(given) == len(words) else None


def _labels_of_folders(names: Sequence[str]) -> Labels | None:
    """Return the first folders of files as their classes, None where they have not at least two."""
    folders = [name.split("/")[0] if "/" in name else None for name in names]
    known = [folder for folder in folders if folder is not None]
    return _from_words(known) if len(known) == len(folders) and len(set(known)) > 1 else None

"""The labels of images: those beside them, those of their list or their folders, or those of a file that is named."""

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import DataError, did_you_mean, escaped, unreadable
from aecli.data.dataset import ImageDataset, Rows
from aecli.data.files.labels import Labels, NoLabels, labels_beside, labels_file, read_labels
from aecli.data.files.manifest import display_name
from aecli.data.files.open import list_pictures

UNKNOWN = -1
"""The number of a class that is not among those asked for."""

_LONGEST_LINE, _LONGEST_CELL, _NAMED = 2**16, 1000, 12
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
        problem = "is no regular file" if os.path.lexists(path) else "no such file"
        raise DataError(f"{path}: {problem}: give {_KINDS}")
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
    """Return the label of each image, as words; what is no label of one of the images takes no memory."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _labels_in_rows(path, source, csv.reader(_lines(file)))
    except (UnicodeError, csv.Error) as error:
        raise DataError(f"{path}: not a text of labels: write one a line, or a .csv with a column label") from error


def _lines(file: TextIO) -> Iterator[str]:
    """Yield the lines of a text; csv.Error where one is longer than any of labels, before it is read whole."""
    while line := file.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE or "\0" in line:
            raise csv.Error
        yield line


def _labels_in_rows(path: Path, source: ImageDataset, rows: Any) -> list[str]:
    """Return the label of each image from the lines of a csv.reader."""
    first: list[str] = next(filter(None, rows), [])
    header = first if "label" in first else ["label"]
    column, named = header.index("label"), "file" in header
    if named and not source.names:
        raise DataError(f"{path}: has a column file, and the images of {source.file.path} have no names: leave it out")
    known: dict[str, str] = dict.fromkeys(source.names or (), "")
    words, count = [], 0
    for row in filter(None, rows if header is first else chain([first], rows)):
        count += 1
        if len(row) != len(header):
            if header is not first:
                raise DataError(f"{path}: has no column label: name it in the first line")
            raise DataError(f"{path}: line {rows.line_num:,} has another number of cells than the first: correct it")
        word = row[column].strip()
        if not 0 < len(word) <= _LONGEST_CELL:
            raise DataError(f"{path}: line {rows.line_num:,} has {'too long a' if word else 'no'} label: correct it")
        if named:
            _note(path, known, row[header.index("file")], word)
        elif count <= len(source):
            words.append(word)
    if named:
        return _of_names(path, known, source.names or ())
    _require_count(path, count, source)
    return words


def _note(path: Path, known: dict[str, str], name: str, word: str) -> None:
    """Note the label of a file, where it is one of those asked for."""
    if name in known and known[name] not in ("", word):
        raise DataError(f"{path}: has two labels for {display_name(name)}: correct one")
    if name in known:
        known[name] = word


def _of_names(path: Path, known: Mapping[str, str], names: Sequence[str]) -> list[str]:
    missing = [name for name in names if not known[name]]
    if missing:
        raise DataError(
            f"{path}: has no label of {len(missing):,} images, the first is {display_name(missing[0])}: add it"
        )
    return [known[name] for name in names]


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

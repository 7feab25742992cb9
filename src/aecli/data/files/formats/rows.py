"""Lines of a list: the path of a picture, and where there is one its label."""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass

from aecli.data.files.pictures import SUFFIXES

_LABELS = ("label", "labels", "class", "classes", "category", "target", "y", "species", "breed")
_SEPARATORS = ("\t", ",", ";", " ")


@dataclass(frozen=True)
class Columns:
    """Where a table has its paths and its labels; `skip` says that its first line is a heading."""

    path: int
    label: int | None
    skip: bool
    separator: str


def split_line(line: str) -> tuple[str, str | None]:
    """Return the path on a line of a list, and the label after it; a path may have blanks and commas in it."""
    if _is_picture(line):
        return line, None
    for separator in _SEPARATORS:
        path, found, label = line.rpartition(separator)
        if found and label and _is_picture(path.strip().strip('"')):
            return path.strip().strip('"'), label.strip().strip('"')
    return line, None


def find_columns(lines: Sequence[str]) -> Columns | None:
    """Return which columns of a table, by its first lines, are the paths and the labels; None where none has paths."""
    separator = next((mark for mark in ("\t", ",", ";") if lines and mark in lines[0]), ",")
    rows = [split_cells(line, separator) for line in lines[:2]]
    for skip in (False, True):
        cells = rows[skip] if len(rows) > skip else []
        path = next((i for i, cell in enumerate(cells) if _is_picture(cell)), None)
        if path is not None:
            heads = rows[0] if skip else []
            named = next((i for i, head in enumerate(heads) if head.strip().lower() in _LABELS and i != path), None)
            other = 1 - path if len(cells) == 2 else None
            return Columns(path, other if named is None else named, skip, separator)
    return None


def split_cells(line: str, separator: str) -> list[str]:
    """Return the cells of a line, quoted as spreadsheets do."""
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
    except csv.Error:
        return []


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES

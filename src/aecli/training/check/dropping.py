"""Leaving out what is there twice: a list of the pictures that stay, or an array of the rows."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from aecli.core.errors import DataError
from aecli.core.files import packaged, refuse_output, written_whole
from aecli.data.config import PACKAGED_DIGITS
from aecli.data.dataset import ImageDataset, Rows
from aecli.data.files.convert import ConvertOptions, import_images
from aecli.data.files.manifest import display_name
from aecli.data.files.open import holds_pictures, list_pictures
from aecli.runs.config import Config
from aecli.training.check.checking import CheckReport

Drop = Literal["duplicates", "near"]
"""Exact copies of an earlier image, or these and what is nearly the same."""

DROPS: tuple[Drop, ...] = ("duplicates", "near")


def refuse_kept(output: Path, overwrite: bool, config: Config) -> None:
    """Raise AeError where what stays of a config's training images cannot be written into this file."""
    path = config.data.train or packaged(PACKAGED_DIGITS)
    refuse_output(output, overwrite, path, suffix=".txt" if holds_pictures(path) else ".npy")


def kept_rows(checked: CheckReport, drop: Drop) -> Rows:
    """Return the rows of the training file without the later ones of images that are there twice."""
    count = len(checked.surveys[0].source)
    stays = np.ones(count, bool)
    duplicates = checked.duplicates
    if duplicates is not None:
        pairs = [duplicates.copies(), *([np.sort(duplicates.near, axis=1)] if drop == "near" else [])]
        later = np.concatenate(pairs)[:, 1]
        stays[later[later < count]] = False
    return np.flatnonzero(stays)


def write_kept(source: ImageDataset, rows: Rows, output: Path, overwrite: bool) -> None:
    """Write what stays: for pictures a list of their paths, for an array an .npy with what belongs beside it."""
    path = source.file.path
    if not holds_pictures(path):
        import_images([path], output, ConvertOptions(source.decoding, rows=rows), overwrite=overwrite)
        return
    listing, names = list_pictures(path), source.names
    if listing is None or names is None:
        raise DataError(f"{path}: has changed since: run the command again")
    _write_list([listing.path(names[row]) for row in rows], output)


def _write_list(paths: Sequence[str], output: Path) -> None:
    """Write a list of pictures as `read_list` reads it: a path a line, relative to the list."""
    folder = output.absolute().parent
    relative = [os.path.relpath(path, folder) for path in paths]
    lines = [os.fsencode(os.path.join(".", path) if path.startswith("#") else path) for path in relative]
    for path, line in zip(paths, lines, strict=True):
        if line.splitlines() != [line.strip()]:
            raise DataError(f"{display_name(path)}: no list can hold such a name: rename the file")
        if not os.path.exists(path):
            raise DataError(f"{display_name(path)}: is no file of its own: write its images with ae import first")
    with written_whole(output) as temporary:
        temporary.write_bytes(b"".join(line + b"\n" for line in lines))

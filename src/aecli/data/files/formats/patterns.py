"""Patterns such as photos/*.png, which no shell has expanded."""

import glob
import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from aecli.core.errors import DataError
from aecli.data.files.listing import Listing, list_folder
from aecli.data.files.pictures import SUFFIXES

_MAGIC = re.compile(r"[*?]|\[[^]]+\]")


def is_pattern(path: Path) -> bool:
    """Whether a path is a pattern and no file of that name."""
    try:
        return _MAGIC.search(str(path)) is not None and not path.exists()
    except OSError:
        return False


def list_pattern(path: Path) -> Listing:
    """Return the pictures that a pattern matches, and those in the folders that it matches."""
    root = fixed_part(path)
    names: list[str] = []
    ignored: Counter[str] = Counter()
    unreadable: list[tuple[str, str]] = []
    matched = sorted(glob.glob(str(path), recursive=True), key=os.fsencode)
    if not matched:
        raise DataError(f"{path}: no file matches: check the pattern")
    for match in matched:
        name = os.path.relpath(match, root)
        suffix = os.path.splitext(name)[1].lower()
        if os.path.isdir(match):
            inner = list_folder(Path(match))
            names += [os.path.normpath(os.path.join(name, one)) for one in inner.names]
            ignored.update(dict(inner.ignored))
            unreadable += [(os.path.join(name, one), reason) for one, reason in inner.unreadable]
        elif suffix in SUFFIXES:
            names.append(name)
        else:
            ignored[suffix or "without a suffix"] += 1
    listing = Listing(str(path), root, sorted(set(names), key=os.fsencode), tuple(ignored.most_common()))
    if not names and ignored:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in ignored.most_common(5))
        raise DataError(f"{path}: matches no pictures, but {kinds}: name one file, or join arrays with ae import")
    return replace(listing, unreadable=tuple(unreadable))


def fixed_part(path: Path) -> Path:
    """Return the folder that a pattern begins with."""
    fixed: list[str] = []
    for part in path.parts:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)

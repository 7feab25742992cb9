"""Which pictures a folder or a list names."""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aecli.core.errors import DataError, is_io_failure
from aecli.data.files.manifest import error_reason
from aecli.data.files.options import WhichFrames
from aecli.data.files.pictures import SUFFIXES

_LONGEST_LINE = 2**16


_RUN_FILES, _STUDY_FILE = {"config.yaml", "environment.json"}, "study.yaml"


@dataclass(frozen=True)
class Listing:
    """Picture files, in a stable order: `names` are relative to `root`; `source` is what the user named.

    A file of several pictures has a name for each, "stack.tif#3" for that of number 3 counted from 0, once it has been
    looked at: `frames` has their files and numbers, `which` says whether all are there or the first of each file.
    `stacks` counts such files and their pictures, `copies` what is in them beside: thumbnails, levels of a pyramid.
    """

    source: str
    root: Path
    names: Sequence[str]
    ignored: tuple[tuple[str, int], ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()
    frames: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    which: WhichFrames | None = None
    stacks: tuple[int, int] = (0, 0)
    copies: int = 0

    def __len__(self) -> int:
        return len(self.names)

    def path(self, name: str) -> str:
        """Return the path of one of them."""
        return os.path.join(self.root, name)

    def locate(self, name: str) -> tuple[str, int]:
        """Return the path of the file that holds one of them, and its number there."""
        file, number = self.frames.get(name, (name, 0))
        return self.path(file), number

    def key(self) -> str:
        """Return a hash of where the files are, their names, sizes and times of change.

        Reading them all would cost as much as decoding. The time of change of the inode is in it, since an archive
        may unpack other pictures of the same names, sizes and dates to the same place.
        """
        digest = hashlib.sha256(os.fsencode(os.path.realpath(self.root)))
        for name in self.names:
            try:
                status = os.stat(self.path(name))
                digest.update(f"\0{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} ".encode())
            except (OSError, ValueError):
                digest.update(b"\0missing ")
            digest.update(os.fsencode(name))
        return digest.hexdigest()


@dataclass
class _FolderScan:
    names: list[str] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    visited: set[tuple[int, int]] = field(default_factory=set)


def list_folder(folder: Path) -> Listing:
    """Return the picture files of a folder and of the folders in it, links followed, each folder once.

    Hidden files, files that are no pictures by their suffix, and the folders of runs and studies are passed over.
    """
    scan, waiting = _FolderScan(), [""]
    while waiting:
        waiting += _scan(folder, waiting.pop(), scan)
    names = sorted(scan.names, key=os.fsencode)
    return Listing(str(folder), folder, names, tuple(scan.ignored.most_common()), tuple(sorted(scan.unreadable)))


def _scan(root: Path, inner: str, scan: _FolderScan) -> list[str]:
    """Note the files of one folder; return the folders in it."""
    path, folders = os.path.join(root, inner), []
    try:
        status = os.stat(path)
        if (status.st_dev, status.st_ino) in scan.visited:
            return []
        scan.visited.add((status.st_dev, status.st_ino))
        with os.scandir(path) as iterator:
            entries = list(iterator)
    except OSError as error:
        if not inner or is_io_failure(error):
            raise
        scan.unreadable.append((inner, error_reason(error)))
        return []
    names = {entry.name for entry in entries}
    if _STUDY_FILE in names or names >= _RUN_FILES:
        scan.ignored["folders of runs or studies"] += 1
        return []
    for entry in entries:
        name = os.path.join(inner, entry.name)
        if entry.name.startswith("."):
            scan.ignored["hidden"] += 1
        elif _is_folder(entry):
            folders.append(name)
        elif (suffix := os.path.splitext(entry.name)[1].lower()) in SUFFIXES:
            scan.names.append(name)
        else:
            scan.ignored[suffix or "without a suffix"] += 1
    return folders


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def read_list(path: Path) -> Listing:
    """Return the files that a text file names, one a line, relative to its own folder; # begins a comment."""
    names = []
    with path.open("rb") as file:
        while line := file.readline(_LONGEST_LINE + 1):
            if b"\0" in line or len(line) > _LONGEST_LINE:
                raise DataError(f"{path}: not a text file of paths: write one path a line")
            name = os.fsdecode(line.strip())
            if name and not name.startswith("#"):
                names.append(name)
    if not names:
        raise DataError(f"{path}: names no files: write one path a line")
    return Listing(str(path), path.parent, names)

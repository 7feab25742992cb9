"""Which pictures a folder or a list names."""

import codecs
import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from urllib.parse import unquote

from aecli.core.errors import DataError, is_io_failure
from aecli.data.files.formats.numbers import numbers_cure
from aecli.data.files.formats.rows import find_columns, split_cells, split_line
from aecli.data.files.manifest import error_reason
from aecli.data.files.options import WhichFrames
from aecli.data.files.pictures import SUFFIXES

_LONGEST_LINE = 2**16
_FIRST_LINES = 2**20
_FIRST_LINE_COUNT = 50
"""Bytes and lines of a list by which it is known for one of numbers."""

_RUN_FILES, _STUDY_FILE = {"config.yaml", "environment.json"}, "study.yaml"


@dataclass(frozen=True)
class Listing:
    """Picture files, in a stable order: `names` are relative to `root`; `source` is what the user named.

    Where they were unpacked, `files` are the files of the names, `digest` says what they were unpacked from, and
    `lease` keeps them. `labels` are those that a list gives.

    A file of several pictures has a name for each, "stack.tif#3" for that of number 3 counted from 0, once it has been
    looked at: `frames` has their files and numbers, `which` says whether all are there or the first of each file.
    `stacks` counts such files and their pictures, `copies` what is in them beside: thumbnails, levels of a pyramid.
    """

    source: str
    root: Path
    names: Sequence[str]
    ignored: tuple[tuple[str, int], ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()
    files: Mapping[str, str] | None = None
    digest: str | None = None
    lease: object = field(default=None, repr=False, compare=False)
    labels: Mapping[str, str] | None = None
    frames: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    which: WhichFrames | None = None
    stacks: tuple[int, int] = (0, 0)
    copies: int = 0

    def __len__(self) -> int:
        return len(self.names)

    def path(self, name: str) -> str:
        """Return the path of one of them."""
        return os.path.join(self.root, self.files[name] if self.files else name)

    def locate(self, name: str) -> tuple[str, int]:
        """Return the path of the file that holds one of them, and its number there."""
        file, number = self.frames.get(name, (name, 0))
        return self.path(file), number

    def key(self) -> str:
        """Return a hash of where the files are, their names, sizes and times of change.

        Reading them all would cost as much as decoding. The time of change of the inode is in it, since an archive
        may unpack other pictures of the same names, sizes and dates to the same place.
        """
        if self.digest is not None:
            return self.digest
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
    """Return the files that a text file names, one a line, relative to its own folder; # begins a comment.

    The text is UTF-8, or UTF-16 with a byte order mark, with the line ends of any system. A label may stand behind a
    path, after a tab or a comma.
    """
    refuse_numbers(path)
    names: list[str] = []
    labels: dict[str, str] = {}
    problem = DataError(f"{path}: not a text file of paths: write one path a line")
    try:
        with path.open(encoding=_encoding(path), errors="surrogateescape") as file:
            while line := file.readline(_LONGEST_LINE + 1):
                if "\0" in line or len(line) > _LONGEST_LINE:
                    raise problem
                text = line.strip()
                if text and not text.startswith("#"):
                    name, label = split_line(text)
                    _note((_meant(path.parent, name), label), names, labels)
    except UnicodeError as error:
        raise problem from error
    if not names:
        raise DataError(f"{path}: names no files: write one path a line")
    return Listing(str(path), path.parent, names, labels=labels or None)


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _meant(folder: Path, line: str) -> str:
    """Return the path that a line of a list means: as it stands, or as another program may have written it."""
    unquoted = line[1:-1].strip() if len(line) > 2 and line[0] == line[-1] and line[0] in "\"'" else line
    local = unquote(unquoted[7:]) if unquoted.startswith("file://") else os.path.expanduser(unquoted)
    for name in (line, unquoted, local, os.path.expanduser(unquoted.replace("\\", "/"))):
        if os.path.lexists(os.path.join(folder, name)):
            return os.fspath(PurePath(name))
    return os.fspath(PurePath(unquoted))


def read_table(path: Path) -> Listing:
    """Return the files that a column of a .csv or .tsv names, with the labels of another column."""
    refuse_numbers(path)
    names: list[str] = []
    labels: dict[str, str] = {}
    with path.open("rb") as file:
        first = [os.fsdecode(file.readline(_LONGEST_LINE).removeprefix(codecs.BOM_UTF8).rstrip()) for _ in range(2)]
        columns = find_columns(first)
        if columns is None:
            raise DataError(f"{path}: no column has paths of pictures: write them with their suffix, such as a.png")
        file.seek(0)
        for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE + 1), b"")):
            if b"\0" in line or len(line) > _LONGEST_LINE:
                raise DataError(f"{path}: not a table of paths: write one path a line")
            text = line.removeprefix(codecs.BOM_UTF8) if not number else line
            cells = split_cells(os.fsdecode(text.rstrip()), columns.separator)
            if len(cells) > max(columns.path, columns.label or 0) and number >= columns.skip:
                label = None if columns.label is None else cells[columns.label]
                _note((_meant(path.parent, cells[columns.path]), label), names, labels)
    return Listing(str(path), path.parent, names, labels=labels or None)


def _note(row: tuple[str, str | None], names: list[str], labels: dict[str, str]) -> None:
    name, label = row
    names.append(name)
    if label:
        labels[name] = label


def refuse_numbers(path: Path) -> None:
    """Raise DataError with the cure where a text file holds numbers, as numpy.savetxt writes them."""
    with path.open("rb") as file:
        lines = file.read(_FIRST_LINES).splitlines()
    first = next((line for line in lines if line.strip() and not line.strip().startswith(b"#")), b"")
    cure = numbers_cure(path, [line.decode("latin-1") for line in lines[:_FIRST_LINE_COUNT]])
    # A file may be called 1984.
    if cure is not None and not _is_file(path.parent / os.fsdecode(first.strip())):
        raise DataError(f"{path}: {cure}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or none
        return False

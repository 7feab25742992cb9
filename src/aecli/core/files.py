"""Files that appear whole or not at all: written beside their place, then renamed."""

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO

from aecli.core.errors import AeError, WriteError
from aecli.core.locks import OPEN_FILES_MOVE, lock_alone


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, an empty file; it becomes `path` when the block ends well.

    The temporary name keeps the suffix, which some writers look at. What a killed process left of the same file is
    removed. Raises WriteError when the place cannot be written.
    """
    try:
        _sweep(path)
        # Held to the end: whoever finds the file unlocked knows that its process has died.
        held, temporary = _open_held(path)
        with held:
            try:
                yield temporary
                with temporary.open("rb+") as file:
                    os.fsync(file.fileno())
                if not OPEN_FILES_MOVE:
                    held.close()
                os.replace(temporary, path)
                _sync_folder(path.absolute().parent)
            finally:
                if not OPEN_FILES_MOVE:
                    held.close()
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise WriteError(
            f"{path}: cannot be written ({error.strerror or error}): check the folder and the disk"
        ) from error


def _open_held(path: Path) -> tuple[BinaryIO, Path]:
    """Open a temporary file for `path` and lock it; return the open file and its path.

    Another process that writes the same file may sweep it away in the instant before it is locked: then it is another.
    """
    while True:
        temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")
        held = temporary.open("xb")
        if not OPEN_FILES_MOVE or _is_held(held, temporary):
            return held, temporary
        held.close()


def _is_held(file: BinaryIO, path: Path) -> bool:
    """Lock an open file for this process; return whether it is still at its path, and nobody is about to remove it."""
    try:
        lock_alone(file.fileno())
    except BlockingIOError:
        return False
    except OSError:  # where nothing can be locked, nothing is swept either
        return True
    return path.exists()


def _sync_folder(folder: Path) -> None:
    """Bring a renaming to the disk, so that a power cut does not undo it; the file is whole either way."""
    with suppress(OSError):  # a folder that may be written to but not listed, and Windows
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


_TEMPORARY = re.compile(r"\.(.+)-[0-9a-f]{8}(\.[^.]+)?")


def whole_name(name: str) -> str | None:
    """Return what a temporary file of `written_whole` was to be named, None for the name of any other file."""
    match = _TEMPORARY.fullmatch(name)
    return match[1] + (match[2] or "") if match else None


def _sweep(path: Path) -> None:
    """Remove what processes that were killed left in place of this file."""
    try:
        entries = [
            entry
            for entry in os.scandir(path.absolute().parent)
            if whole_name(entry.name) == path.name and entry.is_file(follow_symlinks=False)
        ]
    except OSError:  # a folder that may be written to but not listed
        return
    for entry in entries:
        with suppress(OSError):
            _remove_unused(entry.path)


def _remove_unused(path: str) -> None:
    """Remove a file that no process writes any more; OSError where one does."""
    if not OPEN_FILES_MOVE:  # nor can a file be removed that is open
        os.unlink(path)
        return
    with open(path, "rb+") as file:
        lock_alone(file.fileno())
        os.unlink(path)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file whole."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def refuse_output(path: Path, overwrite: bool, *inputs: Path, suffix: str | None = None) -> None:
    """Raise AeError where a file cannot be made, is an input, or would be overwritten without being asked.

    `suffix` is the one the name must have, where only one is written.
    """
    if suffix is not None and path.suffix.lower() != suffix:
        raise AeError(f"{path}: is written as {suffix}: give a name that ends in {suffix}")
    if path.is_dir():
        raise AeError(f"{path}: is a folder, expected a file name: give the name of a file")
    if path.exists() and not path.is_file():
        raise AeError(f"{path}: is not a regular file: give another name")
    if any(path.exists() and file.exists() and path.samefile(file) for file in inputs):
        raise AeError(f"{path}: is the input: give another name")
    if path.exists() and not overwrite:
        raise AeError(f"{path}: exists already: give another name or add --overwrite")
    if not path.absolute().parent.is_dir():
        raise AeError(f"{path}: the folder {path.parent} does not exist: create it first")
    if not os.access(path.absolute().parent, os.W_OK):
        raise AeError(f"{path}: the folder {path.parent} cannot be written: give another --output")


def packaged(name: str) -> Path:
    """Return the path of a file that comes with the package, e.g. "data/digits.npy"."""
    installed = Path(str(files("aecli"))) / name
    # In a checkout (an editable install) the files lie beside src/.
    return installed if installed.exists() else Path(__file__).parents[3] / name

"""The errors a user can mend: each says where, what is wrong and what to do, in one line."""

import difflib
import errno
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeGuard


class AeError(Exception):
    """An input, a config or a run is wrong; the message is "where: what: cure"."""


class ConfigError(AeError):
    """A config is wrong; carries every problem found, one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class DataError(AeError):
    """Images or latents cannot be used."""


class OtherImagesError(DataError):
    """Images are not those that a run was begun on."""


class NotFiniteError(DataError):
    """Some values are NaN or infinite; carries the first images that have them, by row."""

    def __init__(self, message: str, rows: Sequence[int]) -> None:
        super().__init__(message)
        self.rows = tuple(rows)


class RunError(AeError):
    """A run's folder is missing, incomplete, damaged or already there."""


class NotInRunError(RunError):
    """A run has nothing of the kind that was asked for."""


class LockedError(RunError):
    """Another process trains in this folder."""


class TrainingError(AeError):
    """Training could not reach its end."""


class ReadError(AeError):
    """A file is there and cannot be read: its permissions, a broken disk, a network that has gone."""


class WriteError(AeError):
    """A place cannot be written: the disk is full, read-only, broken or gone."""


def unreadable(path: object, error: OSError) -> ReadError:
    """Return the error of a file that cannot be read."""
    return ReadError(f"{path}: cannot be read ({error.strerror or error}): check its permissions and the disk")


_OF_THE_FILE = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
_OF_THE_FILE |= {errno.EINVAL}  # a place before the file's start, which a damaged one can name


def is_io_failure(error: BaseException) -> TypeGuard[OSError]:
    """Whether it is the machine that failed, its disk or its network, and not a file that is missing or odd."""
    return isinstance(error, OSError) and error.errno is not None and error.errno not in _OF_THE_FILE


def is_disk_failure(error: BaseException) -> bool:
    """Whether a file could not be written or read for reasons that lie outside of it."""
    return isinstance(error, (WriteError, ReadError, PermissionError)) or is_io_failure(error)


def is_memory_failure(error: BaseException) -> bool:
    """Whether there was not enough memory; a library that finds no room for itself is an import that fails."""
    return isinstance(error, MemoryError) or (
        isinstance(error, ImportError) and re.search("map segment|[Cc]annot allocate", str(error)) is not None
    )


@contextmanager
def warnings_end_nothing() -> Iterator[None]:
    """Ignore, in the block, what `python -W error` or PYTHONWARNINGS would make errors of.

    The warnings are those of the libraries that do the work, and no one of them is a reason not to do it.
    """
    with warnings.catch_warnings():
        for action, _, category, _, _ in list(warnings.filters):
            if action == "error":
                warnings.simplefilter("ignore", category)
        yield


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word nearest to `word`, whatever the case of either; None when none is near."""
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    return folded[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the known word nearest to `word`, or "" when none is near."""
    near = nearest(word, known)
    return f"; did you mean '{near}'?" if near else ""


def escaped(text: str) -> str:
    """Return a text with its control characters, and bytes that are no UTF-8, escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def one_line(error: BaseException) -> str:
    """Return a foreign error's message on one line, for the middle of one of ours."""
    return " ".join(str(error).split()) or type(error).__name__

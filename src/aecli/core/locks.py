"""A lock on a folder, held by one process for as long as it lives."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aecli.core.errors import LockedError, RunError, WriteError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""What some network file systems answer: there, nothing is locked."""


@contextmanager
def locked(path: Path, option: str = "--run") -> Iterator[None]:
    """Hold the lock file `path` while the block runs; LockedError names the process that holds it already.

    The system lets go of the lock when its process ends, however it ends: a lock file left behind locks nothing.
    `option` is the one that names the folder, for errors.
    """
    descriptor = _acquire(path, option)
    try:
        _sign(descriptor, path, option)
        yield
    finally:
        # While it is still held: whoever waits for this file finds that it is gone, and takes another.
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def refuse_locked(path: Path) -> None:
    """Raise LockedError where another process holds the lock file `path` of a run."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return
    try:
        _lock(descriptor, path, "--run")
    finally:
        os.close(descriptor)


def _sign(descriptor: int, path: Path, option: str) -> None:
    """Write into the lock file who holds it, and since when."""
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()} {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
    except OSError as error:
        raise _unwritable(path, option, error) from error


def _unwritable(path: Path, option: str, error: OSError) -> WriteError:
    return WriteError(f"{path.parent}: cannot be written ({error.strerror}): give another {option}")


def _acquire(path: Path, option: str) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise _unwritable(path, option, error) from error
        try:
            _lock(descriptor, path, option)
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, path: Path, option: str) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LockedError(
            f"{path.parent}: is being trained by {_owner(descriptor)}: wait for its end, stop it, or give another "
            f"{option}"
        ) from error
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise RunError(f"{path.parent}: cannot be locked ({error.strerror}): give another {option}") from error


def _owner(descriptor: int) -> str:
    words = os.pread(descriptor, 100, 0).decode(errors="replace").split(maxsplit=1)
    return f"process {words[0]} since {words[1].strip()}" if len(words) == 2 else "another process"

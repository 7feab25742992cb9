"""Locks on open files, and on a folder, held by one process for as long as it lives."""

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
    import msvcrt

OPEN_FILES_MOVE = fcntl is not None
"""Whether a file can be renamed and removed while it is open, as everywhere but on Windows."""

_LOCKED_BYTE = 2**30
"""Windows locks bytes, and what is locked cannot be read: this one lies beyond the end of any lock file."""

_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF)
"""What some network file systems answer: there, nothing is locked."""


def open_lock(path: Path, *, create: bool = True) -> int:
    """Return the descriptor of a file to be locked, opened for writing too where it can be: NFS locks no other."""
    try:
        return os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o644)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            with suppress(OSError):
                return os.open(path, os.O_RDONLY)
        raise


def lock_alone(descriptor: int) -> None:
    """Lock an open file for this process alone; BlockingIOError where another has, OSError where nothing can."""
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    except OSError as error:
        raise BlockingIOError(error.errno, error.strerror) from error


def lock_shared(descriptor: int) -> None:
    """Wait until nobody has locked an open file alone, and keep it so; on Windows a file that is open is safe."""
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_SH)


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
        if not OPEN_FILES_MOVE:
            os.close(descriptor)
        # While it is still held: whoever waits for this file finds that it is gone, and takes another.
        with suppress(OSError):
            path.unlink()
        if OPEN_FILES_MOVE:
            os.close(descriptor)


def refuse_locked(path: Path) -> None:
    """Raise LockedError where another process holds the lock file `path` of a run."""
    try:
        descriptor = open_lock(path, create=False)
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
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"{os.getpid()} {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
    except OSError as error:
        raise _unwritable(path, option, error) from error


def _unwritable(path: Path, option: str, error: OSError) -> WriteError:
    return WriteError(f"{path.parent}: cannot be written ({error.strerror}): give another {option}")


def _acquire(path: Path, option: str) -> int:
    while True:
        try:
            descriptor = open_lock(path)
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
    try:
        lock_alone(descriptor)
    except BlockingIOError as error:
        raise LockedError(
            f"{path.parent}: is being trained by {_owner(descriptor)}: wait for its end, stop it, or give another "
            f"{option}"
        ) from error
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise RunError(f"{path.parent}: cannot be locked ({error.strerror}): give another {option}") from error


def _owner(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    words = os.read(descriptor, 100).decode(errors="replace").split(maxsplit=1)
    return f"process {words[0]} since {words[1].strip()}" if len(words) == 2 else "another process"

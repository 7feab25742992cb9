"""Locks on open files, and on a folder, held by one process for as long as it lives.

They are `flock`'s, which the system lets go of however their process ends, on whichever machine. Where a file system
has none, nothing takes their place: a folder made as a lock would stay after a process that was killed, and nobody
could tell from another machine whether its owner lives.
"""

import errno
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
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

_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""What file systems without locks answer, as Lustre mounted without `-o flock` and NFS without its lock service."""

_GONE = (errno.ENOENT, errno.ESTALE)
"""What a path or an open file answers when another process has removed the file: the second is NFS's."""

_ATTEMPTS = 50
"""How often a lock file may be gone between two steps; each time another process has just let go of it."""

_PAUSE = 0.1
"""Seconds after ESTALE: for some time NFS goes on answering from what it remembers."""


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


def lock_problem(folder: Path) -> str | None:
    """Return why nothing can be locked in a folder, None where two descriptors of a file there exclude each other.

    Raises OSError where no file can be made there.
    """
    first, name = tempfile.mkstemp(prefix=".ae-lock-", dir=folder)
    try:
        second = os.open(name, os.O_RDWR)
        try:
            lock_alone(first)
            lock_alone(second)
        except BlockingIOError:
            return None
        except OSError as error:
            return error.strerror or str(error)
        finally:
            os.close(second)
    finally:
        os.close(first)
        os.unlink(name)
    return "a second lock was given beside the first"


def silent(message: str) -> None:
    """Tell nobody."""


@contextmanager
def locked(path: Path, option: str = "--run", note: Callable[[str], None] = silent) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; LockedError names the process that holds it already.

    The system lets go of the lock when its process ends, however it ends: a lock file left behind locks nothing.
    `option` is the one that names the folder, for errors; `note` is told in a line where the file system has no locks.
    """
    descriptor, problem = _acquire(path, option)
    try:
        if problem:
            note(
                f"{path.parent}: its file system has no locks ({problem}): a second ae that trains here would not be "
                f"refused, and would write the same files: start only one at a time, or give another {option} on a "
                f"disk with locks (Lustre has them with -o flock)"
            )
        yield
    finally:
        if not OPEN_FILES_MOVE:
            os.close(descriptor)
        # While it is still held: whoever waits for this file finds that it is gone, and takes another.
        with suppress(OSError):
            path.unlink()
        if OPEN_FILES_MOVE:
            os.close(descriptor)


def refuse_locked(path: Path, option: str = "--run") -> None:
    """Raise LockedError where another process holds the lock file `path`, which need not be there."""
    try:
        descriptor = open_lock(path, create=False)
    except OSError:
        return
    try:
        _lock(descriptor, path, option)
    except OSError:  # gone by now, or read-only where only who may write can lock: taking it will tell
        return
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool | None:
    """Return whether a process holds a lock file, which need not be there; None where nothing can be locked."""
    try:
        descriptor = open_lock(path, create=False)
    except OSError:
        return False
    try:
        lock_alone(descriptor)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def _acquire(path: Path, option: str) -> tuple[int, str | None]:
    """Return the descriptor of the lock file, locked and signed, and why it is not locked where nothing can be."""
    why = "removed by others"
    for _ in range(_ATTEMPTS):
        descriptor, ours = None, False
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            problem = _lock(descriptor, path, option)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                ours = True
                _sign(descriptor)
                held, descriptor = descriptor, None
                return held, problem
        except OSError as error:
            if error.errno not in _GONE or (error.errno == errno.ENOENT and not path.parent.is_dir()):
                if ours:  # a full disk: nothing stays behind
                    with suppress(OSError):
                        path.unlink()
                else:
                    refuse_locked(path, option)  # which reading is enough for, but where the file system is NFS
                text = f"{path.parent}: cannot be written ({error.strerror}): give another {option}"
                raise WriteError(text) from error
            why = str(error.strerror)
            time.sleep(_PAUSE if error.errno == errno.ESTALE else 0)
        finally:
            if descriptor is not None:
                os.close(descriptor)
    raise RunError(f"{path}: is gone each time that it is to be locked ({why}): give another {option}")


def _sign(descriptor: int) -> None:
    """Write into the lock file who holds it, since when and where."""
    os.truncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, f"{os.getpid()} {time.strftime('%Y-%m-%d %H:%M:%S')} {socket.gethostname()}\n".encode())


def _lock(descriptor: int, path: Path, option: str) -> str | None:
    """Lock the open lock file; return why not where nothing can be locked. Raises LockedError, and OSError."""
    try:
        lock_alone(descriptor)
    except BlockingIOError as error:
        raise LockedError(
            f"{path.parent}: is being trained by {_owner(descriptor)}: wait for its end, stop it, or give another "
            f"{option}"
        ) from error
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return error.strerror or str(error)
    return None


def _owner(descriptor: int) -> str:
    words: list[str] = []
    with suppress(OSError):  # it may be gone by now
        os.lseek(descriptor, 0, os.SEEK_SET)
        words = os.read(descriptor, 200).decode(errors="replace").split()
    if len(words) < 3:
        return "another process"
    elsewhere = f" on {words[3]}" if len(words) > 3 and words[3] != socket.gethostname() else ""
    return f"process {words[0]}{elsewhere} since {words[1]} {words[2]}"

"""The command line as on Windows: `python -m tests.windows check photos/`.

No fcntl and no resource, no SIGHUP, no names of Unix in `os`; a file that is open, or mapped into memory, can be
neither renamed nor removed, nor can its folder; folders cannot be opened; a byte that is locked is no other's.
"""

# The standard library asks which system it is on when it is imported, and is to think that it is on this one.
import concurrent.futures
import multiprocessing.connection
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from typing import Any

IMPORTED = (concurrent.futures, multiprocessing.connection, subprocess, tempfile)
GONE = ("sched_getaffinity", "sched_setaffinity", "sysconf", "pread", "posix_fadvise", "fchmod", "O_CLOEXEC", "getuid")


def main() -> None:
    """Make this process one of Windows as far as `ae` can see, and run its command line."""
    os_open, lockf = os.open, os.lockf
    sys.modules["fcntl"] = sys.modules["resource"] = None  # type: ignore[assignment]
    sys.modules["msvcrt"] = _msvcrt(lockf)
    shutil._use_fd_functions = False  # type: ignore[attr-defined]
    for name in GONE:
        if hasattr(os, name):
            delattr(os, name)
    del signal.SIGHUP

    def open_file(path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        if isinstance(path, str | os.PathLike) and os.path.isdir(path):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return os_open(path, flags, mode, **options)

    os.open = open_file  # type: ignore[assignment]
    for name in ("rename", "replace", "remove", "unlink", "rmdir"):
        setattr(os, name, _refusing(getattr(os, name)))
    from aecli.cli.main import main as ae

    ae()


def _msvcrt(lockf: Callable[[int, int, int], None]) -> types.ModuleType:
    module: Any = types.ModuleType("msvcrt")
    module.LK_NBLCK, module.LK_UNLCK = 2, 0

    def locking(descriptor: int, mode: int, count: int) -> None:
        lockf(descriptor, 2 if mode else 0, count)

    module.locking = locking
    return module


def _refusing(change: Callable[..., None]) -> Callable[..., None]:
    """Return a change of paths that fails while one of them is open."""

    def changed(*paths: Any, **options: Any) -> None:
        places = [os.path.realpath(path) for path in paths if not isinstance(path, int)]
        for held in _open_files():
            if any(held == place or held.startswith(place + os.sep) for place in places):
                raise PermissionError(13, "The process cannot access the file because it is being used", held)
        change(*paths, **options)

    return changed


def _open_files() -> set[str]:
    """The files here and in the cache that are open in this process, or mapped; Keras has some of its own."""
    held = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            held.add(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue
    with open("/proc/self/maps") as maps:
        held |= {line.split(maxsplit=5)[5].strip() for line in maps if "/" in line}
    ours = (os.path.realpath(os.getcwd()), os.path.realpath(os.environ["XDG_CACHE_HOME"]))
    return {path for path in held if path.startswith(ours) and not path.endswith("(deleted)")}


if __name__ == "__main__":
    main()

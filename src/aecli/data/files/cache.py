"""What was unpacked or decoded from the user's files, kept for the next command in the user's cache folder.

An entry is a folder named by its key, made beside its place and renamed: it is there whole or not at all, and
two processes that make the same one both end up with a whole one. Whoever uses an entry holds a shared lock on
its file `lock`; only entries that nobody holds are removed, the least recently used first.
"""

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aecli.core.errors import AeError, WriteError, is_disk_failure
from aecli.core.locks import OPEN_FILES_MOVE, lock_alone, lock_shared, open_lock

_DEFAULT_GIGABYTES = 20.0
_LOCK = "lock"
_FORGOTTEN_SECONDS = 3600
_ATTEMPTS = 5


class _Lock:
    """An open lock file; the lock goes when nobody refers to it."""

    def __init__(self, path: Path) -> None:
        self.number = open_lock(path)

    def share(self) -> None:
        """Lock it, so that nobody removes what it guards; where nothing can be locked, nobody removes anything."""
        with suppress(OSError):
            lock_shared(self.number)

    def take(self) -> bool:
        """Lock it alone, to remove what it guards; return whether that went at once."""
        try:
            lock_alone(self.number)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Let go of it before the last reference goes."""
        os.close(self.__dict__.pop("number"))

    def __del__(self) -> None:
        if "number" in self.__dict__:
            self.close()


@dataclass(frozen=True)
class Entry:
    """The folder of an entry, safe from removal for as long as this object lives."""

    path: Path
    lock: _Lock


def cache_folder() -> Path:
    """Return the cache folder of `ae`: under $XDG_CACHE_HOME, by default ~/.cache; it need not exist."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if base and Path(base).is_absolute():
        return Path(base) / "ae"
    try:
        return Path.home() / ".cache" / "ae"
    except RuntimeError as error:
        raise AeError("cache: there is no home folder: set XDG_CACHE_HOME to a folder") from error


def cache_limit() -> int:
    """Return the bytes that the cache may keep: $AE_CACHE_GB, by default 20 GB."""
    text = os.environ.get("AE_CACHE_GB", "")
    try:
        gigabytes = float(text) if text else _DEFAULT_GIGABYTES
        if not 0 <= gigabytes < 1e9:
            raise ValueError
    except ValueError as error:
        raise AeError(f"AE_CACHE_GB: expected a number of gigabytes, received {text[:40]!r}: correct it") from error
    return int(gigabytes * 1e9)


def cached(key: str, source: str, size: int, make: Callable[[Path], None], is_sound: Callable[[Path], bool]) -> Entry:
    """Return the entry of a key; where there is none, `make` fills its folder with about `size` bytes.

    `is_sound` says whether a folder holds what `make` wrote: an entry that others have damaged is made anew. `source`
    is what the user named, for errors. Raises AeError when the cache cannot be written; errors of `make` pass through
    and leave nothing behind.
    """
    folder = cache_folder()
    for _ in range(_ATTEMPTS):
        entry = find(key)
        if entry is not None and _holds(entry, is_sound):
            return entry
        entry = None
        _removed(folder / key)
        if (made := _made(folder, key, source, size, make)) is not None:
            return made
    raise AeError(
        f"{source}: what was decoded of it is damaged in the cache {folder}: end what uses it, and run ae cache clear"
    )


def find(key: str) -> Entry | None:
    """Return the entry of a key, None where there is none."""
    return _held(cache_folder() / key)


def _holds(entry: Entry, is_sound: Callable[[Path], bool]) -> bool:
    try:
        return is_sound(entry.path)
    except FileNotFoundError:
        return False
    except (AeError, ValueError, TypeError, KeyError, IsADirectoryError) as error:
        if is_disk_failure(error):
            raise
        return False


def sizes() -> dict[Path, int]:
    """Return the bytes of every entry, the least recently used first."""
    entries = [path for path in _folders() if not path.name.startswith(".")]
    return {path: _size(path) for path in sorted(entries, key=_last_used)}


def clear_cache() -> tuple[int, int]:
    """Remove every entry that is not in use; return the bytes freed, and the number of entries that stay."""
    freed = stay = 0
    for path in _folders():
        size = _size(path)
        if _removed(path):
            freed += size
        else:
            stay += 1
    return freed, stay


def _made(folder: Path, key: str, source: str, size: int, make: Callable[[Path], None]) -> Entry | None:
    """Make an entry; None where it could not be put into its place, since another process was first."""
    temporary = folder / f".{key[:12]}-{uuid.uuid4().hex[:8]}"
    limit = cache_limit()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (free := shutil.disk_usage(folder).free) < size:
            raise AeError(
                f"{source}: needs {size / 1e9:.3g} GB in the cache {folder}, {free / 1e9:.3g} GB are free: "
                f"make room, or set XDG_CACHE_HOME to a larger disk"
            )
        temporary.mkdir()
        try:
            lock = _Lock(temporary / _LOCK)
            lock.share()
            make(temporary)
            if not OPEN_FILES_MOVE:
                lock.close()
            with suppress(OSError):
                temporary.rename(folder / key)
                return Entry(folder / key, lock) if OPEN_FILES_MOVE else find(key)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            _trim(limit)
    except (OSError, WriteError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        raise WriteError(
            f"{source}: the cache {folder} cannot be written ({getattr(cause, 'strerror', None) or cause}): make room, "
            f"set XDG_CACHE_HOME to another folder, or write the images with ae import"
        ) from error
    return None


def _held(path: Path) -> Entry | None:
    """Return the entry at this path, in use from now on; None where it is not there."""
    if path.is_symlink():
        return None
    try:
        lock = _Lock(path / _LOCK)
    except OSError:
        return None
    lock.share()
    # Between opening and locking another process may have removed it.
    try:
        if not os.path.samestat(os.fstat(lock.number), os.stat(path / _LOCK)):
            return None
    except OSError:
        return None
    with suppress(OSError):  # a cache that only others may write
        os.utime(path)
    return Entry(path, lock)


def _trim(limit: int) -> None:
    """Remove what is used least until the rest is within the limit, and what killed processes left."""
    for path in _folders():
        if path.name.startswith("."):
            _removed(path)
    entries = sizes()
    total = sum(entries.values())
    for path, size in entries.items():
        if total <= limit:
            return
        if _removed(path):
            total -= size


def _removed(path: Path) -> bool:
    """Remove an entry unless somebody uses it; return whether it is gone."""
    if path.is_symlink():
        return _moved_away(path)
    if path.name.startswith(".") and not (path / _LOCK).exists():
        # Just being made, or what a process killed in the middle left.
        if time.time() - _last_used(path) > _FORGOTTEN_SECONDS:
            _erase(path)
        return not path.exists()
    try:
        lock = _Lock(path / _LOCK)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):  # no entry, though it lies in the place of one
        return _moved_away(path)
    except OSError:
        return False
    if not lock.take():
        return False
    if not OPEN_FILES_MOVE:
        lock.close()
    return _moved_away(path)


def _moved_away(path: Path) -> bool:
    """Remove what lies at a path, out of the way first, so that nobody finds half of it."""
    doomed = path.with_name(f".{uuid.uuid4().hex}")
    try:
        path.rename(doomed)
    except OSError:
        return not os.path.lexists(path)
    _erase(doomed)
    return True


def _erase(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _folders() -> Iterator[Path]:
    """Yield the entries, and whatever else lies between them."""
    try:
        yield from [Path(entry.path) for entry in os.scandir(cache_folder())]
    except OSError:
        return


def _last_used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int:
    total = 0
    with suppress(OSError):
        for entry in os.scandir(path):
            total += entry.stat(follow_symlinks=False).st_size
    return total

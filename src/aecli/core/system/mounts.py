"""The file systems of Linux: what is mounted where, and whose locks hold."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path("/")


@dataclass(frozen=True)
class Mount:
    """Where a file system is mounted, from which of its folders on, of which kind it is, and its options."""

    place: PurePosixPath
    folder: PurePosixPath
    kind: str
    options: frozenset[str]

    @property
    def local_locks(self) -> str | None:
        """What makes its locks hold between the processes of one machine only, None where nothing is known to.

        Other machines may use the files of a file system of the network meanwhile.
        """
        if self.kind in _LOCAL_KINDS:
            return self.kind
        return next((option for option in _LOCAL_OPTIONS.get(self.kind, ()) if option in self.options), None)


_LOCAL_OPTIONS = {
    "nfs": ("local_lock=all", "local_lock=flock", "nolock"),
    "nfs4": ("local_lock=all", "local_lock=flock"),
    "lustre": ("localflock",),
}
"""Kind -> the options with which `flock` does not ask the server."""

_LOCAL_KINDS = ("fuse.sshfs",)
"""Kinds whose server is never asked."""


def mounts(root: Path = ROOT) -> Iterator[Mount]:
    """Yield what /proc/self/mountinfo lists, see proc(5); nothing where there is none. `root` is that of the system."""
    for line in lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 6 or len(kind) < 3:
            continue
        folder, place = (PurePosixPath(_unescaped(field)) for field in fields[3:5])
        yield Mount(place, folder, kind[0], frozenset(f"{fields[5]},{kind[2]}".split(",")))


def mount_of(path: Path, root: Path = ROOT) -> Mount | None:
    """Return the mount that an absolute path lies on, None where it is not known."""
    found = None
    for mount in mounts(root):
        # Of two in the same place the later one covers the other.
        if path.is_relative_to(mount.place) and (found is None or mount.place.is_relative_to(found.place)):
            found = mount
    return found


def lines(path: Path) -> list[str]:
    """Return the lines of a file of the system, none where it cannot be read."""
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return []


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), field)

"""What a container or a job of a cluster may use: the limits of Linux's control groups, of both versions.

A process is in a group in a group in a group, and each may have a limit: the lowest holds. The groups are folders
under the places where the system has mounted them.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path("/")


def cpu_limit(root: Path = ROOT) -> float | None:
    """Return how many CPUs' time a process may take, None where nothing limits it; `root` is that of the system."""
    limits = []
    for folder in _groups("cpu", root):
        quota, period = [*_words(folder / "cpu.max"), "", ""][:2]
        if not quota:
            quota, period = "".join(_words(folder / "cpu.cfs_quota_us")), "".join(_words(folder / "cpu.cfs_period_us"))
        if quota.isdecimal() and period.isdecimal() and int(quota) and int(period):
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def memory_limit(root: Path = ROOT) -> int | None:
    """Return the bytes of memory a process may take, None where nothing limits it; `root` is that of the system."""
    names = ("memory.max", "memory.high", "memory.limit_in_bytes")
    words = ["".join(_words(folder / name)) for folder in _groups("memory", root) for name in names]
    return min((int(word) for word in words if word.isdecimal()), default=None)


@dataclass(frozen=True)
class _Mount:
    """Where a hierarchy of groups is mounted, from which group on, and its controllers, none in version 2."""

    place: Path
    group: PurePosixPath
    controllers: frozenset[str]


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of the groups that this process is in, under the mounts that have the controller."""
    paths = dict(_own_paths(root))
    for mount in _mounts(root):
        own = paths.get(controller if mount.controllers else "")
        if own is None or (mount.controllers and controller not in mount.controllers):
            continue
        # A container may see the path that its group has outside, and only its own group mounted.
        inner = own.relative_to(mount.group) if own.is_relative_to(mount.group) else own.relative_to("/")
        folder = mount.place / inner
        yield folder
        yield from folder.parents[: len(inner.parts)]


def _own_paths(root: Path) -> Iterator[tuple[str, PurePosixPath]]:
    """Yield the path of this process's group for every controller, "" for those of version 2."""
    for line in _lines(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if separator and path.startswith("/"):
            own = PurePosixPath("/", *(part for part in PurePosixPath(path).parts if part != ".."))
            yield from ((controller, own) for controller in controllers.split(","))


def _mounts(root: Path) -> Iterator[_Mount]:
    """Yield the mounts of groups in /proc/self/mountinfo; see proc(5)."""
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        group, place = (re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), field) for field in fields[3:5])
        controllers = frozenset(kind[2].split(",")) if kind[0] == "cgroup" else frozenset[str]()
        yield _Mount(root / place.lstrip("/"), PurePosixPath(group), controllers)


def _words(path: Path) -> list[str]:
    return [word for line in _lines(path) for word in line.split()]


def _lines(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return []

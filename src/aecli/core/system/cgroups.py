"""What a container or a job of a cluster may use: the limits of Linux's control groups, of both versions.

A process is in a group in a group in a group, and each may have a limit: the lowest holds. The groups are folders
under the places where the system has mounted them.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from aecli.core.system.mounts import ROOT, lines, mounts


def cpu_limits(root: Path = ROOT) -> list[tuple[float, str]]:
    """Return how many CPUs' time a process may take, by every limit, with its file's name; `root` is the system's."""
    limits = []
    for folder in _groups("cpu", root):
        name = "cpu.max"
        quota, period = [*_words(folder / name), "", ""][:2]
        if not quota:
            name = "cpu.cfs_quota_us"
            quota, period = "".join(_words(folder / name)), "".join(_words(folder / "cpu.cfs_period_us"))
        if quota.isdecimal() and period.isdecimal() and int(quota) and int(period):
            limits.append((int(quota) / int(period), name))
    return limits


def memory_limits(root: Path = ROOT) -> list[tuple[int, str]]:
    """Return the bytes of memory a process may take, by every limit, with its file's name; `root` is the system's."""
    names = ("memory.max", "memory.high", "memory.limit_in_bytes")
    found = [("".join(_words(folder / name)), name) for folder in _groups("memory", root) for name in names]
    return [(int(word), name) for word, name in found if word.isdecimal()]


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of the groups that this process is in, under the mounts that have the controller."""
    paths = dict(_own_paths(root))
    for mount in mounts(root):
        if mount.kind not in ("cgroup", "cgroup2") or (mount.kind == "cgroup" and controller not in mount.options):
            continue
        own = paths.get(controller if mount.kind == "cgroup" else "")
        if own is None:
            continue
        # A container may see the path that its group has outside, and only its own group mounted.
        inner = own.relative_to(mount.folder) if own.is_relative_to(mount.folder) else own.relative_to("/")
        folder = root / mount.place.relative_to("/") / inner
        yield folder
        yield from folder.parents[: len(inner.parts)]


def _own_paths(root: Path) -> Iterator[tuple[str, PurePosixPath]]:
    """Yield the path of this process's group for every controller, "" for those of version 2."""
    for line in lines(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if separator and path.startswith("/"):
            own = PurePosixPath("/", *(part for part in PurePosixPath(path).parts if part != ".."))
            yield from ((controller, own) for controller in controllers.split(","))


def _words(path: Path) -> list[str]:
    return [word for line in lines(path) for word in line.split()]

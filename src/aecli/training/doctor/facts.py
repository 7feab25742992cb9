"""What a machine offers `ae`, one fact after the other, and what there would stop it.

Nothing here needs a package to be imported, so that a broken one is found and not met.
"""

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aecli import __version__
from aecli.core.errors import AeError
from aecli.core.locks import lock_problem
from aecli.core.machine import address_space, core_quota, gigabytes, memory_quota, processes
from aecli.core.system.gpus import Gpus, nvidia_gpus
from aecli.core.system.mounts import mount_of
from aecli.core.system.packages import Package, is_importable, packages, version_of
from aecli.data.files.cache import cache_folder, cache_limit, sizes
from aecli.data.files.formats.kinds import plugin_packages
from aecli.training.doctor import engine

_WRITTEN = 4096
"""Bytes written to see whether a folder can be written."""


@dataclass(frozen=True)
class Fact:
    """What was found of one thing, in a line and as values of JSON.

    `problems` are lines "where: what: cure" of what would stop `ae`; `remark` says that there is something to mend
    which stops nothing.
    """

    name: str
    text: str
    values: Mapping[str, Any]
    problems: tuple[str, ...] = ()
    remark: bool = field(default=False, kw_only=True)


def facts(quick: bool = False) -> Iterator[Fact]:
    """Yield what this machine offers in the current folder, the quick facts first; `quick` does not load the engine."""
    found = packages()
    yield _versions(found)
    yield Fact("system", platform.platform(), {"platform": platform.platform(), "processor": platform.machine()})
    yield _threads()
    yield _memory()
    try:
        folder = Path.cwd()
    except OSError as error:
        text = f"the current folder cannot be used ({error.strerror})"
        yield Fact("disk", text, {"folder": None}, (f"{text}: change to one that is there",))
    else:
        yield _locks(folder)
        yield _disk(folder)
    yield _cache()
    yield _devices(quick)


def _engine() -> tuple[str, str, int]:
    """Return name, title and bytes of the engine that trains; nothing where what it needs cannot be imported."""
    try:
        from aecli.training.engines.engine import DEFAULT_ENGINE, ENGINES
    except ImportError:
        return "", "", 0
    return next(iter(ENGINES)), DEFAULT_ENGINE.title, DEFAULT_ENGINE.memory


def _versions(found: list[Package]) -> Fact:
    names = {"aecli": __version__, "python": platform.python_version()}
    needed = [package for package in found if not package.extra]
    extras: dict[str, dict[str, str | None]] = {}
    for package in found:
        if package.extra:
            extras.setdefault(package.extra, {})[package.name] = package.version
    said = [f"ae {__version__}", f"Python {platform.python_version()}"]
    said += [f"{package.name} {package.version or 'not installed'}" for package in needed]
    text = ", ".join(said)
    for extra, versions in extras.items():
        there = [f"{name} {version}" for name, version in versions.items() if version]
        text += f"; extra '{extra}': {', '.join(there) or 'not installed'}"
    plugins = {name: version_of(name) for name in plugin_packages().values()}
    for kind, name in plugin_packages().items():
        text += f"; {kind}: {name} {plugins[name] or 'not installed'}"
    if not needed:
        text += "; ae runs from its source, and what it needs is not known"
    problems = tuple(filter(None, map(_package_problem, needed)))
    values = {**names, **{package.name: package.version for package in needed}, "extras": extras, "plugins": plugins}
    return Fact("versions", text, values, problems)


def _package_problem(package: Package) -> str | None:
    wanted = f"'{package.name}>={package.least}'" if package.least else package.name
    if package.too_old:
        return f"{package.name}: {package.version} is below {package.least}, which ae needs: pip install {wanted}"
    # Who only uses runs has not installed what trains.
    if package.version is None and package.name not in ("keras", _engine()[0]):
        return f"{package.name}: is not installed, and ae needs it: pip install {wanted}"
    return None


def _threads() -> Fact:
    quota = core_quota()
    if quota.why:
        text = f"{quota.value} of {quota.machine} cores: {quota.why}"
    elif quota.value == quota.machine:
        text = f"{quota.value}, one for each core"
    else:
        text = f"{quota.value} on {quota.machine} cores: OMP_NUM_THREADS"
    values = {"threads": quota.value, "cores": quota.machine, "why": quota.why or None, "workers": None}
    if memory := _engine()[2]:
        workers = processes(memory)
        fewer = f" of about {gigabytes(memory)}" if workers < quota.value else ""
        text += f"; ae compare trains in {workers} process{'es' * (workers > 1)}{fewer}"
        values["workers"] = workers
    return Fact("threads", text, values)


def _memory() -> Fact:
    quota, mapped = memory_quota(), address_space()
    text = gigabytes(quota.value)
    if quota.why:
        text += f" of {gigabytes(quota.machine)}: {quota.why}"
    text += "; a quarter of it for training images, unless data.memory_budget says otherwise"
    if mapped is not None:
        text += f"; ulimit -v lets a process map {gigabytes(mapped)}"
    values = {"bytes": quota.value, "machine": quota.machine, "why": quota.why or None, "address_space": mapped}
    return Fact("memory", text, values)


def _locks(folder: Path) -> Fact:
    mount = mount_of(folder.resolve())
    kind = mount.kind if mount else None
    values = {"folder": str(folder), "file_system": kind, "work": None, "between_machines": None, "why": None}
    place = f"{folder} ({kind})" if kind else str(folder)
    try:
        problem = lock_problem(folder)
    except OSError as error:
        why = f"cannot be written ({error.strerror})"
        return Fact("locks", f"not tried: {place} {why}", {**values, "why": why})
    if problem:
        text = (
            f"none in {place}: {problem}: start one ae at a time there, or give --run or --output on a disk with locks"
        )
        return Fact("locks", text, {**values, "work": False, "why": problem}, remark=True)
    local = mount.local_locks if mount else None
    if local:
        text = f"work in {place}, between processes of this machine only ({local}): train there from one machine"
        return Fact("locks", text, {**values, "work": True, "between_machines": False, "why": local}, remark=True)
    return Fact("locks", f"work in {place}", {**values, "work": True})


def _disk(folder: Path) -> Fact:
    free, error = _free(folder), _write_problem(folder)
    values = {"folder": str(folder), "free": free, "writable": error is None, "why": error}
    text = f"{folder}: {_said_free(free)}"
    if error is None:
        return Fact("disk", f"{text}, can be written", values)
    cure = "change to another folder, or give --run or --output elsewhere"
    return Fact(
        "disk", f"{text}, cannot be written ({error})", values, (f"{folder}: cannot be written ({error}): {cure}",)
    )


def _cache() -> Fact:
    try:
        folder, limit = cache_folder(), cache_limit()
    except AeError as error:
        return Fact("cache", f"none: {error}", {"folder": None}, (str(error),))
    used, place = sizes(), next((parent for parent in (folder, *folder.parents) if parent.exists()), folder)
    total, free, why = sum(used.values()), _free(place), _write_problem(place)
    values = {
        "folder": str(folder), "entries": len(used), "bytes": total, "limit": limit, "free": free,
        "writable": why is None, "why": why,
    }  # fmt: skip
    text = f"{folder}: {total / 1e6:,.1f} MB of at most {limit / 1e6:,.0f} MB, {_said_free(free)}"
    if why:
        problem = f"cache {folder}: cannot be written ({why}): set XDG_CACHE_HOME to a folder of yours"
        return Fact("cache", f"{text}, cannot be written ({why})", values, (problem,))
    with suppress(OSError):  # it is not there yet
        if lack := lock_problem(folder):
            text += f"; no locks ({lack}), so nothing is ever removed: set XDG_CACHE_HOME to a disk of this machine"
            return Fact("cache", text, values, remark=True)
    return Fact("cache", text, values)


def _devices(quick: bool) -> Fact:
    gpus, (name, title, _) = nvidia_gpus(), _engine()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    values: dict[str, Any] = {
        "gpus": list(gpus.names), "driver": gpus.driver or None, "source": gpus.source or None,
        "CUDA_VISIBLE_DEVICES": visible, "engine": title or None, "devices": None,
    }  # fmt: skip
    there = _said_gpus(gpus) + (f", CUDA_VISIBLE_DEVICES={visible}" if visible is not None else "")
    installed = bool(name) and is_importable(name)
    answer = engine.ask(load=installed) if not (name and quick) else engine.Answer()
    if answer.broken:
        problem = f"ae: cannot be imported ({answer.broken}): install it anew, in an environment of its own"
        return Fact("devices", f"{there}; ae cannot be imported", values, (problem,))
    if name and not installed:
        text = (
            f"{title} is not installed: ae train and ae compare need it (pip install {name}), what uses a run does not"
        )
        return Fact("devices", f"{there}; {text}", values, remark=True)
    if answer.error:
        problem = (
            f"{title}: cannot be loaded ({answer.error}): mend that, or install ae anew in an environment of its own"
        )
        return Fact("devices", f"{there}; {title} cannot be loaded", values, (problem,))
    if not answer.devices:
        return Fact("devices", f"{there}; {title} was not asked", values)
    values["devices"] = list(answer.devices)
    text = f"trains on {', '.join(answer.devices)}; {there}"
    if gpus.names and answer.devices == ("cpu",) and visible is None:
        return Fact("devices", f"{text}, {title} sees none: install ae with the extra 'gpu'", values, remark=True)
    return Fact("devices", text, values)


def _said_gpus(gpus: Gpus) -> str:
    if not gpus.names:
        return "no GPU of NVIDIA found"
    driver = f", driver {gpus.driver}" if gpus.driver else ""
    return f"{', '.join(gpus.names)} by {gpus.source}{driver}"


def _said_free(free: int | None) -> str:
    return "free space unknown" if free is None else f"{gigabytes(free)} free"


def _free(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _write_problem(folder: Path) -> str | None:
    """Return why a file of a page cannot be written in a folder, None where it can."""
    try:
        with tempfile.NamedTemporaryFile(prefix=".ae-doctor-", dir=folder) as file:
            file.write(bytes(_WRITTEN))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return None

"""The packages that `ae` needs, and which of them are installed, by their metadata: nothing is imported."""

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

_SELF = "aecli"
_TRAINS = "train"
"""The extra of what trains: no addition to `ae`, but what who only uses runs may leave out."""


@dataclass(frozen=True)
class Package:
    """A package that `ae` needs, or one of its extras does; `version` is None where it is not installed.

    `least` is the lowest version that will do, "" where any will; `extra` is "" of what training needs, too.
    """

    name: str
    version: str | None
    least: str = ""
    extra: str = ""

    @property
    def too_old(self) -> bool:
        """Whether it is installed in a version below the lowest that will do."""
        return bool(self.version and self.least) and _numbers(self.version or "") < _numbers(self.least)


def packages() -> list[Package]:
    """Return what `ae` needs, then what its extras do; nothing where `ae` itself is not installed.

    An extra that is one of another package, as `that[part]`, is what this part needs. What training needs is named
    once, though other extras include it.
    """
    needed, optional = [], []
    requirements = list(_requirements(_SELF))
    trains = {name for name, _, _, extra in requirements if extra == _TRAINS}
    for name, parts, least, extra in requirements:
        if not (extra and parts):
            named = "" if extra == _TRAINS else extra
            if not (named and name in trains):
                needed.append(Package(name, version_of(name) or _version_of_module(name), least, named))
            continue
        inner = [(other, lowest) for other, _, lowest, part in _requirements(name) if part in parts]
        optional += [Package(other, version_of(other), lowest, extra) for other, lowest in inner]
    return [*needed, *optional]


_REQUIREMENT = re.compile(r"([\w.-]+)\s*(?:\[([^]]*)\])?([^;]*)(?:;(.*))?", re.DOTALL)


def _requirements(name: str) -> Iterator[tuple[str, list[str], str, str]]:
    """Yield name, extras, lowest version and the extra that needs it of what a package needs on every system."""
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return
    for line in lines:
        if (match := _REQUIREMENT.match(line)) is None:
            continue
        needed, parts, versions, marker = match.groups(default="")
        extra = re.fullmatch(r"\s*extra\s*==\s*['\"]([^'\"]+)['\"]\s*", marker)
        if marker.strip() and extra is None:  # on some systems only
            continue
        least = re.search(r"[>=~]=\s*([\w.]+)", versions)
        yield (
            needed,
            [part.strip() for part in parts.split(",") if part],
            least[1] if least else "",
            extra[1] if extra else "",
        )


def is_importable(module: str) -> bool:
    """Whether a module is there; nothing is imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def version_of(name: str) -> str | None:
    """Return the version of a package, None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _version_of_module(name: str) -> str | None:
    """Return the version of whichever package brings a module: some come under several names."""
    return next((version_of(package) for package in metadata.packages_distributions().get(name, ())), None)


def _numbers(version: str) -> list[int]:
    """Return the first numbers of a version, as many as releases are told apart by."""
    found = re.match(r"[\d.]+", version)
    numbers = [int(part) for part in (found[0] if found else "").split(".") if part]
    return [*numbers, 0, 0, 0, 0][:4]

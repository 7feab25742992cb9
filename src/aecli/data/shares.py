"""Work on many pictures in shares: on threads here, or wherever a map of somebody else's does it."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from aecli.core.errors import DataError, is_io_failure
from aecli.core.machine import ordered_map
from aecli.data.files.formats.reasons import unread_reason

Place = tuple[str, int]
"""The path of a file, and the number of a picture in it."""


@dataclass(frozen=True)
class Spread:
    """Where pictures are worked on: `map` yields a function of every item, in order and only a few ahead.

    A share is of so many pictures and `bytes` of what they become. `elsewhere` are other processes, perhaps on other
    machines: what is given to the map can be pickled then.
    """

    map: Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]] = ordered_map
    pictures: int = 32
    bytes: int = 4 * 2**20
    elsewhere: bool = False


HERE = Spread()


@dataclass(frozen=True)
class Fault:
    """Why a picture could not be read; `failure` where the machine is to blame, `missing` where it is not there."""

    reason: str
    failure: OSError | None = None
    missing: bool = False


@dataclass(frozen=True)
class Share:
    """Pictures by name: the `values` of those that could be read, in order, and by position what others have."""

    names: Sequence[str]
    values: Sequence[Any]
    faults: dict[int, Fault]

    def each(self) -> Iterator[tuple[str, Any]]:
        """Yield every name with its value or its fault."""
        values = iter(self.values)
        for position, name in enumerate(self.names):
            yield name, self.faults[position] if position in self.faults else next(values)

    def read(self) -> Sequence[str]:
        """Return the names of those that could be read."""
        return [name for i, name in enumerate(self.names) if i not in self.faults] if self.faults else self.names


def in_shares(
    names: Sequence[str],
    locate: Callable[[str], Place],
    function: Callable[[str, int], Any],
    spread: Spread,
    size: int = 1,
) -> Iterator[Share]:
    """Yield shares of names, in order, with function(path, number) of each; arrays come as one, (N, ...).

    `size` are the bytes of a value. Whatever the function raises is a fault, but MemoryError, which is raised. Raises
    DataError where a file that is here is missing elsewhere.
    """
    step = max(1, min(spread.pictures, spread.bytes // size))
    parts = [names[start : start + step] for start in range(0, len(names), step)]
    placed = ([_placed(locate(name), spread.elsewhere) for name in part] for part in parts)
    for part, (values, faults) in zip(parts, spread.map(partial(_work, function), placed), strict=True):
        if spread.elsewhere:
            _require_there(locate(part[i])[0] for i, fault in faults.items() if fault.missing)
        yield Share(part, values, faults)


def _work(function: Callable[[str, int], Any], places: Sequence[Place]) -> tuple[Sequence[Any], dict[int, Fault]]:
    values: Any = []
    faults: dict[int, Fault] = {}
    for position, (path, number) in enumerate(places):
        try:
            values.append(function(path, number))
        except MemoryError:
            raise  # it says nothing of the picture
        except Exception as error:  # decoders raise errors of every kind on damaged files
            failure = error if is_io_failure(error) else None
            faults[position] = Fault(unread_reason(path, error), failure, isinstance(error, FileNotFoundError))
    if values and isinstance(values[0], np.ndarray):
        values = np.stack(values)
    return values, faults


def _placed(place: Place, elsewhere: bool) -> Place:
    return (os.path.abspath(place[0]), place[1]) if elsewhere else place


def _require_there(missing: Iterable[str]) -> None:
    here = next(filter(os.path.exists, missing), None)
    if here is not None:
        raise DataError(f"{here}: is missing on a worker: the pictures must be at the same path on all of them")

"""All that the rest of a training depends on, and the file that keeps it.

A training can go on from a checkpoint as if it had never stopped: the order of the images is a pure function of
(seed, epoch), and everything else that a step reads or writes is here.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import RunError, one_line, unreadable
from aecli.core.npy import read_arrays, write_arrays
from aecli.runs.health import LayerHealth
from aecli.runs.records import EpochRecord

Values = NDArray[Any]
"""The values of one variable."""


@dataclass(frozen=True)
class Cursor:
    """Where a training stands: before step `step` of block `block` of epoch `epoch`, which counts from 1.

    `total` is the sum of the epoch's losses so far, as a float32 has it.
    """

    epoch: int = 1
    block: int = 0
    step: int = 0
    total: float = 0.0


@dataclass(frozen=True)
class Best:
    """The best epoch so far, and what early stopping knows: epochs waited since, and the weights to go back to."""

    epoch: int = 0
    val_loss: float = inf
    waited: int = 0
    weights: Sequence[Values] | None = None


@dataclass(frozen=True)
class State:
    """A training between two steps: the variables of the network and of the optimizer, in their own order.

    `seconds` is what the epoch has taken so far.
    """

    cursor: Cursor
    seconds: float
    variables: Sequence[Values]
    optimizer: Sequence[Values]
    best: Best


@dataclass(frozen=True)
class Checkpoint:
    """A state, whose training it is (see `provenance.course`), and the records of the epochs behind it."""

    course: str
    streamed: bool
    state: State
    records: Sequence[EpochRecord] = field(default_factory=tuple)
    health: Sequence[LayerHealth] = field(default_factory=tuple)


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint whole, with a checksum over all of it."""
    state = checkpoint.state
    about = {
        "course": checkpoint.course,
        "streamed": checkpoint.streamed,
        "cursor": asdict(state.cursor),
        "seconds": state.seconds,
        "best": {"epoch": state.best.epoch, "val_loss": state.best.val_loss, "waited": state.best.waited},
        "has_best_weights": state.best.weights is not None,
        "records": [asdict(record) for record in checkpoint.records],
        "health": [asdict(record) for record in checkpoint.health],
    }
    arrays: dict[str, Any] = {
        "about": np.frombuffer(json.dumps(about).encode(), np.uint8),
        **_named("variable", state.variables),
        **_named("optimizer", state.optimizer),
        **_named("best", state.best.weights or ()),
    }
    write_arrays(path, {**arrays, "sha256": _digest(arrays)})


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; RunError where it is torn, damaged or something else, ReadError where the disk fails."""
    try:
        arrays = read_arrays(path)
        if not np.array_equal(arrays.pop("sha256"), _digest(arrays)):
            raise ValueError("its checksum is another")
        return _checkpoint(arrays)
    except MemoryError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # a damaged file can fail its parser in any way
        raise RunError(f"{path}: is damaged ({one_line(error)})") from error


def _checkpoint(arrays: Mapping[str, Values]) -> Checkpoint:
    about = json.loads(arrays["about"].tobytes())
    weights = _unnamed("best", arrays) if about["has_best_weights"] else None
    return Checkpoint(
        about["course"],
        about["streamed"],
        State(
            Cursor(**about["cursor"]),
            about["seconds"],
            _unnamed("variable", arrays),
            _unnamed("optimizer", arrays),
            Best(**about["best"], weights=weights),
        ),
        tuple(EpochRecord(**record) for record in about["records"]),
        tuple(LayerHealth(**record) for record in about["health"]),
    )


def _named(kind: str, values: Iterable[Values]) -> dict[str, Values]:
    return {f"{kind}_{i}": value for i, value in enumerate(values)}


def _unnamed(kind: str, arrays: Mapping[str, Values]) -> list[Values]:
    return [array for name, array in arrays.items() if name.startswith(f"{kind}_")]


def _digest(arrays: Mapping[str, Values]) -> Values:
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data if array.size else b"")
    return np.frombuffer(digest.digest(), np.uint8)

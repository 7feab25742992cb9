"""All that the rest of a training depends on, and the file that keeps it.

A training can go on from a checkpoint as if it had never stopped: the order of the images is a pure function of
(seed, epoch), and everything else that a step reads or writes is here.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import RunError, one_line, unreadable
from aecli.core.npy import read_arrays, write_arrays
from aecli.runs.records import EpochRecord, LayerHealth
from aecli.runs.run import Run

_MAX_CHECKPOINT_SHARE = 0.01
"""The share of a training's time that its checkpoints may take."""

_ASSUMED_FIRST_COST = 0.05
"""Seconds that the first checkpoint is taken to cost: a training of a few seconds has little to lose."""


@dataclass(frozen=True)
class CheckpointPolicy:
    """Whether checkpoints are written after epochs too, and whether a complete run keeps its last, to be extended."""

    after_epochs: bool = True
    keep_last: bool = True


VariableValues = NDArray[Any]
"""The values of one variable."""


@dataclass(frozen=True)
class Cursor:
    """Where a training stands: before step `step` of window `window` of epoch `epoch`, which counts from 1.

    `totals` are the sums of the epoch's losses so far, as float32 has them: of the loss, and of its parts where it has
    several. At the beginning of an epoch there are none.
    """

    epoch: int = 1
    window: int = 0
    step: int = 0
    totals: tuple[float, ...] = ()


@dataclass(frozen=True)
class Best:
    """The best epoch so far, and what early stopping knows: epochs waited since, and the weights to go back to.

    Epoch 0 is the network before its first step. Where it begins at a linear code, `start` is how well it then
    reconstructs the validation images, by the loss without penalties: an epoch that reconstructs worse is not better.
    """

    epoch: int = 0
    val_loss: float = inf
    waited: int = 0
    start: float = inf
    weights: Sequence[VariableValues] | None = None


@dataclass(frozen=True)
class TrainingState:
    """A training between two steps: the variables of the network and of the optimizer, in their own order.

    `seconds` is what the epoch has taken so far.
    """

    cursor: Cursor
    seconds: float
    variables: Sequence[VariableValues]
    optimizer: Sequence[VariableValues]
    best: Best


@dataclass(frozen=True)
class Checkpoint:
    """A state, whose training it is (see `provenance.trajectory_hash`), and the records of the epochs behind it."""

    trajectory: str
    streamed: bool
    state: TrainingState
    records: Sequence[EpochRecord] = field(default_factory=tuple)
    health: Sequence[LayerHealth] = field(default_factory=tuple)


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint whole, with a checksum over all of it."""
    state = checkpoint.state
    header = {
        "course": checkpoint.trajectory,
        "streamed": checkpoint.streamed,
        "cursor": asdict(state.cursor),
        "seconds": state.seconds,
        "best": {name: getattr(state.best, name) for name in ("epoch", "val_loss", "waited", "start")},
        "has_best_weights": state.best.weights is not None,
        "records": [asdict(record) for record in checkpoint.records],
        "health": [asdict(record) for record in checkpoint.health],
    }
    arrays: dict[str, Any] = {
        "about": np.frombuffer(json.dumps(header).encode(), np.uint8),
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


def _checkpoint(arrays: Mapping[str, VariableValues]) -> Checkpoint:
    header = json.loads(arrays["about"].tobytes())
    weights = _unnamed("best", arrays) if header["has_best_weights"] else None
    return Checkpoint(
        header["course"],
        header["streamed"],
        TrainingState(
            _cursor(header["cursor"]),
            header["seconds"],
            _unnamed("variable", arrays),
            _unnamed("optimizer", arrays),
            Best(**header["best"], weights=weights),
        ),
        tuple(EpochRecord(**record) for record in header["records"]),
        tuple(LayerHealth(**record) for record in header["health"]),
    )


def _cursor(fields: Mapping[str, Any]) -> Cursor:
    # Earlier versions kept the loss alone, and called a window a block.
    window = fields["window"] if "window" in fields else fields["block"]
    totals = fields["totals"] if "totals" in fields else [fields["total"]]
    return Cursor(fields["epoch"], window, fields["step"], tuple(totals))


def _named(kind: str, values: Iterable[VariableValues]) -> dict[str, VariableValues]:
    return {f"{kind}_{i}": value for i, value in enumerate(values)}


def _unnamed(kind: str, arrays: Mapping[str, VariableValues]) -> list[VariableValues]:
    return [array for name, array in arrays.items() if name.startswith(f"{kind}_")]


def _digest(arrays: Mapping[str, VariableValues]) -> VariableValues:
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data if array.size else b"")
    return np.frombuffer(digest.digest(), np.uint8)


class CheckpointWriter:
    """Writes the checkpoints of a run that trains, and keeps the last two.

    One is due after `seconds`, and as soon after an epoch as the policy and _MAX_CHECKPOINT_SHARE allow. With 0 seconds
    one is always due. `spent` counts the seconds that they took.
    """

    def __init__(
        self, run: Run, seconds: float, policy: CheckpointPolicy, checkpoint: Callable[[TrainingState], Checkpoint]
    ) -> None:
        self._last_file: Path | None = None
        self._run, self._seconds, self._policy, self._checkpoint = run, seconds, policy, checkpoint
        self._last, self._cost = time.perf_counter(), _ASSUMED_FIRST_COST
        self.spent = 0.0

    def go_on_from(self, file: Path) -> None:
        """Keep this checkpoint as the last one."""
        self._last_file = file

    def is_due(self, after: Literal["call", "epoch", "end"]) -> bool:
        """Whether a checkpoint should be written at this moment."""
        if after == "end":
            return self._policy.keep_last
        if self._seconds == 0:
            return True
        wait = 0.0 if after == "epoch" and self._policy.after_epochs else self._seconds
        return time.perf_counter() - self._last >= max(wait, self._cost / _MAX_CHECKPOINT_SHARE)

    def save(self, state: Callable[[], TrainingState]) -> None:
        """Write a checkpoint of the state."""
        started, before, file = time.perf_counter(), self._run.checkpoint_files, self._run.next_checkpoint_file
        write_checkpoint(file, self._checkpoint(state()))
        for other in before:
            if other != self._last_file:
                other.unlink(missing_ok=True)
        self._last_file = file
        self._last = time.perf_counter()
        self._cost = self._last - started
        self.spent += self._cost

    def clear(self) -> None:
        """Leave what a complete run needs to be extended: the last checkpoint, where the policy keeps it."""
        for file in self._run.checkpoint_files[: -1 if self._policy.keep_last else None]:
            file.unlink(missing_ok=True)

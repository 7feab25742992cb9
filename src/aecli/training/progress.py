"""What a training reports while it runs, and where its time went."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from aecli.core.progress import ProgressCallback
from aecli.data.format import Images
from aecli.runs.config import Config
from aecli.runs.records import EpochRecord, LayerHealth
from aecli.runs.run import Run

Reconstruct = Callable[[], tuple[Images, Images]]
"""Gives a few validation images (N, H, W, C) and their reconstructions by the network as it is now."""


class Progress(Protocol):
    """Receives what happens in a training."""

    def note(self, message: str) -> None:
        """Something the user should know."""

    def stage(self, name: str) -> None:
        """A new stage begins."""

    def begun(self, run: Run, config: Config, records: Sequence[EpochRecord]) -> None:
        """A run's folder is begun, or taken up again behind the epochs of these records."""

    def advance(self, done: float, epochs: int) -> None:
        """So many of the epochs are done, fractions included."""

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        """An epoch of `epochs` has ended."""

    def network(self, epoch: int, health: Sequence[LayerHealth], reconstruct: Reconstruct) -> None:
        """The layers of the network after an epoch; `reconstruct`, until this returns, costs only who calls it."""

    def collapsed(self, record: EpochRecord, reason: str) -> None:
        """The network is no better than the mean image yet, a tenth of the way or at the end; why."""

    def complete(self, metrics: Mapping[str, Any]) -> None:
        """The run is complete, with this content of metrics.json."""

    def close(self) -> None:
        """Nothing more will come."""


class NullProgress:
    """Reports to nobody."""

    def note(self, message: str) -> None: ...
    def stage(self, name: str) -> None: ...
    def begun(self, run: Run, config: Config, records: Sequence[EpochRecord]) -> None: ...
    def advance(self, done: float, epochs: int) -> None: ...
    def epoch(self, record: EpochRecord, epochs: int) -> None: ...
    def network(self, epoch: int, health: Sequence[LayerHealth], reconstruct: Reconstruct) -> None: ...
    def collapsed(self, record: EpochRecord, reason: str) -> None: ...
    def complete(self, metrics: Mapping[str, Any]) -> None: ...
    def close(self) -> None: ...


class Both:
    """Reports to two, one after the other."""

    def __init__(self, first: Progress, second: Progress) -> None:
        self._both = first, second

    def note(self, message: str) -> None:
        for progress in self._both:
            progress.note(message)

    def stage(self, name: str) -> None:
        for progress in self._both:
            progress.stage(name)

    def begun(self, run: Run, config: Config, records: Sequence[EpochRecord]) -> None:
        for progress in self._both:
            progress.begun(run, config, records)

    def advance(self, done: float, epochs: int) -> None:
        for progress in self._both:
            progress.advance(done, epochs)

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        for progress in self._both:
            progress.epoch(record, epochs)

    def network(self, epoch: int, health: Sequence[LayerHealth], reconstruct: Reconstruct) -> None:
        for progress in self._both:
            progress.network(epoch, health, reconstruct)

    def collapsed(self, record: EpochRecord, reason: str) -> None:
        for progress in self._both:
            progress.collapsed(record, reason)

    def complete(self, metrics: Mapping[str, Any]) -> None:
        for progress in self._both:
            progress.complete(metrics)

    def close(self) -> None:
        for progress in self._both:
            progress.close()


def stage_callback(progress: Progress) -> ProgressCallback:
    """Return a callback that reports reading as stages of a training."""
    last = ""

    def report(what: str, done: int, total: int) -> None:
        nonlocal last
        if what != last:
            progress.stage(what)
            last = what
        progress.advance(done, total)

    return report


class Stages:
    """The stages of a training one after the other: reports them, and keeps the seconds of each."""

    def __init__(self, progress: Progress, started: float | None = None) -> None:
        """Begin with the stage "start-up", at `started` of `time.perf_counter`, or now."""
        self.progress, self._current = progress, "start-up"
        self._since = time.perf_counter() if started is None else started
        self._seconds: dict[str, float] = {}

    def enter(self, name: str) -> None:
        """End the current stage and begin another; one that is current already goes on."""
        if name == self._current:
            return
        self.progress.stage(name)
        self._end()
        self._current = name

    def move(self, name: str, seconds: float) -> None:
        """Count these seconds of the current stage as another's."""
        self._add(name, seconds)
        self._add(self._current, -seconds)

    def seconds(self) -> dict[str, float]:
        """Return the seconds of every stage so far."""
        self._end()
        return {name: round(seconds, 3) for name, seconds in self._seconds.items()}

    def _end(self) -> None:
        now = time.perf_counter()
        self._add(self._current, now - self._since)
        self._since = now

    def _add(self, name: str, seconds: float) -> None:
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds

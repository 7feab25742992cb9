"""What a training reports while it runs, and where its time went."""

import time
from typing import Protocol

from aecli.core.progress import ProgressCallback
from aecli.runs.records import EpochRecord


class Progress(Protocol):
    """Receives what happens in a training."""

    def note(self, message: str) -> None:
        """Something the user should know."""

    def stage(self, name: str) -> None:
        """A new stage begins."""

    def advance(self, done: float, epochs: int) -> None:
        """So many of the epochs are done, fractions included."""

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        """An epoch of `epochs` has ended."""

    def collapsed(self, record: EpochRecord, reason: str) -> None:
        """The network is no better than the mean image yet, a tenth of the way or at the end; why."""

    def close(self) -> None:
        """Nothing more will come."""


class NullProgress:
    """Reports to nobody."""

    def note(self, message: str) -> None: ...
    def stage(self, name: str) -> None: ...
    def advance(self, done: float, epochs: int) -> None: ...
    def epoch(self, record: EpochRecord, epochs: int) -> None: ...
    def collapsed(self, record: EpochRecord, reason: str) -> None: ...
    def close(self) -> None: ...


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

"""A progress that reports a training to a tracker, and never ends it: what fails there is said in a line."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

from aecli.core.errors import one_line
from aecli.runs.config import Config
from aecli.runs.records import EpochRecord, LayerHealth
from aecli.runs.run import Run
from aecli.training.progress import NullProgress, Reconstruct
from aecli.training.tracking.pictures import side_by_side
from aecli.training.tracking.tracker import Scalars, Tracker, TrackerSource

_PICTURES = 10
"""About how many times in a training reconstructions are shown."""

_SECONDS_BETWEEN_FLUSHES = 1.0

_CREDENTIALS = re.compile(r"//[^/\s]*@")
"""The name and the password in an address, which an error may quote."""

_LONGEST_REASON = 300


class TrackedProgress(NullProgress):
    """Reports what the epochs of a training gave to a tracker; `say` is told, once, where that fails."""

    def __init__(self, source: TrackerSource, say: Callable[[str], None]) -> None:
        self._source, self._say = source, say
        self._tracker: Tracker | None = None
        self._run: Run | None = None
        self._epoch, self._epochs, self._flushed = 0, 0, 0.0

    def begun(self, run: Run, config: Config, records: Sequence[EpochRecord]) -> None:
        before = [(record.epoch, _of_epoch(record)) for record in records]

        def begin() -> None:
            tracker = self._source.load()
            tracker.begin(run, config, before)
            self._tracker = tracker

        self._run, self._epochs = run, config.training.epochs
        self._guarded(begin)

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        self._epoch = record.epoch
        self._tell(lambda tracker: tracker.log(record.epoch, _of_epoch(record)))

    def network(self, epoch: int, health: Sequence[LayerHealth], reconstruct: Reconstruct) -> None:
        self._tell(lambda tracker: tracker.log(epoch, dict(_of_layers(health))))
        if self._is_shown(epoch):
            self._tell(lambda tracker: tracker.show(epoch, "reconstructions", side_by_side(*reconstruct())))
        if self._is_shown(epoch) or time.monotonic() - self._flushed >= _SECONDS_BETWEEN_FLUSHES:
            self._flushed = time.monotonic()
            self._tell(lambda tracker: tracker.flush())

    def complete(self, metrics: Mapping[str, Any]) -> None:
        self._tell(lambda tracker: tracker.finish(self._epoch, dict(_final(metrics))))
        self._end(lambda: "complete")

    def close(self) -> None:
        if (run := self._run) is not None:
            self._end(lambda: "failed" if run.state == "failed" else "interrupted")

    def _end(self, state: Callable[[], str]) -> None:
        self._tell(lambda tracker: tracker.close(state()))
        self._tracker = None

    def _is_shown(self, epoch: int) -> bool:
        return epoch in (1, self._epochs) or epoch % max(1, self._epochs // _PICTURES) == 0

    def _tell(self, what: Callable[[Tracker], None]) -> None:
        if (tracker := self._tracker) is not None:
            self._guarded(lambda: what(tracker))

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # of every kind: the disk, the server, the package
            self._tracker = None
            reason = _CREDENTIALS.sub("//", one_line(error))[:_LONGEST_REASON]
            self._say(f"--track {self._source.name}: {reason}: the training goes on without it")


def _of_epoch(record: EpochRecord) -> Scalars:
    names = ("loss", "val_loss", "learning_rate", "seconds")
    return {**{name: getattr(record, name) for name in names}, **record.terms}


def _of_layers(health: Sequence[LayerHealth]) -> Iterator[tuple[str, float]]:
    for layer in health:
        for name in ("dead", "saturated", "slope", "gradient_norm", "weight_norm"):
            value = getattr(layer, name)
            if value is not None:
                yield f"layers/{name}/{layer.layer}", value


def _final(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the means of every metric on every part of the images, of the network and of what it stands beside."""
    for section, parts in (("final", metrics["splits"]), ("final_denoising", metrics.get("denoising", {}))):
        for part, rows in parts.items():
            for row, means in rows.items():
                for metric, value in means.items() if isinstance(means, Mapping) else ():
                    if isinstance(value, Real) and not isinstance(value, bool):
                        yield f"{section}/{part}/{row}/{metric}", float(value)
    yield "final/best_epoch", metrics["best_epoch"]
    if (dead := metrics.get("dead_latents")) is not None:
        yield "final/dead_latents", len(dead)

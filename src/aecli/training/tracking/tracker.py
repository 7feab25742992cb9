"""The trackers of experiments that a training can report to, by name: what `ae train --track` takes follows these rows.

What a tracker is made of is imported when it is used: the help of a command must load neither NumPy nor its package.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aecli.core.errors import TrainingError
from aecli.core.system.packages import is_importable

if TYPE_CHECKING:
    from aecli.runs.config import Config
    from aecli.runs.run import Run

Scalars = Mapping[str, float]
"""Numbers by their names, in which a slash makes groups."""


class Tracker(Protocol):
    """The record that a tracker of experiments keeps of one run; whatever a call raises ends the tracking alone."""

    def begin(self, run: "Run", config: "Config", before: Sequence[tuple[int, Scalars]]) -> None:
        """Begin the record of a run, or go on with the one it has; `before` are the epochs that were trained by now."""

    def log(self, epoch: int, values: Scalars) -> None:
        """Keep the numbers of an epoch."""

    def show(self, epoch: int, name: str, png: bytes) -> None:
        """Keep a picture of an epoch."""

    def flush(self) -> None:
        """Bring what was kept to where it is watched: about once a second."""

    def finish(self, epoch: int, metrics: Scalars) -> None:
        """Keep the final metrics of a run of so many epochs."""

    def close(self, state: str) -> None:
        """End the record of a run that is "complete", "interrupted" or "failed"."""


@dataclass(frozen=True)
class TrackerSource:
    """A tracker that is not imported yet: its package, our extra for it and our module have its name."""

    name: str

    def require(self) -> None:
        """Raise TrainingError where its package is not installed; nothing is imported."""
        if not is_importable(self.name):
            raise TrainingError(f"--track {self.name}: its package is not installed: pip install 'aecli[{self.name}]'")

    def load(self) -> Tracker:
        """Return the tracker of one run."""
        tracker: Tracker = importlib.import_module(f"aecli.training.tracking.{self.name}").make_tracker()
        return tracker


TRACKERS: dict[str, TrackerSource] = {name: TrackerSource(name) for name in ("tensorboard", "mlflow")}
"""The trackers by name; each has a module here of that name, whose `make_tracker` makes one."""

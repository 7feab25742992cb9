"""What trains the runs of a study: tasks in, events out."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from aecli.core.errors import OtherImagesError
from aecli.core.signals import Signals
from aecli.runs.config import Config
from aecli.runs.records import EpochRecord
from aecli.runs.run import Run
from aecli.training.artifacts import STUDY
from aecli.training.checkpoints import CheckpointPolicy
from aecli.training.engines.engine import DEFAULT_ENGINE, EngineSource
from aecli.training.progress import Progress
from aecli.training.resume import can_go_on
from aecli.training.trainer import Trainer

ATTEMPTS = 2
"""How often a run is tried: the second failure is final."""


@dataclass(frozen=True)
class Task:
    """One run to train. The tasks of a `group` differ in their seeds alone and share what is compiled.

    A complete run with this `identity` in the folder is the one, and is not trained again: another process that works
    on the same study has trained it. None where a former run is to be trained anew.
    """

    group: str
    config: Config
    folder: Path
    name: str
    identity: str | None = None


@dataclass(frozen=True)
class Event:
    """What happened to a task: "epoch" has a `record`, "retried" and "failed" a `reason`, "collapsed" has both."""

    kind: Literal["started", "epoch", "collapsed", "done", "retried", "failed"]
    task: Task
    record: EpochRecord | None = None
    reason: str | None = None


class Executor(Protocol):
    """Trains tasks, wherever: each ends with the event "done" or "failed"."""

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Train every task; yield what happens, as it happens.

        Closing the iterator ends the training; runs that are not at their end keep a checkpoint. Raises AeError when
        files cannot be written or read, or another process holds the folder of a run.
        """


def study_trainer(engine: EngineSource = DEFAULT_ENGINE, device: str = "cpu") -> Trainer:
    """Return what trains the runs of a study one after the other, without what a study has no use for."""
    policy = CheckpointPolicy(after_epochs=False, keep_last=False)
    return Trainer(device, STUDY, checkpoints=policy, mapped=True, engine=engine)


def train_task(trainer: Trainer, task: Task, progress: Progress, signals: Signals | None = None) -> None:
    """Train a run that is not there, from its last checkpoint where it has one of the same config and images."""
    run = Run(task.folder)
    if task.identity and run.state == "complete" and run.environment.get("identity") == task.identity:
        return
    with suppress(OtherImagesError):
        if can_go_on(run, task.config):
            trainer.train(task.config, task.folder, task.name, resume=True, progress=progress, signals=signals)
            return
    trainer.train(task.config, task.folder, task.name, overwrite=True, progress=progress, signals=signals)

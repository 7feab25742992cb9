"""What trains the runs of a study: tasks in, events out."""

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from aecli.core.errors import AeError, LockedError, OtherImagesError, is_disk_failure, is_memory_failure, one_line
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

SECONDS_TO_END = 60
"""How long a worker that is to end may take for its checkpoint."""


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


@dataclass
class WaitingTasks:
    """The tasks that wait for a worker, by group, and how often each has failed."""

    groups: dict[str, deque[Task]] = field(default_factory=dict)
    failures: Counter[Path] = field(default_factory=Counter)

    def __len__(self) -> int:
        return sum(map(len, self.groups.values()))

    def add(self, task: Task) -> None:
        """Put a task at the end of its group."""
        self.groups.setdefault(task.group, deque()).append(task)

    def next_for(self, compiled: Sequence[str], others: Collection[str]) -> Task | None:
        """Take a task for a worker, None where none waits.

        It is one of a group that the worker has `compiled`, the first of them that has any, else of one that is not
        among those of the `others`, else of the fullest.
        """
        groups = [name for name, tasks in self.groups.items() if tasks]
        if not groups:
            return None
        own = next((name for name in compiled if name in groups), None)
        free = next((name for name in groups if name not in others), None)
        fullest = max(groups, key=lambda name: len(self.groups[name]))
        return self.groups[own or free or fullest].popleft()

    def failed(self, task: Task, reason: str) -> Event:
        """Count a failure; return its event: the task waits for its next attempt, or has failed for good."""
        self.failures[task.folder] += 1
        if self.failures[task.folder] >= ATTEMPTS:
            return Event("failed", task, reason=reason)
        self.add(task)
        return Event("retried", task, reason=reason)


def ended(reason: str | None) -> AeError:
    """Return the error of a study that a worker's outcome "ended" ends."""
    return AeError(f"{reason}; the same command goes on with what is not finished")


def study_trainer(engine: EngineSource = DEFAULT_ENGINE, device: str = "cpu", networks: int = 1) -> Trainer:
    """Return what trains the runs of a study one after the other, without what a study has no use for.

    It keeps so many compiled networks, those of the groups that it trained last.
    """
    policy = CheckpointPolicy(after_epochs=False, keep_last=False)
    return Trainer(device, STUDY, checkpoints=policy, mapped=True, engine=engine, networks=networks)


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


def train_to_outcome(trainer: Trainer, task: Task, progress: Progress, signals: Signals) -> tuple[str, str | None]:
    """Train a run; return "done", "failed" or "ended", which ends the whole study, and why. Interrupted goes through.

    What another process holds is waited for: the workers of a study that was killed take a moment for checkpoints.
    """
    try:
        wait_for_lock(lambda: train_task(trainer, task, progress, signals))
    except Exception as error:
        if is_memory_failure(error) and not DEFAULT_ENGINE.loads():  # without an engine nothing can be trained
            cure = "give fewer --workers, free some, or raise the limit (ulimit -v)"
            return "ended", f"memory: there is not enough for the workers: {cure}"
        reason = one_line(error) if isinstance(error, AeError) else f"{type(error).__name__}: {one_line(error)}"
        return "ended" if is_disk_failure(error) or isinstance(error, LockedError) else "failed", reason
    return "done", None


def wait_for_lock(train: Callable[[], None]) -> None:
    """Train a run when nobody else does; LockedError where another process still does after a minute."""
    deadline = time.monotonic() + SECONDS_TO_END
    while True:
        try:
            return train()
        except LockedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)

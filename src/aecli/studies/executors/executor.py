"""Who trains the runs of a study: tasks in, events out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aecli.runs.config import Config
from aecli.runs.records import EpochRecord


@dataclass(frozen=True)
class Task:
    """One run to train. The tasks of a `group` differ in their seeds alone and share what is compiled."""

    group: str
    config: Config
    folder: Path
    name: str


@dataclass(frozen=True)
class Event:
    """What happened to a task: "epoch" has a `record`, "retried" and "failed" a `reason`, "collapsed" has both."""

    kind: Literal["started", "epoch", "collapsed", "done", "retried", "failed"]
    task: Task
    record: EpochRecord | None = None
    reason: str | None = None

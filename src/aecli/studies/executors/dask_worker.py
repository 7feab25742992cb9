"""What runs on the workers of a Dask cluster: the runs of studies, each in a thread of its worker.

A thread receives no signals. What ends a training there is what a signal would set: the study that stops, or has gone
and left its task to nobody, or the worker that closes.
"""

import asyncio
import pickle
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from aecli import __version__
from aecli.core.errors import AeError, warnings_end_nothing
from aecli.core.machine import cores
from aecli.core.signals import Interrupted, Signals
from aecli.runs.records import EpochRecord
from aecli.studies.executors.executor import study_trainer, train_to_outcome
from aecli.training.prepare import check_paths
from aecli.training.progress import NullProgress
from aecli.training.trainer import Trainer

NETWORKS = 3
"""Compiled networks that a worker keeps for a study, those of the groups of which it trained a run last."""

_STUDIES = 2
"""Studies of which a worker keeps what it has compiled."""

_NAME = "aecli"

TOPIC = "aecli"
"""Where workers say what happens to the runs of all studies, each time as (key, kind, values) in a pickle."""

_KEY = "ae-"
"""What the keys of runs begin with; the study and a number of the task follow."""

_SECONDS_TO_CLOSE = 30

_training: dict[str, Signals] = {}
"""By key what ends the runs that this worker is to train, from the moment that it is told so."""

_trainers: dict[str, Trainer] = {}
_at_work = threading.Lock()
"""Held while a run is in training: an engine shares its threads among all that a process does."""


@dataclass(frozen=True)
class Introduction:
    """What a worker says of itself: its version, how many threads compute, and what is wrong, for one line."""

    version: str
    threads: int
    problem: str | None


def key_of(study: str, number: int) -> str:
    """Return the key of a task of a study."""
    return f"{_KEY}{study}-{number}"


async def introduce(configs: Sequence[bytes], folder: str, *, dask_worker: Worker) -> Introduction:
    """Begin to watch this worker; return whether it can train these pickled configs into runs below `folder`."""
    if _NAME not in dask_worker.plugins:
        await dask_worker.plugin_add(_Watch(), name=_NAME)
    problem = None
    if dask_worker.state.nthreads != 1:
        problem = f"runs {dask_worker.state.nthreads} tasks side by side: start it with --nthreads 1"
    elif not Path(folder).is_dir():
        problem = f"{folder}: is not there: the study's folder must be at the same path on all workers"
    else:
        try:
            for config in configs:
                check_paths(pickle.loads(config))
        except AeError as error:
            problem = f"{error} (the same path on all workers)"
    return Introduction(__version__, cores(), problem)


def train(key: str, task: bytes, study: str) -> None:
    """Train a pickled task of a study; what happens, and how it ends, goes to the topic."""
    relay = _Relay(get_worker(), key)
    signals = _training.get(key)
    if signals is None:  # nobody waits for it any more, or Dask has come to say so in another way
        relay.tell("failed", "its worker was not told of it")
        return
    with _at_work, warnings_end_nothing():
        try:
            outcome = train_to_outcome(_trainer(study), pickle.loads(task), relay, signals)
            signals.raise_if_received()  # one that came while the run failed
            relay.tell(*outcome)
        except Interrupted:
            relay.tell("stopped")
        finally:
            _training.pop(key, None)


def stop(study: str) -> None:
    """End the trainings of a study, each with a checkpoint, and forget what was compiled for it."""
    for key, signals in list(_training.items()):
        if key.startswith(key_of(study, 0)[:-1]):
            signals.received = signal.SIGTERM
    _trainers.pop(study, None)


class _Relay(NullProgress):
    """Tells the study what happens to a run."""

    def __init__(self, worker: Worker, key: str) -> None:
        self._worker, self._key = worker, key

    def tell(self, kind: str, *values: Any) -> None:
        """Send what has happened."""
        self._worker.log_event(TOPIC, pickle.dumps((self._key, kind, values)))

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        self.tell("epoch", record)

    def collapsed(self, record: EpochRecord, reason: str) -> None:
        self.tell("collapsed", record, reason)


class _Watch(WorkerPlugin):  # type: ignore[misc]  # its package may not be there to be looked at
    """Notices the runs that this worker is to train, and those that nobody waits for any more."""

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        """Note a task that begins; end one that is taken from this worker before its end, as its client has gone."""
        if not (isinstance(key, str) and key.startswith(_KEY)):
            return
        if finish == "executing":
            _training.setdefault(key, Signals())
        elif start == "executing" and (signals := _training.pop(key, None)):
            signals.received = signal.SIGTERM

    async def teardown(self, worker: Worker) -> None:
        """End all trainings, and give them time for their checkpoints."""
        deadline = time.monotonic() + _SECONDS_TO_CLOSE
        for signals in list(_training.values()):
            signals.received = signal.SIGTERM
        while _at_work.locked() and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.02)  # for what a thread has just told


def _trainer(study: str) -> Trainer:
    """Return what trains the runs of a study here, with what it has compiled."""
    trainer = _trainers.pop(study, None) or study_trainer(networks=NETWORKS)
    while len(_trainers) >= _STUDIES:
        del _trainers[next(iter(_trainers))]
    _trainers[study] = trainer
    return trainer

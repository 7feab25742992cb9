"""Worker processes that train the runs of a study, each with one engine and the images mapped, not copied.

A worker keeps to one group of tasks while it can: what it has compiled serves the whole group. A run that fails, or
whose worker dies, is tried once more, and its second failure is final; the others go on. A disk that cannot be written
or read is no failure of a run: it ends them all. Workers that are ended leave a checkpoint of what they train, but not
of what they export and measure.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from aecli.core.errors import AeError, warnings_end_nothing
from aecli.core.signals import Interrupted, Signals
from aecli.runs.records import EpochRecord
from aecli.studies.executors.executor import (
    ATTEMPTS,
    SECONDS_TO_END,
    Event,
    Task,
    WaitingTasks,
    ended,
    study_trainer,
    train_to_outcome,
)
from aecli.studies.executors.gpus import gpu_environment
from aecli.studies.executors.spawning import inherited, without_main
from aecli.training.engines.engine import DEFAULT_ENGINE
from aecli.training.progress import NullProgress

_RUNS_PER_WORKER = 200
"""Runs after which a worker is replaced: an engine keeps some megabytes of every network it has built."""


@dataclass(frozen=True)
class ProcessExecutor:
    """Trains tasks in so many worker processes, of some threads each, spread over GPUs where there are some."""

    workers: int
    threads: int
    gpus: Sequence[str] = ()
    """Those that the workers share, as CUDA_VISIBLE_DEVICES names them; without any they train on the CPU."""

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Train every task; see `Executor.run`."""
        pool = _Pool(self.threads, self.gpus)
        for task in tasks:
            pool.waiting.add(task)
        if pool.waiting:  # before every run of a study fails for want of it
            DEFAULT_ENGINE.require()
        try:
            pool.start(self.workers)
            while pool.workers:
                yield from pool.wait()
        finally:
            pool.end()


@dataclass(eq=False)
class _Worker:
    """A process, what it works on, and how many runs it has been given."""

    process: Any
    connection: Connection
    gpu: str | None = None
    task: Task | None = None
    group: str | None = None
    runs: int = 0


@dataclass
class _Pool:
    """The waiting tasks by group, the workers that take them, and how many died before they took one."""

    threads: int
    gpus: Sequence[str] = ()
    waiting: WaitingTasks = field(default_factory=WaitingTasks)
    workers: list[_Worker] = field(default_factory=list)
    unstarted: int = 0

    def start(self, count: int) -> None:
        """Start workers, no more than there are tasks; each takes its first task when it is ready."""
        for _ in range(min(count, len(self.waiting))):
            self._start_worker()

    def wait(self) -> Iterator[Event]:
        """Wait until workers report, and give the free ones their next task."""
        ready = wait([item for w in self.workers for item in (w.connection, w.process.sentinel)])
        for worker in list(self.workers):
            if worker.connection in ready:
                yield from self._receive(worker)
            elif worker.process.sentinel in ready:
                yield from self._handle_death(worker)

    def end(self) -> None:
        """End all workers, each after a checkpoint of the run that it trains; when interrupted, at once."""
        deadline = time.monotonic() + SECONDS_TO_END
        try:
            for worker in self.workers:
                worker.process.terminate()
                worker.connection.close()  # nobody receives any more: it must not wait for that
            for worker in self.workers:
                worker.process.join(max(0.0, deadline - time.monotonic()))
        finally:
            for worker in self.workers:
                worker.process.kill()
                worker.process.join()
            self.workers.clear()

    def _start_worker(self) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        gpu = self._emptiest_gpu()
        process = context.Process(target=_work, args=(theirs, "gpu:0" if gpu else "cpu"), daemon=True)
        variables = {"OMP_NUM_THREADS": str(self.threads), "OPENBLAS_NUM_THREADS": "1"}
        with inherited(**variables, **(gpu_environment(gpu) if gpu else {})), without_main():
            process.start()
        theirs.close()
        self.workers.append(_Worker(process, ours, gpu))

    def _emptiest_gpu(self) -> str | None:
        """Return the GPU that the fewest workers have, None where there is none."""
        taken = Counter(worker.gpu for worker in self.workers)
        return min(self.gpus, key=lambda gpu: taken[gpu], default=None)

    def _receive(self, worker: _Worker) -> Iterator[Event]:
        try:
            kind, value = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._handle_death(worker)
            return
        if kind in ("epoch", "collapsed") and worker.task:
            yield Event(kind, worker.task, *value)
            return
        if kind == "ended":
            raise ended(value)
        if worker.task:
            yield Event("done", worker.task) if kind == "done" else self.waiting.failed(worker.task, value)
            worker.task = None
        if worker.runs >= _RUNS_PER_WORKER:
            self._stop_worker(worker)
            if self.waiting:
                self._start_worker()
        elif task := self._next_for(worker):
            worker.task, worker.group, worker.runs = task, task.group, worker.runs + 1
            with suppress(OSError):  # a worker that has just died is met by its sentinel
                worker.connection.send(task)
            yield Event("started", task)
        else:
            self._stop_worker(worker)

    def _next_for(self, worker: _Worker) -> Task | None:
        others = {other.group for other in self.workers if other is not worker and other.group}
        return self.waiting.next_for([worker.group] if worker.group else [], others)

    def _handle_death(self, worker: _Worker) -> Iterator[Event]:
        """Count the failure of a worker that has died, and start another where tasks wait."""
        worker.process.join()
        self.workers.remove(worker)
        code = worker.process.exitcode
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        if worker.task:
            yield self.waiting.failed(worker.task, f"its worker died ({how})")
        elif not worker.runs:
            self.unstarted += 1
            if self.unstarted >= ATTEMPTS:
                raise AeError(f"workers: a worker process could not start ({how}): see whether ae train works")
        if self.waiting:
            self._start_worker()

    def _stop_worker(self, worker: _Worker) -> None:
        with suppress(OSError):
            worker.connection.send(None)
        worker.process.join()
        worker.connection.close()
        self.workers.remove(worker)


class _Relay(NullProgress):
    """Sends every epoch to the study, as long as there is one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        self._send("epoch", record)

    def collapsed(self, record: EpochRecord, reason: str) -> None:
        self._send("collapsed", record, reason)

    def _send(self, kind: str, *values: Any) -> None:
        with suppress(OSError):  # a study that was killed: `_exit_with_parent` ends its workers
            self._connection.send((kind, values))


def _work(connection: Connection, device: str) -> None:
    """Train what comes through the connection until None does, or the study ends its worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the study ends its workers by SIGTERM
    with suppress(Interrupted, EOFError, OSError), warnings_end_nothing(), Signals() as signals:
        threading.Thread(target=_exit_with_parent, daemon=True).start()
        # What native libraries print would tear the study's table; errors travel through the connection.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        trainer = study_trainer(device=device)
        connection.send(("ready", None))
        while (task := connection.recv()) is not None:
            outcome = train_to_outcome(trainer, task, _Relay(connection), signals)
            signals.raise_if_received()  # one that came while the run failed
            connection.send(outcome)


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(SECONDS_TO_END)
        os._exit(1)

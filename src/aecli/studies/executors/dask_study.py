"""The runs of a study on the workers of a Dask cluster, each worker one run at a time.

The study gives every worker its next run itself: Dask would place it without a thought of what a worker has compiled.
A run that fails, or whose worker dies, is tried once more, and its second failure is final; one whose worker was
stopped goes on elsewhere from its checkpoint. Workers may come and go.
"""

import pickle
import queue
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aecli import __version__
from aecli.core.errors import AeError, one_line
from aecli.studies.executors.dask_cluster import Cluster
from aecli.studies.executors.dask_worker import NETWORKS, TOPIC, Introduction, introduce, key_of, stop, train
from aecli.studies.executors.executor import SECONDS_TO_END, Event, Task, WaitingTasks, ended

if TYPE_CHECKING:
    from distributed import Future

_SECONDS_BETWEEN_LOOKS = 1.0
"""How often the workers are looked at."""


@dataclass(frozen=True)
class DaskExecutor:
    """Trains tasks on the workers of a cluster."""

    cluster: Cluster

    @property
    def workers(self) -> int:
        """How many workers there are now."""
        return len(self.cluster.workers())

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Train every task; see `Executor.run`. Raises AeError where a worker cannot train them."""
        waiting = WaitingTasks()
        for task in tasks:
            waiting.add(task)
        if not waiting:
            return
        study = _Study(self.cluster, waiting)
        try:
            study.begin()
            while study.waiting or study.training:
                yield from study.wait()
        finally:
            study.end()


@dataclass
class _Worker:
    """A worker that can train: the key of what it trains, and the groups that it has compiled, the last first."""

    key: str | None = None
    groups: list[str] = field(default_factory=list)


@dataclass
class _Training:
    """A task on a worker."""

    task: Task
    worker: str
    future: "Future"


@dataclass
class _Study:
    """The tasks that wait and those in training by key, the workers by address, and what was heard of them.

    Workers that are `unfit`, for a reason, or `closing` get no task.
    """

    cluster: Cluster
    waiting: WaitingTasks
    training: dict[str, _Training] = field(default_factory=dict)
    workers: dict[str, _Worker] = field(default_factory=dict)
    unfit: dict[str, str] = field(default_factory=dict)
    closing: set[str] = field(default_factory=set)
    heard: "queue.SimpleQueue[tuple[str, str, tuple[Any, ...]]]" = field(default_factory=queue.SimpleQueue)
    threads: int | None = None
    looked: float = 0.0
    count: int = 0

    def __post_init__(self) -> None:
        self.id = str(self.cluster.client.id)
        tasks = [task for tasks in self.waiting.groups.values() for task in tasks]
        by_data = {(task.config.data.train, task.config.data.test): task.config for task in tasks}
        self._configs = [pickle.dumps(config) for config in by_data.values()]
        self._folder = str(_study_folder(tasks[0].folder))

    def begin(self) -> None:
        """Listen to the workers, and take those that are there. Raises AeError where one of them cannot train."""
        self.cluster.client.subscribe_topic(TOPIC, lambda event: self.heard.put(pickle.loads(event[1])))
        self._look()
        if self.unfit:
            raise AeError(next(iter(self.unfit.values())))

    def wait(self) -> Iterator[Event]:
        """Give the free workers their next tasks, and wait until something happens."""
        for address, worker in self.workers.items():
            if worker.key is None and (task := self._next_for(worker)):
                self._submit(address, worker, task)
                yield Event("started", task)
        try:
            key, kind, values = self.heard.get(timeout=_SECONDS_BETWEEN_LOOKS)
        except queue.Empty:
            pass
        else:
            yield from self._receive(key, kind, values)
        if time.monotonic() - self.looked > _SECONDS_BETWEEN_LOOKS:
            yield from self._look()

    def end(self) -> None:
        """End what is in training, each run with a checkpoint, and have the workers forget the study."""
        with suppress(AeError):  # what ended the study is what the user should see
            self.cluster.call(stop, self.id, workers=list(self.workers))
            deadline = time.monotonic() + SECONDS_TO_END
            while self.training and time.monotonic() < deadline:
                try:
                    key, kind, _ = self.heard.get(timeout=_SECONDS_BETWEEN_LOOKS)
                except queue.Empty:
                    here = self.cluster.workers()
                    self.training = {key: each for key, each in self.training.items() if each.worker in here}
                else:
                    if kind not in ("epoch", "collapsed"):
                        self.training.pop(key, None)

    def _next_for(self, worker: _Worker) -> Task | None:
        others = {other.groups[0] for other in self.workers.values() if other is not worker and other.groups}
        return self.waiting.next_for(worker.groups, others)

    def _submit(self, address: str, worker: _Worker, task: Task) -> None:
        self.count += 1
        key = key_of(self.id, self.count)
        worker.key = key
        worker.groups = [task.group, *(group for group in worker.groups if group != task.group)][:NETWORKS]
        sent = pickle.dumps(replace(task, folder=task.folder.absolute()))
        future = self.cluster.client.submit(
            train, key, sent, self.id, key=key, workers=[address], pure=False, retries=0
        )
        self.training[key] = _Training(task, address, future)
        # What a run gives is heard before; this tells of one that could not even begin.
        future.add_done_callback(lambda future: self.heard.put((future.key, future.status, (future,))))

    def _receive(self, key: str, kind: str, values: tuple[Any, ...]) -> Iterator[Event]:
        if key not in self.training:
            return
        task = self.training[key].task
        if kind in ("epoch", "collapsed"):
            yield Event(kind, task, *values)  # type: ignore[arg-type]
            return
        if kind == "ended":
            raise ended(values[0])
        if kind in ("cancelled", "lost"):  # by a scheduler that has gone
            self.cluster.workers()
        training = self.training.pop(key)
        if training.worker in self.workers:
            self.workers[training.worker].key = None
        if kind == "done":
            yield Event("done", task)
        elif kind == "failed":
            yield self.waiting.failed(task, values[0])
        elif kind == "stopped":  # a worker that closes: the run is well
            self.workers.pop(training.worker, None)
            self.closing.add(training.worker)
            self.waiting.add(task)
        else:
            yield self.waiting.failed(task, _why(kind, *values))

    def _look(self) -> Iterator[Event]:
        """Look which workers have come and gone; return what that means for what they trained."""
        self.looked = time.monotonic()
        here = self.cluster.workers()
        lost = [key for key, each in self.training.items() if each.worker not in here]
        self.workers = {address: worker for address, worker in self.workers.items() if address in here}
        self.unfit = {address: problem for address, problem in self.unfit.items() if address in here}
        self._meet([address for address in here if address not in {*self.workers, *self.unfit, *self.closing}])
        if self.unfit and not self.workers:
            raise AeError(next(iter(self.unfit.values())))
        return self._lose(lost)

    def _lose(self, keys: list[str]) -> Iterator[Event]:
        for key in keys:
            training = self.training.pop(key)
            training.future.cancel()
            yield self.waiting.failed(training.task, f"its worker died ({training.worker})")

    def _meet(self, addresses: list[str]) -> None:
        """Take workers that can train the study's runs as those before them do."""
        if not addresses:
            return
        met = self.cluster.call(introduce, self._configs, self._folder, workers=addresses)
        for address, said in sorted(met.items()):
            problem = self._problem(said)
            if problem is None:
                self.workers[address] = _Worker()
            else:
                self.unfit[address] = f"worker {address}: {problem}"

    def _problem(self, said: "Introduction | BaseException") -> str | None:
        if isinstance(said, ModuleNotFoundError) and (said.name or "").startswith("aecli"):
            return f"has no ae: pip install aecli=={__version__} where it runs"
        if isinstance(said, BaseException):
            return f"could not begin ({one_line(said)}): is it the same ae there?"
        if said.version != __version__:
            return f"has ae {said.version}, here it is {__version__}: install the same on all"
        if said.problem is None and self.threads not in (None, said.threads):
            return (
                f"trains with {said.threads} threads, another with {self.threads}, which changes last bits: "
                f"set the same OMP_NUM_THREADS for all"
            )
        if said.problem is None:
            self.threads = said.threads
        return said.problem


def _study_folder(folder: Path) -> Path:
    """Return the nearest folder around a run that is there already."""
    return next(parent for parent in folder.absolute().parents if parent.is_dir())


def _why(status: str, future: "Future") -> str:
    if status != "error":
        return f"its worker gave no result ({status})"
    try:
        return one_line(future.exception(timeout=5))
    except TimeoutError:
        return "its worker gave no result"

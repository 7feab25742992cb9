"""An executor that trains the runs of a study in this process, for tests that are not about processes."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator

from aecli.core.signals import Signals
from aecli.runs.records import EpochRecord
from aecli.studies.executors.executor import ATTEMPTS, Event, Task, ended, study_trainer, train_to_outcome
from aecli.training.engines.engine import DEFAULT_ENGINE, EngineSource
from aecli.training.progress import NullProgress


class InProcessExecutor:
    """Trains tasks one after the other, as a single worker does.

    The events between "started" and its end come when the run has ended: between two events no run is in training.
    What is compiled is kept for the next call too.
    """

    def __init__(self, engine: EngineSource = DEFAULT_ENGINE) -> None:
        self._trainer = study_trainer(engine)

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Train every task; see `Executor.run`."""
        waiting: dict[str, deque[Task]] = {}
        for task in tasks:
            waiting.setdefault(task.group, deque()).append(task)
        failures: Counter[Task] = Counter()
        for group in waiting.values():
            while group:
                task = group.popleft()
                yield Event("started", task)
                last = yield from self._train(task)
                if last.kind == "failed":
                    failures[task] += 1
                    if failures[task] < ATTEMPTS:
                        group.append(task)
                        last = Event("retried", task, reason=last.reason)
                yield last

    def _train(self, task: Task) -> Iterator[Event]:
        """Train one run; yield its epochs, return its end."""
        epochs = _Epochs(task)
        # The function that workers call: what is a failure of the run, and what ends the study, is the same.
        kind, reason = train_to_outcome(self._trainer, task, epochs, Signals())
        yield from epochs.events
        if kind == "ended":
            raise ended(reason)
        return Event("done" if kind == "done" else "failed", task, reason=reason)


class _Epochs(NullProgress):
    def __init__(self, task: Task) -> None:
        self._task, self.events = task, []

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        self.events.append(Event("epoch", self._task, record))

    def collapsed(self, record: EpochRecord, reason: str) -> None:
        self.events.append(Event("collapsed", self._task, record, reason))

"""How a study goes: a live table in a terminal, a line for every run in a file."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table

from aecli.cli.terminal import MESSAGES, collapse_note, is_live, note
from aecli.studies.compare import NullStudyProgress

if TYPE_CHECKING:
    from aecli.studies.compare import StudyProgress
    from aecli.studies.executors.executor import Event
    from aecli.studies.plan import Variant
    from aecli.studies.results import Result


def study_progress(quiet: bool) -> "StudyProgress":
    """Return a live table in a terminal, plain lines in a file, nothing when quiet."""
    if quiet:
        return NullStudyProgress()
    return _LiveTable() if is_live() else _Lines()


class _Counted(NullStudyProgress):
    """Keeps count of the runs and of the time that the rest will take."""

    def note(self, message: str) -> None:
        note(message)

    def planned(self, runs: Sequence[tuple["Variant", int]], results: Sequence["Result"]) -> None:
        self.total, self.started = len(runs), time.monotonic()
        self.there = self.done = len(results)
        self.each = Counter(variant.name for variant, _ in runs)
        self.results: dict[str, list[Result]] = {name: [] for name in self.each}
        for result in results:
            self.results[result.variant].append(result)
        if self.there:
            self.note(f"{self.there} of {self.total} runs are there already")

    def event(self, event: "Event", result: "Result | None") -> None:
        if event.kind in ("done", "failed") and result is not None:
            self.done += 1
            self.results[result.variant].append(result)

    @property
    def time_left(self) -> str:
        """The time that the other runs will take, as m:ss, from the mean of those done."""
        if self.done == self.there:
            return "-:--"
        seconds = (time.monotonic() - self.started) / (self.done - self.there) * (self.total - self.done)
        return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class _Lines(_Counted):
    def event(self, event: "Event", result: "Result | None") -> None:
        super().event(event, result)
        if trouble := _trouble(event):
            self.note(trouble)
        elif event.kind in ("done", "failed") and result is not None:
            self.note(f"{self.done}/{self.total}  {_outcome(result)}  {self.time_left} left")


def _trouble(event: "Event") -> str | None:
    """Return a line about a run that goes badly and has not ended; None where nothing is to be said."""
    place = f"{event.task.name}, seed {event.task.config.training.seed}"
    if event.kind == "retried":
        return f"{place}: {event.reason}; once more"
    # The last epoch's is said with the run's end.
    if event.kind == "collapsed" and event.record and event.record.epoch < event.task.config.training.epochs:
        return f"{place}: {collapse_note(event.record, event.reason or '')}"
    return None


def _outcome(result: "Result") -> str:
    what = f"mse {result.metrics['mse']:.5f}" if result.metrics.get("mse") is not None else ""
    why = f"{result.state}: {result.reason}" if result.state != "complete" else ""
    return f"{result.variant}, seed {result.seed}: {' '.join(part for part in (what, why) if part)}"


class _LiveTable(_Counted):
    """Rows are variants: runs done, current mean, and what is being trained."""

    def __init__(self) -> None:
        self.console = Console(file=MESSAGES, highlight=False, markup=False)
        # What rich puts in the place of `sys.stderr` would go around MESSAGES.
        self.live = Live(console=self.console, transient=True, refresh_per_second=4, redirect_stderr=False)
        self.running: dict[str, str] = {}

    def note(self, message: str) -> None:
        self.console.print(message, soft_wrap=True)

    def planned(self, runs: Sequence[tuple["Variant", int]], results: Sequence["Result"]) -> None:
        super().planned(runs, results)
        self.live.start()
        self.live.update(self._table())

    def event(self, event: "Event", result: "Result | None") -> None:
        super().event(event, result)
        if trouble := _trouble(event):
            self.note(trouble)
        if result is not None and result.state in ("collapsed", "failed"):
            self.note(_outcome(result))
        epochs = event.task.config.training.epochs
        seed = event.task.config.training.seed
        if event.record is not None:
            self.running[event.task.name] = f"seed {seed}: epoch {event.record.epoch}/{epochs}"
        elif event.kind != "started":
            self.running.pop(event.task.name, None)
        self.live.update(self._table())

    def close(self) -> None:
        self.live.stop()

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in ("variant", "runs", "mean mse"):
            table.add_column(title, justify="left" if title == "variant" else "right", no_wrap=True)
        table.add_column(f"{self.done}/{self.total}, {self.time_left} left", no_wrap=True)
        for name, count in self.each.items():
            values = [mse for r in self.results[name] if (mse := r.value("mse")) is not None and r.state == "complete"]
            mean = f"{sum(values) / len(values):.5f}" if values else "-"
            table.add_row(name, f"{len(self.results[name])}/{count}", mean, self.running.get(name, ""))
        return table

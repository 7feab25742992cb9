"""What the commands print: results to stdout, notes and progress to stderr."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import click
from rich import progress as rich_progress
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group
from rich.live import Live
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from aecli.cli.stderr import native_stderr_silenced
from aecli.models.losses.window import SSIM_WINDOW, ssim_window
from aecli.runs.metrics import metrics_without_copies, table_metrics
from aecli.runs.records import EpochRecord
from aecli.runs.run import Run
from aecli.training.progress import NullProgress, Progress, stage_callback

_WIDE = 1000


class _Messages:
    """Standard error, but a message that cannot be written does not end the work that it tells of.

    A log may lie on a full disk, and whoever reads it may leave, as a terminal that is closed does: then nothing
    more is said.
    """

    def write(self, text: str) -> int:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:  # what is left in its buffer would fail again, wherever it is flushed next
            sys.stderr = open(os.devnull, "w", errors="backslashreplace")  # noqa: SIM115
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


MESSAGES: Any = _Messages()
"""Where notes and progress go."""


def note(message: str, quiet: bool = False) -> None:
    """Print a note to stderr unless quiet."""
    if not quiet:
        click.echo(message, file=MESSAGES)


def note_if(message: str | None, quiet: bool) -> None:
    """Print a note where there is one, unless quiet."""
    if message:
        note(message, quiet)


def note_run(run: Run, quiet: bool, named: bool) -> None:
    """Say which run is used, unless the user has named it, and what of its latents carries nothing."""
    from aecli.runs.uses.latents import dead_latents_note

    note(f"using the run {run.path}", quiet or named)
    if not quiet:
        note_if(dead_latents_note(run), quiet)


def print_if(line: str | None) -> None:
    """Print a line to stdout where there is one."""
    if line:
        click.echo(line)


def print_json(value: Any) -> None:
    """Print a value as JSON to stdout."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """Print a table to stdout, the first `left` columns to the left; a line is never cut or folded.

    In a terminal that is too narrow for it, it comes in several, which all have the first columns.
    """
    console = Console(width=_WIDE, highlight=False, markup=False)
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDE
    for number, table in enumerate(_tables([header, *rows], left, room)):
        if number:
            console.print()
        console.print(table)


@contextmanager
def live_tables(left: int) -> Iterator[Callable[[Sequence[Sequence[str]]], None]]:
    """Yield what shows the lines of a table, its header first, in the terminal of stdout in place of those before.

    The last ones stay. A table that is too wide comes in several, as by `print_table`; of one that is too high the
    first lines are shown.
    """
    console = Console(highlight=False, markup=False)
    with Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:

        def show(lines: Sequence[Sequence[str]]) -> None:
            tables = _tables(lines, min(left, len(lines[0])), console.width)
            live.update(Group(*(part for table in tables for part in (table, ""))), refresh=True)

        yield show


def _tables(lines: Sequence[Sequence[str]], left: int, room: int) -> Iterator[Table]:
    """Yield the tables that these lines, the header first, are shown in where there are so many columns of text."""
    header, *rows = lines
    for columns in _fitting(lines, left, room):
        table = Table(box=None, pad_edge=False, header_style="bold")
        for i in columns:
            table.add_column(header[i], justify="left" if i < left else "right", no_wrap=True)
        for row in rows:
            table.add_row(*(row[i] for i in columns))
        yield table


_BETWEEN = 2
"""Spaces between two columns."""


def _fitting(lines: Sequence[Sequence[str]], left: int, room: int) -> list[list[int]]:
    """Return the columns of each of the tables that fit into `room`, the first `left` in all of them."""
    widths = [max(map(cell_len, cells)) + _BETWEEN for cells in zip(*lines, strict=True)]
    first = [*range(left)]
    tables, used = [[*first]], sum(widths[:left])
    for i in range(left, len(widths)):
        if used + widths[i] - _BETWEEN > room and len(tables[-1]) > left:
            tables.append([*first])
            used = sum(widths[:left])
        tables[-1].append(i)
        used += widths[i]
    return tables


def note_limits(image_shape: tuple[int, ...], exact_copies: int, quiet: bool) -> None:
    """Say where a mean is not over the usual: a smaller SSIM window, images left out of a mean."""
    window = ssim_window(*image_shape[:2])
    if window != SSIM_WINDOW:
        note(f"ssim: a window of {window} x {window}, the images are smaller than {SSIM_WINDOW} x {SSIM_WINDOW}", quiet)
    if exact_copies:
        names = ", ".join(metrics_without_copies())
        note(f"{names}: {exact_copies:,} exact copies are not in the mean, theirs is infinite", quiet)


def metric_cells(means: Mapping[str, Any]) -> list[str]:
    """Return the means of the metrics as text, "-" where there is none."""
    return [metric.text(means.get(metric.name)) for metric in table_metrics()]


def metric_header() -> list[str]:
    """Return the titles over `metric_cells`."""
    return [metric.title for metric in table_metrics()]


def is_live(stream: IO[str] | None = None) -> bool:
    """Whether stderr, or another, is a terminal whose lines can be written anew: no file, log of a CI or dumb one."""
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return (stream or sys.stderr).isatty() and not in_ci and os.environ.get("TERM", "") not in ("dumb", "unknown")


def training_progress(quiet: bool) -> Progress:
    """Return a bar in a terminal, plain lines in a file, nothing when quiet."""
    if quiet:
        return NullProgress()
    return _Bar() if is_live() else _Lines()


def tell_stopping(say: Callable[[str], None]) -> Callable[[], None]:
    """Return what says at once that a signal has come: the last steps and a checkpoint may take a while."""

    def tell() -> None:
        if is_live():  # a progress bar hides the cursor, and nobody else is asked before a second Ctrl-C
            os.write(sys.stderr.fileno(), b"\x1b[?25h")
        try:
            say("stopping ...")
        except RuntimeError:  # the signal came while this very thread was writing: its buffer takes nothing now
            os.write(sys.stderr.fileno(), b"\nstopping ...\n")

    return tell


@contextmanager
def reading(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Yield what shows how far decoding pictures is: a bar in a terminal, a line in a file, nothing when quiet."""
    # The decoder of TIFF complains of damaged files by itself.
    with native_stderr_silenced():
        progress = training_progress(quiet)
        try:
            yield stage_callback(progress)
        finally:
            progress.close()


class _Lines(NullProgress):
    """One line an epoch, at most about two a second, fewer the longer it takes, first and last always."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.printed, self.last = 0.0, ""

    def note(self, message: str) -> None:
        note(message)

    def stage(self, name: str) -> None:
        self._print()
        note(f"{name} ...")

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        now = time.monotonic()
        self.last = f"epoch {record.epoch}/{epochs}  {_BETWEEN_LOSSES.join(_losses(record))}"
        # 170 lines in an hour, 650 in three days.
        if record.epoch == 1 or now - self.printed >= min(600.0, max(0.5, 0.04 * (now - self.started))):
            self.printed = now
            self._print()

    def collapsed(self, record: EpochRecord, reason: str) -> None:
        self._print()
        self.note(collapse_note(record, reason))

    def _print(self) -> None:
        if self.last:
            note(self.last)
        self.last = ""

    def close(self) -> None:
        self._print()


class _LossColumn(rich_progress.ProgressColumn):
    """The losses, as many as there is room for: beside them the other columns stay whole."""

    def render(self, task: rich_progress.Task) -> "_Losses":
        return _Losses(task.fields["losses"])


@dataclass(frozen=True)
class _Losses:
    words: Sequence[str]

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(0, len(_BETWEEN_LOSSES.join(self.words)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        fitting = [self.words[:n] for n in range(len(self.words), -1, -1)]
        lines = (_BETWEEN_LOSSES.join(words) for words in fitting)
        yield Text(next(line for line in lines if len(line) <= options.max_width), end="")


class _Bar(NullProgress):
    """A bar over the epochs with the losses and the time left."""

    def __init__(self) -> None:
        console = Console(file=MESSAGES, highlight=False)
        self.progress = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}"),
            rich_progress.BarColumn(bar_width=min(40, console.width // 6)),
            rich_progress.TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            _LossColumn(),
            rich_progress.TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
            console=console,
            transient=True,
            redirect_stderr=False,  # what it puts in the place of `sys.stderr` would go around MESSAGES
        )
        self.task = self.progress.add_task("checking images", total=1, losses=(), visible=False)

    def note(self, message: str) -> None:
        self.progress.console.print(message, markup=False, highlight=False, soft_wrap=True)

    def stage(self, name: str) -> None:
        self.progress.start()
        self.progress.update(self.task, description=name, visible=True)

    def advance(self, done: float, epochs: int) -> None:
        self.progress.update(self.task, total=epochs, completed=done)

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        self.progress.update(self.task, total=epochs, completed=record.epoch, losses=_losses(record))

    def collapsed(self, record: EpochRecord, reason: str) -> None:
        self.note(collapse_note(record, reason))

    def close(self) -> None:
        self.progress.stop()


def collapse_note(record: EpochRecord, reason: str) -> str:
    """Return the line that names a network which reconstructs no better than the mean image."""
    return f"epoch {record.epoch}: no better than the mean image yet: {reason}"


_BETWEEN_LOSSES = "  "


def _losses(record: EpochRecord) -> list[str]:
    losses = {"loss": record.loss, "val_loss": record.val_loss, **record.terms}
    return [f"{name} {value:{'.5f' if abs(value) < 10 else '.3f'}}" for name, value in losses.items()]

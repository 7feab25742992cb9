"""How far a training is, where somebody looks: a bar in a terminal, a line in a notebook; and how it is stopped."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any

from aecli.cli.stderr import native_stderr_silenced
from aecli.core.errors import AeError
from aecli.core.signals import Interrupted, Signals
from aecli.python.results import epoch_row
from aecli.python.tables import Row
from aecli.runs.records import EpochRecord
from aecli.runs.run import Run
from aecli.studies.compare import NullStudyProgress, StudyProgress
from aecli.training.progress import NullProgress, Progress

OnEpoch = Callable[[Row], object]
"""Called after every epoch with its row of the history."""

_SECONDS_BETWEEN = 0.2


def training_progress(shown: bool | None) -> Progress:
    """Return what shows a training: where `shown` is None in terminals and notebooks, else always or never.

    Where it is shown in neither, it is lines on stderr.
    """
    if shown is False:
        return NullProgress()
    if in_notebook():
        return _Cell()
    from aecli.cli import terminal

    return terminal.training_progress(quiet=shown is None and not terminal.is_live())


def study_progress(shown: bool | None) -> StudyProgress:
    """Return what shows a study: see `training_progress`; in notebooks it is a line a run."""
    if shown is False:
        return NullStudyProgress()
    from aecli.cli import study_progress, terminal

    return study_progress.study_progress(quiet=shown is None and not (terminal.is_live() or in_notebook()))


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None and hasattr(module, "get_ipython") else None
    return getattr(shell, "kernel", None) is not None


class _Cell(NullProgress):
    """A line below the cell that says how far it is, in the place of the one before, over what has been noted."""

    def __init__(self) -> None:
        self._notes: list[str] = []
        self._line, self._bar = "", ""
        self._handle: Any = None
        self._shown_at = 0.0

    def note(self, message: str) -> None:
        self._notes.append(message)
        self._show()

    def stage(self, name: str) -> None:
        self._line, self._bar = f"{name} ...", ""
        self._show()

    def advance(self, done: float, epochs: int) -> None:
        self._bar = f'<progress value="{done:.2f}" max="{epochs}"></progress> '
        if time.monotonic() - self._shown_at >= _SECONDS_BETWEEN:
            self._show()

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        self._line = f"epoch {record.epoch}/{epochs}  loss {record.loss:.5f}  val_loss {record.val_loss:.5f}"
        if time.monotonic() - self._shown_at >= _SECONDS_BETWEEN:
            self._show()

    def collapsed(self, record: EpochRecord, reason: str) -> None:
        self.note(f"epoch {record.epoch}: no better than the mean image yet: {reason}")

    def close(self) -> None:
        """Leave the notes alone."""
        self._line = self._bar = ""
        self._show()

    def _show(self) -> None:
        # By name: no package of ours, but there wherever a notebook is.
        display = import_module("IPython.display").display
        self._shown_at = time.monotonic()
        lines = [*self._notes, *([self._line] if self._line else [])]
        body = "".join(f"<div>{escape(line)}</div>" for line in self._notes)
        body += f"<div>{self._bar}{escape(self._line)}</div>" if self._line else ""
        content = {"text/plain": "\n".join(lines), "text/html": body}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)


class Told(NullProgress):
    """Calls back after every epoch with its row."""

    def __init__(self, on_epoch: OnEpoch) -> None:
        self._on_epoch = on_epoch

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        """Call back with the row of the epoch."""
        self._on_epoch(epoch_row(record))


@contextmanager
def silenced() -> Iterator[None]:
    """Keep what an engine writes to the process's stderr, past Python, away from the user.

    In the main thread alone: it is one for the whole process, and another thread may be writing to it.
    """
    with native_stderr_silenced() if in_main_thread() else nullcontext():
        yield


def in_main_thread() -> bool:
    """Whether this is the thread that receives signals."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def stoppable(note: Callable[[str], None], kept: Callable[[], str]) -> Iterator[Signals]:
    """Let Ctrl-C, or the stop button of a notebook, end the block where it keeps what was done.

    Yields what tells the training. The error says in a line what is `kept`. Only the main thread receives signals.
    """
    signals = Signals(lambda: note("stopping ..."), ("SIGINT",), signal.default_int_handler)
    try:
        with signals if in_main_thread() else nullcontext():
            yield signals
    except KeyboardInterrupt:
        raise Interrupted(signal.SIGINT, f"stopped: {kept()}") from None
    except Exception as error:
        # A library that was interrupted may make an error of its own of it.
        if signals.received is None or isinstance(error, AeError):
            raise
        raise Interrupted(signal.SIGINT, f"stopped: {kept()}") from error


def kept_of_run(run: Run) -> str:
    """Return what a training that was stopped leaves, and how it goes on."""
    if run.state == "complete" or not run.config_file.is_file():
        return "nothing was written"
    kept = "a checkpoint" if run.checkpoint_files else "its config"
    return f"{run.path} keeps {kept}: go on with the same call and resume=True"


def kept_of_study(folder: Path) -> str:
    """Return what a comparison that was stopped leaves, and how it goes on."""
    kept = f"{folder} keeps what was trained: the same call goes on from there"
    return kept if (folder / "runs").is_dir() else "nothing was trained yet"

"""`ae plot history --follow`: a picture drawn anew whenever its table has changed, until the run's training ends."""

from collections.abc import Callable
from pathlib import Path

from aecli.cli.terminal import note, training_progress
from aecli.cli.watching import looks
from aecli.core.errors import AeError, RunError
from aecli.runs.config_file import load_recorded
from aecli.runs.run import Run, find_run, list_runs
from aecli.training.progress import Progress

_ENDS = {
    "complete": "is complete",
    "interrupted": "was interrupted",
    "failed": "has failed",
    "incomplete": "is not in training, and not complete: its process was killed",
}
"""How a run stands that no process trains, by its state."""


def run_to_follow() -> Run:
    """Return the newest run in training under runs/, or else the newest complete one; RunError where there is none."""
    return next((run for run in list_runs() if run.in_training), None) or find_run(None)


def follow(run: Run, table: Path, draw: Callable[[], None], quiet: bool) -> None:
    """Call `draw` whenever this table of a run has changed, until the run is not in training; then say how it stands.

    `draw` is called once at least where there is a table. Raises RunError where there is none by then, or the run
    vanishes.
    """
    progress = training_progress(quiet)
    progress.stage("following")
    try:
        with looks.until_stopped():
            drawn = _draw_until_it_ends(run, table, draw, progress)
    finally:
        progress.close()
    if not drawn:
        raise RunError(f"{run.path}: {_ENDS[run.state]}, and no epoch has ended: see ae runs")
    note(f"{run.path}: {_ENDS[run.state]}", quiet)


def _draw_until_it_ends(run: Run, table: Path, draw: Callable[[], None], progress: Progress) -> bool:
    """Draw whenever the table has changed; return whether there was anything to draw."""
    drawn, told = None, False
    while True:
        _require_there(run)
        ended = _ended(run)  # before the table is read: what is written last is drawn
        state = _signature(table)
        if state not in (None, drawn) and _drawn(run, table, draw, progress):
            drawn = state
        if ended:
            return drawn is not None
        if run.in_training is None and not told:
            told = True
            progress.note(f"{run.path}: no locks here tell whether it is in training: Ctrl-C ends this")
        looks.pause()


def _ended(run: Run) -> bool:
    """Whether a run is not in training; with its lock held it is, whatever its folder says by now."""
    held = run.in_training
    return not held and (held is not None or run.state != "incomplete")


def _drawn(run: Run, table: Path, draw: Callable[[], None], progress: Progress) -> bool:
    """Draw and say the latest epoch; return whether the tables were still there: they go when a run is overwritten."""
    try:
        draw()
        progress.epoch(run.history[-1], load_recorded(run.config_file).config.training.epochs)
    except (AeError, FileNotFoundError):
        _require_there(run)
        if table.is_file() and run.history_file.is_file():
            raise
        return False
    return True


def _require_there(run: Run) -> None:
    if not run.path.is_dir():
        raise RunError(f"{run.path}: is gone: it was removed meanwhile")


def _signature(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is written anew; None where it is gone by now."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino

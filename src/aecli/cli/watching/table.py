"""The table of `ae runs`: a row a run, read from its folder, whatever becomes of that meanwhile."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from aecli.core.errors import AeError
from aecli.runs.config import Config
from aecli.runs.config_file import load_recorded
from aecli.runs.diagnosis import dead_units_of_code
from aecli.runs.run import Run, list_runs
from aecli.training.check.costs import duration

LEFT_COLUMNS = 3
"""Columns that name a run, and stand on the left."""

_VARIATIONAL = {"neg_elbo": "-elbo", "reconstruction": "reconstr.", "kl": "kl", "sigma": "sigma"}
_PACE = 5
"""Epochs that the time left is judged by, the latest."""

_AT_TIMES = {"seconds_left": "left", **_VARIATIONAL}
"""What has a column where a run has it."""

_TITLES = {
    "run": "run", "state": "state", "activation": "activation", "family": "family", "data": "data",
    "latent_dim": "latent_dim", "dead_latents": "dead", "epochs": "epochs", "seconds_left": "left", "mse": "val mse",
    "psnr": "psnr dB", **_VARIATIONAL, "date": "date",
}  # fmt: skip


class RunRows:
    """Reads the rows of the table again and again; of a complete run, which is read whole, once as long as it stays."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._complete: dict[Path, tuple[object, dict[str, Any]]] = {}

    def read(self) -> list[dict[str, Any]]:
        """Return what the table says of the runs in the folder, newest first, by the keys of its JSON.

        The state of one that cannot be read is "damaged"; those that vanish meanwhile are left out.
        """
        before, self._complete = self._complete, {}
        rows = []
        for run in list_runs(self._folder):
            stamp = _stamp(run)
            known, row = before.get(run.path, (None, None))
            if row is None or known != stamp:
                row = _row(run)
            if stamp is not None and row["state"] == "complete":
                self._complete[run.path] = stamp, row
            rows.append(row)
        return [row for row in rows if row["date"] is not None]


def _stamp(run: Run) -> tuple[tuple[int, int, int], ...] | None:
    """Return what changes when a file that a complete run's row is read from is written anew."""
    try:
        states = [file.stat() for file in (run.metrics_file, run.config_file, run.environment_file)]
    except OSError:
        return None
    return tuple((state.st_mtime_ns, state.st_size, state.st_ino) for state in states)


def _row(run: Run) -> dict[str, Any]:
    row: dict[str, Any] = {**dict.fromkeys(_TITLES), "may_stop_early": None, "run": run.name, "state": "damaged"}
    try:
        config = load_recorded(run.config_file).config
        model, images, state = config.model, config.data.train, run.state
        row |= {"state": state, "activation": str(model.code_activation), "latent_dim": run.code_length(model)}
        row |= {"data": images.name if images else "digits", "family": model.kind}
        if state != "complete" and run.in_training:
            row |= {"state": "training", **_so_far(run, config)}
        if state == "complete":
            row |= _complete(run.metrics)
    except (AeError, KeyError, TypeError):
        row["state"] = "damaged"
    return {**row, "date": _date(run)}


def table_cells(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the lines of the table, its header first, of `run_rows`."""
    shown = {key: title for key, title in _TITLES.items() if key not in _AT_TIMES or _some(rows, key)}
    return [[*shown.values()], *([_cell(key, row) for key in shown] for row in rows)]


def _some(rows: Iterable[Mapping[str, Any]], key: str) -> bool:
    return any(row[key] is not None for row in rows)


def title_and_cell(key: str, row: Mapping[str, Any]) -> str:
    """Return a value of a row with the title of its column, the state alone."""
    return _cell(key, row) if key == "state" else f"{_TITLES[key]} {_cell(key, row)}"


def _date(run: Run) -> str | None:
    try:
        date: datetime = run.date
    except OSError:  # it is gone by now
        return None
    return date.strftime("%Y-%m-%d %H:%M")


def _complete(metrics: Mapping[str, Any]) -> dict[str, Any]:
    means, dead = metrics["splits"]["validation"]["model"], metrics.get("dead_latents")
    row = {"dead_latents": None if dead is None else len(dead)}
    row |= {"epochs": metrics["epochs"], "mse": means["mse"], "psnr": means["psnr"]}
    if variational := metrics.get("variational"):
        row |= {key: {**variational, **variational["splits"]["validation"]}[key] for key in _VARIATIONAL}
    return row


def _so_far(run: Run, config: Config) -> dict[str, Any]:
    """Return how far a run in training is: its epochs, the seconds of the others at their pace, its dead latents."""
    if not run.history_file.is_file():
        return {"epochs": 0}
    history, epochs = run.history, config.training.epochs
    latest = [record.seconds for record in history[-_PACE:]]
    return {
        "epochs": len(history),
        "seconds_left": round(median(latest) * (epochs - len(history))) if latest else None,
        "may_stop_early": config.training.early_stopping is not None,
        "dead_latents": _dead_so_far(run, config),
    }


def _dead_so_far(run: Run, config: Config) -> int | None:
    """Return how many latents gave the same for every image of the sample after the latest epoch; None: not known.

    What a code that is drawn or quantised carries is more than whether the layer before it varies.
    """
    share = dead_units_of_code(run.health) if run.health_file.is_file() and config.model.code is None else None
    length = run.code_length(config.model)
    return None if share is None or length is None else round(share * length)


def _cell(key: str, row: Mapping[str, Any]) -> str:
    value = row[key]
    if value is None:
        return "-"
    if key == "seconds_left":
        return f"at most {duration(value)}" if row["may_stop_early"] else duration(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)

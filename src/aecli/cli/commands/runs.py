"""`ae runs`"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aecli.cli.options import FILE, json_option

if TYPE_CHECKING:
    from aecli.runs.run import Run


@click.command("runs")
@click.argument("folder", type=FILE, default=Path("runs"))
@json_option
def command(folder: Path, as_json: bool) -> None:
    """List the runs in FOLDER (default: runs/), newest first.

    dead counts the latents that do not vary over the validation images, or of a variational code are
    the prior whatever the image: they carry nothing. Variational runs show -ELBO, its reconstruction
    and its KL of the validation images, in nats an image, and sigma. Of a run in training the epochs are
    those that have ended, and left is the time that the others take.
    """
    from aecli.cli.terminal import note, print_json, print_table
    from aecli.core.errors import RunError
    from aecli.runs.run import RUNS, list_runs

    if folder != RUNS and not folder.is_dir():
        raise RunError(f"{folder}: no such folder: check the path")
    rows = [_row(run) for run in list_runs(folder)]
    if as_json:
        print_json(rows)
        return
    if not rows:
        note(f"{folder}: no runs here; train one with ae train", quiet=False)
        return
    shown = {key: title for key, title in _TITLES.items() if key not in _AT_TIMES or any(row[key] for row in rows)}
    print_table([*shown.values()], [[_cell(key, row[key]) for key in shown] for row in rows], left=3)


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


def _row(run: "Run") -> dict[str, Any]:
    from aecli.core.errors import AeError
    from aecli.core.locks import is_held
    from aecli.runs.config_file import load_recorded

    date = run.date.strftime("%Y-%m-%d %H:%M")
    row: dict[str, Any] = {**dict.fromkeys(_TITLES), "run": run.name, "state": "damaged", "date": date}
    try:
        config = load_recorded(run.config_file).config
        model, images = config.model, config.data.train
        row |= {"state": run.state, "activation": str(model.code_activation), "latent_dim": run.code_length(model)}
        row |= {"data": images.name if images else "digits", "family": model.kind}
        if run.state == "incomplete" and is_held(run.lock_file):
            row |= {"state": "training", **_so_far(run, config.training.epochs)}
        if run.state == "complete":
            means, dead = run.metrics["splits"]["validation"]["model"], run.metrics.get("dead_latents")
            row["dead_latents"] = None if dead is None else len(dead)
            row |= {"epochs": run.metrics["epochs"], "mse": means["mse"], "psnr": means["psnr"]}
            if variational := run.metrics.get("variational"):
                row |= {key: {**variational, **variational["splits"]["validation"]}[key] for key in _VARIATIONAL}
    except (AeError, KeyError, TypeError):
        row["state"] = "damaged"
    return row


def _so_far(run: "Run", epochs: int) -> dict[str, Any]:
    """Return how many epochs of a run in training have ended, and the seconds that the others take at their pace."""
    from statistics import median

    if not run.history_file.is_file():
        return {"epochs": 0}
    history = run.history
    latest = [record.seconds for record in history[-_PACE:]]
    return {"epochs": len(history), "seconds_left": round(median(latest) * (epochs - len(history))) if latest else None}


def _cell(key: str, value: Any) -> str:
    from aecli.training.check.costs import duration

    if value is None:
        return "-"
    if key == "seconds_left":
        return duration(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)

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

    dead counts the latents that do not vary over the validation images: they carry nothing.
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
    header = ["run", "state", "activation", "latent_dim", "dead", "epochs", "val mse", "psnr dB", "date"]
    print_table(header, [[_cell(value) for value in row.values()] for row in rows], left=3)


def _row(run: "Run") -> dict[str, Any]:
    from aecli.core.errors import AeError
    from aecli.runs.config_file import load_recorded

    row: dict[str, Any] = {"run": run.name, "state": "damaged", "activation": None, "latent_dim": None}
    row |= {
        "dead_latents": None,
        "epochs": None,
        "mse": None,
        "psnr": None,
        "date": run.date.strftime("%Y-%m-%d %H:%M"),
    }
    try:
        model = load_recorded(run.config_file).config.model
        row |= {"state": run.state, "activation": str(model.code_activation), "latent_dim": run.code_length(model)}
        if run.state == "complete":
            means, dead = run.metrics["splits"]["validation"]["model"], run.metrics.get("dead_latents")
            row["dead_latents"] = None if dead is None else len(dead)
            row |= {"epochs": run.metrics["epochs"], "mse": means["mse"], "psnr": means["psnr"]}
    except (AeError, KeyError, TypeError):
        row["state"] = "damaged"
    return row


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)

"""`ae runs`"""

from pathlib import Path

import click

from aecli.cli.options import FILE, json_option


@click.command("runs")
@click.argument("folder", type=FILE, default=Path("runs"))
@click.option("--watch", is_flag=True, help="Look again every 2 s, until Ctrl-C.")
@json_option
def command(folder: Path, watch: bool, as_json: bool) -> None:
    """List the runs in FOLDER (default: runs/), newest first.

    dead counts the latents that do not vary over the validation images, or of a variational code are
    the prior whatever the image: they carry nothing. Variational runs show -ELBO, its reconstruction
    and its KL of the validation images, in nats an image, and sigma. Of a run in training the epochs are
    those that have ended, dead are the latents that do not vary over a sample of the validation images after the
    last of them, and left is the time that the others take: at most, where early stopping may end it before.

    --watch draws the table anew in a terminal; in a pipe or a log it prints a line for each run that is new, that
    has ended an epoch or stands otherwise than before.
    """
    from aecli.cli.terminal import note, print_json, print_table
    from aecli.cli.watching.table import LEFT_COLUMNS, RunRows, table_cells
    from aecli.core.errors import RunError
    from aecli.runs.run import RUNS

    if watch and as_json:
        raise click.UsageError("--watch and --json exclude each other: give one of them")
    if folder != RUNS and not folder.is_dir():
        raise RunError(f"{folder}: no such folder: check the path")
    if watch:
        from aecli.cli.watching.runs import watch_runs

        watch_runs(folder)
    rows = RunRows(folder).read()
    if as_json:
        print_json(rows)
        return
    if not rows:
        note(f"{folder}: no runs here; train one with ae train", quiet=False)
        return
    header, *cells = table_cells(rows)
    print_table(header, cells, left=LEFT_COLUMNS)

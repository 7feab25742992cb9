"""`ae runs --watch`: the table drawn anew in a terminal, elsewhere a line for each run that has changed."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import click

from aecli.cli.terminal import is_live, live_tables
from aecli.cli.watching import looks
from aecli.cli.watching.table import LEFT_COLUMNS, RunRows, table_cells, title_and_cell

_CHANGES = ("state", "epochs", "seconds_left", "dead_latents", "psnr")
"""What a line says of a run, beside its name."""

_TELLING = ("state", "epochs")
"""What has to change for a line: the others go with these, or with the clock."""


def watch_runs(folder: Path) -> NoReturn:
    """Show the runs in a folder until a signal ends the process."""
    with ExitStack() as stack:
        stack.enter_context(looks.until_stopped())
        show = stack.enter_context(live_tables(LEFT_COLUMNS)) if is_live(sys.stdout) else None
        looking = RunRows(folder)
        before: dict[str, dict[str, Any]] = {}
        while True:
            rows = looking.read()
            if show:
                show(table_cells(rows) if rows else [[f"{folder}: no runs here"]])
            else:
                now = {row["run"]: row for row in rows}
                for line in _changes(before, now):
                    click.echo(line)
                before = now
            looks.pause()


def _changes(before: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each run that is new, has changed or is gone, the oldest first."""
    for name in before.keys() - now.keys():
        yield f"{name}  gone"
    for name, row in reversed(now.items()):
        if name not in before or any(before[name][key] != row[key] for key in _TELLING):
            words = [title_and_cell(key, row) for key in _CHANGES if row[key] is not None]
            yield "  ".join([name, *words])

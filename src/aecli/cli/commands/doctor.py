"""`ae doctor`"""

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from aecli.cli.options import json_option

if TYPE_CHECKING:
    from aecli.training.doctor.facts import Fact


@click.command("doctor")
@click.option("--quick", is_flag=True, help="Do not load what trains, which takes seconds.")
@json_option
@click.pass_context
def command(ctx: click.Context, quick: bool, as_json: bool) -> None:
    """Say what this machine offers ae, and what there would stop it.

    Versions, threads and memory and what limits them, the locks and the disk of the current folder, the cache, and
    the devices to train on. The exit code is 1 where something would stop ae, with the cure in a line. For a report
    of a bug: ae doctor --json.
    """
    from aecli.core.errors import escaped
    from aecli.training.doctor.facts import facts

    found = list(facts(quick)) if as_json else list(_shown(facts(quick)))
    problems = [problem for fact in found for problem in fact.problems]
    if as_json:
        values: dict[str, Any] = {fact.name: fact.values for fact in found}
        click.echo(json.dumps({"ok": not problems, **values, "problems": problems}, indent=2))
    for problem in problems:
        click.echo(f"ae: {escaped(problem)}", err=True)
    ctx.exit(1 if problems else 0)


_NAME_WIDTH = 8


def _shown(facts: "Iterator[Fact]") -> "Iterator[Fact]":
    """Print every fact as it comes: folded beside its name in a terminal, as a line elsewhere."""
    from aecli.core.errors import escaped

    # Not by cli/terminal.py, which loads NumPy: that may be what is broken.
    if not sys.stdout.isatty():
        for fact in facts:
            click.echo(f"{fact.name:{_NAME_WIDTH}}  {escaped(fact.text)}")
            yield fact
        return

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, markup=False)
    with console.status("looking"):
        for fact in facts:
            table = Table.grid(padding=(0, 2), pad_edge=False)
            table.add_column(width=_NAME_WIDTH, no_wrap=True, style="bold")
            table.add_column(overflow="fold")
            style = "red" if fact.problems else "yellow" if fact.remark else ""
            table.add_row(fact.name, Text(escaped(fact.text), style=style))
            console.print(table)
            yield fact

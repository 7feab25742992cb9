"""`ae cache`"""

import click

from aecli.cli.options import json_option
from aecli.cli.suggestions import Group


@click.group("cache", cls=Group, invoke_without_command=True)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Show where decoded and unpacked images are kept, and how much; `ae cache clear` removes them.

    Folders of pictures, lists, .gz and .npz files are decoded once. What is used least goes when there is
    more than $AE_CACHE_GB (20); the folder is under $XDG_CACHE_HOME (~/.cache).
    """
    if ctx.invoked_subcommand is not None:
        return
    from aecli.cli.terminal import print_json
    from aecli.data.files import cache

    folder, sizes, limit = cache.cache_folder(), cache.sizes(), cache.cache_limit()
    total = sum(sizes.values())
    if as_json:
        print_json({"folder": str(folder), "entries": len(sizes), "bytes": total, "limit": limit})
        return
    entries = f"{len(sizes):,} entr{'y' if len(sizes) == 1 else 'ies'}"
    click.echo(f"{folder}: {entries}, {total / 1e6:,.1f} MB of at most {limit / 1e6:,.0f} MB")


@command.command("clear")
def clear() -> None:
    """Remove all of it but what is being used."""
    from aecli.data.files import cache

    freed, stay = cache.clear_cache()
    click.echo(f"{cache.cache_folder()}: {freed / 1e6:,.1f} MB removed{_said_stay(stay) if stay else ''}")


def _said_stay(count: int) -> str:
    from contextlib import suppress

    from aecli.core.locks import lock_problem
    from aecli.data.files.cache import cache_folder

    with suppress(OSError):
        if lack := lock_problem(cache_folder()):
            return (
                f"; {count:,} stay, since without locks ({lack}) nobody can tell whether they are in use: remove the "
                f"folder while no ae runs, or set XDG_CACHE_HOME to a disk of this machine"
            )
    return f"; {count:,} in use stay"

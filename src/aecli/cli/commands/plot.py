"""`ae plot`"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aecli.cli.options import FILE, output_option, overwrite_option, quiet_option, run_option
from aecli.cli.suggestions import Choice
from aecli.views.plot_table import PLOTS, Plot


class Indices(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases of click only
    """Row numbers separated by commas."""

    name = "N,N,..."

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        try:
            numbers = [int(part) for part in value.split(",")]
        except ValueError:
            numbers = [-1]
        if min(numbers) < 0:
            self.fail(f"expected row numbers such as 3,7, received '{value}'", param, ctx)
        return numbers


_WIDTH = max(map(len, PLOTS)) + 2
_HELP = "Draw a picture of a run.\n\n\b\n" + "\n".join(f"{name:{_WIDTH}}{plot.about}" for name, plot in PLOTS.items())

if TYPE_CHECKING:
    from aecli.runs.run import Run


_CHOICES = ("index", "worst", "best", "count")
"""The options that choose images; no plot takes two of them."""


def _kind(context: click.Context, _: click.Parameter, kind: str) -> str:
    """Refuse options that exclude each other or belong to another kind; arguments are read after the options."""
    given = [name for name in _CHOICES if context.params.get(name) is not None]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(f'--{name}' for name in given)} exclude each other")
    if given and given[0] not in PLOTS[kind].options:
        kinds = [name for name, other in PLOTS.items() if given[0] in other.options]
        listed = " or ".join([", ".join(kinds[:-1]), kinds[-1]] if len(kinds) > 1 else kinds)
        raise click.UsageError(f"--{given[0]} belongs to {listed}")
    if context.params.get("follow") and not PLOTS[kind].table:
        raise click.UsageError(f"--follow belongs to {' or '.join(name for name, p in PLOTS.items() if p.table)}")
    return kind


@click.command("plot", help=_HELP)
@click.argument("kind", type=Choice([*PLOTS]), default=next(iter(PLOTS)), callback=_kind)
@run_option
@click.option("--images", type=FILE, metavar="IMAGES", help="Images to draw.  [default: the run's validation images]")
@click.option("--index", type=Indices(), help="Draw these rows of the file.")
@click.option("--worst", type=click.IntRange(1, 100), metavar="N", help="Draw the N worst images.")
@click.option("--best", type=click.IntRange(1, 100), metavar="N", help="Draw the N best images.")
@click.option("--count", type=click.IntRange(1, 100), metavar="N", help="Draw the first N images.  [default: 10]")
@click.option("--follow", is_flag=True, help="Draw history or health of a run in training anew, until it ends.")
@output_option("plots/KIND.png in the run; .svg and .pdf by suffix")
@overwrite_option
@quiet_option
def command(
    kind: str, run_folder: Path | None, images: Path | None, index: list[int] | None, worst: int | None,
    best: int | None, count: int | None, follow: bool, output: Path | None, overwrite: bool, quiet: bool,
) -> None:  # fmt: skip
    from aecli.cli.terminal import note, note_if, note_run, reading
    from aecli.core.files import refuse_output
    from aecli.data.files.open import source_name
    from aecli.views import plots

    plot = PLOTS[kind]
    run = _run(plot, run_folder, follow)
    note_run(run, quiet, named=run_folder is not None and run_folder.exists())
    chosen = {"index": index, "worst": worst, "best": best, "count": count}
    given = [name for name, value in chosen.items() if value is not None]
    if output is not None:
        plots.check_suffix(output)
        refuse_output(output, overwrite, *([images] if images else []))
    # A picture of chosen images stands beside the run's own, not in its place.
    chosen_name = f"_{given[0]}" if given else ""
    file_name = f"_of_{source_name(images)}" if images is not None else ""
    output = output or _in_run(run) / f"{kind}{chosen_name}{file_name}.png"
    if plot.table:
        _draw_table(plot, run, output, follow, quiet)
        click.echo(str(output))
        return
    if plot.needs_images:
        with reading(quiet) as on_progress:
            context = plots.open_context(run, images, on_progress)
        if images is not None:
            note(str(context.source), quiet)
        options = {"positions": context.choose(index, worst, best, count)} if given else {}
        figure = plot.draw(context, **options)
    else:
        figure = plot.draw(run, **({} if count is None else {"count": count}))
    note_if(plots.save(figure, output), quiet)
    click.echo(str(output))


def _run(plot: Plot, folder: Path | None, follow: bool) -> "Run":
    """Return the run to draw: a complete one, but what is drawn from a table shows one in training or stopped, too."""
    from aecli.runs.run import find_run, run_named

    if not plot.table:
        return find_run(folder)
    if folder is None:
        from aecli.cli.watching.follow import run_to_follow

        return run_to_follow() if follow else find_run(None)
    run = run_named(folder)
    run.require()
    return run


def _in_run(run: "Run") -> Path:
    """Return the folder of a run's plots, which need not be there yet."""
    from aecli.core.errors import RunError

    if run.plots_folder.is_symlink():
        raise RunError(f"{run.plots_folder}: is a link to another folder: give an --output")
    folder: Path = run.plots_folder
    folder.mkdir(exist_ok=True)
    return folder


def _draw_table(plot: Plot, run: "Run", output: Path, follow: bool, quiet: bool) -> None:
    """Draw a plot that needs a table of the run alone, with `follow` again and again until its training ends."""
    from aecli.cli.terminal import note_if
    from aecli.core.errors import RunError
    from aecli.views import plots

    table = {"history": run.history_file, "health": run.health_file}[plot.table]

    def draw() -> None:
        note_if(plots.save(plot.draw(run), output), quiet)

    if follow:
        from aecli.cli.watching import follow as following

        following.follow(run, table, draw, quiet)
        return
    if run.state != "complete" and not table.is_file():
        raise RunError(f"{run.path}: no epoch has ended: see ae runs, or wait for one with --follow")
    draw()

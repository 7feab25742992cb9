"""`ae plot`"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aecli.cli.options import FILE, output_option, overwrite_option, quiet_option, with_run
from aecli.cli.suggestions import Choice
from aecli.views.plot_table import PLOTS


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
    return kind


@click.command("plot", help=_HELP)
@click.argument("kind", type=Choice([*PLOTS]), default=next(iter(PLOTS)), callback=_kind)
@with_run
@click.option("--images", type=FILE, metavar="IMAGES", help="Images to draw.  [default: the run's validation images]")
@click.option("--index", type=Indices(), help="Draw these rows of the file.")
@click.option("--worst", type=click.IntRange(1, 100), metavar="N", help="Draw the N worst images.")
@click.option("--best", type=click.IntRange(1, 100), metavar="N", help="Draw the N best images.")
@click.option("--count", type=click.IntRange(1, 100), metavar="N", help="Draw the first N images.  [default: 10]")
@output_option("plots/KIND.png in the run; .svg and .pdf by suffix")
@overwrite_option
@quiet_option
def command(
    kind: str, run: "Run", images: Path | None, index: list[int] | None, worst: int | None,
    best: int | None, count: int | None, output: Path | None, overwrite: bool, quiet: bool,
) -> None:  # fmt: skip
    from aecli.cli.terminal import note, note_if, reading
    from aecli.core.errors import RunError
    from aecli.core.files import refuse_output
    from aecli.data.files.open import source_name
    from aecli.views import plots

    plot = PLOTS[kind]
    chosen = {"index": index, "worst": worst, "best": best, "count": count}
    given = [name for name, value in chosen.items() if value is not None]
    if output is not None:
        plots.check_suffix(output)
        refuse_output(output, overwrite, *([images] if images else []))
    if plot.needs_images:
        with reading(quiet) as on_progress:
            context = plots.open_context(run, images, on_progress)
        if images is not None:
            note(str(context.source), quiet)
        options = {"positions": context.choose(index, worst, best, count)} if given else {}
        figure = plot.draw(context, **options)
    else:
        figure = plot.draw(run, **({} if count is None else {"count": count}))
    # A picture of chosen images stands beside the run's own, not in its place.
    chosen_name = f"_{given[0]}" if given else ""
    file_name = f"_of_{source_name(images)}" if images is not None else ""
    output = output or run.plots_folder / f"{kind}{chosen_name}{file_name}.png"
    if run.plots_folder.is_symlink():
        raise RunError(f"{run.plots_folder}: is a link to another folder: give an --output")
    run.plots_folder.mkdir(exist_ok=True)
    note_if(plots.save(figure, output), quiet)
    click.echo(str(output))

"""`ae import`"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aecli.cli.options import (
    FILE,
    output_option,
    overwrite_option,
    quiet_option,
    scheduler_option,
    threads_option,
)
from aecli.cli.suggestions import Choice

if TYPE_CHECKING:
    from aecli.data.files.convert import ConvertResult
    from aecli.data.shares import Spread


class _Size(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases of click only
    """Pixels of a side, or HEIGHTxWIDTH."""

    name = "N|HxW"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        match = re.fullmatch(r"([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?", value)
        if match is None:
            self.fail(f"expected pixels such as 64, or height x width such as 48x64, received '{value}'", param, ctx)
        return int(match[1]), int(match[2] or match[1])


def _axes(_: click.Context, parameter: click.Parameter, axes: str | None) -> str | None:
    from aecli.data.files.options import require_axes

    try:
        return axes and require_axes(axes)
    except ValueError as error:
        raise click.BadParameter(str(error), param=parameter) from error


@click.command("import")
@click.argument("sources", type=FILE, nargs=-1, required=True, metavar="SOURCE...")
@output_option("the name of the first source, here")
@click.option("--size", type=_Size(), help="Height and width.  [default: their own if all share one, else 64]")
@click.option(
    "--fit",
    type=Choice(["crop", "pad", "stretch"]),
    default="crop",
    show_default=True,
    help="What happens to other proportions; pad is black.",
)
@click.option("--grey/--rgb", "grey", default=None, help="One channel or three.  [default: grey where all are]")
@click.option(
    "--frames",
    type=Choice(["all", "first"]),
    default="all",
    show_default=True,
    help="Of stacks and animations.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Take the first N.")
@click.option("--shuffle", type=click.IntRange(0, 2**63 - 1), metavar="SEED", help="Draw their order first.")
@click.option("--key", metavar="NAME", help="The array to take from an .npz, .h5 or .mat; FILE:KEY says the same.")
@click.option("--no-labels", is_flag=True, help="Look for no labels, and write none.")
@click.option(
    "--axes", callback=_axes, metavar="NHWC", help="The axes of arrays that are not (N, H, W[, C]), e.g. HWN."
)
@click.option("--strict", is_flag=True, help="Stop at the first picture that cannot be read.")
@overwrite_option
@scheduler_option
@threads_option
@quiet_option
def command(
    sources: tuple[Path, ...], output: Path | None, size: tuple[int, int] | None, fit: str, grey: bool | None,
    frames: str, limit: int | None, shuffle: int | None, key: str | None, no_labels: bool, axes: str | None,
    strict: bool, overwrite: bool, scheduler: str | None, quiet: bool,
) -> None:  # fmt: skip
    """Make one .npy of SOURCE...: pictures (folders, .zip, .tar, lists, patterns), IDX, .npz, .npy, .h5, .mat.

    Pictures are PNG, JPEG, BMP, TIFF, WebP, GIF, AVIF, JPEG 2000 and PGM / PPM, of any size and mode; the pages
    of a stack and the frames of an animation are pictures too.
    Beside the .npy a .json says which file became which row, and NAME_labels.npy has the labels: the
    folders that the pictures lie in, or what lies beside an array.

    \b
      ae import photos/ --size 64 --output photos.npy
      ae import t10k-images-idx3-ubyte.gz --output mnist_test.npy
      ae import mnist.npz --key x_train --limit 1000 --shuffle 0
    """
    from aecli.cli.terminal import note, reading
    from aecli.data.files.convert import ConvertOptions, import_images
    from aecli.data.files.open import source_name
    from aecli.data.files.options import DecodeOptions
    from aecli.data.shares import HERE

    color = {None: "auto", True: "grey", False: "rgb"}[grey]
    decoding = DecodeOptions(size, fit, color, frames, key, axes)  # type: ignore[arg-type]  # click has checked the words
    output = output or Path(f"{source_name(sources[0])}.npy")
    spread = HERE if scheduler is None else _spread(scheduler, quiet)
    with reading(quiet) as on_progress:
        imported = import_images(
            sources,
            output,
            ConvertOptions(decoding, limit, shuffle, strict, not no_labels),
            overwrite=overwrite,
            on_progress=on_progress,
            spread=spread,
        )
    for line in imported.notes:
        note(line, quiet)
    _report(imported)


def _spread(scheduler: str, quiet: bool) -> "Spread":
    """Return the workers of a scheduler, connected until the command ends."""
    from aecli.cli.terminal import note
    from aecli.studies.executors.dask_cluster import connected
    from aecli.studies.executors.dask_pictures import spread_over

    return spread_over(click.get_current_context().with_resource(connected(scheduler, lambda text: note(text, quiet))))


def _report(imported: "ConvertResult") -> None:
    import numpy as np

    count, *shape = imported.manifest.shape
    images = f"{count:,} image{'s' if count > 1 else ''} of {' x '.join(map(str, shape))}"
    click.echo(f"{images}, {np.dtype(imported.manifest.dtype).name}: {imported.images}")
    if imported.labels is not None:
        click.echo(f"labels of {len(imported.manifest.classes or ()):,} classes: {imported.labels}")
    click.echo(f"which file is which row: {imported.manifest_file}")

"""`ae encode`"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aecli.cli.options import images_argument, output_option, overwrite_option, quiet_option, threads_option, with_run

if TYPE_CHECKING:
    from aecli.runs.run import Run


@click.command("encode")
@images_argument
@with_run
@output_option("<name>_latents.npy here")
@overwrite_option
@threads_option
@quiet_option
def command(images: Path, run: "Run", output: Path | None, overwrite: bool, quiet: bool) -> None:
    """Write the latents of IMAGES: .npy, float32 (N, latent_dim).

    That is no compression: a latent takes four bytes. ae compress writes few bytes an image.
    """
    from aecli.cli.terminal import note, reading
    from aecli.core.files import refuse_output
    from aecli.core.npy import NpyWriter
    from aecli.data.files.open import source_name
    from aecli.runs.model import load_model
    from aecli.runs.uses.inputs import open_images_for

    output = output or Path(f"{source_name(images)}_latents.npy")
    refuse_output(output, overwrite, images, suffix=".npy")
    with reading(quiet) as on_progress:
        source, model = open_images_for(run, images, on_progress), load_model(run)
    note(str(source), quiet)
    with NpyWriter(output, (len(source), model.latent_dim), "<f4") as writer:
        for latents in source.map(model.encode):
            writer.write(latents)
    click.echo(f"{len(source):,} latents of length {model.latent_dim}: {output}")

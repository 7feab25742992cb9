"""`ae decode`"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aecli.cli.options import FILE, output_option, overwrite_option, quiet_option, threads_option, with_run

if TYPE_CHECKING:
    from aecli.runs.run import Run


@click.command("decode")
@click.argument("latents", type=FILE)
@with_run
@output_option("<name>_images.npy here")
@overwrite_option
@threads_option
@quiet_option
def command(latents: Path, run: "Run", output: Path | None, overwrite: bool, quiet: bool) -> None:
    """Write the images of LATENTS: .npy, in the shape, dtype and value range of the training images."""
    from aecli.core.files import refuse_output
    from aecli.core.npy import NpyWriter
    from aecli.runs.model import load_model
    from aecli.runs.uses.inputs import decode_chunks, open_latents

    output = output or Path(f"{latents.stem}_images.npy")
    refuse_output(output, overwrite, latents, suffix=".npy")
    model, image_format = load_model(run), run.image_format
    codes = open_latents(latents, model.latent_dim)
    with NpyWriter(output, (len(codes), *image_format.sample_shape), image_format.dtype) as writer:
        for images in decode_chunks(model, codes):
            writer.write(image_format.from_contract(images))
    click.echo(f"{len(codes):,} images: {output}")

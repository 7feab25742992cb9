"""`ae decompress`"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aecli.cli.options import (
    FILE,
    json_option,
    output_option,
    overwrite_option,
    quiet_option,
    threads_option,
    with_run,
)  # fmt: skip

if TYPE_CHECKING:
    from aecli.runs.run import Run


@click.command("decompress")
@click.argument("compressed", type=FILE, metavar="FILE.aez")
@with_run
@output_option("<name>_images.npy here")
@overwrite_option
@json_option
@threads_option
@quiet_option
def command(compressed: Path, run: "Run", output: Path | None, overwrite: bool, as_json: bool, quiet: bool) -> None:
    """Write the images of FILE.aez: .npy, in the shape, dtype and value range of the training images.

    It needs the run whose ae compress wrote the file.
    """
    from aecli.cli.terminal import print_json
    from aecli.core.files import refuse_output
    from aecli.core.npy import NpyWriter
    from aecli.runs.model import load_model
    from aecli.runs.uses.codec.aez import open_aez
    from aecli.runs.uses.codec.compress import decode_file, require_run

    output = output or Path(f"{compressed.stem}_images.npy")
    refuse_output(output, overwrite, compressed, suffix=".npy")
    file = open_aez(compressed)
    model, image_format = load_model(run), run.image_format
    require_run(file, run, model)
    count = file.header.count
    with NpyWriter(output, (count, *image_format.sample_shape), image_format.dtype) as writer:
        for images in decode_file(file, model):
            writer.write(image_format.from_contract(images))
    if as_json:
        print_json({"run": str(run.path), "images": count, "output": str(output)})
        return
    click.echo(f"{count:,} images: {output}")

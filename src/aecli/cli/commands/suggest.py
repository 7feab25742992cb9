"""`ae suggest`"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aecli.cli.options import FILE, output_option, overwrite_option, quiet_option, set_option, threads_option

if TYPE_CHECKING:
    from aecli.studies.config import StudyFile
    from aecli.training.suggest.config import SuggestedConfig


@click.command("suggest")
@click.argument("images", type=FILE)
@click.option(
    "--time",
    "minutes",
    type=click.FloatRange(0.1, 10_000),
    default=1.0,
    show_default=True,
    metavar="MINUTES",
    help="About how long a training may take.",
)
@click.option("--code", "code_length", type=click.IntRange(1), metavar="LENGTH", help="Length of the code.")
@set_option
@output_option("stdout; a .yaml for ae train --config")
@overwrite_option
@threads_option
@quiet_option
def command(
    images: Path, minutes: float, code_length: int | None, overrides: tuple[str, ...], output: Path | None,
    overwrite: bool, quiet: bool,
) -> None:  # fmt: skip
    """Write the config that suits IMAGES, with its reasons.

    Linear codes are fitted to the images, and nothing is trained: it takes seconds, and gives the same config every
    time. It is what ae train and ae compare use where no --config is given.

    \b
      ae suggest photos/ --output photos.yaml
      ae suggest photos/ --time 10 --code 256
    """
    from aecli.cli.terminal import note, reading
    from aecli.core.files import refuse_output, write_text
    from aecli.runs.config_file import load_config
    from aecli.studies.config import StudyFile
    from aecli.training.suggest.config import as_yaml, keys_of, suggest_config

    if output is not None:
        refuse_output(output, overwrite)
    base, said = load_config(None, overrides, StudyFile).with_training_images(images).config, keys_of(overrides)
    with reading(quiet) as on_progress:
        suggested = suggest_config(base, said, minutes=minutes, code_length=code_length, on_progress=on_progress)
    note(str(suggested.images), quiet)
    text = as_yaml(suggested.suggestion, _head(suggested, images, output))
    if output is None:
        click.echo(text.rstrip())
        return
    write_text(output, text)
    click.echo(str(output))


def _head(suggested: "SuggestedConfig[StudyFile]", images: Path, output: Path | None) -> list[str]:
    from aecli.training.check.costs import time_of
    from aecli.training.prepare import Prepared, split_of
    from aecli.training.suggest.spectrum import spectrum, spectrum_lines

    source, config = suggested.images, suggested.config
    prepared = Prepared(config, source, None, split_of(config, source, None))
    file = shlex.quote(str(output or "suggested.yaml"))
    return [
        f"{source.file.path}: {len(source):,} images of {' x '.join(map(str, source.format.image_shape))}.",
        "",
        f"    ae train --config {file} --data {shlex.quote(str(images))}",
        "",
        f"All epochs take {time_of(prepared)} on this machine, about. What linear codes reach on validation images:",
        "",
        *(f"    {line}" for line in spectrum_lines(spectrum(suggested.suggestion.codes, prepared.code_length))),
        "",
    ]

"""`ae check`"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aecli.cli.options import (
    FILE,
    config_option,
    json_option,
    output_option,
    overwrite_option,
    quiet_option,
    set_option,
    threads_option,
)
from aecli.cli.suggestions import Choice

if TYPE_CHECKING:
    from aecli.models.linear.fit import LinearCodes
    from aecli.runs.config import Config
    from aecli.training.check.checking import CheckReport
    from aecli.training.check.dropping import Drop
    from aecli.training.suggest.config import SuggestedConfig


@click.command("check")
@click.argument("images", type=FILE, required=False)
@config_option
@set_option
@click.option("--sheet", type=FILE, metavar="FILE", help="Draw a contact sheet too; .png, .svg or .pdf.")
@click.option(
    "--drop",
    type=Choice(["duplicates", "near"]),
    help="Write what stays without exact copies, or without those nearly the same too, to --output.",
)
@output_option("none; .txt for pictures, .npy for an array")
@overwrite_option
@json_option
@threads_option
@quiet_option
def command(
    images: Path | None, config_file: Path | None, overrides: tuple[str, ...], sheet: Path | None, drop: "Drop | None",
    output: Path | None, overwrite: bool, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Look at IMAGES before training on them.

    Tells what is in the file, what will go wrong with it under the config, and what the training will cost:
    errors (ae train would refuse it; the exit code is 1), warnings and notes. With data.test or
    data.test_split it looks for test images among the training images. Without IMAGES it takes those of
    the config.

    \b
      ae check images.npy
      ae check images.npy --config prelu --sheet sheet.png
      ae check photos/ --drop duplicates --output clean.txt
    """
    if (drop is None) != (output is None):
        raise click.UsageError("--drop and --output belong together: give both")
    from aecli.studies.config import load_run_config

    config = load_run_config(config_file, overrides).with_training_images(images).config
    suggested = _suggest(config, overrides, quiet) if config_file is None else None
    config = suggested.config if suggested else config
    if sheet is not None:
        from aecli.views.contact_sheet import refuse_sheet

        refuse_sheet(sheet, overwrite, config)
    if output is not None:
        from aecli.training.check.dropping import refuse_kept

        refuse_kept(output, overwrite, config)
    checked = _check(config, suggested.suggestion.codes if suggested else None, quiet)
    if sheet is not None and checked.surveys:
        from aecli.cli.terminal import note_if
        from aecli.views.contact_sheet import write_sheet

        note_if(write_sheet(checked, sheet), quiet)
    kept = _drop(checked, drop, output, overwrite)
    if as_json:
        from aecli.cli.terminal import print_json

        drawn = str(sheet) if sheet is not None and checked.surveys else None
        print_json(checked.to_json() | {"sheet": drawn} | ({"output": str(output), "kept": kept} if output else {}))
    else:
        _print(checked)
        if sheet is not None and checked.surveys:
            click.echo(str(sheet))
        if kept is not None:
            count = len(checked.surveys[0].source)
            click.echo(f"{output}: {kept:,} of {count:,} images, {count - kept:,} left out that are there twice")
    if not checked.passed:
        raise SystemExit(1)


def _suggest(config: "Config", overrides: tuple[str, ...], quiet: bool) -> "SuggestedConfig[Config] | None":
    """Return the config that suits the images, None where they cannot be read: the check says why."""
    from aecli.cli.terminal import note, reading
    from aecli.core.errors import AeError
    from aecli.training.suggest.config import keys_of, suggest_config

    try:
        with reading(quiet) as on_progress:
            suggested = suggest_config(config, keys_of(overrides), on_progress=on_progress)
    except AeError:
        return None
    note(suggested.in_a_line(), quiet)
    return suggested


def _check(config: "Config", codes: "LinearCodes | None", quiet: bool) -> "CheckReport":
    from aecli.cli.terminal import training_progress
    from aecli.training.check.checking import check

    progress = training_progress(quiet)
    try:
        if config.data.train is None:
            progress.note("no images given: looking at the handwritten digits that come with ae")
        return check(config, progress, codes)
    finally:
        progress.close()


def _drop(checked: "CheckReport", drop: "Drop | None", output: Path | None, overwrite: bool) -> int | None:
    """Write what stays without what is there twice; return how many images that are, None where nothing is written."""
    from aecli.training.check.dropping import kept_rows, write_kept

    if drop is None or output is None or not checked.surveys:
        return None
    rows = kept_rows(checked, drop)
    write_kept(checked.surveys[0].source, rows, output, overwrite)
    return len(rows)


def _print(checked: "CheckReport") -> None:
    for survey in checked.surveys:
        click.echo(f"{survey.source}; stored as {survey.source.file.dtype.name} {list(survey.source.file.shape)}")
    for finding in checked.findings:
        click.echo(f"{finding.level}: {' '.join(finding.text.splitlines())}")
    warnings = checked.count("warning")
    outcome = "ae train would start" if checked.passed else "ae train would refuse this"
    click.echo(f"{outcome}; {warnings} warning{'' if warnings == 1 else 's'}")

"""`ae config`"""

from pathlib import Path

import click

from aecli.cli.options import FILE, config_option, json_option, output_option, overwrite_option, set_option
from aecli.cli.suggestions import Group


@click.group("config", cls=Group)
def command() -> None:
    """Show, start or describe a config."""


@command.command("show")
@config_option
@click.option("-d", "--data", type=FILE, metavar="PATH", help="Images: without --config, what suits them.")
@set_option
@json_option
def show(config_file: Path | None, data: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print the complete config, every default resolved."""
    from aecli.runs.config_file import load_config, to_yaml
    from aecli.studies.config import StudyFile

    config = load_config(config_file, overrides, StudyFile).with_training_images(data).config
    if config_file is None and data is not None:
        from aecli.training.suggest.config import keys_of, suggest_config

        config = suggest_config(config, keys_of(overrides)).config
    click.echo(config.model_dump_json(indent=2) if as_json else to_yaml(config).rstrip())


@command.command("init")
@output_option("stdout")
@overwrite_option
def init(output: Path | None, overwrite: bool) -> None:
    """Write a commented config to start from.

    Beside it goes ae.schema.json, which its first line names to editors.
    """
    from aecli.core.errors import AeError
    from aecli.core.files import refuse_output, write_text
    from aecli.runs.config_file import SCHEMA_FILE, schema_text, starter_yaml
    from aecli.studies.config import StudyFile

    if output is None:
        click.echo(starter_yaml(StudyFile).rstrip())
        click.echo(f"its schema, for editors: ae config schema > {SCHEMA_FILE}", err=True)
        return
    refuse_output(output, overwrite)
    beside, text = output.with_name(SCHEMA_FILE), schema_text(StudyFile)
    if output == beside:
        raise AeError(f"{output}: is the name of the schema that goes beside it: give another name")
    if not (beside.is_file() and beside.read_bytes() == text.encode()):
        if beside.is_file() and not overwrite:
            raise AeError(f"{beside}: exists already, and is not the schema of this version: add --overwrite")
        refuse_output(beside, overwrite)
        write_text(beside, text)
    write_text(output, starter_yaml(StudyFile))
    click.echo(str(output))


@command.command("schema")
def schema() -> None:
    """Print the JSON schema of a config, for editors."""
    from aecli.runs.config_file import schema_text
    from aecli.studies.config import StudyFile

    click.echo(schema_text(StudyFile).rstrip())

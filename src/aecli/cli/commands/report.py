"""`ae report`"""

from pathlib import Path

import click

from aecli.cli.options import FILE, output_option, overwrite_option


@click.command("report")
@click.argument("folder", type=FILE, metavar="STUDY_OR_RUN")
@output_option("report.html in the folder")
@overwrite_option
def command(folder: Path, output: Path | None, overwrite: bool) -> None:
    """Make the HTML page of a study or of a run.

    It is one file that opens from disk, without a network. Its pictures need the images that were
    trained on; where they have changed or are gone, the page is made without. A study's plots are drawn
    anew too, unless the page goes elsewhere with --output.

    \b
      ae report studies/images
      ae report runs/prelu --output prelu.html
    """
    from aecli.core.errors import AeError
    from aecli.core.files import refuse_output
    from aecli.runs.run import run_at
    from aecli.studies.study import study_at
    from aecli.views.report.report import write_run_report, write_study_report

    if output is not None:
        refuse_output(output, overwrite, suffix=".html")
    study, run = study_at(folder), run_at(folder)
    if study.config_file.is_file():
        click.echo(str(write_study_report(study, output)))
    elif run.config_file.is_file() or not folder.is_dir():
        run.require_complete()
        click.echo(str(write_run_report(run, output)))
    else:
        raise AeError(f"{folder}: is neither a study nor a run: give a folder that ae compare or ae train wrote")

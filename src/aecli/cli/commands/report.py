"""`ae report`"""

from pathlib import Path

import click

from aecli.cli.completion import complete_study_or_run
from aecli.cli.options import FILE, output_option, overwrite_option


@click.command("report")
@click.argument("folder", type=FILE, metavar="STUDY_OR_RUN", shell_complete=complete_study_or_run)
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
    from aecli.core.errors import AeError, did_you_mean
    from aecli.core.files import refuse_output
    from aecli.runs.run import RUNS, path_or_named, run_named
    from aecli.studies.study import STUDIES, study_at
    from aecli.views.report.report import write_run_report, write_study_report

    if output is not None:
        refuse_output(output, overwrite, suffix=".html")
    study, run = study_at(path_or_named(folder, STUDIES)), run_named(folder)
    if study.config_file.is_file() and run.config_file.is_file() and study.path != run.path:
        raise AeError(f"{folder}: is the name of a study and of a run: give {study.path} or {run.path}")
    if study.config_file.is_file():
        click.echo(str(write_study_report(study, output)))
    elif run.config_file.is_file() or folder.is_file():
        run.require_complete()
        click.echo(str(write_run_report(run, output)))
    elif not folder.is_dir():
        here = [folder.parent, *([STUDIES, RUNS] if folder.parent == Path() else [])]
        names = [entry.name for place in here if place.is_dir() for entry in place.glob("*")]
        raise AeError(f"{folder}: no such study or run{did_you_mean(folder.name, names) or ': see ae runs'}")
    else:
        raise AeError(f"{folder}: is neither a study nor a run: give a folder that ae compare or ae train wrote")

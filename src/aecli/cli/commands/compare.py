"""`ae compare`"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aecli.cli.completion import complete_activations, complete_configs, complete_metric, complete_values
from aecli.cli.options import (
    FILE,
    config_option,
    devices_option,
    json_option,
    overwrite_option,
    quiet_option,
    scheduler_option,
    set_option,
)
from aecli.cli.suggestions import Choice

if TYPE_CHECKING:
    from aecli.runs.config_file import NamedConfig
    from aecli.studies.compare import StudyResult
    from aecli.studies.config import StudyFile
    from aecli.studies.executors.dask_study import DaskExecutor
    from aecli.studies.parts.part import Part


def _part(_: click.Context, __: click.Parameter, text: str | None) -> "Part | None":
    from aecli.studies.parts.part import parse_part

    try:
        return None if text is None else parse_part(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("compare")
@click.argument("images", type=FILE, required=False)
@config_option
@set_option
@click.option(
    "--activations",
    metavar="A,B,...",
    shell_complete=complete_activations,
    help="Vary model.activation.  [default: eight of them]",
)
@click.option(
    "--configs",
    metavar="A,B,...",
    shell_complete=complete_configs,
    help="Compare whole configs: names, files, or NAME=FILE.",
)
@click.option(
    "--vary",
    multiple=True,
    metavar="KEY=A,B,...",
    shell_complete=complete_values,
    help="Vary a config key; several make a grid.",
)
@click.option(
    "--tune",
    multiple=True,
    metavar="KEY=A,B,...",
    shell_complete=complete_values,
    help="Give each variant its own best of these values.",
)
@click.option(
    "--by",
    "metric",
    metavar="METRIC",
    shell_complete=complete_metric,
    help="Compare by this metric of the test images.  [default: mse]",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help="Runs of every variant; of 8 variants, 8 seeds show half the difference that 5 do.  [default: 5]",
)
@click.option("--test", "test_file", type=FILE, metavar="IMAGES", help="Test images.  [default: a tenth of IMAGES]")
@click.option(
    "-o", "--output", type=FILE, metavar="DIR", help="Folder of the study.  [default: studies/ and the images' name]"
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Processes that train.  [default: one a core, at most 4 a GPU]",
)
@devices_option
@scheduler_option
@click.option(
    "--part", metavar="I/N", callback=_part, help="Train the I-th of N shares alone; without it, the rest, and sum up."
)
@click.option("--status", is_flag=True, help="Train nothing: say which runs are complete, training, failed, missing.")
@click.option(
    "--table", "table_format", type=Choice(["md", "latex", "csv"]), help="Print the whole table in this format."
)
@overwrite_option
@json_option
@quiet_option
def command(
    images: Path | None, config_file: Path | None, overrides: tuple[str, ...], activations: str | None,
    configs: str | None, vary: tuple[str, ...], tune: tuple[str, ...], metric: str | None, seeds: int | None,
    test_file: Path | None, output: Path | None, workers: int | None, devices: str, scheduler: str | None,
    part: "Part | None", status: bool, table_format: str | None, overwrite: bool, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Compare variants of a config on IMAGES: same images, splits and seeds for all.

    Without --activations and --vary it compares eight activations, without --config in the network of ae
    train, which begins at a linear code. Prints the table and the verdict, and writes a study with every
    run. The same command continues a study that was stopped; more seeds or variants only add what is
    missing. Ctrl-C, SIGTERM and SIGHUP stop it, with a checkpoint of every run in training.

    With --configs the rows are whole configs, of whatever families: recipes of ae, files of yours, or
    suggested, what suits the images. Images, splits and seeds are the study's; --set changes all of them.

    With --part the same command trains on several machines at once, or as an array of a cluster's jobs:
    each trains its own share, given again what it lacks of it, and the command without --part sums up.

    \b
      ae compare images.npy
      ae compare images.npy --activations relu,prelu --seeds 11
      ae compare images.npy --vary model.latent_dim=8,16,32 --tune learning_rate=3e-4,1e-3
      ae compare images.npy --configs relu,conv,mine.yaml --set training.epochs=20
      ae compare images.npy --part 2/16
      ae compare images.npy --status
    """
    if table_format and (status or part):
        raise click.UsageError("--table is of the whole study: give it without --status and --part")
    if scheduler and (workers or devices != "cpu"):
        raise click.UsageError("--workers and --device: a --scheduler has its own: leave them out")
    changes = _changes(activations, vary, tune, metric, seeds, test_file)
    named = _named_config(images, config_file, overrides, configs, changes, quiet)
    folder = output or _default_folder(named.config)
    if status:
        _print_status(folder, part, as_json, quiet)
        return
    executor = None if scheduler is None else _executor(scheduler, quiet)
    workers = workers if executor is None else executor.workers

    from aecli.cli.study_progress import study_progress
    from aecli.cli.terminal import note, note_if, reading, tell_stopping
    from aecli.core.machine import limits_note
    from aecli.core.signals import Signals, exit_code
    from aecli.studies.compare import compare, train_part
    from aecli.training.engines.engine import DEFAULT_ENGINE

    note_if(limits_note(memory=None if workers else DEFAULT_ENGINE.memory), quiet)
    if config_file is None and not named.config.study.configs:
        named = _suggested(named, overrides, quiet)
    progress = study_progress(quiet)
    if named.config.data.train is None:
        progress.note("no images given: comparing on the handwritten digits that come with ae")
    try:
        with Signals(tell_stopping(progress.note)), reading(quiet) as on_progress:
            given = (progress, workers, overwrite, on_progress, executor, devices)
            if part:
                train_part(named.config, folder, part, *given)
            else:
                result = compare(named.config, folder, *given)
    except KeyboardInterrupt as stopped:
        kept = f"{folder} keeps what was trained; the same command goes on from there"
        progress.note(f"stopped: {kept if (folder / 'runs').is_dir() else 'nothing was trained yet'}")
        raise SystemExit(exit_code(stopped)) from None
    if part:
        _print_status(folder, part, as_json, quiet)
        note("The same command without --part sums up when all parts have ended", quiet)
        return

    from aecli.views.report.report import write_study_report

    report = write_study_report(result.study)
    _print(result, table_format, as_json, quiet)
    note(f"The report is {report}; {result.study.results_file.name} beside it has every run", quiet)


def _default_folder(config: "StudyFile") -> Path:
    from aecli.data.files.open import source_name
    from aecli.studies.study import STUDIES

    return STUDIES / (source_name(config.data.train) if config.data.train else "digits")


def _print_status(folder: Path, part: "Part | None", as_json: bool, quiet: bool) -> None:
    from aecli.cli.study_status import print_status
    from aecli.studies.study import Study

    print_status(Study(folder), part, as_json, quiet)


def _executor(scheduler: str, quiet: bool) -> "DaskExecutor":
    """Return what trains on the workers of a scheduler, connected until the command ends."""
    from aecli.cli.terminal import note
    from aecli.studies.executors.dask_cluster import connected

    cluster = click.get_current_context().with_resource(connected(scheduler, lambda text: note(text, quiet)))
    from aecli.studies.executors.dask_study import DaskExecutor  # which imports Dask, if it is there

    return DaskExecutor(cluster)


def _suggested(named: "NamedConfig[StudyFile]", overrides: tuple[str, ...], quiet: bool) -> "NamedConfig[StudyFile]":
    """Return the config that suits the images, beside what the user has said."""
    from dataclasses import replace

    from aecli.cli.terminal import note, reading
    from aecli.studies.plan import complete_study, plan
    from aecli.training.suggest.config import keys_of, suggest_config

    plan(complete_study(named.config))  # what cannot be compared is said before the images are read
    with reading(quiet) as on_progress:
        suggested = suggest_config(named.config, keys_of(overrides), on_progress=on_progress)
    note(suggested.in_a_line(), quiet)
    return replace(named, config=suggested.config)


def _named_config(
    images: Path | None, config_file: Path | None, overrides: tuple[str, ...], configs: str | None,
    changes: dict[str, Any], quiet: bool,
) -> "NamedConfig[StudyFile]":  # fmt: skip
    """Return the config of the study; where its rows are whole configs, with the content of each."""
    from dataclasses import replace

    from aecli.core.errors import ConfigError
    from aecli.runs.config_file import change_config, load_config, parse_override
    from aecli.studies.config import StudyFile, parse_configs
    from aecli.studies.configs import load_with_configs, read_configs

    rows = None if configs is None else parse_configs(configs, "--configs")
    try:
        for_all = {".".join(key): value for key, value in map(parse_override, overrides)}
    except ConfigError:
        load_config(config_file, overrides, StudyFile)  # which says the file's problems too
        raise
    of_configs = load_with_configs(config_file, for_all, rows, "--set")
    named = load_config(config_file, overrides, StudyFile) if of_configs is None else of_configs[0]
    named = named.with_training_images(images)
    named = replace(named, config=change_config(named.config, changes, "compare"))
    if of_configs is None:
        return named

    from aecli.cli.terminal import note, reading

    with reading(quiet) as on_progress:
        read = read_configs(named.config, of_configs[1], lambda text: note(text, quiet), on_progress)
    return replace(named, config=read)


def _changes(
    activations: str | None, vary: tuple[str, ...], tune: tuple[str, ...], metric: str | None, seeds: int | None,
    test_file: Path | None,
) -> dict[str, Any]:  # fmt: skip
    """Return what the options say of the study's own keys."""
    from aecli.studies.config import parse_values

    changes: dict[str, Any] = {}
    if activations is not None:
        changes["study.vary"] = parse_values([f"model.activation={activations}"], "--activations")
    if vary:
        changes["study.vary"] = changes.get("study.vary", {}) | parse_values(vary, "--vary")
    if tune:
        changes["study.tune"] = parse_values(tune, "--tune")
    if metric is not None:
        changes["study.metric"] = metric
    if seeds is not None:
        changes["study.seeds"] = seeds
    if test_file is not None:
        changes["data.test"] = str(test_file)
    return changes


def _print(result: "StudyResult", table_format: str | None, as_json: bool, quiet: bool) -> None:
    from aecli.cli.terminal import note, print_json, print_table
    from aecli.studies.stats import FEWEST_SEEDS
    from aecli.studies.tables import as_text, narrow_table, study_table

    summary = result.summary
    if as_json:
        print_json({"study": str(result.study.path), **summary.to_json()})
        return
    if table_format:
        click.echo(as_text(study_table(summary), table_format), nl=False)
        note(summary.verdict, quiet)
    else:
        header, *rows = narrow_table(summary)
        print_table(header, rows, left=2)
        click.echo(summary.verdict)
    if len(summary.seeds) < FEWEST_SEEDS:
        note(f"fewer than {FEWEST_SEEDS} seeds: the means have no interval worth the name; add --seeds", quiet)
    if summary.caveat:
        note(summary.caveat, quiet)

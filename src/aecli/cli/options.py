"""Options shared by commands; each is one object, so it means the same everywhere.

| option | meaning | commands |
| --- | --- | --- |
| IMAGES | a folder, archive or list of pictures, or an array | reconstruct, encode, compress, score, evaluate, probe |
| --run | the run to use, by default the newest complete one | every command that uses a run |
| --output | the file to write | every command that writes a file |
| --overwrite | allow it to replace a file | the same |
| --config, --set | where the config comes from | check, train, config show |
| --json | the result as JSON | every command that prints a table |
| --device | what trains | train, verify, compare |
| --scheduler | a Dask cluster that computes | compare, import |
| --threads | how many threads compute | every command that computes |
| --quiet | only errors on stderr | every command that prints notes or progress |
"""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from aecli.cli.completion import complete_config, complete_run, complete_setting, complete_words
from aecli.training.engines.gpus import is_device

FILE = click.Path(path_type=Path)

images_argument = click.argument("images", type=FILE)
run_option = click.option(
    "--run",
    "run_folder",
    type=FILE,
    metavar="DIR",
    shell_complete=complete_run,
    help="Run to use, by folder or name.  [default: the newest complete one in runs/]",
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace what is there already.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print no progress and no notes.")


def _use_threads(_: click.Context, __: click.Parameter, count: int | None) -> None:
    # Read by `aecli.core.machine.cores`.
    if count is not None:
        os.environ["OMP_NUM_THREADS"] = str(count)


def _device_option(name: str, default: str, several: bool, about: str) -> Callable[[Any], Any]:
    """Return the --device option of an argument, which names one GPU at most or `several`."""
    words, example = ("gpu:N,M", "gpu:0,1") if several else ("gpu:N", "gpu:0")

    def checked(_: click.Context, __: click.Parameter, value: str) -> str:
        if not is_device(value, several):
            raise click.BadParameter(f"'{value}' is not auto, cpu or {words}, e.g. {example}")
        return value

    return click.option(
        "--device", name, default=default, callback=checked, metavar=f"auto|cpu|{words}",
        shell_complete=complete_words(("auto", "cpu", "gpu:0")), help=about,
    )  # fmt: skip


device_option = _device_option(
    "device", "auto", False, "What trains.  [default: auto, every GPU that can train, else the CPU]"
)
devices_option = _device_option(
    "devices", "cpu", True, "What trains: the CPU, some GPUs, or every GPU (auto).  [default: cpu]"
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    metavar="N",
    callback=_use_threads,
    expose_value=False,
    help="Threads to compute with.  [default: all cores]",
)
scheduler_option = click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="A Dask cluster to use: tcp://host:8786 or its scheduler file.  [default: this machine]",
)
config_option = click.option(
    "-c",
    "--config",
    "config_file",
    type=FILE,
    metavar="FILE",
    shell_complete=complete_config,
    help="YAML config; the packaged ones go by name, e.g. prelu.  [default: all defaults]",
)
set_option = click.option(
    "-s",
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=complete_setting,
    help="Set one config key, e.g. training.epochs=20. Repeatable.",
)


def option_is_given(name: str) -> bool:
    """Whether an option stands on the command line, which overrules the environment."""
    return click.get_current_context().get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def with_run(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command --run, and as `run` the run that it names; say on stderr which it is, and what of it is dead."""

    @run_option
    @functools.wraps(command)
    def with_its_run(run_folder: Path | None, quiet: bool, **given: Any) -> None:
        from aecli.cli.terminal import note_run
        from aecli.runs.run import find_run

        run = find_run(run_folder)
        # A run that was named and not where the user has said is told, as one that was chosen is.
        note_run(run, quiet, named=run_folder is not None and run_folder.exists())
        command(run=run, quiet=quiet, **given)

    return with_its_run


def output_option(default: str) -> Callable[[Any], Any]:
    """Return the --output option; `default` says in words what is written without it."""
    return click.option("-o", "--output", type=FILE, metavar="FILE", help=f"File to write.  [default: {default}]")

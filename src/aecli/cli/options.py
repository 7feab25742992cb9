"""Options shared by commands; each is one object, so it means the same everywhere.

| option | meaning | commands |
| --- | --- | --- |
| IMAGES | a folder, archive or list of pictures, or an array | reconstruct, encode, compress, score, evaluate, probe |
| --run | the run to use, by default the newest complete one | every command that uses a run |
| --output | the file to write | every command that writes a file |
| --overwrite | allow it to replace a file | the same |
| --config, --set | where the config comes from | check, train, config show |
| --json | the result as JSON | every command that prints a table |
| --device | what trains | train, verify |
| --scheduler | a Dask cluster that computes | compare, import |
| --threads | how many threads compute | every command that computes |
| --quiet | only errors on stderr | every command that prints notes or progress |
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

FILE = click.Path(path_type=Path)

images_argument = click.argument("images", type=FILE)
run_option = click.option(
    "--run",
    "run_folder",
    type=FILE,
    metavar="DIR",
    help="Run to use.  [default: the newest complete one in runs/]",
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace what is there already.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print no progress and no notes.")


def _use_threads(_: click.Context, __: click.Parameter, count: int | None) -> None:
    # Read by `aecli.core.machine.cores`.
    if count is not None:
        os.environ["OMP_NUM_THREADS"] = str(count)


def _device(_: click.Context, __: click.Parameter, name: str) -> str:
    if not re.fullmatch(r"auto|cpu|gpu:[0-9]{1,3}", name):
        raise click.BadParameter(f"'{name}' is not auto, cpu or gpu:N, e.g. gpu:0")
    return name


device_option = click.option(
    "--device",
    default="auto",
    callback=_device,
    metavar="auto|cpu|gpu:N",
    help="What trains.  [default: auto, every GPU that can train, else the CPU]",
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
    help="YAML config; the packaged ones go by name, e.g. prelu.  [default: all defaults]",
)
set_option = click.option(
    "-s",
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set one config key, e.g. training.epochs=20. Repeatable.",
)


def output_option(default: str) -> Callable[[Any], Any]:
    """Return the --output option; `default` says in words what is written without it."""
    return click.option("-o", "--output", type=FILE, metavar="FILE", help=f"File to write.  [default: {default}]")

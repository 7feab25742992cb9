"""`ae verify`"""

from pathlib import Path

import click

from aecli.cli.completion import complete_run
from aecli.cli.options import FILE, device_option, json_option, quiet_option, threads_option


@click.command("verify")
@click.argument("run_folder", metavar="RUN", type=FILE, shell_complete=complete_run)
@click.option("--quick", is_flag=True, help="Train the first 3 epochs only.")
@click.option("-d", "--data", type=FILE, metavar="PATH", help="Where the run's training images are now, if they moved.")
@device_option
@threads_option
@json_option
@quiet_option
def command(run_folder: Path, quick: bool, data: Path | None, device: str, as_json: bool, quiet: bool) -> None:
    """Train RUN again from its own config, images and split, and say whether it comes out identical.

    Losses, learning rates and weights are compared bit for bit. What differs first is named, with the versions,
    the number of threads and the machine that differ. Nothing is written. The exit code is 0 for identical, 1
    for different.

    \b
      ae verify runs/prelu
      ae verify runs/prelu --quick
    """
    from aecli.runs.run import run_named

    run = run_named(run_folder)
    run.require_complete()

    from aecli.cli.stderr import native_stderr_silenced
    from aecli.cli.terminal import note, print_json, training_progress
    from aecli.runs.config_file import load_recorded
    from aecli.training.verify import verify

    named = load_recorded(run.config_file).with_training_images(data)
    with native_stderr_silenced():
        progress = training_progress(quiet)
        try:
            verdict = verify(run, named.config, progress, device, quick)
        finally:
            progress.close()
    if as_json:
        print_json({"run": str(run.path), "identical": verdict.difference is None, **vars(verdict)})
    elif verdict.difference:
        reasons = f"; {'; '.join(verdict.changed)}" if verdict.changed else ""
        click.echo(f"{run.path}: different: {verdict.difference}{reasons}")
    else:
        share = f"the first {verdict.epochs} of {verdict.of}" if verdict.epochs < verdict.of else f"all {verdict.of}"
        weights = f", weights of SHA-256 {verdict.weights_sha256}" if verdict.weights_sha256 else ""
        click.echo(f"{run.path}: identical: {share} epochs{weights}")
    if verdict.changed and not verdict.difference:
        note(f"although with {'; '.join(verdict.changed)}", quiet)
    if "weights_sha256" not in run.metrics:
        note("the run keeps no hash of its weights, as older versions left it: its losses were compared", quiet)
    click.get_current_context().exit(1 if verdict.difference else 0)

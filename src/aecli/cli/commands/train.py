"""`ae train`"""

import importlib
import json
import os
import shlex
import threading
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aecli.cli.completion import complete_run
from aecli.cli.options import (
    FILE,
    config_option,
    device_option,
    json_option,
    option_is_given,
    overwrite_option,
    quiet_option,
    set_option,
    threads_option,
)
from aecli.cli.start import STARTED
from aecli.cli.suggestions import Choice
from aecli.training.tracking.tracker import TRACKERS

if TYPE_CHECKING:
    from aecli.runs.config import Config
    from aecli.runs.config_file import NamedConfig
    from aecli.runs.run import Run
    from aecli.training.artifacts import TrainedRun
    from aecli.training.progress import Progress


@click.command("train")
@click.argument("images", type=FILE, required=False)
@config_option
@click.option("-d", "--data", type=FILE, metavar="PATH", help="Training images, the same as IMAGES.")
@click.option("--only-label", metavar="CLASS", help="Train on one class alone, like --set data.only_label=CLASS.")
@set_option
@click.option(
    "--run",
    "run_folder",
    type=FILE,
    metavar="DIR",
    shell_complete=complete_run,
    help="Folder of the run.  [default: runs/ and the config's name]",
)
@device_option
@threads_option
@click.option("--track", type=Choice([*TRACKERS]), help="Report the epochs to TensorBoard or MLflow, too.")
@click.option("--profile", is_flag=True, help="Print where the time went.")
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped, or to more epochs.")
@overwrite_option
@json_option
@quiet_option
def command(
    images: Path | None,
    config_file: Path | None,
    data: Path | None,
    only_label: str | None,
    overrides: tuple[str, ...],
    run_folder: Path | None,
    device: str,
    track: str | None,
    profile: bool,
    resume: bool,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train an autoencoder on IMAGES and write a run.

    Without --config it trains what suits the images, as ae suggest writes it, without IMAGES on the
    handwritten digits that come with the package. The run's folder holds the model (Keras and ONNX), the
    metrics beside the best linear code, PCA and the mean image, the history and the plots.

    IMAGES are pictures (a folder, .zip, .tar, a .txt or .csv list, a quoted pattern), .npy, .npz, .h5, .mat or
    IDX, an array in such a file as FILE:KEY, or mnist, fashion_mnist, cifar10 where Keras has put them.

    Ctrl-C, SIGTERM and SIGHUP stop it with a checkpoint. --resume goes on from there, with the run's own
    config where no other is given, and ends with the bits of a training that was never stopped.

    \b
      ae train photos/
      ae train images.npy --config prelu --set model.latent_dim=16
      ae train --resume
      ae train --resume --run runs/prelu --set training.epochs=200
    """
    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other: give one of them")
    if track is not None:
        TRACKERS[track].require()
    data = _training_images(images, data)
    if only_label is not None:
        overrides = (*overrides, f"data.only_label={json.dumps(only_label)}")  # a string of JSON is one of YAML
    if resume and config_file is None:
        from aecli.runs.config_file import load_recorded
        from aecli.runs.run import run_to_resume

        begun = run_to_resume(run_folder)
        run_folder, named = begun.path, replace(load_recorded(begun.config_file, overrides), name=begun.config_name)
    else:
        from aecli.studies.config import load_run_config

        named = load_run_config(config_file, overrides)
    named = named.with_training_images(data)

    from aecli.runs.run import RUNS, Run, run_at, run_named

    at = run_named if resume else run_at  # a new run stands where the user has said
    run = at(run_folder) if run_folder else Run(RUNS / named.name)
    run.refuse_existing(overwrite or resume)
    suggests = config_file is None and not resume
    run = _train(named, overrides if suggests else None, config_file, run.path, overwrite, resume, device, track, quiet)
    if as_json:
        from aecli.cli.terminal import print_json

        print_json({"run": str(run.path), **run.metrics})
        return
    _report(run, quiet)
    if profile:
        _report_seconds(run)


def _training_images(images: Path | None, data: Path | None) -> Path | None:
    """Return the images that were given in either way; UsageError where both were."""
    if images is None:
        return data
    if data is not None and option_is_given("data"):
        raise click.UsageError("IMAGES and --data exclude each other: give one of them")
    from aecli.runs.config_file import is_packaged

    if not images.exists() and is_packaged(images):
        raise click.UsageError(f"{images}: no such file; did you mean --config {images}?")
    return images


def _train(
    named: "NamedConfig[Config]",
    suggested_beside: tuple[str, ...] | None,
    config_file: Path | None,
    folder: Path,
    overwrite: bool,
    resume: bool,
    device: str,
    track: str | None,
    quiet: bool,
) -> "Run":
    from aecli.cli.stderr import native_stderr_silenced
    from aecli.cli.terminal import tell_stopping, training_progress
    from aecli.core.errors import AeError, ReadError, WriteError
    from aecli.core.machine import limits_note
    from aecli.core.signals import Signals, exit_code
    from aecli.runs.run import Run
    from aecli.training.artifacts import FULL
    from aecli.training.trainer import train

    with ExitStack() as stack:
        stack.enter_context(native_stderr_silenced())
        progress = _loading_plots(_tracked(training_progress(quiet), track, quiet))
        signals = stack.enter_context(Signals(tell_stopping(progress.note)))
        if limits := limits_note(option_is_given("threads")):
            progress.note(limits)
        if config_file is not None and named.origin != config_file:
            progress.note(f"--config {config_file}: the config that comes with ae")
        if named.config.data.train is None:
            progress.note("no images given: training on the handwritten digits that come with ae")
        try:
            if suggested_beside is not None:
                named = _suggested(named, suggested_beside, progress)
            return train(
                named.config,
                folder,
                artifacts=(*FULL, _draw_plots),
                name=named.name,
                overwrite=overwrite,
                resume=resume,
                device=device,
                progress=progress,
                signals=signals,
                started=STARTED,
            )
        except KeyboardInterrupt as stopped:
            progress.close()
            progress.note(f"stopped: {_cure(Run(folder), named.config, device, track) or 'nothing was written'}")
            raise SystemExit(exit_code(stopped)) from None
        except (WriteError, ReadError) as error:
            cure = _cure(Run(folder), named.config, device, track)
            raise AeError(f"{error}; {cure}" if cure else str(error)) from error
        finally:
            progress.close()


def _tracked(progress: "Progress", track: str | None, quiet: bool) -> "Progress":
    """Return a progress that reports to a tracker, too, where one was asked for; that it fails is told even quietly."""
    if track is None:
        return progress
    from aecli.cli.terminal import note
    from aecli.training.progress import Both
    from aecli.training.tracking.tracked import TrackedProgress

    return Both(progress, TrackedProgress(TRACKERS[track], note if quiet else progress.note))


def _draw_plots(trained: "TrainedRun") -> None:
    from aecli.views.plots import draw_plots

    draw_plots(trained)


def _loading_plots(progress: "Progress") -> "Progress":
    """Return a progress that also loads what draws while the network compiles, on another core."""
    from aecli.training.progress import Both, NullProgress

    def load() -> None:
        with suppress(Exception):  # met again, and reported, by who draws
            importlib.import_module("aecli.views.plots")

    class Loading(NullProgress):
        def begun(self, *_: Any) -> None:
            threading.Thread(target=load).start()

    return Both(progress, Loading())


def _suggested(named: "NamedConfig[Config]", overrides: tuple[str, ...], progress: "Progress") -> "NamedConfig[Config]":
    """Return the config that suits the images, beside what the user has said."""
    from aecli.training.progress import stage_callback
    from aecli.training.suggest.config import keys_of, suggest_config

    progress.stage("looking at the images")
    suggested = suggest_config(named.config, keys_of(overrides), on_progress=stage_callback(progress))
    progress.note(suggested.in_a_line())
    return replace(named, config=suggested.config)


def _cure(run: "Run", config: "Config", device: str, track: str | None) -> str | None:
    """Return how to go on with a run that did not reach its end, None where this training has none there."""
    from aecli.core.errors import AeError
    from aecli.training.resume import check_config

    try:
        if run.state == "complete" or not run.config_file.is_file():
            return None
        check_config(run, config)
    except (AeError, OSError):
        return None
    options = ["--run", shlex.quote(str(run.path))]
    options += ["--device", device] if device != "auto" else []
    options += ["--threads", os.environ["OMP_NUM_THREADS"]] if os.environ.get("OMP_NUM_THREADS") else []
    options += ["--track", track] if track is not None else []
    kept = "a checkpoint" if run.checkpoint_files else "its config"
    return f"{run.path} keeps {kept}; go on with: ae train --resume {' '.join(options)}"


def _report(run: "Run", quiet: bool) -> None:
    from aecli.cli.terminal import metric_cells, metric_header, note, note_if, note_limits, print_if, print_table
    from aecli.runs.baselines import row_titles
    from aecli.runs.uses.latents import bits_line, dead_latents_note
    from aecli.runs.uses.likelihood import likelihood_line
    from aecli.runs.uses.standing import standing

    metrics = run.metrics
    names = row_titles(run.name, metrics["pca_components"], metrics["splits"]["validation"])
    rows = [
        [part, label, *metric_cells(values[row])]
        for part, values in metrics["splits"].items()
        for row, label in names.items()
    ]
    rows += [
        [part, label, *metric_cells(values[row])]
        for part, values in metrics.get("denoising", {}).items()
        for row, label in (
            ("restored", f"{names['model']}, of noisy"),
            *((by, f"{names[by]}, of noisy") for by in ("best_linear", "pca") if by in names),
            ("noisy", "noisy images"),
        )
        if row in values  # earlier versions had no PCA of noisy images
    ]
    print_table(["images", "by", *metric_header()], rows, left=2)
    print_if(standing(metrics["splits"]["validation"], "the validation images"))
    print_if(likelihood_line(run))
    print_if(bits_line(run))
    exact = sum(values["model"]["exact_copies"] for values in metrics["splits"].values())
    note_limits(run.image_format.image_shape, exact, quiet)
    note_if(dead_latents_note(run), quiet)
    epochs, seconds = metrics["epochs"], metrics["seconds"]
    note(f"{epochs} epochs in {seconds:.1f} s. The run is {run.path}, its pictures are in {run.plots_folder}", quiet)


def _report_seconds(run: "Run") -> None:
    from aecli.cli.terminal import print_table

    seconds: dict[str, float] = run.environment["seconds"]
    total = sum(seconds.values())
    rows = [[stage, f"{value:.2f}", f"{value / total:.0%}"] for stage, value in seconds.items()]
    print_table(["stage", "seconds", "share"], [*rows, ["total", f"{total:.2f}", ""]])

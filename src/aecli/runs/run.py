"""A run is a folder; this is the only file that knows the names inside it."""

import json
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from aecli.core.errors import AeError, RunError, WriteError, did_you_mean, one_line, unreadable
from aecli.core.files import whole_name, write_text
from aecli.core.locks import is_held, locked, refuse_locked, silent
from aecli.core.npy import read_arrays, write_arrays
from aecli.data.files.options import DecodeOptions
from aecli.data.format import ImageFormat
from aecli.data.split import Split
from aecli.models.family import Family
from aecli.runs.baselines import Baselines
from aecli.runs.content import (
    BASELINE_ARRAYS,
    arrays_of,
    baselines_from,
    checked_environment,
    checked_metrics,
    decoding_of,
    image_format_of,
    read_text,
    split_from,
)
from aecli.runs.records import (
    EpochRecord,
    LayerHealth,
    health_from_csv,
    health_to_csv,
    history_from_csv,
    history_to_csv,
)

RUNS = Path("runs")
FORMAT_VERSION = 1

T = TypeVar("T")
RunState = Literal["complete", "failed", "interrupted", "incomplete"]


@dataclass(frozen=True)
class Run:
    """The folder of one training. `metrics.json` is written last: it says that the run is complete."""

    path: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    config_file = property(lambda self: self.path / "config.yaml")
    environment_file = property(lambda self: self.path / "environment.json")
    split_file = property(lambda self: self.path / "split.npz")
    history_file = property(lambda self: self.path / "history.csv")
    health_file = property(lambda self: self.path / "health.csv")
    model_file = property(lambda self: self.path / "model.keras")
    encoder_file = property(lambda self: self.path / "encoder.onnx")
    decoder_file = property(lambda self: self.path / "decoder.onnx")
    baselines_file = property(lambda self: self.path / "baselines.npz")
    reconstructions_file = property(lambda self: self.path / "reconstructions.npy")
    metrics_file = property(lambda self: self.path / "metrics.json")
    sampler_file = property(lambda self: self.path / "sampler.npz")
    held_out_file = property(lambda self: self.path / "held_out.npz")
    failure_file = property(lambda self: self.path / "failure.json")
    report_file = property(lambda self: self.path / "report.html")
    lock_file = property(lambda self: self.path / ".lock")
    plots_folder = property(lambda self: self.path / "plots")
    tensorboard_folder = property(lambda self: self.path / "tensorboard")
    mlflow_file = property(lambda self: self.path / "mlflow.json")

    @property
    def _own_files(self) -> list[Path]:
        return [
            self.metrics_file, self.failure_file, self.config_file, self.environment_file, self.split_file,
            self.history_file, self.health_file, self.model_file, self.encoder_file, self.decoder_file,
            self.baselines_file, self.reconstructions_file, self.sampler_file, self.held_out_file,
            self.report_file, self.mlflow_file, *self.checkpoint_files,
        ]  # fmt: skip

    @property
    def checkpoint_files(self) -> list[Path]:
        """The checkpoints there are, oldest first."""
        numbers = [path.stem.partition("-")[2] for path in self.path.glob("checkpoint-*.npz")]
        return [self.path / f"checkpoint-{n}.npz" for n in sorted(int(n) for n in numbers if n.isdecimal())]

    @property
    def next_checkpoint_file(self) -> Path:
        """Where the next checkpoint goes."""
        newest = self.checkpoint_files[-1:]
        number = int(newest[0].stem.partition("-")[2]) + 1 if newest else 1
        return self.path / f"checkpoint-{number}.npz"

    # -- life ---------------------------------------------------------------------------------

    def refuse_existing(self, overwrite: bool) -> None:
        """Raise RunError where a run is in training, would be overwritten without being asked, or is something else."""
        refuse_locked(self.lock_file)
        self._refuse_content(overwrite)

    def _refuse_content(self, overwrite: bool) -> None:
        if self.path.is_file():
            raise RunError(f"{self.path}: is a file, expected a folder for the run: give another --run")
        if self.begun and not overwrite:
            raise RunError(
                f"{self.path}: a run is already there: give another --run, "
                f"{'' if self.state == 'complete' else 'continue it with --resume, '}or add --overwrite"
            )

    @property
    def begun(self) -> bool:
        """Whether a run is here; RunError where the folder holds other files instead."""
        if self.config_file.is_file():
            return True
        if self.path.is_dir() and any(
            entry not in (self.lock_file, *self._left_behind) for entry in self.path.iterdir()
        ):
            raise RunError(f"{self.path}: is a folder of other files, not a run: give another --run")
        return False

    @contextmanager
    def locked(self, note: Callable[[str], None] = silent) -> Iterator[None]:
        """Make the folder and hold its lock while the block runs; RunError names the process that trains there.

        `note` is told where the file system has no locks.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"{self.path}: cannot be written ({error.strerror}): give another --run") from error
        try:
            with locked(self.lock_file, note=note):
                yield
        finally:
            with suppress(OSError):  # it is empty where nothing came of it
                self.path.rmdir()

    def create(self, config_yaml: str, overwrite: bool) -> None:
        """Empty the folder of a former run's files, and write the config; for whoever holds the lock."""
        # Once more: another training may have begun here while the data were read.
        self._refuse_content(overwrite)
        try:
            # The config stays until another takes its place: whatever happens, this is the folder of a run.
            self._remove(file for file in self._own_files if file != self.config_file)
            for folder in (self.plots_folder, self.tensorboard_folder):
                shutil.rmtree(folder, ignore_errors=True)
            write_text(self.config_file, config_yaml)
            self.plots_folder.mkdir()
        except OSError as error:
            raise WriteError(f"{self.path}: cannot be written ({error.strerror}): give another --run") from error

    def reopen(self, config_yaml: str) -> None:
        """Make a run incomplete again, to train it further, with the same config but for its epochs."""
        try:
            self._remove([self.metrics_file, self.failure_file, self.sampler_file, self.held_out_file])
            self.plots_folder.mkdir(exist_ok=True)
        except OSError as error:
            raise WriteError(f"{self.path}: cannot be written ({error.strerror}): see to the folder") from error
        write_text(self.config_file, config_yaml)

    def _remove(self, files: Iterable[Path]) -> None:
        """Remove these files, what a killed process left behind, and a link where a folder of its own should be."""
        for file in [*files, *self._left_behind]:
            file.unlink(missing_ok=True)
        for folder in (self.plots_folder, self.tensorboard_folder):
            if folder.is_symlink():
                folder.unlink()

    @property
    def _left_behind(self) -> list[Path]:
        """Files that were being written when their process was killed."""
        own_names = {file.name for file in self._own_files}
        here = [(path, whole_name(path.name)) for path in self.path.glob(".*")]
        plots = [] if self.plots_folder.is_symlink() else self.plots_folder.glob(".*")
        return [path for path, name in here if name and (name in own_names or name.startswith("checkpoint-"))] + [
            path for path in plots if whole_name(path.name)
        ]

    @property
    def state(self) -> RunState:
        """complete, failed, interrupted, or incomplete: still training, or killed."""
        if self.metrics_file.is_file():
            return "complete"
        if self.failure_file.is_file():
            try:
                return "interrupted" if self._json(self.failure_file).get("state") == "interrupted" else "failed"
            except RunError:
                return "failed"
        return "incomplete"

    @property
    def in_training(self) -> bool | None:
        """Whether a process trains here, whatever the state says; None where the file system has no locks to tell."""
        return is_held(self.lock_file)

    @property
    def failure(self) -> tuple[str, int]:
        """Why the run failed or was interrupted, and at which attempt."""
        content = self._json(self.failure_file)
        return str(content.get("reason")), int(content.get("attempts", 1))

    def require(self) -> None:
        """Raise RunError unless this is a run's folder."""
        if self.path.is_file():
            raise RunError(f"{self.path}: is a file of no run, expected a run's folder: see ae runs")
        if not self.path.is_dir():
            folders = [self.path.parent, *([RUNS] if self.path.parent == Path() else [])]
            siblings = [entry.name for folder in folders if folder.is_dir() for entry in folder.glob("*")]
            raise RunError(f"{self.path}: no such run{did_you_mean(self.name, siblings) or ': see ae runs'}")
        if not self.config_file.is_file() and not self.metrics_file.is_file():
            raise RunError(f"{self.path}: is not a run's folder: see ae runs")

    def require_complete(self) -> None:
        """Raise RunError unless training reached its end."""
        self.require()
        if self.state != "complete":
            again = "train it again with ae train --overwrite"
            if self.state != "failed":
                again = f"continue it with ae train --resume --run {shlex.quote(str(self.path))}"
            raise RunError(f"{self.path}: the run is {self.state}: {again}")

    # -- writing ------------------------------------------------------------------------------

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        """Write what the training ran on and its data's fingerprint."""
        write_text(self.environment_file, _dump({"format_version": FORMAT_VERSION, **environment}))
        self.__dict__.pop("environment", None)  # what was read before

    def write_split(self, split: Split) -> None:
        """Write the rows used for training, validation and test."""
        write_arrays(self.split_file, {"train": split.train, "validation": split.validation, "test": split.test})

    def write_history(self, records: Iterable[EpochRecord]) -> None:
        """Write the history."""
        write_text(self.history_file, history_to_csv(records))

    def write_health(self, records: Iterable[LayerHealth]) -> None:
        """Write the health of the activations."""
        write_text(self.health_file, health_to_csv(records))

    def write_baselines(self, baselines: Baselines) -> None:
        """Write the mean image, the principal components and the best linear code."""
        write_arrays(self.baselines_file, arrays_of(baselines))

    def write_failure(self, state: RunState, reason: str, epoch: int, attempts: int = 1) -> None:
        """Mark the run as failed or interrupted after this many epochs, at this attempt."""
        write_text(self.failure_file, _dump({"state": state, "reason": reason, "epochs": epoch, "attempts": attempts}))

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write the metrics: from now on the run is complete."""
        write_text(self.metrics_file, _dump({"format_version": FORMAT_VERSION, **metrics}))

    # -- reading ------------------------------------------------------------------------------

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json."""
        return self._read(self.metrics_file, lambda path: checked_metrics(_load_json(path)))

    @cached_property
    def environment(self) -> dict[str, Any]:
        """The content of environment.json."""
        return self._read(self.environment_file, lambda path: checked_environment(_load_json(path)))

    @property
    def config_name(self) -> str:
        """The name of the config that the run was begun with."""
        return str(self.environment.get("config", self.name)) if self.environment_file.is_file() else self.name

    @property
    def image_format(self) -> ImageFormat:
        """The format of the training images."""
        return self._read(self.environment_file, lambda _: image_format_of(self.environment["data"]["format"]))

    def code_length(self, model: Family) -> int | None:
        """Return how many numbers its model's code has; None where it hangs on images that are not known."""
        try:
            return model.code_length(self.image_format.image_shape)
        except RunError:
            return model.latent_dim

    @property
    def decoding(self) -> DecodeOptions:
        """What was asked of pictures in training."""
        return self._read(self.environment_file, lambda _: decoding_of(self.environment["data"]))

    @property
    def baselines(self) -> Baselines:
        """The mean image and the principal components of the training images."""
        shape = self.image_format.image_shape
        return self._read(self.baselines_file, lambda path: baselines_from(read_arrays(path, *BASELINE_ARRAYS), shape))

    @property
    def split(self) -> Split:
        """The rows used for training, validation and test."""
        count = self._read(self.environment_file, lambda _: int(self.environment["data"]["images"]))
        names = ("train", "validation"), ("test",)
        return self._read(self.split_file, lambda path: split_from(read_arrays(path, *names), count))

    @property
    def history(self) -> list[EpochRecord]:
        """The records of the epochs trained."""
        return self._read(self.history_file, lambda path: history_from_csv(read_text(path)))

    @property
    def health(self) -> list[LayerHealth]:
        """The health of the activations, layer by layer and epoch by epoch."""
        return self._read(self.health_file, lambda path: health_from_csv(read_text(path)))

    @property
    def config_text(self) -> str:
        """The config as it was written."""
        return self._read(self.config_file, read_text)

    @property
    def date(self) -> datetime:
        """When the run was last written to."""
        file = self.metrics_file if self.metrics_file.is_file() else self.config_file
        return datetime.fromtimestamp(file.stat().st_mtime)

    def _json(self, path: Path) -> dict[str, Any]:
        return self._read(path, _load_json)

    def _read(self, path: Path, reader: Callable[[Path], T]) -> T:
        try:
            return reader(path)
        except FileNotFoundError as error:
            raise RunError(f"{path}: is missing from the run: train it again with ae train --overwrite") from error
        except (AeError, MemoryError):
            raise
        except OSError as error:
            raise unreadable(path, error) from error
        except Exception as error:  # a damaged file can fail its parser in any way
            raise RunError(f"{path}: is damaged ({one_line(error)[:120]}): train the run again") from error


def list_runs(folder: Path = RUNS) -> list[Run]:
    """Return the runs in a folder, newest first, without those that vanish meanwhile."""
    dated = []
    with suppress(FileNotFoundError, NotADirectoryError):
        for entry in folder.iterdir():
            if (entry / "config.yaml").is_file():
                with suppress(FileNotFoundError):
                    dated.append((Run(entry).date, Run(entry)))
    return [run for _, run in sorted(dated, key=lambda pair: pair[0], reverse=True)]


def run_at(path: Path) -> Run:
    """Return the run of a folder, or the one that a file belongs to, such as its model or a plot."""
    folder = path.parent.parent if path.parent.name == "plots" else path.parent
    run = Run(folder)
    is_run = run.config_file.is_file() and (run.environment_file.is_file() or run.failure_file.is_file())
    inside = is_run and path.is_file() and (path in run._own_files or path.parent == run.plots_folder)
    return run if inside else Run(path)


def run_named(path: Path) -> Run:
    """Return the run at `path`, or where nothing is there that of this name under runs/."""
    return run_at(path_or_named(path, RUNS))


def path_or_named(path: Path, folder: Path) -> Path:
    """Return `path`, or what has this name in a folder where nothing is at `path`."""
    named = folder / path
    is_name = not path.is_absolute() and ".." not in path.parts and not path.exists()
    return named if is_name and named.exists() else path


def find_run(path: Path | None) -> Run:
    """Return the complete run at `path`, by its folder or its name, or the newest complete one under runs/."""
    if path is not None:
        run = run_named(path)
        run.require_complete()
        return run
    runs = list_runs()
    for run in runs:
        if run.state == "complete":
            return run
    if runs:
        raise RunError(f"{RUNS}/: no complete run among {len(runs)}: see ae runs")
    raise RunError(f"{RUNS}/: no runs here: train one with ae train, or give --run")


def run_to_resume(path: Path | None) -> Run:
    """Return the run at `path`, or the newest under runs/, in whatever state; RunError where there is none."""
    if path is None:
        runs = list_runs()
        if not runs:
            raise RunError(f"{RUNS}/: no runs here: begin one without --resume, or give --run")
        return runs[0]
    run = run_named(path)
    run.require()
    return run


def _load_json(path: Path) -> dict[str, Any]:
    return dict(json.loads(read_text(path)))


def _dump(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, allow_nan=False) + "\n"

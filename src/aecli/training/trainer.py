"""Training, from a config to a complete run."""

import contextlib
import importlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aecli.core.progress import Told
from aecli.core.signals import Signals
from aecli.data.dataset import ImageSource
from aecli.data.split import Split
from aecli.runs.baselines import fit_baselines
from aecli.runs.config import Config
from aecli.runs.provenance import data_fields, environment, identity, with_absolute_paths
from aecli.runs.records import EpochRecord
from aecli.runs.run import Run
from aecli.training.artifacts import SplitBaselines, export, measure
from aecli.training.kept import Kept
from aecli.training.prepare import Prepared, open_data, prepare, require_files
from aecli.training.progress import Progress, Silence, Stages, telling
from aecli.training.resume import check_config, check_images, is_done
from aecli.training.session import Network, Training


def train(
    config: Config,
    folder: Path,
    *,
    name: str = "default",
    overwrite: bool = False,
    resume: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
    signals: Signals | None = None,
    started: float | None = None,
) -> Run:
    """Train an autoencoder and write its run into `folder`; return the complete run.

    `name` is the config's name, kept in the exported models. With `resume` a run that is there goes on from its
    last checkpoint, as if it had never stopped, and to more epochs if the config has more. `device` is "auto"
    (every GPU, else the CPU), "cpu" or "gpu:N". `signals`, entered, stop the training at its next pause.
    `started` is the `time.perf_counter` from which start-up counts. Raises AeError before anything is written
    when the config and the data do not fit, or are not the run's, and leaves a run marked failed or
    interrupted when training does not reach its end.
    """
    return Trainer(device).train(
        config, folder, name,
        overwrite=overwrite, resume=resume, progress=progress, signals=signals, started=started,
    )  # fmt: skip


class Trainer:
    """Trains runs one after the other, and keeps what the next may share with the last.

    That is the images and their fingerprint, the network compiled and converted to ONNX where the next run
    differs in its seed alone, and the baselines of every split. `brief` leaves out of the runs what a study
    has no use for: the pictures, the reconstructions, and all metrics of the training images but the mse.
    """

    def __init__(self, device: str = "auto", *, brief: bool = False) -> None:
        self._device, self._brief = device, brief
        self._images: Kept[_Images] = Kept()
        self._network: Kept[Network] = Kept()
        self._baselines: dict[str, SplitBaselines] = {}

    def train(
        self,
        config: Config,
        folder: Path,
        name: str = "default",
        *,
        overwrite: bool = False,
        resume: bool = False,
        progress: Progress | None = None,
        signals: Signals | None = None,
        started: float | None = None,
    ) -> Run:
        """Train one run; see `train`."""
        progress = progress or Silence()
        stages = Stages(progress, started)
        run = Run(folder)
        run.refuse_existing(overwrite or resume)
        config = with_absolute_paths(config.alone())
        resume = resume and run.begun
        if resume:
            check_config(run, config)
            if is_done(run, config):
                progress.note(f"{run.path}: is complete already: give more training.epochs to extend it")
                return run
        images, prepared = self._prepare(config, progress, stages)

        from aecli.training.engines.tensorflow.devices import choose_devices, device_names

        training = Training(config, name, prepared, run, progress, stages, self._brief, signals or Signals())
        devices = choose_devices(self._device)
        with run.locked():
            with devices.scope():
                stages.enter("building")
                network = self._network.get(training.network_key, training.build)
                network.program.restart(training.autoencoder())
                about = {**environment(device_names()), "identity": identity(config, images.fields), **images.fields}
                start = training.begin(about, overwrite, resume)
                with training.marked_when_it_ends_early():
                    best_epoch = training.fit(network.program, start, keep=training.keep)
                    stages.move("checkpointing", training.keeper.spent)
            with training.marked_when_it_ends_early():
                run.write_history(training.records)
                run.write_health(training.health)
                sha256 = export(training, network)
                stages.enter("fitting PCA")
                baselines = self._fit_baselines(training, images)
                stages.enter("measuring")
                metrics = measure(training, best_epoch, baselines)
                images.require_unchanged()
                run.write_environment({**run.environment, "seconds": stages.seconds()})
                run.write_metrics({**metrics, "weights_sha256": sha256})
                training.keeper.clear()
        return run

    def repeat(self, run: Run, config: Config, epochs: int, progress: Progress) -> "Repeated":
        """Train so many epochs of a run again, from its own beginning; nothing is written.

        Raises AeError where the images are not the run's.
        """
        stages, config = Stages(progress), with_absolute_paths(config.alone())
        images, prepared = self._prepare(config, progress, stages)
        check_images(run, images.fields)

        from aecli.training.engines.tensorflow.devices import choose_devices, device_names
        from aecli.training.engines.tensorflow.export import weights_hash

        training = Training(config, run.config_name, prepared, run, progress, stages, self._brief, Signals())
        with choose_devices(self._device).scope():
            stages.enter("building")
            program = training.build().program
            training.fit(program, None, epochs)
            whole = len(training.records) < epochs or epochs == config.training.epochs
            sha256 = weights_hash(program.autoencoder.model) if whole else None
            return Repeated(prepared.split, training.records, sha256, environment(device_names()))

    def _prepare(self, config: Config, progress: Progress, stages: Stages) -> "tuple[_Images, Prepared]":
        """Open the images and split them, while TensorFlow loads."""
        require_files(config)
        loading = threading.Thread(target=_load_tensorflow)
        loading.start()
        stages.enter("reading images")
        images = self._images.get(_files(config), lambda: _Images.open(config, telling(progress)))
        prepared = prepare(config, images.train, images.test, progress)
        stages.enter("loading TensorFlow")
        loading.join()
        return images, prepared

    def _fit_baselines(self, training: Training, images: "_Images") -> SplitBaselines:
        data, model = training.config.data, training.config.model
        key = json.dumps(
            [images.fields, training.config.split_seed, data.validation_split, data.test_split, model.latent_dim]
        )
        if key not in self._baselines:
            source, rows = training.prepared.train, training.prepared.split.train
            fitted = fit_baselines(lambda function: source.map(function, rows), model.latent_dim)
            self._baselines[key] = SplitBaselines(fitted, {})
        training.run.write_baselines(self._baselines[key].baselines)
        return self._baselines[key]


def _files(config: Config) -> tuple[object, ...]:
    data = config.data
    return data.train, data.test, data.image_shape, data.value_range, data.decoding


@dataclass(frozen=True)
class _Images:
    """The opened images and what environment.json says of them."""

    train: ImageSource
    test: ImageSource | None
    fields: dict[str, Any]
    states: tuple[tuple[int, int], ...]

    @classmethod
    def open(cls, config: Config, told: Told) -> "_Images":
        train, test = open_data(config, told)
        states = tuple(each.file.state() for each in (train, test) if each)
        return cls(train, test, {"data": data_fields(train), "test": test and data_fields(test)}, states)

    def require_unchanged(self) -> None:
        """Raise DataError where a file has been written to since it was opened."""
        for each, state in zip([each for each in (self.train, self.test) if each], self.states, strict=True):
            each.file.require_state(state)


@dataclass(frozen=True)
class Repeated:
    """What training again gave: `weights_sha256` is None where epochs were left out."""

    split: Split
    records: Sequence[EpochRecord]
    weights_sha256: str | None
    environment: Mapping[str, Any]


def _load_tensorflow() -> None:
    # What goes wrong here is met again, and reported, by the import that needs it.
    with contextlib.suppress(Exception):
        importlib.import_module("aecli.training.loop")

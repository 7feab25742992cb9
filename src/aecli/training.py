"""Training, from a config to a complete run."""

import contextlib
import importlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from aecli import plots
from aecli.baselines import Baselines, fit_baselines
from aecli.checkpoint import Checkpoint, State
from aecli.config import Config, to_yaml
from aecli.data import ImageSource, Rows, Split
from aecli.decoded import Told
from aecli.denoising import corruptor, evaluate_denoising
from aecli.errors import AeError, TrainingError, one_line
from aecli.feed import Feed
from aecli.files import NpyWriter, written_whole
from aecli.health import LayerHealth, collapse
from aecli.history import EpochRecord
from aecli.images import Images, Stored
from aecli.infer import Model, evaluate, load_model
from aecli.kept import Kept
from aecli.metrics import METRICS, PerImage, ssim_window
from aecli.prepare import Prepared, feeds, open_data, prepare, require_files
from aecli.progress import Progress, Silence, Stages, telling
from aecli.provenance import course, data_fields, differences, environment, identity, with_absolute_paths
from aecli.resuming import Keeper, check_config, check_images, find_checkpoint, is_done
from aecli.run import Run
from aecli.stopping import Signals, Stopped

if TYPE_CHECKING:
    from aecli.nn.export import OnnxExporter
    from aecli.nn.fit import Pause
    from aecli.nn.health import Health
    from aecli.nn.layers import Autoencoder
    from aecli.nn.program import Program

EXPORT_TOLERANCE = 1e-5


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
        self._network: Kept[_Network] = Kept()
        self._baselines: dict[str, _Fitted] = {}

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
                return run
        images, prepared = self._prepare(config, progress, stages)

        from aecli.nn.devices import choose_devices, device_names

        training = _Training(config, name, prepared, run, progress, stages, self._brief, signals or Signals())
        with run.locked():
            with choose_devices(self._device).scope():
                stages.enter("building")
                network = self._network.get(training.network_key, training.build)
                network.program.restart(training.autoencoder())
                about = {**environment(device_names()), "identity": identity(config, images.fields), **images.fields}
                start = training.begin(about, overwrite, resume)
                with training.marked_when_it_ends_early():
                    best_epoch = training.fit(network.program, start, keep=training.keep)
            with training.marked_when_it_ends_early():
                run.write_history(training.records)
                run.write_health(training.health)
                sha256 = training.export(network)
                stages.enter("fitting PCA")
                baselines = self._fit_baselines(training, images)
                stages.enter("measuring")
                metrics = training.measure(best_epoch, baselines)
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

        from aecli.nn.devices import choose_devices, device_names
        from aecli.nn.export import weights_hash

        training = _Training(config, run.config_name, prepared, run, progress, stages, self._brief, Signals())
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

    def _fit_baselines(self, training: "_Training", images: "_Images") -> "_Fitted":
        data, model = training.config.data, training.config.model
        key = json.dumps(
            [images.fields, training.config.split_seed, data.validation_split, data.test_split, model.latent_dim]
        )
        if key not in self._baselines:
            source, rows = training.prepared.train, training.prepared.split.train
            fitted = fit_baselines(lambda function: source.map(function, rows), model.latent_dim)
            self._baselines[key] = _Fitted(fitted, {})
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
class _Network:
    """A compiled network, and its twin in float32 on one device, with the exporters of its halves, for the files."""

    program: "Program"
    twin: "Autoencoder"
    exporters: Mapping[str, "OnnxExporter"]


@dataclass(frozen=True)
class Repeated:
    """What training again gave: `weights_sha256` is None where epochs were left out."""

    split: Split
    records: Sequence[EpochRecord]
    weights_sha256: str | None
    environment: Mapping[str, Any]


@dataclass(frozen=True)
class _Fitted:
    """The baselines of a split, and their means of every metric where they have been measured."""

    baselines: Baselines
    summaries: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _Training:
    """What the stages of one training share."""

    config: Config
    name: str
    prepared: Prepared
    run: Run
    progress: Progress
    stages: Stages
    brief: bool
    signals: Signals
    records: list[EpochRecord] = field(default_factory=list)
    health: list[LayerHealth] = field(default_factory=list)

    @property
    def network_key(self) -> str:
        """What a compiled network depends on: all but the seed."""
        model, training = self.config.model.model_dump(mode="json"), self.config.training.model_dump(mode="json")
        augment = self.config.data.augment and self.config.data.augment.model_dump(mode="json")
        data = [asdict(self.prepared.train.format), self.config.data.memory_budget, augment]
        counts = [len(self.prepared.split.train), len(self.prepared.split.validation)]
        return json.dumps([model, {**training, "seed": None}, data, counts])

    @cached_property
    def feeds(self) -> tuple[Feed, Feed]:
        """The feeds of the training and of the validation images."""
        # Brief runs are those of a study, whose workers share the images.
        return feeds(self.config, self.prepared, mapped=self.brief)

    def build(self) -> _Network:
        """Build the untrained network in the precision to train in, and its twin for the files."""
        from aecli.nn.export import OnnxExporter
        from aecli.nn.program import Program

        training, twin = self.config.training, self.autoencoder()
        trained = self.autoencoder(self._precision())
        program = Program(trained, training, self.config.model.activity_l1, self.feeds[0], self.config.data.augment)
        ends = {"encoder": ("images", "latents"), "decoder": ("latents", "images")}
        return _Network(
            program, twin, {half: OnnxExporter(getattr(twin, half), *names) for half, names in ends.items()}
        )

    def autoencoder(self, precision: Literal["float32", "mixed"] = "float32") -> "Autoencoder":
        """Build the untrained network of the config's seed."""
        from aecli.nn.door import OUT_OF_MEMORY
        from aecli.nn.layers import computing_in

        try:
            with computing_in(precision):
                return self.config.model.build(self.prepared.train.format.image_shape, self.config.training.seed)
        except OUT_OF_MEMORY as error:
            raise TrainingError(
                "model: its weights do not fit in memory: set a smaller model.latent_dim or model.hidden"
            ) from error

    def begin(self, about: Mapping[str, Any], overwrite: bool, resume: bool) -> State | None:
        """Begin the run's folder, or take it up again; return the state to go on from, None for the beginning."""
        start = self._reopen(about) if resume else None
        if not resume:
            self.run.create(to_yaml(self.config), overwrite)
        self.run.write_environment({**about, "config": self.name})
        self.run.write_split(self.prepared.split)
        return start

    def _reopen(self, about: Mapping[str, Any]) -> State | None:
        before = self.run.environment if self.run.environment_file.is_file() else None
        if before:
            check_images(self.run, about)
        found = find_checkpoint(self.run, self._course(about), self.feeds[0].streamed, self.progress.note)
        self.run.reopen(to_yaml(self.config))
        changed = differences(before, about) if before and found else []
        if changed:
            self.progress.note(
                f"{self.run.path}: begun with {'; '.join(changed)}: the result may differ in its last bits from that "
                f"of a training that was never stopped"
            )
        if found is None:
            self.progress.note(f"{self.run.path}: has no checkpoint yet: trained from the beginning")
            return None
        self.records.extend(found.records)
        self.health.extend(found.health)
        self.progress.note(f"{self.run.path}: goes on in epoch {found.state.cursor.epoch}")
        return found.state

    def _course(self, about: Mapping[str, Any]) -> str:
        return course(self.config, about)

    @cached_property
    def keeper(self) -> Keeper:
        """Writes the checkpoints."""
        about, streamed = self._course(self.run.environment), self.feeds[0].streamed

        def checkpoint(state: State) -> Checkpoint:
            return Checkpoint(about, streamed, state, tuple(self.records), tuple(self.health))

        return Keeper(self.run, self.config.training.checkpoint_seconds, checkpoint, self.brief)

    def keep(self, pause: "Pause") -> None:
        """Write a checkpoint where one is due, or where a signal ends the training."""
        if self.signals.received is not None or self.keeper.due(pause.after):
            self.keeper.keep(pause.state)
        self.signals.look()

    def fit(
        self,
        program: "Program",
        start: State | None = None,
        until: int | None = None,
        keep: "Callable[[Pause], None]" = lambda _: None,
    ) -> int:
        """Train from the initial weights or from a state, all epochs or `until` one; return the one that was kept."""
        from aecli.nn.door import OUT_OF_MEMORY
        from aecli.nn.fit import fit

        epochs = self.config.training.epochs

        def on_epoch(record: EpochRecord, health: "Health") -> None:
            self.records.append(record)
            self.health.extend(health.layers)
            self.progress.epoch(record, epochs)
            reason = collapse(health.layers, health.fvu)
            if reason and record.epoch in (max(3, epochs // 10), epochs):
                self.progress.collapsed(record, reason)

        def on_pause(pause: "Pause") -> None:
            self.progress.advance(pause.done, epochs)
            keep(pause)

        if self.feeds[0].streamed:
            path = self.prepared.train.file.path
            self.progress.note(f"{path}: larger than data.memory_budget: streamed from the file in every epoch")
        self.stages.enter("training")
        try:
            with self.signals.at_pauses():
                fitted = fit(program, *self.feeds, self.config.training, on_epoch, on_pause, start, until)
        except OUT_OF_MEMORY as error:
            raise TrainingError(
                "training: out of memory: set a smaller training.batch_size, data.memory_budget or model"
            ) from error
        self.stages.move("compiling", fitted.compile_seconds)
        self.stages.move("validating", fitted.validation_seconds)
        return fitted.best_epoch

    def export(self, network: _Network) -> str:
        """Write the Keras model and both ONNX models, and check that they reconstruct the same; return a hash of it."""
        from aecli.nn.export import predict, weights_hash

        self.stages.enter("exporting")
        network.twin.model.set_weights(network.program.autoencoder.model.get_weights())
        with written_whole(self.run.model_file) as temporary:
            network.twin.model.save(temporary)
        source = self.prepared.train
        metadata = {
            "config": self.name,
            "image_shape": source.format.image_shape,
            "value_range": source.format.value_range,
            "latent_dim": self.config.model.latent_dim,
        }
        for half, file in (("encoder", self.run.encoder_file), ("decoder", self.run.decoder_file)):
            with written_whole(file) as temporary:
                network.exporters[half].write(temporary, metadata)
        checked = source.sample(self.prepared.split.validation)
        check_export(predict(network.twin.model, checked), load_model(self.run).reconstruct(checked))
        return weights_hash(network.twin.model)

    def measure(self, best_epoch: int, fitted: _Fitted) -> dict[str, Any]:
        """Measure every part of the images, draw the plots; return the content of metrics.json."""
        source, model = self.prepared.train, load_model(self.run)
        splits: dict[str, dict[str, Any]] = {}
        errors: dict[str, PerImage | None] = {}
        for part, (images, rows) in self.prepared.parts.items():
            names = ("mse",) if self.brief and part == "train" else tuple(METRICS)
            with self._writer(part, rows) as write:
                evaluation = evaluate(
                    model.reconstruct, images, fitted.baselines, rows,
                    metrics=names, with_baselines=part not in fitted.summaries,
                    keep=("mse",) if part == "validation" else (), write=write,
                )  # fmt: skip
            errors[part] = evaluation.per_image.get("mse")
            own = {"model": evaluation.summary.pop("model")}
            baselines = fitted.summaries.setdefault(part, evaluation.summary)
            splits[part] = {"images": len(images) if rows is None else len(rows), **own, **baselines}
        denoising = self._measure_denoising(model, fitted.baselines)
        if not self.brief:
            self.stages.enter("plotting")
            self._plot(model, errors["validation"])
        return {
            "epochs": len(self.records),
            "best_epoch": best_epoch,
            "seconds": round(sum(record.seconds for record in self.records), 3),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "pca_components": len(fitted.baselines.components),
            "ssim_window": ssim_window(*source.format.image_shape[:2]),
            "splits": splits,
            **denoising,
        }

    def _measure_denoising(self, model: Model, baselines: Baselines) -> dict[str, Any]:
        """Return what metrics.json says of restoring corrupted images, where the training had such."""
        corrupt = corruptor(self.config.training)
        if corrupt is None:
            return {}
        parts = {part: images for part, images in self.prepared.parts.items() if part != "train"}
        return {
            "denoising": {
                part: evaluate_denoising(model.reconstruct, corrupt, images, baselines.mean, rows)
                for part, (images, rows) in parts.items()
            }
        }

    @contextlib.contextmanager
    def marked_when_it_ends_early(self) -> Iterator[None]:
        """Mark the run as interrupted or failed when the block is."""
        try:
            yield
        except KeyboardInterrupt as error:
            self._mark("interrupted", f"stopped by {error}" if isinstance(error, Stopped) else "stopped by the user")
            raise
        except Exception as error:
            self._mark("failed", one_line(error))
            raise

    def _precision(self) -> Literal["float32", "mixed"]:
        from aecli.nn.devices import device_names

        wanted = self.config.training.precision
        if wanted == "mixed" and device_names() == ["cpu"]:
            self.progress.note("training.precision: mixed is for GPUs, a CPU would lose by it: training in float32")
            return "float32"
        return wanted

    def _mark(self, state: Literal["failed", "interrupted"], reason: str) -> None:
        with contextlib.suppress(AeError):  # a full disk must not hide why the training ended
            self.run.write_failure(state, reason, len(self.records))
            self.run.write_history(self.records)
            self.run.write_health(self.health)

    @contextlib.contextmanager
    def _writer(self, part: str, rows: Rows | None) -> Iterator[Callable[[Stored], object] | None]:
        """Yield what keeps the reconstructions of the validation images, None for the others."""
        if part != "validation" or rows is None or self.brief:
            yield None
            return
        image_format = self.prepared.train.format
        shape = (len(rows), *image_format.sample_shape)
        with NpyWriter(self.run.reconstructions_file, shape, image_format.dtype) as writer:
            yield writer.write

    def _plot(self, model: Model, errors: PerImage | None) -> None:
        source, rows = self.prepared.train, self.prepared.split.validation
        subject = plots.Subject(self.run, model, source, f"{source.file.path.name} (validation)", rows, errors)
        for name, kind in plots.KINDS.items():
            if name == "denoising" and self.config.training.corruption is None:
                continue
            figure = kind.draw(subject if kind.needs_images else self.run)
            plots.save(figure, self.run.plots_folder / f"{name}.png")


def check_export(keras_images: Images, onnx_images: Images) -> None:
    """Raise TrainingError unless Keras and ONNX Runtime reconstruct the same, to EXPORT_TOLERANCE."""
    difference = float(np.abs(keras_images - onnx_images).max())
    if not difference <= EXPORT_TOLERANCE:
        raise TrainingError(
            f"export: ONNX Runtime and Keras differ by {difference:.2g} on validation images, more than "
            f"{EXPORT_TOLERANCE:g}: the reconstructions are too large or not finite; "
            f"try a bounded model.output_activation"
        )


def _load_tensorflow() -> None:
    # What goes wrong here is met again, and reported, by the import that needs it.
    with contextlib.suppress(Exception):
        importlib.import_module("aecli.nn.fit")

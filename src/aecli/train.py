"""Training, from a config to a complete run."""

import contextlib
import importlib
import platform
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from aecli import plots
from aecli.baselines import fit_baselines
from aecli.config import Config, to_yaml
from aecli.data import ImageSource, chunk_slices, fingerprint
from aecli.errors import TrainingError, one_line
from aecli.feed import Feed
from aecli.files import NpyWriter, written_whole
from aecli.history import EpochRecord
from aecli.images import Images
from aecli.infer import Model, evaluate, load_model, reconstruct_chunks
from aecli.machine import cores, memory_size
from aecli.metrics import PerImage, ssim_window
from aecli.prepare import Prepared, prepare, require_files
from aecli.progress import Progress, Silence, Stages
from aecli.run import Run, format_fields

if TYPE_CHECKING:
    from aecli.nn.layers import Autoencoder

EXPORT_TOLERANCE = 1e-5
CHECKED_IMAGES = 256


def train(
    config: Config,
    folder: Path,
    *,
    name: str = "default",
    overwrite: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
    started: float | None = None,
) -> Run:
    """Train an autoencoder and write its run into `folder`; return the complete run.

    `name` is the config's name, kept in the exported models. `device` is "auto" (every GPU, else the
    CPU), "cpu" or "gpu:N". `started` is the `time.perf_counter` from which start-up counts. Raises
    AeError before anything is written when the config and the data do not fit, and leaves a run marked
    failed or interrupted when training does not reach its end.
    """
    progress = progress or Silence()
    stages = Stages(progress, started)
    run = Run(folder)
    run.refuse_existing(overwrite)
    config = _with_absolute_paths(config)
    require_files(config)
    loading = threading.Thread(target=_load_tensorflow)
    loading.start()
    stages.enter("reading images")
    prepared = prepare(config, progress)
    data = {"data": _data_fields(prepared.train), "test": prepared.test and _data_fields(prepared.test)}
    stages.enter("loading TensorFlow")
    loading.join()
    training = _Training(config, name, prepared, run, progress, stages)

    from aecli.nn.devices import choose_devices, device_names

    with choose_devices(device).scope():
        stages.enter("building")
        autoencoder = training.build()
        run.create(to_yaml(config.alone()), overwrite)
        environment = {**_environment(device_names()), **data}
        run.write_environment(environment)
        run.write_split(prepared.split)
        with training.marked_when_it_ends_early():
            best_epoch = training.fit(autoencoder)
    with training.marked_when_it_ends_early():
        run.write_history(training.records)
        training.export(autoencoder)
        metrics = training.measure(best_epoch)
        run.write_environment({**environment, "seconds": stages.seconds()})
        run.write_metrics(metrics)
    return run


@dataclass(frozen=True)
class _Training:
    """What the stages of one training share."""

    config: Config
    name: str
    prepared: Prepared
    run: Run
    progress: Progress
    stages: Stages
    records: list[EpochRecord] = field(default_factory=list)

    def build(self) -> "Autoencoder":
        """Build the untrained network in the precision to train in."""
        from aecli.nn.devices import device_names
        from aecli.nn.door import OUT_OF_MEMORY
        from aecli.nn.layers import precision

        wanted = self.config.training.precision
        if wanted == "mixed" and device_names() == ["cpu"]:
            self.progress.note("training.precision: mixed is for GPUs, a CPU would lose by it: training in float32")
            wanted = "float32"
        try:
            with precision(wanted):
                return self._network()
        except OUT_OF_MEMORY as error:
            raise TrainingError(
                "model: its weights do not fit in memory: set a smaller model.latent_dim or model.hidden"
            ) from error

    def fit(self, autoencoder: "Autoencoder") -> int:
        """Train; return the epoch whose weights were kept."""
        from aecli.nn.door import OUT_OF_MEMORY
        from aecli.nn.fit import fit
        from aecli.nn.program import Program

        epochs = self.config.training.epochs

        def on_epoch(record: EpochRecord) -> None:
            self.records.append(record)
            self.progress.epoch(record, epochs)

        feeds = self._feeds()
        if feeds[0].streamed:
            path = self.prepared.train.file.path
            self.progress.note(f"{path}: larger than data.memory_budget: streamed from the file in every epoch")
        self.stages.enter("training")
        try:
            program = Program(autoencoder, self.config.training, self.config.model.activity_l1, feeds[0])
            fitted = fit(
                program,
                *feeds,
                self.config.training,
                on_epoch,
                lambda done: self.progress.advance(done, epochs),
            )
        except OUT_OF_MEMORY as error:
            raise TrainingError(
                "training: out of memory: set a smaller training.batch_size, data.memory_budget or model"
            ) from error
        self.stages.move("compiling", fitted.compile_seconds)
        self.stages.move("validating", fitted.validation_seconds)
        return fitted.best_epoch

    def export(self, trained: "Autoencoder") -> None:
        """Write the Keras model and both ONNX models, and check that they reconstruct the same."""
        from aecli.nn.export import export_onnx, predict

        self.stages.enter("exporting")
        # A network of its own for the files: float32 and on one device, however it was trained.
        autoencoder = self._network()
        autoencoder.model.set_weights(trained.model.get_weights())
        with written_whole(self.run.model_file) as temporary:
            autoencoder.model.save(temporary)
        source = self.prepared.train
        metadata = {
            "config": self.name,
            "image_shape": source.format.image_shape,
            "value_range": source.format.value_range,
            "latent_dim": self.config.model.latent_dim,
        }
        for model, file, ends in (
            (autoencoder.encoder, self.run.encoder_file, ("images", "latents")),
            (autoencoder.decoder, self.run.decoder_file, ("latents", "images")),
        ):
            with written_whole(file) as temporary:
                export_onnx(model, temporary, *ends, metadata)
        count = min(CHECKED_IMAGES, next(chunk_slices(CHECKED_IMAGES, source.format.image_shape)).stop)
        checked = source.format.to_contract(source.file.take(self.prepared.split.validation[:count]))
        check_export(predict(autoencoder.model, checked), load_model(self.run).reconstruct(checked))

    def measure(self, best_epoch: int) -> dict[str, Any]:
        """Fit the baselines, measure every split, draw the plots; return the content of metrics.json."""
        self.stages.enter("fitting PCA")
        source, split, model = self.prepared.train, self.prepared.split, load_model(self.run)
        baselines = fit_baselines(
            lambda: (images for _, images in source.chunks(split.train)), self.config.model.latent_dim
        )
        self.run.write_baselines(baselines)
        self.stages.enter("measuring")
        shape = (len(split.validation), *source.format.sample_shape)
        with NpyWriter(self.run.reconstructions_file, shape, source.format.dtype) as writer:

            def kept(pairs: Iterable[tuple[Images, Images]]) -> Iterator[tuple[Images, Images]]:
                for images, reconstructions in pairs:
                    writer.write(source.format.from_contract(reconstructions))
                    yield images, reconstructions

            validation = evaluate(kept(reconstruct_chunks(model, source, split.validation)), baselines, keep=("mse",))
        evaluations = {
            "train": evaluate(reconstruct_chunks(model, source, split.train), baselines),
            "validation": validation,
        }
        counts = {"train": len(split.train), "validation": len(split.validation)}
        if self.prepared.test is not None:
            evaluations["test"] = evaluate(reconstruct_chunks(model, self.prepared.test), baselines)
            counts["test"] = len(self.prepared.test)
        elif len(split.test):
            evaluations["test"] = evaluate(reconstruct_chunks(model, source, split.test), baselines)
            counts["test"] = len(split.test)
        self.stages.enter("plotting")
        self._plot(model, validation.per_image["mse"])
        return {
            "epochs": len(self.records),
            "best_epoch": best_epoch,
            "seconds": round(sum(record.seconds for record in self.records), 3),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "pca_components": len(baselines.components),
            "ssim_window": ssim_window(*source.format.image_shape[:2]),
            "splits": {
                part: {"images": counts[part], **evaluation.summary} for part, evaluation in evaluations.items()
            },
        }

    @contextlib.contextmanager
    def marked_when_it_ends_early(self) -> Iterator[None]:
        """Mark the run as interrupted or failed when the block is."""
        try:
            yield
        except KeyboardInterrupt:
            self._mark("interrupted", "stopped by the user")
            raise
        except Exception as error:
            self._mark("failed", one_line(error))
            raise

    def _mark(self, state: Literal["failed", "interrupted"], reason: str) -> None:
        self.run.write_history(self.records)
        self.run.write_failure(state, reason, len(self.records))

    def _network(self) -> "Autoencoder":
        return self.config.model.build(self.prepared.train.format.image_shape, self.config.training.seed)

    def _feeds(self) -> tuple[Feed, Feed]:
        """Return the feeds of the training and of the validation images."""
        megabytes = self.config.data.memory_budget
        budget = megabytes * 10**6 if megabytes else memory_size() // 4
        source, split, batch_size = self.prepared.train, self.prepared.split, self.config.training.batch_size
        return Feed(source, split.train, batch_size, budget), Feed(source, split.validation, batch_size, budget)

    def _plot(self, model: Model, errors: PerImage) -> None:
        source, rows = self.prepared.train, self.prepared.split.validation
        subject = plots.Subject(self.run, model, source, f"{source.file.path.name} (validation)", rows, errors)
        for name, kind in plots.KINDS.items():
            plots.save(kind.draw(subject if kind.needs_images else self.run), self.run.plots_folder / f"{name}.png")


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


def _with_absolute_paths(config: Config) -> Config:
    paths = {key: path.absolute() for key in ("train", "test") if (path := getattr(config.data, key)) is not None}
    return config.model_copy(update={"data": config.data.model_copy(update=paths)})


def _environment(devices: list[str]) -> dict[str, Any]:
    packages = ("aecli", "keras", "tensorflow", "numpy", "onnx", "onnxruntime", "tf2onnx")
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "threads": cores(),
            "devices": devices,
        },
    }


def _data_fields(source: ImageSource) -> dict[str, Any]:
    return {
        "file": str(source.file.path),
        "sha256": fingerprint(source.file.path),
        "images": len(source),
        "format": format_fields(source.format),
    }

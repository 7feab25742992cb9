"""Training, from a config to a complete run."""

import platform
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from aecli import plots
from aecli.activations import find_activation
from aecli.baselines import fit_baselines
from aecli.config import PACKAGED_DIGITS, Config, to_yaml
from aecli.data import ImageSource, Split, chunk_slices, fingerprint, open_images, split_indices
from aecli.errors import ConfigError, TrainingError, one_line
from aecli.feed import Feed
from aecli.files import NpyWriter, written_whole
from aecli.history import EpochRecord
from aecli.images import Images
from aecli.infer import evaluate, load_model, open_images_like, reconstruct_chunks
from aecli.machine import cores, memory_size
from aecli.metrics import ssim_window
from aecli.package_files import packaged
from aecli.run import Run, format_fields

if TYPE_CHECKING:
    from aecli.nn.layers import Autoencoder

EXPORT_TOLERANCE = 1e-5
CHECKED_IMAGES = 256


class Progress(Protocol):
    """Who is told how the training goes."""

    def note(self, message: str) -> None:
        """Something the user should know."""

    def stage(self, name: str) -> None:
        """A new stage begins."""

    def advance(self, done: float, epochs: int) -> None:
        """So many of the epochs are done, fractions included."""

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        """An epoch of `epochs` has ended."""


class Silence:
    """Progress that nobody sees."""

    def note(self, message: str) -> None: ...
    def stage(self, name: str) -> None: ...
    def advance(self, done: float, epochs: int) -> None: ...
    def epoch(self, record: EpochRecord, epochs: int) -> None: ...


@dataclass(frozen=True)
class Prepared:
    """The checked data of a training."""

    train: ImageSource
    test: ImageSource | None
    split: Split


def train(
    config: Config,
    folder: Path,
    *,
    name: str = "default",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Train an autoencoder and write its run into `folder`; return the complete run.

    `name` is the config's name, kept in the exported models. Raises AeError before anything is
    written when the config and the data do not fit, and leaves a run marked failed or interrupted
    when training does not reach its end.
    """
    progress = progress or Silence()
    run = Run(folder)
    run.refuse_existing(overwrite)
    config = _with_absolute_paths(config)
    prepared = prepare(config, progress)
    progress.stage("loading TensorFlow")
    autoencoder = _build(config, prepared)
    run.create(to_yaml(config), overwrite)
    run.write_environment(_environment(prepared))
    run.write_split(prepared.split)

    records: list[EpochRecord] = []
    try:
        best_epoch = _fit(autoencoder, config, prepared, records, progress)
        run.write_history(records)
        _export(autoencoder, config, name, prepared, run, progress)
        _measure(config, prepared, run, records, best_epoch, progress)
    except KeyboardInterrupt:
        run.write_history(records)
        run.write_failure("interrupted", "stopped by the user", len(records))
        raise
    except Exception as error:
        run.write_history(records)
        run.write_failure("failed", one_line(error), len(records))
        raise
    return run


def prepare(config: Config, progress: Progress) -> Prepared:
    """Open and check the data that a config names; raises AeError with the cure where they do not fit."""
    data = config.data
    path = data.train or packaged(PACKAGED_DIGITS)
    value_range = None if data.value_range == "auto" else data.value_range
    source = open_images(path, data.image_shape, value_range)
    split = split_indices(str(path), len(source), data.validation_split, config.training.seed)
    test = open_images_like(data.test, source.format, value_range) if data.test else None
    for each in (source, test):
        if each is not None:
            check_fit(config, each)
            progress.note(str(each))
    size = int(np.prod(source.format.image_shape))
    if config.model.latent_dim >= size:
        progress.note(
            f"model.latent_dim {config.model.latent_dim} is not smaller than the {size} values of an image: "
            f"nothing is compressed, and PCA reconstructs exactly"
        )
    return Prepared(source, test, split)


def check_fit(config: Config, source: ImageSource) -> None:
    """Raise ConfigError when the output activation cannot reach the images or the loss does not fit them."""
    scale, offset = source.format.scale_and_offset()
    low, high = source.scan.low * scale + offset, source.scan.high * scale + offset
    output = config.model.output_activation
    reach = find_activation(output.name).output_range(output.parameters)
    where = f"{source.file.path}: the images reach from {low:.4g} to {high:.4g} where 0 to 1 is data.value_range"
    slack = 1e-6
    if low < reach[0] - slack or high > reach[1] + slack:
        if -slack <= low and high <= 1 + slack:
            cure = "set model.output_activation: sigmoid"
        else:
            cure = "set data.value_range: auto, or model.output_activation: linear"
        raise ConfigError(
            [f"model.output_activation: {output} gives only {reach[0]:.4g} to {reach[1]:.4g}; {where}: {cure}"]
        )
    if config.training.loss == "binary_crossentropy":
        if low < -slack or high > 1 + slack:
            raise ConfigError(
                [f"training.loss: binary_crossentropy needs images in [0, 1]; {where}: set training.loss: mse"]
            )
        if reach[0] < 0 or reach[1] > 1:
            raise ConfigError(
                [
                    f"training.loss: binary_crossentropy needs an output in [0, 1], {output} gives "
                    f"{reach[0]:.4g} to {reach[1]:.4g}: set model.output_activation: sigmoid, or training.loss: mse"
                ]
            )


def _with_absolute_paths(config: Config) -> Config:
    paths = {key: path.absolute() for key in ("train", "test") if (path := getattr(config.data, key)) is not None}
    return config.model_copy(update={"data": config.data.model_copy(update=paths)})


def _environment(prepared: Prepared) -> dict[str, Any]:
    packages = ("aecli", "keras", "tensorflow", "numpy", "onnx", "onnxruntime", "tf2onnx")
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "machine": {"system": platform.platform(), "processor": platform.machine(), "threads": cores()},
        "data": _data_fields(prepared.train),
        "test": _data_fields(prepared.test) if prepared.test else None,
    }


def _data_fields(source: ImageSource) -> dict[str, Any]:
    return {
        "file": str(source.file.path),
        "sha256": fingerprint(source.file.path),
        "images": len(source),
        "format": format_fields(source.format),
    }


def _build(config: Config, prepared: Prepared) -> "Autoencoder":
    from aecli.nn.door import OUT_OF_MEMORY

    try:
        return config.model.build(prepared.train.format.image_shape, config.training.seed)
    except OUT_OF_MEMORY as error:
        raise TrainingError(
            "model: its weights do not fit in memory: set a smaller model.latent_dim or model.hidden"
        ) from error


def _fit(
    autoencoder: "Autoencoder", config: Config, prepared: Prepared, records: list[EpochRecord], progress: Progress
) -> int:
    """Train; return the epoch whose weights were kept."""
    from aecli.nn.door import OUT_OF_MEMORY
    from aecli.nn.fit import fit

    epochs = config.training.epochs

    def on_epoch(record: EpochRecord) -> None:
        records.append(record)
        progress.epoch(record, epochs)

    feeds = _feeds(config, prepared)
    if feeds[0].streamed:
        path = prepared.train.file.path
        progress.note(f"{path}: larger than data.memory_budget: streamed from the file in every epoch")
    progress.stage("training")
    try:
        return fit(
            autoencoder,
            *feeds,
            config.training,
            config.model.activity_l1,
            on_epoch,
            lambda done: progress.advance(done, epochs),
        )
    except OUT_OF_MEMORY as error:
        raise TrainingError(
            "training: out of memory: set a smaller training.batch_size, data.memory_budget or model"
        ) from error


def _export(
    autoencoder: "Autoencoder", config: Config, name: str, prepared: Prepared, run: Run, progress: Progress
) -> None:
    from aecli.nn.export import export_onnx, predict

    progress.stage("exporting")
    with written_whole(run.model_file) as temporary:
        autoencoder.model.save(temporary)
    source = prepared.train
    metadata = {
        "config": name,
        "image_shape": source.format.image_shape,
        "value_range": source.format.value_range,
        "latent_dim": config.model.latent_dim,
    }
    for model, file, ends in (
        (autoencoder.encoder, run.encoder_file, ("images", "latents")),
        (autoencoder.decoder, run.decoder_file, ("latents", "images")),
    ):
        with written_whole(file) as temporary:
            export_onnx(model, temporary, *ends, metadata)
    count = min(CHECKED_IMAGES, next(chunk_slices(CHECKED_IMAGES, source.format.image_shape)).stop)
    checked = source.format.to_contract(source.file.take(prepared.split.validation[:count]))
    check_export(predict(autoencoder.model, checked), load_model(run).reconstruct(checked))


def _feeds(config: Config, prepared: Prepared) -> tuple[Feed, Feed]:
    """Return the feeds of the training and of the validation images."""
    megabytes = config.data.memory_budget
    budget = megabytes * 10**6 if megabytes else memory_size() // 4
    split, batch_size = prepared.split, config.training.batch_size
    return (
        Feed(prepared.train, split.train, batch_size, budget),
        Feed(prepared.train, split.validation, batch_size, budget),
    )


def check_export(keras_images: Images, onnx_images: Images) -> None:
    """Raise TrainingError unless Keras and ONNX Runtime reconstruct the same, to EXPORT_TOLERANCE."""
    difference = float(np.abs(keras_images - onnx_images).max())
    if not difference <= EXPORT_TOLERANCE:
        raise TrainingError(
            f"export: ONNX Runtime and Keras differ by {difference:.2g} on validation images, more than "
            f"{EXPORT_TOLERANCE:g}: the reconstructions are too large or not finite; "
            f"try a bounded model.output_activation"
        )


def _measure(
    config: Config, prepared: Prepared, run: Run, records: list[EpochRecord], best_epoch: int, progress: Progress
) -> None:
    progress.stage("fitting PCA")
    source, split, model = prepared.train, prepared.split, load_model(run)
    baselines = fit_baselines(lambda: (images for _, images in source.chunks(split.train)), config.model.latent_dim)
    run.write_baselines(baselines)
    progress.stage("measuring")
    shape = (len(split.validation), *source.format.sample_shape)
    with NpyWriter(run.reconstructions_file, shape, source.format.dtype) as writer:

        def kept(pairs: Iterable[tuple[Images, Images]]) -> Iterator[tuple[Images, Images]]:
            for images, reconstructions in pairs:
                writer.write(source.format.from_contract(reconstructions))
                yield images, reconstructions

        validation = evaluate(kept(reconstruct_chunks(model, source, split.validation)), baselines, keep=("mse",))
    evaluations = {
        "train": evaluate(reconstruct_chunks(model, source, split.train), baselines),
        "validation": validation,
    }
    if prepared.test is not None:
        evaluations["test"] = evaluate(reconstruct_chunks(model, prepared.test), baselines)

    counts = {"train": len(split.train), "validation": len(split.validation)}
    counts |= {"test": len(prepared.test)} if prepared.test is not None else {}
    progress.stage("plotting")
    subject = plots.Subject(
        run, model, source, f"{source.file.path.name} (validation)", split.validation, validation.per_image["mse"]
    )
    for name, kind in plots.KINDS.items():
        plots.save(kind.draw(subject if kind.needs_images else run), run.plots_folder / f"{name}.png")
    run.write_metrics(
        {
            "epochs": len(records),
            "best_epoch": best_epoch,
            "seconds": round(sum(record.seconds for record in records), 3),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "pca_components": len(baselines.components),
            "ssim_window": ssim_window(*source.format.image_shape[:2]),
            "splits": {
                part: {"images": counts[part], **evaluation.summary} for part, evaluation in evaluations.items()
            },
        }
    )

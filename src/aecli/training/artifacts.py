"""From a trained network to the files of its run: models, metrics, pictures."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from aecli.core.errors import TrainingError, WriteError
from aecli.core.files import written_whole
from aecli.core.npy import NpyWriter
from aecli.data.dataset import Rows
from aecli.data.format import Images, Stored
from aecli.runs.baselines import Baselines
from aecli.runs.metrics import METRICS, PerImage, ssim_window
from aecli.runs.model import Model, load_model
from aecli.runs.uses.denoise import corruptor, evaluate_denoising
from aecli.runs.uses.evaluate import evaluate
from aecli.training.session import Network, Training
from aecli.views import plots

EXPORT_TOLERANCE = 1e-5


@dataclass(frozen=True)
class SplitBaselines:
    """The baselines of a split, and their means of every metric where they have been measured."""

    baselines: Baselines
    summaries: dict[str, dict[str, Any]]


def export(training: Training, network: Network) -> str:
    """Write the Keras model and both ONNX models, and check that they reconstruct the same; return a hash of it."""
    from aecli.training.engines.tensorflow.export import predict, weights_hash

    training.stages.enter("exporting")
    network.twin.model.set_weights(network.program.autoencoder.model.get_weights())
    with written_whole(training.run.model_file) as temporary:
        try:
            network.twin.model.save(temporary)
        except ValueError as error:
            if time.gmtime().tm_year >= 1980:
                raise
            raise WriteError(
                f"{training.run.model_file}: cannot be written: the clock of this machine stands before 1980, where "
                f"the dates of .keras files begin: set it"
            ) from error
    source = training.prepared.train
    metadata = {
        "config": training.name,
        "image_shape": source.format.image_shape,
        "value_range": source.format.value_range,
        "latent_dim": training.config.model.latent_dim,
    }
    for half, file in (("encoder", training.run.encoder_file), ("decoder", training.run.decoder_file)):
        with written_whole(file) as temporary:
            network.exporters[half].write(temporary, metadata)
    checked = source.sample(training.prepared.split.validation)
    check_export(predict(network.twin.model, checked), load_model(training.run).reconstruct(checked))
    return weights_hash(network.twin.model)


def check_export(keras_images: Images, onnx_images: Images) -> None:
    """Raise TrainingError unless Keras and ONNX Runtime reconstruct the same, to EXPORT_TOLERANCE."""
    difference = float(np.abs(keras_images - onnx_images).max())
    if not difference <= EXPORT_TOLERANCE:
        raise TrainingError(
            f"export: ONNX Runtime and Keras differ by {difference:.2g} on validation images, more than "
            f"{EXPORT_TOLERANCE:g}: the reconstructions are too large or not finite; "
            f"try a bounded model.output_activation"
        )


def measure(training: Training, best_epoch: int, fitted: SplitBaselines) -> dict[str, Any]:
    """Measure every part of the images, draw the plots; return the content of metrics.json."""
    source, model = training.prepared.train, load_model(training.run)
    splits: dict[str, dict[str, Any]] = {}
    errors: dict[str, PerImage | None] = {}
    for part, (images, rows) in training.prepared.parts.items():
        names = ("mse",) if training.brief and part == "train" else tuple(METRICS)
        with _writer(training, part, rows) as write:
            evaluation = evaluate(
                model.reconstruct, images, fitted.baselines, rows,
                metrics=names, with_baselines=part not in fitted.summaries,
                keep=("mse",) if part == "validation" else (), write=write,
            )  # fmt: skip
        errors[part] = evaluation.per_image.get("mse")
        own = {"model": evaluation.summary.pop("model")}
        baselines = fitted.summaries.setdefault(part, evaluation.summary)
        splits[part] = {"images": len(images) if rows is None else len(rows), **own, **baselines}
    denoising = _measure_denoising(training, model, fitted.baselines)
    if not training.brief:
        training.stages.enter("plotting")
        _plot(training, model, errors["validation"])
    return {
        "epochs": len(training.records),
        "best_epoch": best_epoch,
        "seconds": round(sum(record.seconds for record in training.records), 3),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "pca_components": len(fitted.baselines.components),
        "ssim_window": ssim_window(*source.format.image_shape[:2]),
        "splits": splits,
        **denoising,
    }


def _measure_denoising(training: Training, model: Model, baselines: Baselines) -> dict[str, Any]:
    """Return what metrics.json says of restoring corrupted images, where the training had such."""
    corrupt = corruptor(training.config.training)
    if corrupt is None:
        return {}
    parts = {part: images for part, images in training.prepared.parts.items() if part != "train"}
    return {
        "denoising": {
            part: evaluate_denoising(model.reconstruct, corrupt, images, baselines.mean, rows)
            for part, (images, rows) in parts.items()
        }
    }


@contextlib.contextmanager
def _writer(training: Training, part: str, rows: Rows | None) -> Iterator[Callable[[Stored], object] | None]:
    """Yield what keeps the reconstructions of the validation images, None for the others."""
    if part != "validation" or rows is None or training.brief:
        yield None
        return
    image_format = training.prepared.train.format
    shape = (len(rows), *image_format.sample_shape)
    with NpyWriter(training.run.reconstructions_file, shape, image_format.dtype) as writer:
        yield writer.write


def _plot(training: Training, model: Model, errors: PerImage | None) -> None:
    source, rows = training.prepared.train, training.prepared.split.validation
    subject = plots.Subject(training.run, model, source, f"{source.file.path.name} (validation)", rows, errors)
    for name, kind in plots.KINDS.items():
        if name == "denoising" and training.config.training.corruption is None:
            continue
        figure = kind.draw(subject if kind.needs_images else training.run)
        plots.save(figure, training.run.plots_folder / f"{name}.png")

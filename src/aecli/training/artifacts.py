"""What a run leaves behind: a list of artifacts, each a function of the trained run that writes its files.

`FULL` is what `ae train` writes, without its pictures, which the views draw; `STUDY` leaves out what a study has no
use for: the reconstructions, the metrics of each held-out image, and all metrics of the training images but the mse.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from aecli.core.errors import TrainingError, WriteError
from aecli.core.files import written_whole
from aecli.core.npy import NpyWriter
from aecli.data.format import Images, Stored
from aecli.models.autoencoder import Autoencoder
from aecli.models.linear.fit import LinearCodes
from aecli.models.losses.likelihood import likelihood_of
from aecli.models.losses.window import ssim_window
from aecli.runs.baselines import Baselines
from aecli.runs.diagnosis import COLLAPSED_KL
from aecli.runs.metrics import PerImage
from aecli.runs.model import Model, load_model
from aecli.runs.records import EpochRecord
from aecli.runs.run import Run
from aecli.runs.uses.denoise import ValidationCorruption, evaluate_denoising
from aecli.runs.uses.evaluate import evaluate
from aecli.runs.uses.latents import LatentSpread
from aecli.runs.uses.likelihood import Density
from aecli.runs.uses.scoring.held_out import ROWS, HeldOut, kept_metrics, write_held_out
from aecli.training.export.kinds import PARTS
from aecli.training.export.metadata import metadata_of
from aecli.training.export.onnx_writer import write_onnx
from aecli.training.prepare import Prepared
from aecli.training.progress import Stages

_EXPORT_TOLERANCE = 1e-5
"""What rounding may change where no number inside the network is above 1; float32 rounds others in proportion."""


@dataclass(frozen=True)
class SplitBaselines:
    """The baselines of a split, and their means of every metric by part, filled in as parts are measured.

    `codes` are the linear codes that were tried.
    """

    codes: LinearCodes
    baselines: Baselines
    summaries: dict[str, dict[str, Any]]


@dataclass
class TrainedRun:
    """A run whose network is trained, on its way to being complete.

    `autoencoder` is in float32, with the weights that were kept. Artifacts add to `metrics`, the content of
    metrics.json, and leave in `errors` the mse of each validation image.
    """

    run: Run
    name: str
    prepared: Prepared
    autoencoder: Autoencoder
    records: Sequence[EpochRecord]
    best_epoch: int
    stages: Stages
    baselines: SplitBaselines
    metrics: dict[str, Any] = field(default_factory=dict)
    errors: PerImage | None = None

    @cached_property
    def model(self) -> Model:
        """The exported model, which all that is measured and drawn is computed by."""
        return load_model(self.run)


Artifact = Callable[[TrainedRun], None]


def save_keras_model(trained: TrainedRun) -> None:
    """Write model.keras."""
    trained.stages.enter("exporting")
    path = trained.run.model_file
    with written_whole(path) as temporary:
        try:
            trained.autoencoder.model.save(temporary)
        except ValueError as error:
            if time.gmtime().tm_year >= 1980:
                raise
            raise WriteError(
                f"{path}: cannot be written: the clock of this machine stands before 1980, where "
                f"the dates of .keras files begin: set it"
            ) from error


def save_onnx_models(trained: TrainedRun) -> None:
    """Write encoder.onnx and decoder.onnx, and check on validation images that they compute what Keras does."""
    from aecli.models.layers import predict

    trained.stages.enter("exporting")
    source = trained.prepared.train
    autoencoder, run = trained.autoencoder, trained.run
    for half, file, part, made in (
        (autoencoder.encoder, run.encoder_file, PARTS["encoder"], autoencoder.code_names),
        (autoencoder.decoder, run.decoder_file, PARTS["decoder"], (PARTS["decoder"].made,)),
    ):
        length = trained.prepared.code_length
        metadata = metadata_of(part, trained.name, source.format, source.decoding, length, made)
        with written_whole(file) as temporary:
            write_onnx(half, temporary, part.given, made, metadata)
    sample = source.sample(trained.prepared.split.validation)
    largest = float(np.abs(trained.model.encode(sample)).max())
    check_export(predict(autoencoder.model, sample), trained.model.reconstruct(sample), largest)


def check_export(keras_images: Images, onnx_images: Images, largest: float = 1.0) -> None:
    """Raise TrainingError unless Keras and ONNX Runtime reconstruct the same, but for rounding.

    That is to 1e-5 where the latents lie within -1 and 1, and in proportion to the `largest` where it is above.
    """
    difference, limit = float(np.abs(keras_images - onnx_images).max()), _EXPORT_TOLERANCE * max(1.0, largest)
    if not difference <= limit:
        raise TrainingError(
            f"export: ONNX Runtime and Keras differ by {difference:.2g} on validation images, more than "
            f"{limit:.2g}: the values in the network are too large or not finite; "
            f"try a smaller training.learning_rate or a bounded model.output_activation"
        )


def save_baselines(trained: TrainedRun) -> None:
    """Write baselines.npz: the mean image, PCA and the best linear code of the training images."""
    trained.run.write_baselines(trained.baselines.baselines)


def measure_all(trained: TrainedRun) -> None:
    """Measure every metric on every part of the images; write the validation images' reconstructions, held_out.npz."""
    rows, image_format = trained.prepared.split.validation, trained.prepared.train.format
    shape = (len(rows), *image_format.sample_shape)
    trained.stages.enter("measuring")
    with NpyWriter(trained.run.reconstructions_file, shape, image_format.dtype) as writer:
        held_out = _measure(trained, None, writer.write, kept_metrics())
    write_held_out(trained.run, held_out)


def measure_for_study(trained: TrainedRun) -> None:
    """Measure every metric on validation and test images, the mse on the training images."""
    trained.stages.enter("measuring")
    _measure(trained, ("mse",), None)


FULL: tuple[Artifact, ...] = (save_keras_model, save_onnx_models, save_baselines, measure_all)
STUDY: tuple[Artifact, ...] = (save_keras_model, save_onnx_models, save_baselines, measure_for_study)


def _measure(
    trained: TrainedRun,
    train_metrics: Collection[str] | None,
    write: Callable[[Stored], object] | None,
    keep: Collection[str] = (),
) -> HeldOut:
    """Fill in the metrics of a run; return the metrics in `keep` of each of its held-out images."""
    prepared, fitted = trained.prepared, trained.baselines
    last = [*prepared.parts][-1]
    held_out: dict[str, dict[str, PerImage]] = {}
    splits: dict[str, dict[str, Any]] = {}
    spread = LatentSpread(trained.model)
    for part, (images, rows) in prepared.parts.items():
        evaluation = evaluate(
            spread.reconstruct if part == "validation" else trained.model.reconstruct, images, fitted.baselines, rows,
            metrics=train_metrics if part == "train" else None,
            with_baselines=part not in fitted.summaries or (part == last and bool(keep)),
            keep=_kept_of(part, keep if part == last else ()), keep_baselines=bool(keep),
            write=write if part == "validation" else None,
        )  # fmt: skip
        if part == last:
            held_out = evaluation.kept
        if part == "validation":
            trained.errors = evaluation.per_image["mse"]
        model_row = {"model": evaluation.summary.pop("model")}
        baselines = fitted.summaries.setdefault(part, evaluation.summary)
        splits[part] = {"images": len(images) if rows is None else len(rows), **model_row, **baselines}
    trained.metrics |= {
        "epochs": len(trained.records),
        "best_epoch": trained.best_epoch,
        "seconds": round(sum(record.seconds for record in trained.records), 3),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "pca_components": len(fitted.baselines.components),
        "best_linear": fitted.baselines.best_linear and fitted.baselines.best_linear.name,
        "ssim_window": ssim_window(*prepared.train.format.image_shape[:2]),
        "splits": splits,
        "dead_latents": spread.dead,
        **_count_bits(trained.prepared),
        **_measure_denoising(trained),
        **_measure_likelihood(trained),
    }
    return HeldOut(last, {row: held_out[row] for row in ROWS if row in held_out})


def _kept_of(part: str, keep: Collection[str]) -> tuple[str, ...]:
    """Return the metrics to keep of each image of a part: the mse of the validation images is drawn."""
    return tuple(dict.fromkeys((*(("mse",) if part == "validation" else ()), *keep)))


def _count_bits(prepared: Prepared) -> dict[str, Any]:
    """Return what metrics.json says of the length of a quantised code."""
    code = prepared.config.model.code
    quantised = code.quantised if code else None
    return {"bits_per_image": quantised.bits(prepared.code_length)} if quantised else {}


def _measure_likelihood(trained: TrainedRun) -> dict[str, Any]:
    """Return what metrics.json says of a variational network as a distribution; latents that carry nothing are dead."""
    scale, training = trained.autoencoder.scale, trained.prepared.config.training
    likelihood = likelihood_of(training.loss)
    if scale is None or likelihood is None:
        return {}
    value = float(scale)
    density = Density(trained.model, likelihood, value, training.seed)
    parts = {part: images for part, images in trained.prepared.parts.items() if part != "train"}
    bounds = {part: density.measure(images, rows) for part, (images, rows) in parts.items()}
    latent_kl = bounds["validation"].latent_kl
    return {
        "variational": {
            "distribution": likelihood.name,
            "scale": value,
            "sigma": likelihood.sigma(value) if likelihood.sigma else None,
            "splits": {part: bound.to_json() for part, bound in bounds.items()},
        },
        "latent_kl": latent_kl,
        "dead_latents": [i for i, kl in enumerate(latent_kl) if kl < COLLAPSED_KL],
    }


def _measure_denoising(trained: TrainedRun) -> dict[str, Any]:
    """Return what metrics.json says of restoring corrupted images, where the training had such."""
    corrupt = ValidationCorruption.from_config(trained.prepared.config.training)
    if corrupt is None:
        return {}
    reconstruct, baselines = trained.model.reconstruct, trained.baselines.baselines
    parts = {part: images for part, images in trained.prepared.parts.items() if part != "train"}
    return {
        "denoising": {
            part: evaluate_denoising(reconstruct, corrupt, images, baselines, rows)
            for part, (images, rows) in parts.items()
        }
    }

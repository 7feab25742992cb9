"""Using a trained model: chunk by chunk, with ONNX Runtime, never TensorFlow."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.baselines import Baselines
from aecli.data import CHUNK_BYTES, ArrayFile, ImageSource, open_images, open_source, scan
from aecli.errors import DataError, RunError, one_line
from aecli.images import ImageFormat, Images
from aecli.machine import cores
from aecli.metrics import Means, PerImage, mse, per_image
from aecli.run import Run

Latents = NDArray[np.float32]
"""Codes, float32 (N, latent_dim)."""


@dataclass(frozen=True)
class Model:
    """A run's encoder and decoder."""

    encoder: Any
    decoder: Any
    image_shape: tuple[int, int, int]
    latent_dim: int

    def encode(self, images: Images) -> Latents:
        """Return the latents (N, latent_dim) of images (N, H, W, C)."""
        return np.asarray(self.encoder.run(None, {"images": images})[0])

    def decode(self, latents: Latents) -> Images:
        """Return the images (N, H, W, C) of latents (N, latent_dim)."""
        return np.asarray(self.decoder.run(None, {"latents": latents})[0])

    def reconstruct(self, images: Images) -> Images:
        """Return the reconstructions of images, both (N, H, W, C)."""
        return self.decode(self.encode(images))


def load_model(run: Run) -> Model:
    """Load the encoder and the decoder of a run; RunError when a file is missing or damaged."""
    encoder, decoder = _session(run.encoder_file, "images"), _session(run.decoder_file, "latents")
    image_shape, latents = encoder.get_inputs()[0].shape[1:], decoder.get_inputs()[0].shape[1:]
    outputs = [session.get_outputs()[0].shape[1:] for session in (encoder, decoder)]
    if image_shape != list(run.image_format.image_shape) or outputs != [latents, image_shape]:
        raise RunError(f"{run.path}: encoder.onnx and decoder.onnx do not belong together: train the run again")
    return Model(encoder, decoder, tuple(image_shape), latents[0])


def _session(path: Path, input_name: str) -> Any:
    import onnxruntime

    if not path.is_file():
        raise RunError(f"{path}: is missing from the run: train it again with ae train --overwrite")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = cores()
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class of their own
        raise RunError(f"{path}: is damaged ({one_line(error)[:120]}): train the run again") from error
    if [i.name for i in session.get_inputs()] != [input_name]:
        raise RunError(f"{path}: is another program's model: train the run again")
    return session


def open_images_like(path: Path, trained: ImageFormat, value_range: tuple[float, float] | None = None) -> ImageSource:
    """Open images for a model trained on images of the format `trained`.

    Flat rows are read with the model's image shape. Images of the dtype trained on have its value
    range; for another dtype `value_range` or, where that is None, the data decide. Raises DataError.
    """
    file = open_source(path)
    if prod(file.shape[1:]) != prod(trained.image_shape):
        raise DataError(
            f"{path}: the run expects images of {_size(trained.image_shape)}, "
            f"found shape {list(file.shape)}: give images of that size"
        )
    expected = trained.image_shape if file.shape[3:] else trained.image_shape[:2]
    if len(file.shape) > 2 and file.shape[1:] != expected:
        raise DataError(
            f"{path}: the run expects images of {_size(trained.image_shape)}, "
            f"found shape {list(file.shape)}: rearrange the array's axes"
        )
    same_units = file.dtype.newbyteorder("=") == np.dtype(trained.dtype).newbyteorder("=") or (
        file.dtype.kind == "f" == np.dtype(trained.dtype).kind
    )
    known = trained.value_range if same_units else value_range
    source = open_images(path, trained.image_shape, known, "as in training")
    low, high = source.format.value_range
    slack = high - low
    if source.scan.low < low - slack or source.scan.high > high + slack:
        raise DataError(
            f"{path}: values from {source.scan.low:g} to {source.scan.high:g} are far outside the run's value range "
            f"[{low:g}, {high:g}]: bring the images to the units of the training images"
        )
    return source


def _size(image_shape: tuple[int, int, int]) -> str:
    return " x ".join(map(str, image_shape))


def open_latents(path: Path, latent_dim: int) -> ArrayFile:
    """Open latents (N, latent_dim), all finite; raises DataError."""
    file = open_source(path)
    if len(file.shape) != 2 or file.shape[1] != latent_dim:
        raise DataError(
            f"{path}: the run expects latents (N, {latent_dim}), found shape {list(file.shape)}: "
            f"give what 'ae encode' wrote for this run"
        )
    found = scan(file)
    if max(-found.low, found.high) > float(np.finfo(np.float32).max):
        raise DataError(f"{path}: latents beyond the range of float32: give what 'ae encode' wrote for this run")
    return file


def decode_chunks(model: Model, latents: ArrayFile) -> Iterator[Images]:
    """Yield the decoded images, chunk by chunk."""
    step = max(1, CHUNK_BYTES // (4 * prod(model.image_shape)))
    for start in range(0, len(latents), step):
        yield model.decode(latents.read(start, min(start + step, len(latents))).astype(np.float32))


def reconstruct_chunks(
    model: Model, source: ImageSource, rows: NDArray[np.int64] | None = None
) -> Iterator[tuple[Images, Images]]:
    """Yield (images, reconstructions) over the source, or over some of its rows."""
    for _, images in source.chunks(rows):
        yield images, model.reconstruct(images)


@dataclass(frozen=True)
class Evaluation:
    """The means of every metric, {row: {metric: mean}}, and the values of each image that were kept.

    The rows are `model` and, where measured, `mean_image` and `pca`.
    """

    summary: dict[str, dict[str, float | int | None]]
    per_image: dict[str, PerImage]

    def to_csv(self) -> str:
        """Return one line per image: its number and every metric kept, "inf" for an exact copy."""
        lines = [",".join(["image", *self.per_image])]
        for i, values in enumerate(zip(*self.per_image.values(), strict=True)):
            lines.append(",".join([str(i), *(f"{value:.9g}" for value in values)]))
        return "\n".join(lines) + "\n"


def evaluate(
    pairs: Iterable[tuple[Images, Images]],
    baselines: Baselines,
    *,
    with_baselines: bool = True,
    keep: Collection[str] = (),
) -> Evaluation:
    """Measure (images, reconstructions) chunks, and the baselines on the same images.

    Only the metrics named in `keep` are kept for each image; the rest takes no memory per image.
    """
    rows = {name: Means() for name in (("model", "mean_image", "pca") if with_baselines else ("model",))}
    kept: dict[str, list[PerImage]] = {name: [] for name in keep}
    mean_image_error = 0.0
    for images, reconstructions in pairs:
        values = per_image(images, reconstructions)
        rows["model"].add(values)
        for name, parts in kept.items():
            parts.append(values[name])
        mean_image = baselines.reconstruct_mean(images)
        mean_image_error += float(mse(images, mean_image).sum())
        if with_baselines:
            rows["mean_image"].add(per_image(images, mean_image))
            rows["pca"].add(per_image(images, baselines.reconstruct_pca(images)))
    mean_image_mse = mean_image_error / max(1, rows["model"].count)
    return Evaluation(
        {name: means.summary(mean_image_mse) for name, means in rows.items()},
        {name: np.concatenate(parts) for name, parts in kept.items()},
    )

"""Using a trained model: chunk by chunk, with ONNX Runtime, never TensorFlow."""

import csv
import io
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.baselines import Baselines
from aecli.core.errors import DataError, ReadError, RunError, escaped, one_line, unreadable
from aecli.core.machine import ordered_map
from aecli.core.progress import Told, untold
from aecli.data.dataset import ImageSource, chunk_slices, images_of, open_images_like, scan
from aecli.data.files.arrays import ArrayFile
from aecli.data.files.open import holds_pictures, open_source
from aecli.data.format import Images, Stored
from aecli.metrics import METRICS, Means, PerImage, mse, per_image
from aecli.onnx_file import read_graph
from aecli.run import Run
from aecli.run_content import decoding_of

Latents = NDArray[np.float32]
"""Codes, float32 (N, latent_dim)."""


@dataclass(frozen=True)
class Model:
    """A run's encoder and decoder."""

    encoder: Any
    decoder: Any
    image_shape: tuple[int, int, int]
    latent_dim: int
    where: str = "model"

    def encode(self, images: Images) -> Latents:
        """Return the latents (N, latent_dim) of images (N, H, W, C)."""
        return self._run(self.encoder, {"images": images}, (len(images), self.latent_dim))

    def decode(self, latents: Latents) -> Images:
        """Return the images (N, H, W, C) of latents (N, latent_dim)."""
        return self._run(self.decoder, {"latents": latents}, (len(latents), *self.image_shape))

    def _run(self, session: Any, given: dict[str, NDArray[np.float32]], shape: tuple[int, ...]) -> NDArray[np.float32]:
        try:
            result = np.asarray(session.run(None, given)[0])
        except Exception as error:  # ONNX Runtime's errors share no base class of their own
            raise RunError(
                f"{self.where}: cannot be computed ({one_line(error)[:120]}): free some memory, or train the run again"
            ) from error
        if result.shape != shape or result.dtype != np.float32:
            raise RunError(f"{self.where}: gives other values than its file says: train the run again")
        return result

    def reconstruct(self, images: Images) -> Images:
        """Return the reconstructions of images, both (N, H, W, C)."""
        return self.decode(self.encode(images))


def load_model(run: Run) -> Model:
    """Load the encoder and the decoder of a run; RunError when a file is missing or damaged."""
    encoder, decoder = _session(run.encoder_file, "images"), _session(run.decoder_file, "latents")
    image_shape, latents = encoder.get_inputs()[0].shape[1:], decoder.get_inputs()[0].shape[1:]
    outputs = [session.get_outputs()[0].shape[1:] for session in (encoder, decoder)]
    fits = image_shape == list(run.image_format.image_shape) and outputs == [latents, image_shape]
    if not fits or [type(axis) for axis in latents] != [int]:
        raise RunError(f"{run.path}: encoder.onnx and decoder.onnx do not belong together: train the run again")
    return Model(encoder, decoder, tuple(image_shape), latents[0], str(run.path))


def _session(path: Path, input_name: str) -> Any:
    # From 1.29 on it tells its makers of every session, and keeps a number for this user in ~/.cache.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    if not path.is_file():
        raise RunError(f"{path}: is missing from the run: train it again with ae train --overwrite")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Chunks are worked on side by side: one thread for each.
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(read_graph(path), options, providers=["CPUExecutionProvider"])
    except MemoryError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # ONNX Runtime's errors share no base class of their own
        raise RunError(f"{path}: is damaged ({one_line(error)[:120]}): train the run again") from error
    if [i.name for i in session.get_inputs()] != [input_name] or len(session.get_outputs()) != 1:
        raise RunError(f"{path}: is another program's model: train the run again")
    return session


def open_images_for(run: Run, path: Path, told: Told = untold) -> ImageSource:
    """Open images for the model of a run; pictures become what those of its training did. Raises DataError."""
    return open_images_like(path, run.image_format, fit=run.decoding.fit, told=told)


def reopen_images(run: Run, fields: Mapping[str, Any], cure: str, *, name_only: bool = False) -> ImageSource:
    """Open the images that a run was trained or tested on, `fields` of its environment.json.

    Raises RunError with the cure where they are gone, or no longer those of the training; `name_only` keeps the
    folder they are in out of it.
    """
    path, trained = Path(str(fields["file"])), run.image_format
    where = f"{path.name if name_only else path}: what the run was trained or tested on"
    if not path.exists():
        raise RunError(f"{where} is no longer there: {cure}")
    try:
        decoding = decoding_of(fields)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise RunError(f"{run.environment_file}: is damaged ({one_line(error)[:120]}): train the run again") from error
    try:
        file = open_source(path, decoding)
        unchanged = file.fingerprint() == fields["sha256"]
    except ReadError as error:
        raise RunError(f"{where} cannot be read ({getattr(error.__cause__, 'strerror', error)}): {cure}") from error
    except DataError:
        unchanged = False
    if not unchanged:
        raise RunError(f"{where} has changed since: {cure}")
    return images_of(file, trained.image_shape, trained.value_range, decoding=decoding)


def open_latents(path: Path, latent_dim: int) -> ArrayFile:
    """Open latents (N, latent_dim), all finite; raises DataError."""
    if holds_pictures(path):
        raise DataError(f"{path}: expected an .npy of latents (N, {latent_dim}): give what 'ae encode' wrote")
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

    def decode(part: slice) -> Images:
        return model.decode(latents.read(part.start, part.stop).astype(np.float32))

    return ordered_map(decode, chunk_slices(len(latents), model.image_shape))


@dataclass(frozen=True)
class Evaluation:
    """The means of every metric, {row: {metric: mean}}, and the values of each image that were kept.

    The rows are `model` and, where measured, `mean_image` and `pca`.
    """

    summary: dict[str, dict[str, float | int | None]]
    per_image: dict[str, PerImage]

    def to_csv(self, names: Sequence[str] | None = None) -> str:
        """Return one line per image: its number, its file where `names` has it, and every metric kept.

        An exact copy has a psnr of "inf".
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["image", *(["file"] if names else []), *self.per_image])
        for i, values in enumerate(zip(*self.per_image.values(), strict=True)):
            file = [escaped(names[i])] if names else []
            writer.writerow([i, *file, *(f"{value:.9g}" for value in values)])
        return text.getvalue()


@dataclass(frozen=True)
class _Measured:
    """What is kept of one chunk: the values of its images by row, and its reconstructions where they are wanted."""

    rows: dict[str, dict[str, PerImage]]
    mean_image_error: float
    stored: Stored | None


def evaluate(
    reconstruct: Callable[[Images], Images],
    source: ImageSource,
    baselines: Baselines,
    rows: NDArray[np.int64] | None = None,
    *,
    metrics: Collection[str] = tuple(METRICS),
    with_baselines: bool = True,
    keep: Collection[str] = (),
    write: Callable[[Stored], object] | None = None,
) -> Evaluation:
    """Measure `reconstruct` on the images of a source or of some of its rows, and the baselines on the same.

    `metrics` are names of METRICS, for the model's row; the baselines get all of them.
    Only the metrics named in `keep` are kept for each image; the rest takes no memory per image.
    `write` receives the reconstructions as they are stored, chunk by chunk in order.
    """
    others = {"mean_image": baselines.reconstruct_mean, "pca": baselines.reconstruct_pca} if with_baselines else {}

    def measure(images: Images) -> _Measured:
        reconstructions = reconstruct(images)
        values = {"model": per_image(images, reconstructions, metrics)}
        values |= {name: per_image(images, other(images)) for name, other in others.items()}
        error = float(mse(images, baselines.reconstruct_mean(images)).sum())
        return _Measured(values, error, source.format.from_contract(reconstructions) if write else None)

    means = {"model": Means(metrics), **{name: Means() for name in others}}
    kept: dict[str, list[PerImage]] = {name: [] for name in keep}
    mean_image_error = 0.0
    for measured in source.map(measure, rows):
        if write is not None and measured.stored is not None:
            write(measured.stored)
        for name, values in measured.rows.items():
            means[name].add(values)
        for name, parts in kept.items():
            parts.append(measured.rows["model"][name])
        mean_image_error += measured.mean_image_error
    mean_image_mse = mean_image_error / max(1, means["model"].count)
    return Evaluation(
        {name: row.summary(mean_image_mse) for name, row in means.items()},
        {name: np.concatenate(parts) for name, parts in kept.items()},
    )

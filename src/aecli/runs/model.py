"""A run's model, computed by ONNX Runtime: encoder, decoder, and both one after the other."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import RunError, one_line, unreadable
from aecli.data.format import ImageFormat, Images
from aecli.runs.onnx_check import read_graph

_MOST_BYTES = 32 * 2**20
"""What the largest value inside a network may take at a time: a convolution's is many times its image."""

_GAUSSIAN = ["latents", "log_variances"]
"""The outputs of the encoder of a Gaussian code."""

Latents = NDArray[np.float32]
"""Codes, float32 (N, latent_dim)."""


@dataclass(frozen=True)
class Model:
    """A run's encoder and decoder; `largest` is how many numbers the largest value of each has for an image."""

    encoder: Any
    decoder: Any
    image_shape: tuple[int, int, int]
    latent_dim: int
    label: str = "model"
    largest: tuple[int, int] = (1, 1)

    def encode(self, images: Images) -> Latents:
        """Return the latents (N, latent_dim) of images (N, H, W, C)."""
        return self._encode(images)[0]

    @property
    def variational(self) -> bool:
        """Whether its code is a Gaussian for each image."""
        return len(self.encoder.get_outputs()) > 1

    def posterior(self, images: Images) -> tuple[Latents, Latents]:
        """Return the means and the log-variances (N, latent_dim) of a Gaussian code of images (N, H, W, C)."""
        means, log_variances = self._encode(images)
        return means, log_variances

    def decode(self, latents: Latents) -> Images:
        """Return the images (N, H, W, C) of latents (N, latent_dim)."""
        return self._run(self.decoder, "latents", latents, self.image_shape, self.largest[1])[0]

    def _encode(self, images: Images) -> list[Latents]:
        return self._run(self.encoder, "images", images, (self.latent_dim,), self.largest[0])

    def _run(
        self, session: Any, name: str, given: NDArray[np.float32], shape: tuple[int, ...], largest: int
    ) -> list[NDArray[np.float32]]:
        """Compute the outputs, of so few rows at a time that the largest value inside takes no more than _MOST_BYTES.

        `largest` is how many numbers that has for a row.
        """
        step = max(1, _MOST_BYTES // (4 * largest))
        if len(given) > step:
            starts = range(0, len(given), step)
            parts = [self._run(session, name, given[start : start + step], shape, largest) for start in starts]
            return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]
        try:
            results = [np.asarray(result) for result in session.run(None, {name: given})]
        except Exception as error:  # ONNX Runtime's errors share no base class of their own
            raise RunError(
                f"{self.label}: cannot be computed ({one_line(error)[:120]}): free some memory, or train the run again"
            ) from error
        if any(result.shape != (len(given), *shape) or result.dtype != np.float32 for result in results):
            raise RunError(f"{self.label}: gives other values than its file says: train the run again")
        return results

    def reconstruct(self, images: Images) -> Images:
        """Return the reconstructions of images, both (N, H, W, C)."""
        return self.decode(self.encode(images))


class ModelFiles(Protocol):
    """What a model is loaded from: a run, or what stands for one."""

    @property
    def path(self) -> Path:
        """The folder, which messages name."""

    @property
    def encoder_file(self) -> Path:
        """The encoder as ONNX."""

    @property
    def decoder_file(self) -> Path:
        """The decoder as ONNX."""

    @property
    def image_format(self) -> ImageFormat:
        """The format of the training images."""


def load_model(run: ModelFiles) -> Model:
    """Load the encoder and the decoder of a run; RunError when a file is missing or damaged."""
    (encoder, most), (decoder, most_decoding) = (
        _session(run.encoder_file, "images"),
        _session(run.decoder_file, "latents"),
    )
    image_shape, latents = encoder.get_inputs()[0].shape[1:], decoder.get_inputs()[0].shape[1:]
    codes, [images] = ([output.shape[1:] for output in session.get_outputs()] for session in (encoder, decoder))
    fits = (
        image_shape == list(run.image_format.image_shape)
        and images == image_shape
        and codes in ([latents], [latents] * 2)
    )
    if not fits or [type(axis) for axis in latents] != [int]:
        raise RunError(f"{run.path}: encoder.onnx and decoder.onnx do not belong together: train the run again")
    return Model(encoder, decoder, tuple(image_shape), latents[0], str(run.path), (most, most_decoding))


def weights_sha256(run: ModelFiles) -> str:
    """Return the hash of the encoder and the decoder: codes, and what was measured, are theirs."""
    digest = hashlib.sha256()
    for path in (run.encoder_file, run.decoder_file):
        try:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            raise unreadable(path, error) from error
    return digest.hexdigest()


def onnx_runtime() -> Any:
    """Return the module of ONNX Runtime; ImportError where it cannot be imported."""
    # From 1.29 on it tells its makers of every session, and keeps a number for this user in ~/.cache.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def open_session(model: bytes | str) -> Any:
    """Return a session of ONNX Runtime on the CPU, of the content of a file that is safe to run, or its path."""
    onnxruntime = onnx_runtime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Chunks are worked on side by side: one thread for each.
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _session(path: Path, input_name: str) -> tuple[Any, int]:
    """Return a session, and how many numbers the largest of its values has for an image."""
    if not path.is_file():
        raise RunError(f"{path}: is missing from the run: train it again with ae train --overwrite")
    try:
        graph = read_graph(path)
        session = open_session(graph.content)
    except MemoryError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # ONNX Runtime's errors share no base class of their own
        raise RunError(f"{path}: is damaged ({one_line(error)[:120]}): train the run again") from error
    made = [output.name for output in session.get_outputs()]
    if [i.name for i in session.get_inputs()] != [input_name] or (len(made) != 1 and made != _GAUSSIAN):
        raise RunError(f"{path}: is another program's model: train the run again")
    return session, graph.largest

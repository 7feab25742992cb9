"""What a run is given to work on: images in its format, and latents."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aecli.core.errors import DataError, ReadError, RunError, one_line
from aecli.core.machine import ordered_map
from aecli.core.progress import ProgressCallback, no_progress
from aecli.data.dataset import ImageDataset, chunk_slices, images_of, open_images_like, scan
from aecli.data.files.arrays import ArrayFile
from aecli.data.files.open import holds_pictures, is_there, open_source
from aecli.data.format import Images
from aecli.runs.content import decoding_of
from aecli.runs.model import Model
from aecli.runs.run import Run


def open_images_for(run: Run, path: Path, on_progress: ProgressCallback = no_progress) -> ImageDataset:
    """Open images for the model of a run; pictures become what those of its training did. Raises DataError."""
    asked = run.decoding
    return open_images_like(
        path, run.image_format, fit=asked.fit, frames=asked.frames, on_progress=on_progress, axes=asked.axes
    )


def reopen_images(run: Run, fields: Mapping[str, Any], cure: str, *, name_only: bool = False) -> ImageDataset:
    """Open the images that a run was trained or tested on, `fields` of its environment.json.

    Raises RunError with the cure where they are gone, or no longer those of the training; `name_only` keeps the
    folder they are in out of it.
    """
    path, trained = Path(str(fields["file"])), run.image_format
    place = f"{path.name if name_only else path}: what the run was trained or tested on"
    if not is_there(path):
        raise RunError(f"{place} is no longer there: {cure}")
    try:
        decoding = decoding_of(fields)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise RunError(f"{run.environment_file}: is damaged ({one_line(error)[:120]}): train the run again") from error
    try:
        file = open_source(path, decoding)
        unchanged = file.fingerprint() == fields["sha256"]
    except ReadError as error:
        raise RunError(f"{place} cannot be read ({getattr(error.__cause__, 'strerror', error)}): {cure}") from error
    except DataError:
        unchanged = False
    if not unchanged:
        raise RunError(f"{place} has changed since: {cure}")
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
    scanned = scan(file)
    if max(-scanned.low, scanned.high) > float(np.finfo(np.float32).max):
        raise DataError(f"{path}: latents beyond the range of float32: give what 'ae encode' wrote for this run")
    return file


def decode_chunks(model: Model, latents: ArrayFile) -> Iterator[Images]:
    """Yield the decoded images, chunk by chunk."""

    def decode(part: slice) -> Images:
        return model.decode(latents.read(part.start, part.stop).astype(np.float32))

    return ordered_map(decode, chunk_slices(len(latents), model.image_shape))

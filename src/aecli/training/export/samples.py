"""The images that an export is measured on: validation images, or what a run keeps where those are gone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aecli.core.errors import AeError, RunError
from aecli.core.rng import Draws, draw_key
from aecli.data.dataset import open_images_like
from aecli.data.format import Images
from aecli.runs.run import Run
from aecli.runs.uses.inputs import reopen_images

_DRAWN = 64
"""Images drawn from a linear code."""

_CURE = "say with --data where it is"


@dataclass(frozen=True)
class Sample:
    """Images (N, H, W, C), what they are in a few words, and why they are not validation images, if they are none."""

    images: Images
    about: str
    reason: str | None = None


def sample_of(run: Run, data: Path | None = None) -> Sample:
    """Return some validation images of a run, from `data` where its training images are there now.

    Where they are gone, and no `data` is given: their reconstructions, which most runs keep, or images drawn from the
    linear code that all of them keep. Raises RunError where there is nothing of the kind.
    """
    fields = run.environment["data"]
    try:
        source = reopen_images(run, fields if data is None else {**fields, "file": str(data)}, _CURE)
    except RunError as error:
        if data is not None:
            raise
        return _kept(run, error)
    images = source.sample(run.split.validation)
    return Sample(images, f"{len(images):,} validation images")


def _kept(run: Run, error: RunError) -> Sample:
    if run.reconstructions_file.is_file():
        source = open_images_like(run.reconstructions_file, run.image_format, run.image_format.value_range)
        images = source.sample(np.arange(len(source)))
        return Sample(images, f"reconstructions of {len(images):,} validation images", str(error))
    try:
        images = _drawn(run)
    except AeError:
        raise error from None
    return Sample(images, f"{len(images):,} images drawn from the run's linear code", str(error))


def _drawn(run: Run) -> Images:
    """Return images of the best linear code, their codes of the spread of the training images, clipped to [0, 1]."""
    code = run.baselines.best_linear
    if code is None:
        raise RunError(f"{run.path}: keeps no linear code: {_CURE}")
    rows = np.arange(_DRAWN, dtype=np.uint32)
    normal = Draws(np, np.array(draw_key(0, 0), np.uint32), rows).normal(0, len(code.scale))
    pixels = (normal * code.scale) @ code.directions
    return np.asarray(np.clip(pixels.reshape(-1, *code.mean.shape) + code.mean, 0, 1), np.float32)

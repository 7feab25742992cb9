"""Denoising: how well a run that was trained on corrupted images restores them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aecli.core.errors import NotInRunError
from aecli.core.rng import VALIDATION, Draws, draw_key
from aecli.data.corruption import Corruption
from aecli.data.dataset import ImageDataset, Rows
from aecli.data.format import Images, Stored
from aecli.runs.baselines import Baselines
from aecli.runs.config import TrainingConfig
from aecli.runs.config_file import load_recorded
from aecli.runs.metrics import PerImage, RunningMeans, mse, per_image
from aecli.runs.run import Run


@dataclass(frozen=True)
class ValidationCorruption:
    """Corrupts images as a training corrupts its validation images: alike in every epoch."""

    corruption: Corruption
    seed: int

    def __call__(self, images: Images, rows: Rows) -> Images:
        """Return images (N, H, W, C) corrupted, by their rows in the file (N,)."""
        key = np.array(draw_key(self.seed, VALIDATION), np.uint32)
        return np.asarray(self.corruption.apply(images, Draws(np, key, rows.astype(np.uint32))))

    @classmethod
    def from_config(cls, training: TrainingConfig) -> "ValidationCorruption | None":
        """Return what corrupts the validation images of a training; None where nothing does."""
        return None if training.corruption is None else cls(training.corruption, training.seed)

    @classmethod
    def from_run(cls, run: Run) -> "ValidationCorruption":
        """Return what corrupted a run's validation images; NotInRunError where nothing did."""
        corruption = cls.from_config(load_recorded(run.config_file).config.training)
        if corruption is None:
            raise NotInRunError(
                f"{run.path}: was trained without training.corruption: train one that denoises, "
                f"e.g. ae train -c denoising"
            )
        return corruption


def evaluate_denoising(
    reconstruct: Callable[[Images], Images],
    corrupt: ValidationCorruption,
    source: ImageDataset,
    baselines: Baselines,
    rows: Rows | None = None,
) -> dict[str, dict[str, float | int | None]]:
    """Return the means of every metric between clean images and others: `noisy`, `restored`, and the linear codes."""

    linear = {by: of for by, of in baselines.reconstructions.items() if by != "mean_image"}

    def measure(stored: Stored, numbers: Rows) -> tuple[dict[str, dict[str, PerImage]], float]:
        images = source.format.to_contract(stored)
        noisy = corrupt(images, numbers)
        others = {"noisy": noisy, "restored": reconstruct(noisy), **{by: of(noisy) for by, of in linear.items()}}
        values = {name: per_image(images, other) for name, other in others.items()}
        return values, float(mse(images, np.broadcast_to(baselines.mean, images.shape)).sum())

    means, error = {name: RunningMeans() for name in ("noisy", "restored", *linear)}, 0.0
    for measured, mean_image_error in source.map_stored(measure, rows):
        for name, values in measured.items():
            means[name].add(values)
        error += mean_image_error
    return {name: row.summary(error / max(1, row.count)) for name, row in means.items()}

"""The sampler of a run: that which it keeps, or one fitted to the codes of its training images, and measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

import numpy as np

from aecli.core.errors import AeError
from aecli.core.machine import one_blas_thread
from aecli.core.progress import ProgressCallback, no_progress
from aecli.data.dataset import ImageDataset, Rows
from aecli.data.format import Images
from aecli.models.linear.fit import some
from aecli.models.linear.pca import Matrix
from aecli.runs.baselines import Baselines
from aecli.runs.model import Latents, Model
from aecli.runs.run import Run
from aecli.runs.uses.inputs import reopen_images
from aecli.runs.uses.latents import image_movement
from aecli.runs.uses.sampling.measures import (
    FEWEST_IMAGES,
    ImageSource,
    Measures,
    axes_of,
    held_out_images,
    measure_reach,
)  # fmt: skip
from aecli.runs.uses.sampling.mixture import Values, choose_mixture, fit_mixture
from aecli.runs.uses.sampling.sampler import (
    MOST_AXES,
    MixtureSampler,
    PriorSampler,
    Sampler,
    decoder_of,
    draw_images,
    fit_axes,
    has_prior,
)  # fmt: skip

Components = int | Literal["auto"] | None
"""How many Gaussians: so many, as many as held-out codes ask for, or whatever suits the run."""

MOST_TRAINING = 10_000
"""Training images that a sampler is fitted to and copies are searched among, spread evenly over all."""

_MOST_PIXELS, MOST_CODES = 2 * 10**8, 25 * 10**6
"""Values of all their pixels, which are read several times, and of all their codes, which are held."""

_LEAST_WEIGHT = 1e-3
"""The share of the largest weight that every latent has."""

_SEED = 0
"""Of all draws that fit and measure: what a run keeps of its sampler does not depend on which samples are asked for."""


@dataclass(frozen=True)
class RunSampler:
    """A sampler, whether the number of its components was chosen for it, how many codes it was fitted to, and what it
    reaches. `kept` says that it is the one in the run's folder.
    """

    sampler: Sampler
    chosen: bool
    codes: int
    measures: Measures
    kept: bool = False

    def serves(self, components: Components) -> bool:
        """Whether it is what was asked for."""
        if components is None:
            return True
        if not isinstance(self.sampler, MixtureSampler):
            return False
        return self.chosen if components == "auto" else len(self.sampler.mixture) == components


def fit_sampler(
    run: Run,
    model: Model,
    components: Components = None,
    on_progress: ProgressCallback = no_progress,
    otherwise: str = "train the run again",
) -> RunSampler:
    """Fit a sampler to the codes of a run's training images, and measure it.

    Raises RunError where they are gone or changed: to put them back is the cure, or `otherwise`.
    """
    cure = f"put it back for its codes, or {otherwise}"
    source = reopen_images(run, run.environment["data"], cure)
    rows = some(run.split.train, _most_training(model))
    on_progress("encoding training images", 0, 1)
    codes = np.concatenate([*source.map(model.encode, rows)])
    if isinstance(components, int) and components > len(codes):
        raise AeError(f"--components {components}: more than there are training codes, {len(codes):,}: give fewer")
    on_progress("fitting Gaussians", 0, 1)
    prior = components is None and has_prior(run)
    weights = _weights(model, codes) if model.latent_dim > MOST_AXES else None
    sampler: Sampler = PriorSampler(model.latent_dim) if prior else fit_to_codes(codes, components, weights)
    samplers = {"sampler": sampler, "gaussian": fit_to_codes(codes, 1, weights)}
    measures = _measure(run, model, samplers, (source, rows), components, on_progress)
    return RunSampler(sampler, not isinstance(components, int), len(codes), measures)


def fit_to_codes(codes: Latents, components: Components, weights: Values | None = None) -> MixtureSampler:
    """Fit so many Gaussians to codes (n, k), or as many as some of them, held out, ask for; see `fit_axes`."""
    with one_blas_thread():
        axes, points = fit_axes(codes, weights=weights)
    number = components if isinstance(components, int) else None
    return MixtureSampler(axes, choose_mixture(points, _SEED) if number is None else fit_mixture(points, number, _SEED))


def _weights(model: Model, codes: Latents) -> Values:
    """Return how far a step in each latent (k,) moves the image: of long codes the axes that do so most are kept."""
    low, high = np.quantile(codes, (0.05, 0.95), axis=0).astype(np.float32)
    with one_blas_thread():
        moved = np.sqrt(image_movement(model, codes.mean(axis=0, dtype=np.float64), low, high))
    weights = np.divide(moved, high - low, out=np.zeros_like(moved), where=high > low)
    return np.maximum(weights, _LEAST_WEIGHT * float(weights.max())) if weights.any() else np.ones_like(weights)


def _most_training(model: Model) -> int:
    return max(2, min(MOST_TRAINING, _MOST_PIXELS // prod(model.image_shape), MOST_CODES // model.latent_dim))


def _measure(
    run: Run,
    model: Model,
    samplers: Mapping[str, Sampler],
    training: tuple[ImageDataset, Rows],
    components: Components,
    on_progress: ProgressCallback,
) -> Measures:
    """Measure samplers of the model's codes, by their rows of the table, and a mixture on codes of PCA."""
    baselines, held_out = run.baselines, held_out_images(run, training[0])
    count, length = len(training[1]), len(baselines.components)
    measures = Measures(held_out.part, held_out.count, count, axes_of(count, model.image_shape), length)
    if held_out.count < FEWEST_IMAGES:
        return measures
    encode, decode = _linear_code(baselines)
    with one_blas_thread():
        pca_codes = np.concatenate([*training[0].map(encode, training[1])])
    pca = fit_to_codes(pca_codes, components)
    on_progress("measuring samples", 0, 1)

    def drawn(of: Sampler, by: Callable[[Latents], Images]) -> ImageSource:
        return lambda count: draw_images(of, by, model.image_shape, count, _SEED)

    of_run = decoder_of(run, model)
    sources = {name: drawn(sampler, of_run) for name, sampler in samplers.items()}
    sources["pca"] = drawn(pca, decode)
    rows = measure_reach(training, held_out, baselines.mean, sources)
    return replace(measures, pca_mixture=len(pca.mixture), rows=rows)


def _linear_code(baselines: Baselines) -> tuple[Callable[[Images], Matrix], Callable[[Matrix], Images]]:
    """Return what brings images (n, H, W, C) to their codes (n, k) of PCA, and back."""
    mean, components = baselines.mean, baselines.components
    return (
        lambda images: (images - mean).reshape(len(images), -1) @ components.T,
        lambda codes: np.asarray((codes @ components).reshape(-1, *mean.shape) + mean, np.float32),
    )

"""Where new latents come from: a mixture of Gaussians on the training codes, or the prior of a variational code."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np

from aecli.core.machine import one_blas_thread, ordered_map
from aecli.data.dataset import chunk_slices
from aecli.data.format import Images
from aecli.models.linear.pca import fit_components
from aecli.runs.config_file import load_recorded
from aecli.runs.model import Latents, Model
from aecli.runs.run import Run
from aecli.runs.uses.sampling.mixture import Mixture, Values, named_draws

MOST_AXES = 128
"""Principal axes of codes that a mixture describes; what is left of longer codes is noise of its own in each latent."""

_ROUNDING = 1e-6
"""The share of the largest spread below which another is rounding, and no axis."""


class Sampler(Protocol):
    """Draws latents like those of images."""

    @property
    def title(self) -> str:
        """What it is, in a few words."""

    def draw(self, count: int, seed: int, first: int = 0) -> Latents:
        """Return latents (count, k), those from number `first` on of all that belong to the seed."""


@dataclass(frozen=True)
class CodeAxes:
    """The axes of codes of k latents: their mean (k,), d directions (k, d), the spread (d,) along each, and the spread
    (k,) of each latent beside them, 0 where no more than MOST_AXES vary.
    """

    mean: Values
    directions: Values
    spread: Values
    noise: Values

    def codes(self, points: Values, noise: Values) -> Latents:
        """Return the codes (n, k) of points (n, d), with noise (n, k) of unit variance."""
        return np.asarray(self.mean + (points * self.spread) @ self.directions.T + noise * self.noise, np.float32)


def fit_axes(codes: Latents, most: int = MOST_AXES, weights: Values | None = None) -> tuple[CodeAxes, Values]:
    """Return the principal axes of codes (n, k), and the codes as points (n, d), of unit variance along every axis.

    There are at most so many axes, and none along which the codes do not vary. `weights` (k,) say how much a step in
    each latent matters; by default all matter alike.
    """
    weights = np.ones(codes.shape[1]) if weights is None else weights
    mean = codes.mean(axis=0, dtype=np.float64)
    apart = codes - mean
    apart *= weights
    centred = apart.astype(np.float32)
    directions = fit_components(lambda function: [function(centred)], centred.shape, most)[1]
    along = centred @ directions
    spread = along.std(axis=0)
    least = _ROUNDING * max(float(spread.max(initial=0)), float(np.finfo(np.float32).tiny))
    varies = spread > least
    directions, along, spread = directions[:, varies], along[:, varies], spread[varies]
    beside = (centred - along @ directions.T).std(axis=0)
    noise = np.where(beside > least, beside, 0.0) / weights
    return CodeAxes(mean, directions / weights[:, None], spread, noise), along / spread


@dataclass(frozen=True)
class MixtureSampler:
    """A mixture of Gaussians on the principal axes of codes."""

    axes: CodeAxes
    mixture: Mixture

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        return "one Gaussian" if len(self.mixture) == 1 else f"mixture of {len(self.mixture)}"

    def draw(self, count: int, seed: int, first: int = 0) -> Latents:
        """Return latents (count, k), those from number `first` on of all that belong to the seed."""
        draws = named_draws(seed, "samples", count, first)
        points = self.mixture.draw(draws.uniform(0, 1)[:, 0], draws.normal(1, len(self.axes.spread)))
        noise = draws.normal(2, len(self.axes.mean)) if self.axes.noise.any() else np.zeros((count, 1))
        return self.axes.codes(points, noise)


@dataclass(frozen=True)
class PriorSampler:
    """The prior of a variational code: independent standard normal numbers."""

    latent_dim: int

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        return "prior"

    def draw(self, count: int, seed: int, first: int = 0) -> Latents:
        """Return latents (count, latent_dim), those from number `first` on of all that belong to the seed."""
        return np.asarray(named_draws(seed, "samples", count, first).normal(1, self.latent_dim))


def draw_images(
    sampler: Sampler, decode: Callable[[Latents], Images], shape: tuple[int, ...], count: int, seed: int
) -> Iterator[Images]:
    """Yield the decoded samples of a seed chunk by chunk, (n, *shape) each: the same bits whatever the threads."""

    def draw(part: slice) -> Images:
        return decode(sampler.draw(part.stop - part.start, seed, part.start))

    with one_blas_thread():
        # Codes may be longer than their images are large.
        largest = max(prod(shape), sampler.draw(1, seed).shape[1])
        yield from ordered_map(draw, chunk_slices(count, (largest,)))


def decoder_of(run: Run, model: Model) -> Callable[[Latents], Images]:
    """Return what decodes the samples of a run: of a quantised code the nearest values that it may have."""
    code = load_recorded(run.config_file).config.model.code
    if code is None or code.quantised is None:
        return model.decode
    nearest = code.quantised.nearest
    return lambda latents: model.decode(np.asarray(nearest(latents), np.float32))


def has_prior(run: Run) -> bool:
    """Whether a run's codes have a prior N(0, I) to be drawn from: those of a variational code."""
    return load_recorded(run.config_file).config.model.variational is not None

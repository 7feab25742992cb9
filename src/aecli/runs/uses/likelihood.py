"""How likely a variational network finds images: -ELBO, KL and importance-weighted -log p, all in nats an image."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from math import log, prod, sqrt
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import NotInRunError
from aecli.core.machine import one_blas_thread
from aecli.core.rng import Draws, derive, draw_key
from aecli.data.dataset import ImageDataset, Rows
from aecli.data.format import Images, Stored
from aecli.models.code import NOISE
from aecli.models.losses.likelihood import Likelihood, kl_of_gaussian, likelihood_of
from aecli.runs.config_file import load_recorded
from aecli.runs.metrics import PerImage, mae, mse
from aecli.runs.model import Model
from aecli.runs.run import Run

_EPSILON = 1e-7
"""How near to 0 and 1 the probability of a Bernoulli distribution may come, as in Keras."""


def _crossentropy(images: Images, reconstructions: Images) -> PerImage:
    p = np.clip(reconstructions, _EPSILON, 1 - _EPSILON).astype(np.float64)
    nats = -(images * np.log(p) + (1 - images) * np.log1p(-p))
    return np.asarray(nats.reshape(len(images), -1).mean(axis=1))


_DISTANCES: Mapping[str, Callable[[Images, Images], PerImage]] = MappingProxyType(
    {"mse": mse, "mae": mae, "binary_crossentropy": _crossentropy}
)


@dataclass(frozen=True)
class Bound:
    """Means over images, in nats an image: `neg_elbo` is `reconstruction` plus `kl`, the least that -log p is known by.

    `nll` is the importance-weighted -log p of `samples` codes an image (Burda, Grosse & Salakhutdinov 2016), and
    `nll_error` its standard error over the images; both are None where it was not asked for. `latent_kl` (k,) is the
    share of each latent in the KL.
    """

    images: int
    neg_elbo: float
    reconstruction: float
    kl: float
    latent_kl: tuple[float, ...]
    samples: int = 1
    nll: float | None = None
    nll_error: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Density:
    """A variational network as a distribution of images: its likelihood, the scale of it, and the seed of its draws."""

    model: Model
    likelihood: Likelihood
    scale: float
    seed: int

    @classmethod
    def from_run(cls, run: Run, model: Model) -> "Density":
        """Return the density of a run; NotInRunError where it has none, being of plain numbers or of levels."""
        config, fields = load_recorded(run.config_file).config, run.metrics.get("variational")
        likelihood = likelihood_of(config.training.loss)
        if fields is None or likelihood is None or config.model.variational is None or not model.variational:
            raise NotInRunError(
                f"{run.path}: its code is no distribution, so that no image has a likelihood: train one that has, "
                f"e.g. ae train -c vae"
            )
        return cls(model, likelihood, float(fields["scale"]), config.training.seed)

    def measure(self, source: ImageDataset, rows: Rows | None = None, samples: int = 0) -> Bound:
        """Measure the bound on the images of a source or on some of its rows, with one code drawn for each.

        With `samples` the mean is over so many, and the importance-weighted -log p is measured too. Draws hang on the
        seed, on the number of the draw and on the row alone.
        """
        count, terms, kl, weighted = 0, 0.0, np.zeros(self.model.latent_dim), list[PerImage]()

        def of_chunk(stored: Stored, numbers: Rows) -> tuple[float, NDArray[np.float64], PerImage]:
            return self._of_chunk(source.format.to_contract(stored), numbers, max(1, samples))

        with one_blas_thread():
            for nats, latent_kl, log_weights in source.map_stored(of_chunk, rows):
                count, terms, kl = count + len(log_weights), terms + nats, kl + latent_kl
                weighted.append(log_weights)
        nll = -np.concatenate(weighted)
        reconstruction, latents = terms / count, kl / count
        bound = Bound(count, reconstruction + latents.sum(), reconstruction, latents.sum(), tuple(latents.tolist()))
        if not samples:
            return bound
        error = float(nll.std(ddof=1)) / sqrt(count) if count > 1 else None
        return Bound(**{**bound.to_json(), "samples": samples, "nll": float(nll.mean()), "nll_error": error})

    def _of_chunk(self, images: Images, numbers: Rows, samples: int) -> tuple[float, NDArray[np.float64], PerImage]:
        """Return the sums of -log p(x|z) and of each latent's KL, and log p of each image by importance weights."""
        means, log_variances = (code.astype(np.float64) for code in self.model.posterior(images))
        latent_kl = kl_of_gaussian(means, log_variances, np.exp)
        log_weights, nats = np.empty((samples, len(images))), 0.0
        for sample, (noise, found) in enumerate(self._draws(images, means, log_variances, numbers, samples)):
            codes = means + np.exp(log_variances / 2) * noise
            log_weights[sample] = -found + 0.5 * (noise**2 + log_variances - codes**2).sum(axis=1)
            nats += float(found.sum()) / samples
        return nats, latent_kl.sum(axis=0), np.logaddexp.reduce(log_weights, axis=0) - log(samples)

    def _draws(
        self, images: Images, means: Any, log_variances: Any, numbers: Rows, samples: int
    ) -> Iterator[tuple[NDArray[np.float64], PerImage]]:
        """Yield the noise of each sample (N, k), and -log p(x|z) of the images with codes drawn by it."""
        distance, values = _DISTANCES[self.likelihood.distance], prod(images.shape[1:])
        for sample in range(samples):
            key = np.array(draw_key(derive(self.seed, "likelihood"), sample), np.uint32)
            noise = Draws(np, key, numbers.astype(np.uint32)).normal(NOISE, self.model.latent_dim)
            codes = (means + np.exp(log_variances / 2) * noise).astype(np.float32)
            nats = self.likelihood.nats(distance(images, self.model.decode(codes)), self.scale, np.log)
            yield noise.astype(np.float64), values * nats


def in_a_line(bound: Mapping[str, Any], sigma: float | None, images: str) -> str:
    """Return what a bound, as plain values, says of images."""
    parts = [f"reconstruction {bound['reconstruction']:.2f}", f"KL {bound['kl']:.2f}"]
    parts += [f"sigma {sigma:.4f}"] if sigma is not None else []
    line = f"On {images} -ELBO is {bound['neg_elbo']:.2f} nats an image ({', '.join(parts)})"
    if bound.get("nll") is None:
        return f"{line}."
    error = "" if bound["nll_error"] is None else f" +- {bound['nll_error']:.2f}"
    return f"{line}; -log p by {bound['samples']:,} samples each: {bound['nll']:.2f}{error}."


def likelihood_line(run: Run) -> str | None:
    """Return what a variational run says of its validation images; None where it is not variational."""
    fields = run.metrics.get("variational")
    return fields and in_a_line(fields["splits"]["validation"], fields["sigma"], "the validation images")

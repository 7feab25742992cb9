"""sampler.npz: what a run keeps of its sampler, so that images can be drawn without those of its training."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from aecli.core.errors import WriteError
from aecli.core.npy import write_arrays
from aecli.core.progress import ProgressCallback, no_progress
from aecli.runs.model import Model, weights_sha256
from aecli.runs.run import Run
from aecli.runs.uses.kept_arrays import letters, read_kept, require, text_of
from aecli.runs.uses.sampling.fitting import Components, RunSampler, fit_sampler
from aecli.runs.uses.sampling.measures import ROWS, Measures, Reach
from aecli.runs.uses.sampling.mixture import Mixture
from aecli.runs.uses.sampling.sampler import MOST_AXES, CodeAxes, MixtureSampler, PriorSampler, Sampler

_ALWAYS = ("weights_sha256", "kind", "chosen", "codes", "measured_on", "measures")
_MIXTURE = ("mean", "directions", "spread", "noise", "weights", "means", "factors")
_PARTS = ("validation", "test")
_COUNTS = ("images", "training", "axes", "pca_components", "pca_mixture")
_LARGEST = 1e12
"""Beyond this a number would not come through a network of float32."""


def sampler_of(
    run: Run, model: Model, components: Components = None, on_progress: ProgressCallback = no_progress
) -> RunSampler:
    """Return the sampler that a run keeps where it serves, or else one fitted to its training images.

    One that was fitted to other weights than the run has now does not serve. Raises RunError where the training images
    are gone or changed, or the file is damaged.
    """
    kept = read_sampler(run, model)
    if kept is None:
        return fit_sampler(run, model, components, on_progress)
    if kept.serves(components):
        return kept
    otherwise = f"leave out --components for the {kept.sampler.title} that the run keeps"
    return fit_sampler(run, model, components, on_progress, otherwise)


def keep_sampler(run: Run, fitted: RunSampler) -> str | None:
    """Write the sampler into the run unless it is there; return a note where that is not possible."""
    if fitted.kept:
        return None
    try:
        write_arrays(run.sampler_file, {"weights_sha256": letters(weights_sha256(run)), **_arrays_of(fitted)})
    except WriteError as error:
        return f"{error}; the next ae sample fits it again"
    return None


def read_sampler(run: Run, model: Model) -> RunSampler | None:
    """Return what sampler.npz holds; None where it is not there or of other weights, RunError where it is damaged."""

    def sampler(arrays: Mapping[str, Any]) -> RunSampler:
        return _sampler_from(arrays, model.latent_dim)

    return read_kept(run, run.sampler_file, (_ALWAYS, _MIXTURE), sampler, "ae sample fits it again")


def _arrays_of(fitted: RunSampler) -> dict[str, Any]:
    sampler, measures = fitted.sampler, fitted.measures
    reached = [[row.coverage, row.recall, row.copies] for name in ROWS if (row := measures.rows.get(name))]
    counts = [getattr(measures, name) for name in _COUNTS]
    arrays = {
        "kind": letters("mixture" if isinstance(sampler, MixtureSampler) else "prior"),
        "chosen": np.array(fitted.chosen),
        "codes": np.array(fitted.codes),
        "measured_on": np.array([_PARTS.index(measures.part), *counts], np.int64),
        "measures": np.array(reached, np.float64).reshape(-1, 3),
    }
    if not isinstance(sampler, MixtureSampler):
        return arrays
    values = {name: getattr(sampler.axes, name) for name in _MIXTURE[:4]}
    return {**arrays, **values, **{name: getattr(sampler.mixture, name) for name in _MIXTURE[4:]}}


def _sampler_from(arrays: Mapping[str, Any], latent_dim: int) -> RunSampler:
    """Return the sampler in these arrays; ValueError or KeyError where they are none of codes of this length."""
    kind, chosen, codes = text_of(arrays["kind"]), arrays["chosen"], arrays["codes"]
    require(kind in ("mixture", "prior"), "its kind is unknown")
    require(chosen.dtype == np.bool_ and chosen.shape == (), "it does not say who chose")
    require(codes.dtype.kind == "i" and codes.shape == () and codes >= 1, "its number of codes is none")
    sampler: Sampler = _mixture_from(arrays, latent_dim) if kind == "mixture" else PriorSampler(latent_dim)
    return RunSampler(sampler, bool(chosen), int(codes), _measures_from(arrays), kept=True)


def _mixture_from(arrays: Mapping[str, Any], latent_dim: int) -> MixtureSampler:
    mean, directions, spread, noise, weights, means, factors = values = [arrays[name] for name in _MIXTURE]
    for array in values:
        require(array.dtype == np.float64, "its arrays are not float64")
        require(bool((np.abs(array) <= _LARGEST).all()), "it holds values that are not finite or too large")
    axes, components = len(spread), len(weights)
    of_axes = (latent_dim,), (latent_dim, axes), (axes,), (latent_dim,)
    of_mixture = (components,), (components, axes), (components, axes, axes)
    require(
        [array.shape for array in values] == [*of_axes, *of_mixture],
        "its arrays have other shapes than the run's codes",
    )
    require(axes <= MOST_AXES and components >= 1, "it has too many axes or no components")
    require(bool((spread > 0).all() and (noise >= 0).all() and (weights > 0).all()), "a spread or a share is negative")
    return MixtureSampler(CodeAxes(mean, directions, spread, noise), Mixture(weights, means, factors))


def _measures_from(arrays: Mapping[str, Any]) -> Measures:
    numbers, reached = arrays["measured_on"], arrays["measures"]
    require(numbers.dtype == np.int64 and numbers.shape == (6,) and bool((numbers >= 0).all()), "its counts are none")
    require(numbers[0] < len(_PARTS), "its held-out images are of no part")
    require(reached.dtype == np.float64 and reached.shape in ((0, 3), (len(ROWS), 3)), "its measures are none")
    require(bool(((reached >= 0) & (reached <= 1)).all()), "its measures are no shares")
    rows = {name: Reach(*map(float, row)) for name, row in zip(ROWS, reached, strict=False)}
    counts = dict(zip(_COUNTS, map(int, numbers[1:]), strict=True))
    return Measures(_PARTS[numbers[0]], **counts, rows=rows)

"""held_out.npz: the metrics of a run's held-out images, so that it tells strange images where its own are not."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from aecli.core.npy import write_arrays
from aecli.runs.metrics import METRICS, DerivedFromMse, PerImage
from aecli.runs.model import weights_sha256
from aecli.runs.run import Run
from aecli.runs.uses.kept_arrays import letters, read_kept, require, text_of

ROWS = ("model", "pca", "mean_image")
"""Whose reconstructions are measured: rows of a table of means."""

_PARTS = ("validation", "test")
_ALWAYS = ("weights_sha256", "part", "metrics", *ROWS)


@dataclass(frozen=True)
class HeldOut:
    """The metrics of images that a run was not trained on: {row of ROWS: {metric: (N,)}}.

    `part` says which images they are: those of the "test" or the "validation" of the training, or others by name.
    """

    part: str
    values: Mapping[str, Mapping[str, PerImage]]

    def __len__(self) -> int:
        return len(self.values["model"]["mse"])


def kept_metrics() -> tuple[str, ...]:
    """Return the metrics that a run keeps of each image: all but those that follow from the mse."""
    return tuple(m.name for m in METRICS.values() if m.of is not None and not isinstance(m.of, DerivedFromMse))


def values_of(values: Mapping[str, PerImage], metric: str, image_shape: tuple[int, ...]) -> PerImage | None:
    """Return a metric (N,) of images, from what was kept of them; None where it was not kept."""
    of = METRICS[metric].of
    if isinstance(of, DerivedFromMse):
        return of.formula(values["mse"], prod(image_shape))
    return values.get(metric)


def held_out_part(run: Run) -> str:
    """Return which part of a run's images is held out for judging: its test images, or else its validation images."""
    return "test" if run.environment.get("test") or len(run.split.test) else "validation"


def write_held_out(run: Run, held: HeldOut) -> None:
    """Write held_out.npz; the model of the run is there already."""
    names = [*held.values["model"]]
    arrays = {row: np.stack([held.values[row][name] for name in names]) for row in ROWS}
    words = {"weights_sha256": weights_sha256(run), "part": held.part, "metrics": ",".join(names)}
    write_arrays(run.held_out_file, {**{name: letters(word) for name, word in words.items()}, **arrays})


def read_held_out(run: Run) -> HeldOut | None:
    """Return what held_out.npz holds; None where it is not there or of other weights, RunError where it is damaged."""
    return read_kept(run, run.held_out_file, (_ALWAYS,), _held_out_from, "ae evaluate --keep makes it again")


def _held_out_from(arrays: Mapping[str, Any]) -> HeldOut:
    part, names = text_of(arrays["part"]), text_of(arrays["metrics"]).split(",")
    require(part in _PARTS, "its images are of no part")
    require("mse" in names and len(set(names)) == len(names), "its metrics are none")
    count = arrays["model"].shape[-1:]
    for row in ROWS:
        values = arrays[row]
        require(values.dtype == np.float64, "its values are not float64")
        require(values.shape == (len(names), *count) and count >= (1,), "its arrays have other shapes than its metrics")
        require(bool(np.isfinite(values[names.index("mse")]).all()), "its mse is not finite")
    # Metrics that this version does not know are of no use to it.
    kept = [(i, name) for i, name in enumerate(names) if name in METRICS]
    return HeldOut(part, {row: {name: arrays[row][i] for i, name in kept} for row in ROWS})

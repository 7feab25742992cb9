"""Using a trained model: chunk by chunk, with ONNX Runtime alone."""

import csv
import io
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import escaped
from aecli.core.machine import one_blas_thread
from aecli.data.dataset import ImageDataset, Rows
from aecli.data.format import Images, Stored
from aecli.runs.baselines import Baselines
from aecli.runs.metrics import PerImage, RunningMeans, mse, per_image
from aecli.runs.uses.parts import Parts, part_numbers

Summary = dict[str, dict[str, float | int | None]]
"""The means of every metric by row: {row: {metric: mean}}."""


@dataclass(frozen=True)
class Evaluation:
    """The means of every metric, {row: {metric: mean}}, and the values of each image that were kept.

    The rows are `model` and, where measured, those of BASELINES. `splits` holds the same for each part of the
    training that the images belong to, with the number of its `images`, and `split` the name of each image's part.
    `kept` holds the same values as `per_image` of every row: {row: {metric: (N,)}}.
    """

    summary: Summary
    per_image: dict[str, PerImage]
    splits: dict[str, dict[str, Any]] = field(default_factory=dict)
    split: tuple[str, ...] = ()
    kept: dict[str, dict[str, PerImage]] = field(default_factory=dict)

    def to_csv(self, names: Sequence[str] | None = None) -> str:
        """Return one line per image: its number, its file where `names` has it, its part, and every metric kept.

        An exact copy has a psnr of "inf"; where an image has no value of a metric, its cell is empty.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        known = {"file": [escaped(name) for name in names or ()], "split": self.split}
        known = {title: cells for title, cells in known.items() if cells}
        writer.writerow(["image", *known, *self.per_image])
        for i, values in enumerate(zip(*self.per_image.values(), strict=True)):
            measured = ("" if np.isnan(value) else f"{value:.9g}" for value in values)
            writer.writerow([i, *(cells[i] for cells in known.values()), *measured])
        return text.getvalue()


@dataclass(frozen=True)
class _Measured:
    """What is kept of one chunk: its row numbers, the values of its images, its reconstructions if they are wanted."""

    numbers: Rows
    rows: dict[str, dict[str, PerImage]]
    mean_image_errors: PerImage
    stored: Stored | None


class _Group:
    """The running means of a group of images, row by row."""

    def __init__(self, rows: Mapping[str, Collection[str] | None]) -> None:
        self.means = {name: RunningMeans(metrics) for name, metrics in rows.items()}
        self.mean_image_error = 0.0

    def add(self, measured: _Measured, chosen: NDArray[np.bool_] | slice) -> None:
        for name, values in measured.rows.items():
            self.means[name].add({metric: vector[chosen] for metric, vector in values.items()})
        self.mean_image_error += float(measured.mean_image_errors[chosen].sum())

    @property
    def count(self) -> int:
        return self.means["model"].count

    def summary(self) -> Summary:
        error = self.mean_image_error / max(1, self.count)
        return {name: means.summary(error) for name, means in self.means.items()}


def evaluate(
    reconstruct: Callable[[Images], Images],
    source: ImageDataset,
    baselines: Baselines,
    rows: Rows | None = None,
    *,
    metrics: Collection[str] | None = None,
    with_baselines: bool = True,
    baseline_metrics: Collection[str] | None = None,
    keep: Collection[str] = (),
    keep_baselines: bool = False,
    write: Callable[[Stored], object] | None = None,
    parts: Parts | None = None,
) -> Evaluation:
    """Measure `reconstruct` on the images of a source or of some of its rows, and the baselines on the same.

    `metrics` are names of METRICS, mse among them, by default all, for the model's row, `baseline_metrics` those for
    the baselines. Only the metrics named in `keep` are kept for each image, of the model and, with `keep_baselines`,
    of the baselines; the rest takes no memory per image.
    `write` receives the reconstructions as they are stored, chunk by chunk in order. `parts` are rows of the source
    that are measured apart too.
    """
    others = baselines.reconstructions if with_baselines else {}

    def measure(stored: Stored, numbers: Rows) -> _Measured:
        images = source.format.to_contract(stored)
        reconstructions = reconstruct(images)
        values = {"model": per_image(images, reconstructions, metrics)}
        values |= {name: per_image(images, other(images), baseline_metrics) for name, other in others.items()}
        known = values.get("mean_image")
        errors = known["mse"] if known else mse(images, baselines.reconstruct_mean(images))
        return _Measured(numbers, values, errors, source.format.from_contract(reconstructions) if write else None)

    parts = parts or {}
    part_of = part_numbers(parts, len(source) if parts else 0)
    measured_rows = {"model": metrics, **dict.fromkeys(others, baseline_metrics)}
    whole, groups = _Group(measured_rows), {name: _Group(measured_rows) for name in parts}
    kept_rows = ("model", *(others if keep_baselines else ()))
    vectors: dict[str, dict[str, list[PerImage]]] = {row: {name: [] for name in keep} for row in kept_rows}
    with one_blas_thread():
        for measured in source.map_stored(measure, rows):
            if write is not None and measured.stored is not None:
                write(measured.stored)
            whole.add(measured, slice(None))
            for i, group in enumerate(groups.values()):
                group.add(measured, part_of[measured.numbers] == i)
            for row, of_row in vectors.items():
                for name, parts_so_far in of_row.items():
                    parts_so_far.append(measured.rows[row][name])
    kept = {row: {name: np.concatenate(v) for name, v in of_row.items()} for row, of_row in vectors.items()}
    return Evaluation(
        whole.summary(),
        kept["model"],
        {name: {"images": group.count, **group.summary()} for name, group in groups.items()},
        tuple([*parts, ""][i] for i in (part_of if rows is None else part_of[rows])) if parts and keep else (),
        kept,
    )

"""Using a trained model: chunk by chunk, with ONNX Runtime alone."""

import csv
import io
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import escaped
from aecli.data.dataset import ImageDataset
from aecli.data.format import Images, Stored
from aecli.runs.baselines import Baselines
from aecli.runs.metrics import PerImage, RunningMeans, mse, per_image


@dataclass(frozen=True)
class Evaluation:
    """The means of every metric, {row: {metric: mean}}, and the values of each image that were kept.

    The rows are `model` and, where measured, those of BASELINES.
    """

    summary: dict[str, dict[str, float | int | None]]
    per_image: dict[str, PerImage]

    def to_csv(self, names: Sequence[str] | None = None) -> str:
        """Return one line per image: its number, its file where `names` has it, and every metric kept.

        An exact copy has a psnr of "inf".
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["image", *(["file"] if names else []), *self.per_image])
        for i, values in enumerate(zip(*self.per_image.values(), strict=True)):
            file = [escaped(names[i])] if names else []
            writer.writerow([i, *file, *(f"{value:.9g}" for value in values)])
        return text.getvalue()


@dataclass(frozen=True)
class _Measured:
    """What is kept of one chunk: the values of its images by row, and its reconstructions where they are wanted."""

    rows: dict[str, dict[str, PerImage]]
    mean_image_error: float
    stored: Stored | None


def evaluate(
    reconstruct: Callable[[Images], Images],
    source: ImageDataset,
    baselines: Baselines,
    rows: NDArray[np.int64] | None = None,
    *,
    metrics: Collection[str] | None = None,
    with_baselines: bool = True,
    keep: Collection[str] = (),
    write: Callable[[Stored], object] | None = None,
) -> Evaluation:
    """Measure `reconstruct` on the images of a source or of some of its rows, and the baselines on the same.

    `metrics` are names of METRICS, by default all, for the model's row; the baselines get all of them.
    Only the metrics named in `keep` are kept for each image; the rest takes no memory per image.
    `write` receives the reconstructions as they are stored, chunk by chunk in order.
    """
    others = baselines.reconstructions if with_baselines else {}

    def measure(images: Images) -> _Measured:
        reconstructions = reconstruct(images)
        values = {"model": per_image(images, reconstructions, metrics)}
        values |= {name: per_image(images, other(images)) for name, other in others.items()}
        error = float(mse(images, baselines.reconstruct_mean(images)).sum())
        return _Measured(values, error, source.format.from_contract(reconstructions) if write else None)

    means = {"model": RunningMeans(metrics), **{name: RunningMeans() for name in others}}
    vectors: dict[str, list[PerImage]] = {name: [] for name in keep}
    mean_image_error = 0.0
    for measured in source.map(measure, rows):
        if write is not None and measured.stored is not None:
            write(measured.stored)
        for name, values in measured.rows.items():
            means[name].add(values)
        for name, parts in vectors.items():
            parts.append(measured.rows["model"][name])
        mean_image_error += measured.mean_image_error
    mean_image_mse = mean_image_error / max(1, means["model"].count)
    return Evaluation(
        {name: row.summary(mean_image_mse) for name, row in means.items()},
        {name: np.concatenate(parts) for name, parts in vectors.items()},
    )

"""A score for each image, higher where it is stranger: a metric of its reconstruction, beside PCA's and the mean's."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import AeError, did_you_mean, escaped
from aecli.core.files import written_whole
from aecli.core.machine import one_blas_thread
from aecli.core.npy import NpyWriter
from aecli.data.dataset import ImageDataset, Rows
from aecli.data.files.labels import Labels
from aecli.data.format import Images
from aecli.data.labels import class_number
from aecli.runs.metrics import METRICS, PerImage
from aecli.runs.model import Model
from aecli.runs.run import Run
from aecli.runs.uses.evaluate import evaluate
from aecli.runs.uses.scoring.held_out import ROWS, HeldOut, values_of

Scores = Mapping[str, PerImage]
"""Row of ROWS -> a score for each image (N,), higher where it is stranger."""


def require_metric(name: str) -> None:
    """Raise AeError unless images have this metric."""
    known = [metric.name for metric in METRICS.values() if metric.of is not None]
    if name not in known:
        hint = did_you_mean(name, known) or f": expected one of {', '.join(known)}"
        raise AeError(f"--by {escaped(name)}: unknown metric{hint}")


def measure_scores(run: Run, model: Model, source: ImageDataset, metric: str, rows: Rows | None = None) -> Scores:
    """Score the images of a source, or some of its rows, by a metric; memory grows by one number an image and row."""
    names = tuple(dict.fromkeys(("mse", metric)))
    baselines = replace(run.baselines, best_linear=None)
    evaluation = evaluate(
        model.reconstruct, source, baselines, rows,
        metrics=names, baseline_metrics=names, keep=(metric,), keep_baselines=True,
    )  # fmt: skip
    return {row: strangeness(metric, values[metric]) for row, values in evaluation.kept.items()}


def kept_scores(held: HeldOut, metric: str, image_shape: tuple[int, ...]) -> Scores | None:
    """Return the scores of held-out images by a metric; None where it was not kept of them."""
    found = {row: values_of(held.values[row], metric, image_shape) for row in ROWS}
    return {row: strangeness(metric, values) for row, values in found.items() if values is not None} or None


def strangeness(metric: str, values: PerImage) -> PerImage:
    """Return scores of a metric's values: negative where more is better, lowest where an image has no value."""
    scores = values if METRICS[metric].better == "lower" else -values
    return np.where(np.isnan(scores), -np.inf, scores)


def score_title(metric: str) -> str:
    """Return what scores by a metric are called."""
    return f"{'' if METRICS[metric].better == 'lower' else '-'}{METRICS[metric].title}"


def strangest_first(scores: PerImage) -> Rows:
    """Return the rows of the scores, the highest first and equals in order."""
    return np.argsort(-scores, kind="stable")


def write_scores(
    path: Path,
    order: Rows,
    scores: PerImage,
    p_values: PerImage | None,
    flagged: NDArray[np.bool_] | None,
    names: Sequence[str] | None = None,
    labels: Labels | None = None,
) -> None:
    """Write one line an image, in this order: row, file and label where they are known, score, p_value, flagged (1, 0).

    The last two are empty where there was nothing to compare with.
    """
    known = [*(["file"] if names else []), *(["label"] if labels else [])]
    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["row", *known, "score", "p_value", "flagged"])
        for row in map(int, order):
            cells = [escaped(names[row])] if names else []
            cells += [labels.classes[labels.values[row]]] if labels else []
            judged = ["", ""] if p_values is None or flagged is None else [f"{p_values[row]:.6g}", int(flagged[row])]
            writer.writerow([row, *cells, f"{scores[row]:.9g}", *judged])


def write_maps(path: Path, model: Model, source: ImageDataset) -> None:
    """Write where each image is strange: the squared error of its pixels (N, H, W), float32, the mean over channels."""

    def maps(images: Images) -> Images:
        return np.asarray(((images - model.reconstruct(images)) ** 2).mean(axis=3))

    height, width, _ = source.format.image_shape
    with one_blas_thread(), NpyWriter(path, (len(source), height, width), "<f4") as writer:
        for chunk in source.map(maps):
            writer.write(chunk)


def normal_images(labels: Labels, normal: Iterable[str]) -> NDArray[np.bool_]:
    """Return which images (N,) are of one of these classes; ValueError where no image is of one."""
    return np.isin(labels.values, [class_number(labels, name) for name in normal])

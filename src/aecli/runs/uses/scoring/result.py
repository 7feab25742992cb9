"""What `ae score` finds: scores with their threshold and p-values, judged by labels where there are some."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import AeError, DataError, escaped
from aecli.data.dataset import ImageDataset, Rows
from aecli.data.files.labels import Labels, NoLabels
from aecli.data.labels import labels_of
from aecli.runs.baselines import row_titles
from aecli.runs.config_file import load_recorded
from aecli.runs.metrics import PerImage
from aecli.runs.model import Model
from aecli.runs.run import Run
from aecli.runs.uses.parts import held_out, own_parts
from aecli.runs.uses.scoring.conformal import Threshold, p_values, threshold
from aecli.runs.uses.scoring.held_out import ROWS, held_out_part, read_held_out
from aecli.runs.uses.scoring.judging import Judged, judge
from aecli.runs.uses.scoring.scores import (
    Scores,
    kept_scores,
    measure_scores,
    normal_images,
    score_title,
    strangest_first,
)

_USUAL_NORMAL = ("good", "normal")
"""Classes that are normal where nobody says which are: those of MVTec AD and others."""


@dataclass(frozen=True)
class AskedLabels:
    """The labels of images where they have some, which `classes` are normal, and which images (N,) these are."""

    labels: Labels | None = None
    classes: tuple[str, ...] = ()
    normal: NDArray[np.bool_] | None = None
    note: str | None = None


@dataclass(frozen=True)
class KnownScores:
    """The scores of held-out images and what these are called; None where there are none, and why."""

    scores: Scores | None
    title: str = ""
    note: str | None = None


@dataclass(frozen=True)
class ScoredImages:
    """The scores of images by a metric, row by row, and what follows from them; `own` (N,) are those of the model.

    `order` are the rows, strangest first. `threshold`, `p_values` and `flagged` (N,) are None without held-out scores,
    and `judged` is empty where it is not known which images are normal.
    """

    metric: str
    scores: Scores
    order: Rows
    known: KnownScores
    titles: Mapping[str, str]
    normal: NDArray[np.bool_] | None = None
    threshold: Threshold | None = None
    p_values: PerImage | None = None
    flagged: NDArray[np.bool_] | None = None
    judged: Mapping[str, Judged] = field(default_factory=dict)

    @property
    def own(self) -> PerImage:
        """The scores of the model."""
        return self.scores["model"]

    @property
    def normal_count(self) -> int:
        """How many images are normal by their labels."""
        return 0 if self.normal is None else int(self.normal.sum())

    @property
    def distributions(self) -> dict[str, PerImage]:
        """The scores to be drawn, by name."""
        held = {f"held out ({self.known.title})": self.known.scores["model"]} if self.known.scores else {}
        if self.normal is None or not self.judged:
            return {**held, "these images": self.own}
        return {**held, "normal": self.own[self.normal], "strange": self.own[~self.normal]}

    def words(self, rows: Sequence[int]) -> list[str]:
        """Return what is said of each of these images: its score, and its p-value where it has one."""
        scores = [f"{self.own[row]:.2g}" for row in rows]
        if self.p_values is None:
            return scores
        return [f"{score}, p {self.p_values[row]:.2g}" for row, score in zip(rows, scores, strict=True)]

    def threshold_line(self) -> str | None:
        """Return the line that says what is flagged, None without a threshold."""
        found = self.threshold
        if found is None:
            return None
        low, high = found.rate_interval
        return (
            f"threshold: {score_title(self.metric)} {found.value:.4g} of {found.count:,} {self.known.title} images, "
            f"above which {100 * found.expected_rate:.2g} % of normal images are [{100 * low:.2g}, {100 * high:.2g}]"
        )

    def flagged_line(self) -> str | None:
        """Return the line that says how many are flagged, None without a threshold."""
        if self.threshold is None or self.flagged is None:
            return None
        count = len(self.own)
        low, high = self.threshold.count_interval(count)
        expected = self.threshold.expected(count)
        number = f"{expected:,.0f}" if expected >= 10 or abs(expected - round(expected)) < 0.05 else f"{expected:.1f}"
        return (
            f"{int(self.flagged.sum()):,} of {count:,} flagged; {number} expected were all normal [{low:,}, {high:,}]"
        )

    def to_json(self, names: Sequence[str] | None) -> dict[str, Any]:
        """Return it as plain values."""
        strangest = [
            {"row": int(row), **({"file": names[row]} if names else {}), "score": _finite(self.own[row]),
             "p_value": None if self.p_values is None else float(self.p_values[row])}
            for row in self.order[:10]
        ]  # fmt: skip
        rows = {
            row: {"title": title, **self.judged[row].to_json()} for row, title in self.titles.items() if self.judged
        }
        labels = {"normal": self.normal_count, "rows": rows} if rows else None
        return {"by": self.metric, **self._threshold_json(), "labels": labels, "strangest": strangest}

    def _threshold_json(self) -> dict[str, Any]:
        found = self.threshold
        if found is None or self.flagged is None:
            return {"threshold": None, "flagged": None}
        count = len(self.own)
        return {
            "threshold": {
                "value": _finite(found.value), "false_alarms": found.rate, "held_out": self.known.title,
                "held_out_images": found.count, "expected_rate": found.expected_rate,
                "rate_interval": [*found.rate_interval],
            },
            "flagged": int(self.flagged.sum()),
            "expected": found.expected(count),
            "expected_interval": [*found.count_interval(count)],
        }  # fmt: skip


def ask_of_labels(run: Run, source: ImageDataset, normal: str | None) -> AskedLabels:
    """Return the labels of images, and which are normal; AeError where the classes asked for are none of them."""
    found = labels_of(source)
    if isinstance(found, NoLabels):
        if normal is not None:
            raise AeError(f"--normal {escaped(normal)}: {escaped(found.reason)}: leave it out, or put labels there")
        return AskedLabels()
    present = {found.classes[number] for number in np.unique(found.values)}
    asked = tuple(name.strip() for name in normal.split(",")) if normal is not None else ()
    classes = asked or _trained_on(run, present) or tuple(name for name in _USUAL_NORMAL if name in present)
    if not classes:
        return AskedLabels(
            found, note=f"{source.file.path}: has labels: --normal CLASS,... says which of them are normal"
        )
    try:
        chosen = normal_images(found, classes)
    except ValueError as error:
        raise AeError(f"--normal: {source.file.path}: {error}") from error
    if chosen.all():
        return AskedLabels(found, classes, note=f"{source.file.path}: all images are normal: there is no AUROC")
    return AskedLabels(found, classes, chosen)


def _trained_on(run: Run, present: Container[str]) -> tuple[str, ...]:
    """Return the one class that a run was trained on, where images are of it."""
    name = load_recorded(run.config_file).config.data.only_label
    return () if name is None or name not in present else (name,)


def held_out_of(run: Run, model: Model, metric: str, given: ImageDataset | None, normal: Sequence[str]) -> KnownScores:
    """Return the scores that a run keeps of its held-out images, or those of the images that are given.

    Of given images with labels only normal ones count. Raises DataError where the run was trained on them.
    """
    if given is not None:
        return _given(run, model, metric, given, normal)
    held = read_held_out(run)
    if held is None:
        cure = "ae evaluate --keep makes it, --held-out IMAGES takes others"
        return KnownScores(None, note=f"{run.held_out_file}: is not there, so that there is no threshold: {cure}")
    found = kept_scores(held, metric, run.image_format.image_shape)
    if found is None:
        return KnownScores(None, note=f"{run.held_out_file}: has no {metric}: ae evaluate --keep makes it anew")
    return KnownScores(found, held.part)


def _given(run: Run, model: Model, metric: str, given: ImageDataset, normal: Sequence[str]) -> KnownScores:
    path = given.file.path
    if not held_out(own_parts(run, given)):
        raise DataError(f"--held-out {path}: the run was trained on images of it: give others, or leave it out")
    labels = labels_of(given)
    if not normal or isinstance(labels, NoLabels):
        return KnownScores(measure_scores(run, model, given, metric), path.name)
    try:
        rows = np.flatnonzero(normal_images(labels, normal))
    except ValueError as error:
        raise AeError(f"--held-out {path}: {error}") from error
    note = f"{path}: {len(rows):,} of {len(given):,} images are normal and decide the threshold"
    return KnownScores(measure_scores(run, model, given, metric, rows), path.name, note)


def own_images_note(run: Run, source: ImageDataset) -> str | None:
    """Return the line that says that images are the run's own, whose scores say little; None where they are not."""
    parts = own_parts(run, source)
    path = source.file.path
    if not held_out(parts):
        return (
            f"{path}: the run was trained on {len(parts['train']):,} of these {len(source):,} images: their scores are "
            f"lower than those of new images: score others"
        )
    if held_out_part(run) in parts:
        return f"{path}: the run's held-out images, which the threshold is from: about as many are flagged as asked for"
    return None


def score_images(
    run: Run, model: Model, source: ImageDataset, metric: str, known: KnownScores, asked: AskedLabels, rate: float
) -> ScoredImages:
    """Score images, and judge the scores; AeError where the rate is below what the held-out images can tell."""
    found = threshold(known.scores["model"], rate) if known.scores else None
    scores = measure_scores(run, model, source, metric)
    own = scores["model"]
    titles = row_titles(run.name, len(run.baselines.components), ROWS)
    judged = judge(scores, asked.normal, known.scores, rate) if asked.normal is not None else {}
    ranks = p_values(known.scores["model"], own) if known.scores else None
    return ScoredImages(
        metric, scores, strangest_first(own), known, titles, asked.normal, found, ranks,
        None if found is None else own > found.value, judged,
    )  # fmt: skip


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

"""How well the classes of images are told from the latents of a run, beside PCA, a random projection and pixels."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aecli.core.errors import DataError, escaped
from aecli.core.machine import one_blas_thread
from aecli.core.progress import ProgressCallback, no_progress
from aecli.data.dataset import ImageDataset, Rows
from aecli.data.files.labels import Labels
from aecli.data.files.manifest import display_name
from aecli.data.labels import UNKNOWN, numbers_in
from aecli.runs.baselines import Baselines
from aecli.runs.model import Model
from aecli.runs.uses.parts import Parts
from aecli.runs.uses.probing.features import Representation, features_of, representations, standardise
from aecli.runs.uses.probing.measures import Right, Share, paired_difference, share_right
from aecli.runs.uses.probing.neighbours import NEIGHBOURS, classify_by_neighbours
from aecli.runs.uses.probing.regression import Classes, Features, fit_penalised
from aecli.runs.uses.probing.selection import (
    MOST_TEST,
    MOST_TRAINING,
    MOST_VALUES,
    Selection,
    draw,
    draw_of_each,
    hold_out,
)  # fmt: skip

CLASSIFIERS = {"linear": "linear", "neighbours": f"{NEIGHBOURS}-NN"}
"""The classifiers, and what they are called."""

_MOST_CLASSES = 1000


@dataclass(frozen=True)
class LabelledImages:
    """Images of a source and their labels."""

    source: ImageDataset
    labels: Labels

    @property
    def path(self) -> Path:
        """What the user named."""
        return self.source.file.path


@dataclass(frozen=True)
class Task:
    """What is to be learned: the images to train on and to measure on, with their classes as numbers of `classes`.

    `train_classes` (n,) and `test_classes` (m,) belong to the rows of the selection; a test image of a class that the
    training has not has UNKNOWN. `found` are how many images there were to draw both from.
    """

    train: ImageDataset
    test: ImageDataset
    selection: Selection
    train_classes: Classes
    test_classes: Classes
    classes: tuple[str, ...]
    found: tuple[int, int]

    @property
    def unknown(self) -> int:
        """Test images of classes that the training has not: whatever is predicted for them is wrong."""
        return int((self.test_classes == UNKNOWN).sum())


@dataclass(frozen=True)
class ProbeRow:
    """What a classifier reaches on a representation: the share that is right, and how much more that is than with PCA.

    `predicted` (m,) are the classes of the test images. `classifier` is one of CLASSIFIERS, None in the row of the most
    frequent class.
    """

    representation: str
    title: str
    classifier: str | None
    right: Share
    beyond_pca: Share | None
    predicted: Classes


@dataclass(frozen=True)
class Probe:
    """The rows of the table, and the titles of what was left out of it with the reason."""

    task: Task
    rows: tuple[ProbeRow, ...]
    left_out: dict[str, str]

    def row(self, representation: str, classifier: str | None) -> ProbeRow:
        """Return one of the rows."""
        return next(r for r in self.rows if (r.representation, r.classifier) == (representation, classifier))

    def better(self, row: ProbeRow, other: ProbeRow) -> bool:
        """Whether the test images show that a row is better than another: the interval of their difference says so."""
        truth = self.task.test_classes
        return paired_difference(row.predicted == truth, other.predicted == truth).low > 0

    def to_csv(self, labels: Labels) -> str:
        """Return one line for each test image: its row, its file where that is known, its label, all predictions."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        names, classes = self.task.test.names, [escaped(name) for name in self.task.classes]
        titles = [f"{row.representation}_{row.classifier}" if row.classifier else "most_frequent" for row in self.rows]
        writer.writerow(["image", *(["file"] if names else []), "label", *titles])
        for i, image in enumerate(self.task.selection.test.tolist()):
            file = [escaped(names[image])] if names else []
            label = escaped(labels.classes[labels.values[image]])
            writer.writerow([image, *file, label, *(classes[row.predicted[i]] for row in self.rows)])
        return text.getvalue()


def make_task(
    images: LabelledImages,
    test: LabelledImages | None,
    parts: Parts,
    model: Model,
    per_class: int | None = None,
    seed: int = 0,
) -> Task:
    """Return what is to be learned of labelled images, measured on others, or on some of them that are held out.

    `parts` are those of the run's training that the images are. `per_class` is how many labels of each class are used,
    drawn by the seed. Raises DataError where there is nothing to be learned.
    """
    if test is None:
        selection = hold_out(images.path, len(images.source), parts, seed)
    else:
        selection = Selection(np.arange(len(images.source)), np.arange(len(test.source)), str(test.path))
    train, found = selection.train, (len(selection.train), len(selection.test))
    most = max(2, min(MOST_TRAINING, MOST_VALUES // (2 * model.latent_dim)))
    labels = images.labels.values
    _require_classes(images, train, per_class, most)
    if per_class is not None:
        train = draw_of_each(images.path, train, labels[train], images.labels.classes, per_class, seed)
    train = draw(train, most, seed, "training")
    classes = _require_classes(images, train, None, most)
    tested = draw(selection.test, max(1, min(MOST_TEST, MOST_VALUES // (2 * model.latent_dim))), seed, "test")
    measured = test or images
    return Task(
        images.source, measured.source, Selection(train, tested, selection.held_out),
        numbers_in(images.labels, classes)[train], numbers_in(measured.labels, classes)[tested], classes, found,
    )  # fmt: skip


def _require_classes(images: LabelledImages, train: Rows, per_class: int | None, most: int) -> tuple[str, ...]:
    """Return the names of the classes of training rows; DataError where these are too few or too many."""
    names, numbers = images.labels.classes, np.unique(images.labels.values[train])
    if len(numbers) == 1:
        raise DataError(
            f"{images.path}: every training image is of class {display_name(names[numbers[0]])!r}: give images of two "
            f"classes or more"
        )
    if len(numbers) > _MOST_CLASSES:
        raise DataError(
            f"{images.path}: {len(numbers):,} classes, a probe tells up to {_MOST_CLASSES:,} apart: are these labels?"
        )
    if per_class is not None and per_class * len(numbers) > most:
        raise DataError(
            f"--labels-per-class {per_class:,}: {per_class * len(numbers):,} training images, more than {most:,}: "
            f"ask for at most {most // len(numbers):,}"
        )
    return tuple(names[number] for number in numbers)


def probe(
    task: Task, model: Model, baselines: Baselines, seed: int = 0, on_progress: ProgressCallback = no_progress
) -> Probe:
    """Train both classifiers on every representation of the training images, and measure them on the test images."""
    images = len(task.selection.train) + len(task.selection.test)
    seen, left_out = representations(model, baselines, images, seed)
    predicted: list[tuple[Representation, str, Classes]] = []
    with one_blas_thread():
        for representation in seen:
            on_progress(f"probing {representation.title}", 0, 1)
            for classifier, classes in _predictions(task, representation, seed):
                predicted.append((representation, classifier, classes))
    pca = {name: classes == task.test_classes for one, name, classes in predicted if one.name == "pca"}
    rows = [_row(task, one.name, one.title, name, classes, pca) for one, name, classes in predicted]
    # Of the test images: the most that one answer for all of them can reach.
    frequent = np.bincount(task.test_classes[task.test_classes != UNKNOWN], minlength=1).argmax()
    most = np.full(len(task.test_classes), frequent, np.int64)
    rows.append(_row(task, "most_frequent", "most frequent class", None, most, {}))
    return Probe(task, tuple(rows), left_out)


def _predictions(task: Task, representation: Representation, seed: int) -> Iterator[tuple[str, Classes]]:
    """Yield the classes of the test images by each classifier."""
    training = features_of(representation, task.train, task.selection.train)
    test = features_of(representation, task.test, task.selection.test)
    standardise(training, test)
    yield "linear", _by_regression(task, training, test, seed)
    yield "neighbours", classify_by_neighbours(test, training, task.train_classes)


def _by_regression(task: Task, training: Features, test: Features, seed: int) -> Classes:
    return fit_penalised(training, task.train_classes, len(task.classes), seed).predict(test)


def _row(
    task: Task,
    representation: str,
    title: str,
    classifier: str | None,
    classes: Classes,
    pca: Mapping[str, Right],
) -> ProbeRow:
    right = classes == task.test_classes
    beyond = None
    if classifier is not None and representation != "pca":
        beyond = paired_difference(right, pca[classifier])
    return ProbeRow(representation, title, classifier, share_right(right), beyond, classes)


def verdict(result: Probe) -> str:
    """Return in one sentence what the latents tell of the classes, beside PCA, pixels and the most frequent class."""
    subjects = {"linear": "A linear probe on the latents is", "neighbours": f"{NEIGHBOURS} nearest neighbours are"}
    rows = [result.row("latents", classifier) for classifier in subjects]
    said = "; ".join(
        f"{subject} right for {row.right.number()} % {row.right.interval()}{_beside(result, row)}"
        for row, subject in zip(rows, subjects.values(), strict=True)
    )
    frequent = result.rows[-1]
    if any(result.better(row, frequent) for row in rows):
        return f"{said}."
    return f"{said}: no better than the most frequent class ({frequent.right.number()} %)."


def _beside(result: Probe, row: ProbeRow) -> str:
    """Return how a row of the latents stands to the same classifier on PCA, and on pixels where these do better."""
    difference, title = row.beyond_pca, result.row("pca", row.classifier).title
    if difference is None:
        return ""
    word = "better than" if difference.low > 0 else "worse than" if difference.high < 0 else "no better than"
    beside = f", {word} {title} ({difference.number('+', 2)} {difference.interval('+', 2)} points)"
    pixels = next((r for r in result.rows if (r.representation, r.classifier) == ("pixels", row.classifier)), None)
    if pixels and result.better(pixels, row):
        beside += f" and worse than on {pixels.title} ({pixels.right.number()} %)"
    return beside

"""What a run's uses give: means and scores, as values and as tables."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from aecli.data.dataset import ImageDataset
from aecli.python.tables import Row, Table
from aecli.runs.baselines import BASELINES
from aecli.runs.metrics import PerImage
from aecli.runs.records import EpochRecord, LayerHealth
from aecli.runs.uses.evaluate import Evaluation as Measured
from aecli.runs.uses.scoring.result import ScoredImages

_ROWS = ("model", *BASELINES)
"""What is measured side by side: the network, and the baselines that there are."""


class Means(dict[str, Any]):
    """Means of metrics as they are kept in JSON, by name, and the same as a table."""

    @property
    def table(self) -> Table:
        """A row for each part of the images and each of model, best_linear, pca, mean_image; nan where no mean is."""
        parts: Mapping[str, Any] = self.get("splits", {"": self})
        return Table.of_rows(_rows(parts))

    @overload
    def to_dict(self, orient: Literal["list"] = "list") -> dict[str, list[Any]]: ...
    @overload
    def to_dict(self, orient: Literal["records"]) -> list[dict[str, Any]]: ...
    def to_dict(self, orient: Literal["list", "records"] = "list") -> dict[str, list[Any]] | list[dict[str, Any]]:
        """Return the table as {column: values}, or with "records" as a dict a row."""
        return self.table.to_dict(orient)

    def _repr_html_(self) -> str:
        return self.table._repr_html_()


class Metrics(Means):
    """The content of a run's metrics.json, e.g. `metrics["splits"]["validation"]["model"]["mse"]`."""


class Evaluation(Means):
    """The means of every metric by row, e.g. `evaluation["model"]["psnr"]`, of images that a run was used on.

    `splits` stands beside the rows where the images are those of the run's training. `verdict` is how the network
    stands to the baselines, in a sentence; None where it was trained on some of the images. `per_image` are the
    values (N,) of every metric of the model.
    """

    def __init__(self, measured: Measured, count: int, verdict: str | None) -> None:
        splits = {"splits": measured.splits} if measured.splits else {}
        super().__init__({"images": count, **measured.summary, **splits})
        self.verdict, self.per_image = verdict, dict(measured.per_image)


def _rows(parts: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for part, values in parts.items():
        for row in _ROWS:
            if row in values:
                of = {"part": part} if part else {}
                yield {**of, "by": row, "images": values["images"], **values[row]}


class Scores(Table):
    """A score for each image, higher where it is stranger: a row an image, in the order of the images.

    Its columns are row, file where it is known, score, p_value and flagged where they are known. `p_values` are those
    among the run's held-out images, `flagged` says whose score is above `threshold`, all (N,). They are None for a run
    that keeps no held-out images. `order` are the images, strangest first, and `files` their names where they are
    known. `verdict` says what was flagged.
    """

    def __init__(self, scored: ScoredImages, source: ImageDataset, note: str | None) -> None:
        """Take what was scored of a source; a note stands before what was flagged."""
        lines = (note, scored.threshold_line(), scored.flagged_line(), scored.known.note)
        self.scores: PerImage = scored.own
        self.order: NDArray[np.int64] = scored.order
        self.p_values: PerImage | None = scored.p_values
        self.flagged: NDArray[np.bool_] | None = scored.flagged
        self.threshold = scored.threshold.value if scored.threshold else None
        self.verdict, self.files = "; ".join(filter(None, lines)), source.names
        columns: dict[str, Any] = {
            "row": np.arange(len(scored.own)), "file": self.files or None, "score": self.scores,
            "p_value": self.p_values, "flagged": self.flagged,
        }  # fmt: skip
        super().__init__({name: values for name, values in columns.items() if values is not None})

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name in vars(self) if not name.startswith("_"))]

    def __repr__(self) -> str:
        return f"{self.verdict}\n{super().__repr__()}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.verdict)}</p>{super()._repr_html_()}"


def epoch_row(record: EpochRecord) -> Row:
    """Return an epoch with the terms of its losses as columns."""
    columns = {name: value for name, value in vars(record).items() if name != "terms"}
    return Row({**columns, **record.terms})


def layer_row(record: LayerHealth) -> Row:
    """Return a layer after an epoch."""
    return Row(vars(record))

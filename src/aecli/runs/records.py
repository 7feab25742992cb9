"""What a training records of each epoch: its losses, and the health of every layer; kept as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

SATURATED_WITHIN = 0.01
"""How near to a bound of its range an output counts as saturated, as a share of the range."""


@dataclass(frozen=True)
class EpochRecord:
    """One epoch, counted from 1; the losses include the penalties of the config.

    `terms` are the parts of the losses by name, where the objective has several: those of the training images under
    the term's own name, those of the validation images under "val_" and the name. Measures that are no part of the
    losses are of the validation images, under their own name.
    """

    epoch: int
    loss: float
    val_loss: float
    learning_rate: float
    seconds: float
    terms: Mapping[str, float] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, tuple[float, float]]:
        """The part of the training and of the validation loss by the name of each term."""
        terms = self.terms
        return {name: (terms[name], terms[f"val_{name}"]) for name in terms if f"val_{name}" in terms}

    @property
    def measures(self) -> dict[str, float]:
        """What was measured beside the losses by its name, such as the sigma of a likelihood."""
        of_parts = {side for name in self.parts for side in (name, f"val_{name}")}
        return {name: value for name, value in self.terms.items() if name not in of_parts}


_COLUMNS = [f.name for f in fields(EpochRecord) if f.name != "terms"]


@dataclass(frozen=True)
class LayerHealth:
    """One layer after one epoch, on a fixed sample of validation images.

    `dead` is the share of its units that give the same output for every image. `saturated` is the share of all
    outputs within 1 % of the activation's range from one of its bounds, None where the range is unbounded.
    `slope` is the mean learned slope below zero, None but for PReLU. The norms are Frobenius norms of the
    weights and of the loss's gradient with respect to them.
    """

    epoch: int
    layer: str
    activation: str
    units: int
    dead: float
    saturated: float | None
    slope: float | None
    gradient_norm: float
    weight_norm: float


def history_to_csv(records: Iterable[EpochRecord]) -> str:
    """Return the records as CSV with a header line, a column a term behind the others."""
    rows = [{name: getattr(record, name) for name in _COLUMNS} | dict(record.terms) for record in records]
    return _to_csv(rows, [*_COLUMNS, *(name for name in (rows[0] if rows else ()) if name not in _COLUMNS)])


def history_from_csv(text: str) -> list[EpochRecord]:
    """Read what `history_to_csv` wrote; ValueError or KeyError when it is something else."""
    return [
        EpochRecord(
            epoch=int(row["epoch"]),
            loss=float(row["loss"]),
            val_loss=float(row["val_loss"]),
            learning_rate=float(row["learning_rate"]),
            seconds=float(row["seconds"]),
            terms={name: float(value) for name, value in row.items() if name not in _COLUMNS},
        )
        for row in csv.DictReader(io.StringIO(text))
    ]


def health_to_csv(records: Iterable[LayerHealth]) -> str:
    """Return the records as CSV with a header line; an empty field is None."""
    rows = [{k: f"{v:.6g}" if isinstance(v, float) else v for k, v in asdict(record).items()} for record in records]
    return _to_csv(rows, [f.name for f in fields(LayerHealth)])


def health_from_csv(text: str) -> list[LayerHealth]:
    """Read what `health_to_csv` wrote; ValueError or KeyError when it is something else."""
    return [
        LayerHealth(
            epoch=int(row["epoch"]),
            layer=row["layer"],
            activation=row["activation"],
            units=int(row["units"]),
            dead=float(row["dead"]),
            saturated=float(row["saturated"]) if row["saturated"] else None,
            slope=float(row["slope"]) if row["slope"] else None,
            gradient_norm=float(row["gradient_norm"]),
            weight_norm=float(row["weight_norm"]),
        )
        for row in csv.DictReader(io.StringIO(text))
    ]


def _to_csv(rows: Iterable[Mapping[str, Any]], columns: list[str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()

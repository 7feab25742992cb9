"""The history of a training: one record an epoch, kept as CSV."""

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True)
class EpochRecord:
    """One epoch, counted from 1; the losses include the penalties of the config."""

    epoch: int
    loss: float
    val_loss: float
    learning_rate: float
    seconds: float


def to_csv(records: Iterable[EpochRecord]) -> str:
    """Return the records as CSV with a header line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(EpochRecord)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(record) for record in records)
    return text.getvalue()


def from_csv(text: str) -> list[EpochRecord]:
    """Read what `to_csv` wrote; ValueError or KeyError when it is something else."""
    return [
        EpochRecord(int(row["epoch"]), *(float(row[f.name]) for f in fields(EpochRecord)[1:]))
        for row in csv.DictReader(io.StringIO(text))
    ]

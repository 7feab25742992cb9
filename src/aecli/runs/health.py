"""The health of the activations: one record for each layer and epoch, kept as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields

SATURATED_WITHIN = 0.01
"""How near to a bound of its range an output counts as saturated, as a share of the range."""


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


def to_csv(records: Iterable[LayerHealth]) -> str:
    """Return the records as CSV with a header line; an empty field is None."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(LayerHealth)], lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in asdict(record).items()})
    return text.getvalue()


def from_csv(text: str) -> list[LayerHealth]:
    """Read what `to_csv` wrote; ValueError or KeyError when it is something else."""
    return [_record(row) for row in csv.DictReader(io.StringIO(text))]


def _record(row: Mapping[str, str]) -> LayerHealth:
    return LayerHealth(
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


COLLAPSED_FVU = 0.95
"""A network whose error is nearly that of the mean image has learned nothing."""


def collapse(records: Iterable[LayerHealth], fvu: float | None) -> str | None:
    """Return why a network with this error, as a share of the mean image's, has collapsed; None where it has not."""
    if fvu is None or fvu <= COLLAPSED_FVU:
        return None
    return diagnosis(records) or f"its error is {fvu:.0%} of the mean image's"


def diagnosis(records: Iterable[LayerHealth]) -> str | None:
    """Return why a network may have learned nothing, from its last epoch; None where the layers look well."""
    records = list(records)
    if not records:
        return None
    last = [record for record in records if record.epoch == records[-1].epoch]
    worst = max(last, key=lambda record: record.dead)
    if worst.dead > 0.5:
        return f"{worst.dead:.0%} of the {worst.activation} units of {worst.layer} are dead"
    # The output may well be black and white; hidden layers and the code should not be.
    inner = [record for record in last[:-1] if record.saturated is not None]
    worst = max(inner, key=lambda record: record.saturated or 0.0, default=last[0])
    if (worst.saturated or 0.0) > 0.5:
        return f"{worst.saturated:.0%} of the {worst.activation} outputs of {worst.layer} are saturated"
    weakest = min(last, key=lambda record: record.gradient_norm)
    if weakest.gradient_norm < 1e-7:
        return f"no gradient reaches {weakest.layer} (norm {weakest.gradient_norm:.1e})"
    return None

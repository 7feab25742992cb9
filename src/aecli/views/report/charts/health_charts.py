"""Small panels of the health of the activations, a curve for every layer."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from aecli.runs.records import LayerHealth
from aecli.studies.tables import number
from aecli.views.report.charts.curves import Axes, Curve, mean_and_band, panel
from aecli.views.report.charts.drawing import Drawing

_LAYER_STYLES = 6
"""Looks of layers that the style sheet tells apart; deeper networks begin again."""

GRADIENTS = (
    "Frobenius norm of the loss's gradient with respect to each layer's weights. The number is the smallest at the end."
)
SILENT = (
    "Solid: share of dead units, which give the same output for every image. Dashed: share of saturated outputs, "
    "within 1 % of a bound of the activation's range. The number is the largest at the end."
)

Health = Sequence[Sequence[LayerHealth]]
"""The records of some runs of one variant."""


def layer_panels(
    healths: Mapping[str, Health], measure: Literal["gradient_norm", "silent"], label: str
) -> tuple[Drawing, ...]:
    """Return a panel for every name, on the same axes; none where nothing was recorded."""
    curves = {name: _curves(health, measure) for name, health in healths.items()}
    ys = [y for some in curves.values() for curve in some for y in curve.y]
    epochs = [x for some in curves.values() for curve in some for x in curve.x]
    if not ys:
        return ()
    if measure == "silent":
        axes = Axes(epochs, [0.0, max(0.25, *ys)], "epoch", label, log_y=False, y_floor=0.0)
    else:
        axes = Axes(epochs, [y for y in ys if y > 0] or [0.0], "epoch", label)
    return tuple(panel(name, some, axes, note=_note(some, measure)) for name, some in curves.items())


def _layers_of(healths: Mapping[str, Health]) -> list[str]:
    """Return the names of the layers in the order of their looks."""
    return list(dict.fromkeys(r.layer for health in healths.values() for run in health for r in run))


def keys_of(healths: Mapping[str, Health]) -> tuple[tuple[str, str], ...]:
    """Return the look and the name of every layer."""
    return tuple((f"s{i % _LAYER_STYLES}", layer) for i, layer in enumerate(_layers_of(healths)))


def _curves(health: Health, measure: str) -> list[Curve]:
    layers = _layers_of({"": health})
    if measure == "gradient_norm":
        return [c for i, layer in enumerate(layers) if (c := _curve(health, layer, measure, i, ""))]
    curves = [_curve(health, layer, "dead", i, "") for i, layer in enumerate(layers)]
    # The output may well be black and white, as the images are.
    curves += [_curve(health, layer, "saturated", i, " dashed") for i, layer in enumerate(layers[:-1])]
    return [curve for curve in curves if curve]


def _curve(health: Health, layer: str, field: str, position: int, style: str) -> Curve | None:
    series = []
    for run in health:
        values = [getattr(record, field) for record in run if record.layer == layer]
        if values and all(value is not None for value in values):
            series.append(values)
    mean, _, _ = mean_and_band(series)
    if not mean:
        return None
    title = f"{layer}, {field.replace('_', ' ')}, epoch {len(mean)}: {number(mean[-1])}"
    # A gradient of zero has no place on a log scale: the curve ends there.
    ys = tuple(y if y > 0 or field != "gradient_norm" else math.nan for y in mean)
    epochs = tuple(float(i) for i in range(1, len(mean) + 1))
    return Curve(epochs, ys, f"s{position % _LAYER_STYLES}{style}", title=title)


def _note(curves: Sequence[Curve], measure: str) -> str:
    lasts = [curve.y[-1] for curve in curves if math.isfinite(curve.y[-1])]
    if not lasts:
        return ""
    return number(min(lasts)) if measure == "gradient_norm" else f"{max(lasts):.0%}"

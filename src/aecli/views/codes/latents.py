"""Codes as points: along their first two principal axes, coloured by label or by error."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.data.files.labels import Labels, NoLabels
from aecli.data.labels import labels_of
from aecli.runs.uses.sampling.sampler import fit_axes
from aecli.views.canvas import CIVIDIS, Figure, default_settings
from aecli.views.codes.codes import codes_of, thinned
from aecli.views.mosaic import INK
from aecli.views.plots import PlotContext, context_line, plain

_COLORS = (
    "#332288", "#88ccee", "#117733", "#ddcc77", "#cc6677", "#aa4499", "#44aa99", "#882255", "#999933", "#6699cc",
)  # fmt: skip
"""P. Tol's muted colours, to be told apart by eyes of every kind; classes have their names beside them too."""
_OTHERS = "#bbbbbb"

_CLIPPED = 0.99
"""Errors above this share of them have one colour: a few large ones would leave all others alike."""

_Points = NDArray[np.float64]


@default_settings()
def latents(context: PlotContext) -> Figure:
    """Draw the codes along their first two principal axes, by label where there are labels, else by error."""
    context = thinned(context)
    codes = codes_of(context)
    axes, placed = fit_axes(codes, most=2)
    points = np.zeros((len(codes), 2))
    points[:, : len(axes.spread)] = placed * axes.spread
    figure = Figure(figsize=(7, 6), layout="constrained")
    axis = figure.add_subplot()
    labels = labels_drawn(context)
    if labels is None:
        _color_by_error(figure, axis, points, context)
    else:
        _color_by_label(axis, points, labels)
    total = float(codes.var(axis=0, dtype=np.float64).sum())
    shares = [*(axes.spread**2 / total if total else axes.spread), 0.0, 0.0]
    for name, share in zip("xy", shares, strict=False):
        number = "first" if name == "x" else "second"
        axis.set(**{f"{name}label": f"{number} principal axis, {100 * share:.0f} % of the variance"})
    axis.set_title(context_line(context), fontsize=10, loc="left")
    return figure


def labels_drawn(context: PlotContext) -> Labels | None:
    """Return the labels of the images drawn from: those beside their array, or the folders of their files."""
    found = labels_of(context.source)
    if isinstance(found, NoLabels):
        return None
    return Labels(found.values if context.rows is None else found.values[context.rows], found.classes)


def _color_by_label(axis: Any, points: _Points, labels: Labels) -> None:
    """Draw points (N, 2) in the colours of the classes that have most of them, each with its name at its median."""
    classes, counts = np.unique(labels.values, return_counts=True)
    most = np.sort(classes[np.argsort(-counts, kind="stable")][: len(_COLORS)])
    colors = np.full(len(points), _OTHERS)
    for color, number in zip(_COLORS, most, strict=False):
        colors[labels.values == number] = color
    axis.scatter(*points.T, s=_size(len(points)), c=colors.tolist(), linewidths=0, alpha=0.8)
    box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "alpha": 0.85, "linewidth": 1.2}
    for color, number in zip(_COLORS, most, strict=False):
        x, y = np.median(points[labels.values == number], axis=0)
        name = plain(labels.classes[number], 16)
        axis.text(x, y, name, fontsize=9, color=INK, ha="center", va="center", bbox={**box, "edgecolor": color})
    if len(classes) > len(most):
        axis.text(
            0.01,
            0.01,
            f"grey: {len(classes) - len(most)} more classes",
            fontsize=8,
            color=INK,
            transform=axis.transAxes,
        )


def _color_by_error(figure: Figure, axis: Any, points: _Points, context: PlotContext) -> None:
    errors = context.errors
    highest = float(np.quantile(errors, _CLIPPED))
    drawn = axis.scatter(
        *points.T, s=_size(len(points)), c=errors, cmap=CIVIDIS, vmin=float(errors.min()), vmax=highest, linewidths=0,
        alpha=0.8,
    )  # fmt: skip
    bar = figure.colorbar(drawn, ax=axis, label="mse of an image", extend="max")
    bar.ax.tick_params(labelsize=8)


def _size(count: int) -> float:
    """Return the area of a point, the smaller the more there are."""
    return float(np.clip(20_000 / max(1, count), 4, 40))

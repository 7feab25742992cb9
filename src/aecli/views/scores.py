"""The scores of images beside those of held-out ones, and the strangest images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aecli.runs.metrics import PerImage
from aecli.runs.uses.scoring.scores import score_title
from aecli.views.canvas import MAGMA, Figure, default_settings, label_logarithmic
from aecli.views.mosaic import COLUMNS, INK, Sheet, image_pixels
from aecli.views.plots import PlotContext, image_label, write_caption

STRANGEST = COLUMNS
"""Images that are drawn."""

_TOP, _LEFT, _RIGHT = 2.5, 0.75, 0.25
"""Inches of the histograms, and beside them."""

_COLORS = ("#2166ac", "#e08214", "#b2182b")
_BINS = 60
_WIDE = 20.0
"""Times the lowest score beyond which the axis is logarithmic."""


@dataclass(frozen=True)
class ScoreDistributions:
    """What is drawn of scores by `metric`: {name: (N,)} for each histogram, and the threshold where there is one."""

    metric: str
    values: Mapping[str, PerImage]
    threshold: float | None


@default_settings()
def scores(
    context: PlotContext, distributions: ScoreDistributions, strangest: Sequence[int], below: Sequence[str]
) -> Figure:
    """Draw the histograms over the strangest images, their reconstructions and errors, with a word under each."""
    images, restored = context.show(strangest)
    error_maps = np.abs(images - restored).mean(axis=3)
    brightest = max(float(error_maps.max()), 1e-6)
    titles = 2 if context.source.names else 1
    sheet = Sheet(len(images), context.source.format.image_shape, title_lines=titles, free=_TOP)
    for i, row in enumerate(strangest):
        sheet.show(i, 0, image_pixels(images[i]))
        sheet.show(i, 1, image_pixels(restored[i]))
        sheet.show(i, 2, {"X": error_maps[i], "cmap": MAGMA, "vmin": 0, "vmax": brightest})
        sheet.write(i, image_label(context, row), below[i])
    sheet.name_rows(0, ("strangest", "reconstructed", "error"))
    _draw_histograms(sheet, distributions)
    maps = f"Error maps: |difference| of pixels in [0, 1], black 0, palest yellow {brightest:.2g}."
    write_caption(sheet.figure, context, f"The {len(images)} strangest. {maps}")
    return sheet.figure


def _draw_histograms(sheet: Sheet, distributions: ScoreDistributions) -> None:
    """Draw the histograms into the room that a sheet leaves on top."""
    width, height = sheet.figure.get_size_inches()
    bottom = height - _TOP + 0.55
    box = (_LEFT / width, bottom / height, 1 - (_LEFT + _RIGHT) / width, (_TOP - 0.7) / height)
    axis: Any = sheet.figure.add_axes(box)
    shown = {name: values[np.isfinite(values)] for name, values in distributions.values.items()}
    everything = np.concatenate([*shown.values(), np.zeros(0)])
    if len(everything):
        edges = _edges(everything)
        if edges[0] > 0 and edges[-1] / edges[0] > _WIDE:
            axis.set_xscale("log")
            label_logarithmic(axis.xaxis, float(edges[-1] / edges[0]))
        for color, (name, values) in zip(_COLORS, shown.items(), strict=False):
            weights = np.full(len(values), 1 / max(1, len(values)))
            label = f"{name}, {len(distributions.values[name]):,}"
            axis.hist(values, edges, weights=weights, color=color, alpha=0.3, histtype="stepfilled")
            axis.hist(values, edges, weights=weights, color=color, lw=1.2, histtype="step", label=label)
    if distributions.threshold is not None and np.isfinite(distributions.threshold):
        axis.axvline(
            distributions.threshold, color=INK, lw=1, ls="--", label=f"threshold {distributions.threshold:.3g}"
        )
    axis.set_xlabel(f"score: {score_title(distributions.metric)} of an image", fontsize=8, color=INK)
    axis.set_ylabel("share of images", fontsize=8, color=INK)
    axis.tick_params(labelsize=7.5, which="both")
    axis.legend(frameon=False, fontsize=8)


def _edges(values: PerImage) -> PerImage:
    """Return the edges of bins for these finite values: of equal ratios where they are positive and far apart."""
    low, high = float(values.min()), float(values.max())
    if low > 0 and high / low > _WIDE:
        return np.geomspace(low, high, _BINS + 1)
    return np.linspace(low, high if high > low else low + 1, _BINS + 1)

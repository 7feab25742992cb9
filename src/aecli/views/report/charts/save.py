"""Drawings and galleries as pictures in files."""

from pathlib import Path
from typing import Any

import numpy as np

from aecli.views import plots
from aecli.views.canvas import MAGMA, Polygon, default_settings
from aecli.views.canvas import Figure as Sheet
from aecli.views.report.charts.drawing import TEXT_SIZE, Area, Dot, Drawing, Line, Text
from aecli.views.report.page import Figure
from aecli.views.report.pictures import Gallery

_INK, _MUTED, _GRID, _BLUE, _ORANGE = "#1f2328", "#656d76", "#e3e7ec", "#1f6fb5", "#c2500f"
COLOURS = {
    "best": _BLUE, "worse": "#8a929b", "lost": "#c62828", "seed": "#57606a", "pca": "#9a6700", "context": "#cfd5db",
    "s0": _BLUE, "s1": _ORANGE, "s2": "#2a8a4a", "s3": "#8250b8", "s4": "#b03a6e", "s5": "#7a5c2e",
    "grid": _GRID, "rule": _MUTED, "tick": _MUTED, "axis": _MUTED, "note": _MUTED, "small": _MUTED, "place": _MUTED,
    "label": _INK, "title": _INK,
}  # fmt: skip
"""Style -> colour, as the page has them by day."""

_WIDTHS = {"grid": 0.8, "rule": 1.2, "interval": 2.2, "whisker": 1.0, "context": 0.9, "curve": 1.7}
_MARKS = {"circle": "o", "cross": "x", "bar": "|", "diamond": "D"}
_INCH = 100.0
_POINTS = 72 / _INCH


@default_settings()
def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, its title and the keys of its curves on top."""
    drawing = figure.whole
    top = 52.0 if figure.keys else 30.0
    width, height = drawing.width + 24, drawing.height + top + 8
    sheet = Sheet(figsize=(width / _INCH, height / _INCH), facecolor="white")
    axis: Any = sheet.add_axes((0, 0, 1, 1))
    axis.set(xlim=(-12, width - 12), ylim=(drawing.height + 8, -top))
    axis.set_axis_off()
    axis.text(0, 14 - top + 6, figure.title, fontsize=14 * _POINTS, weight="bold", color=_INK)
    x = 0.0
    for style, word in figure.keys:
        axis.plot([x, x + 18], [-12, -12], color=COLOURS[style], lw=1.8)
        axis.text(x + 24, -8, plots.plain(word), fontsize=11 * _POINTS, color=_MUTED)
        x += 44 + 6.5 * len(word)
    _draw(axis, drawing)
    plots.save(sheet, path)


def _draw(axis: Any, drawing: Drawing) -> None:
    for shape in drawing.shapes:
        colour = _colour(shape.style)
        if isinstance(shape, Line):
            width = next((_WIDTHS[word] for word in shape.style.split() if word in _WIDTHS), 1.2)
            xs, ys = zip(*shape.points, strict=True)
            dashes = (0, (4, 3)) if {"dashed", "rule", "pca"} & set(shape.style.split()) else "-"
            axis.plot(xs, ys, color=colour, lw=width * _POINTS * 1.2, ls=dashes, solid_capstyle="round")
        elif isinstance(shape, Area):
            axis.add_patch(Polygon(shape.points, color=colour, alpha=0.16, lw=0))
        elif isinstance(shape, Dot):
            _dot(axis, shape, colour)
        elif isinstance(shape, Text):
            size = TEXT_SIZE.get(shape.style, 12.0) * _POINTS
            side = {"start": "left", "middle": "center", "end": "right"}[shape.anchor]
            weight = "bold" if shape.style == "title" else "normal"
            axis.text(
                shape.x, shape.y, plots.plain(shape.text), fontsize=size * 0.96, color=colour, ha=side, weight=weight
            )


def _dot(axis: Any, dot: Dot, colour: str) -> None:
    faded = 0.5 if dot.style == "seed" else 1.0
    size = 2 * dot.size * _POINTS * (2.0 if dot.mark == "bar" else 0.8 if dot.mark == "diamond" else 1.0)
    edge = 1.5 if dot.mark in ("cross", "bar") else 0
    axis.plot([dot.x], [dot.y], _MARKS[dot.mark], color=colour, ms=size, mew=edge, alpha=faded, zorder=3)


def _colour(style: str) -> str:
    return next((COLOURS[word] for word in reversed(style.split()) if word in COLOURS), _INK)


@default_settings()
def save_gallery(gallery: Gallery, path: Path, errors: bool = False) -> None:
    """Write the gallery as PNG: the originals over every model's reconstructions, or over its error maps."""
    rows, columns = 1 + len(gallery.rows), len(gallery.numbers)
    height, width, _ = gallery.originals.shape[1:]
    cell, left, top = 0.72, 1.7, 0.62
    aspect = min(max(height / width, 0.2), 3.0)
    size = (left + columns * cell + 0.1, top + rows * (cell * aspect + 0.2) + 0.3)
    sheet = Sheet(figsize=size, facecolor="white")
    grid = sheet.add_gridspec(
        rows, columns, left=left / size[0], right=1 - 0.1 / size[0], top=1 - top / size[1], bottom=0.32 / size[1],
        wspace=0.08, hspace=0.2 / (cell * aspect) + 0.06,
    )  # fmt: skip
    titles = [name if i == 0 else "" for name, count in gallery.groups for i in range(count)]
    for column, image in enumerate(gallery.originals):
        axis = sheet.add_subplot(grid[0, column])
        plots.show_image(axis, image)
        axis.set_title(f"{titles[column]}\n#{gallery.numbers[column]}", fontsize=8, color=_INK)
    for i, (row, maps) in enumerate(zip(gallery.rows, gallery.error_maps, strict=True), start=1):
        for column in range(columns):
            axis = sheet.add_subplot(grid[i, column])
            if errors:
                axis.imshow(maps[column], cmap=MAGMA, vmin=0, vmax=gallery.brightest, interpolation="nearest")
                axis.set(xticks=[], yticks=[])
            else:
                plots.show_image(axis, row.images[column])
            axis.set_xlabel(f"{row.errors[column]:.2g}", fontsize=7, color=_MUTED, labelpad=2)
    for axis, name in zip(sheet.axes[::columns], _first_names(gallery), strict=False):
        axis.set_ylabel(plots.plain(name), fontsize=8, color=_INK, rotation=0, ha="right", va="center")
    scale = f" Error maps: black 0, palest yellow {np.format_float_positional(gallery.brightest, 2)}." if errors else ""
    caption = f"{plots.plain(gallery.about)}. Under each its mse.{scale}"
    sheet.text(0.1 / size[0], 0.12 / size[1], caption, fontsize=7.5, color=_MUTED, va="center")
    plots.save(sheet, path)


def _first_names(gallery: Gallery) -> list[str]:
    return ["original", *(row.name for row in gallery.rows)]

"""Many images on one axes: on axes of its own, each would take several times as long to draw."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.views.canvas import GREY, RED_BLUE, Figure, Rectangle

COLUMNS = 10
INK, FRAME = "#444444", "#cccccc"
_CELL, _GAP, _PAD, _TITLES, _LINE, _MARGIN, _CAPTION = 0.92, 0.07, 0.04, 0.45, 0.15, 0.95, 0.45

Box = tuple[float, float, float, float]
"""Left, right, bottom and top of an image on its axes."""


class Sheet:
    """A figure of images in columns, `rows` rows of them in a band, measured in inches; `free` ones are left on top."""

    def __init__(
        self, count: int, image_shape: tuple[int, int, int], rows: int = 3, title_lines: int = 1, free: float = 0.0
    ) -> None:
        self._free = free
        self._ratio = image_shape[0] / image_shape[1]
        aspect = min(max(self._ratio, 0.2), 3.0)
        self._wide = _CELL / max(1.0, aspect**0.5)
        self._tall = self._wide * aspect
        self._rows = rows
        self._above = _TITLES / 2 + (title_lines - 1) * _LINE
        self._band = rows * (self._tall + _GAP) + _TITLES / 2 + self._above
        # A caption needs its width even under few images.
        width = max(_MARGIN + min(COLUMNS, count) * (self._wide + _GAP) + 0.1, 7.5)
        self.height = free + ceil(count / COLUMNS) * self._band + _CAPTION
        self.figure = Figure(figsize=(width, self.height))
        self._axis: Any = self.figure.add_axes((0, 0, 1, 1), autoscale_on=False)
        self._axis.set(xlim=(0, width), ylim=(0, self.height))
        self._axis.set_axis_off()

    def box(self, image: int, row: int) -> Box:
        """Return the place of an image in a row of its band, counted from 0; it keeps its proportions."""
        band, column = divmod(image, COLUMNS)
        x = _MARGIN + column * (self._wide + _GAP) + self._wide / 2
        y = self.height - self._free - self._above - band * self._band - row * (self._tall + _GAP) - self._tall / 2
        half = min(self._wide, self._tall / self._ratio) / 2
        return x - half, x + half, y - half * self._ratio, y + half * self._ratio

    def show(self, image: int, row: int, pixels: dict[str, Any]) -> None:
        """Draw an image, framed."""
        left, right, bottom, top = box = self.box(image, row)
        _place(self._axis, box, pixels)
        frame = Rectangle((left, bottom), right - left, top - bottom, fill=False, edgecolor=FRAME, linewidth=0.5)
        self._axis.add_patch(frame)

    def write(self, image: int, above: str, below: str) -> None:
        """Write over the first and under the last row of an image."""
        left, right, bottom, _ = self.box(image, self._rows - 1)
        for y, text, side in ((self.box(image, 0)[3] + _PAD, above, "bottom"), (bottom - _PAD, below, "top")):
            self._axis.text((left + right) / 2, y, text, fontsize=8, color=INK, ha="center", va=side)

    def name_rows(self, image: int, names: Sequence[str]) -> None:
        """Write the names of the rows to the left of an image."""
        for row, name in enumerate(names):
            left, _, bottom, top = self.box(image, row)
            self._axis.text(left - 2 * _PAD, (bottom + top) / 2, name, fontsize=8, color=INK, ha="right", va="center")


def image_pixels(image: NDArray[np.float32]) -> dict[str, Any]:
    """Return an image (H, W, C) of the contract as arguments of imshow."""
    if image.shape[2] >= 3:
        return {"X": np.clip(image[:, :, :3], 0, 1)}
    return {"X": image.mean(axis=2), "cmap": GREY, "vmin": 0, "vmax": 1}


def draw_weights(axis: Any, units: NDArray[np.float32]) -> None:
    """Draw the weights of units (N, H, W, C) in a square on one axes, each unit on its own scale."""
    height, width = units.shape[1:3]
    side, gap = ceil(len(units) ** 0.5), 0.15 * max(height, width)
    across, down = width + gap, height + gap
    for i, weights in enumerate(units):
        x, y = i % side * across, i // side * down
        _place(axis, (x, x + width, y + height, y), _weight_pixels(weights))
    axis.set(xlim=(0, side * across - gap), ylim=(ceil(len(units) / side) * down - gap, 0), aspect="equal")
    axis.set_axis_off()


def _weight_pixels(weights: NDArray[np.float32]) -> dict[str, Any]:
    largest = float(np.abs(weights).max()) or 1.0
    if weights.shape[2] == 3:
        return {"X": 0.5 + weights / (2 * largest)}
    return {"X": weights.mean(axis=2), "cmap": RED_BLUE, "vmin": -largest, "vmax": largest}


def _place(axis: Any, box: Box, pixels: dict[str, Any]) -> None:
    axis.imshow(**pixels, extent=box, aspect="auto", interpolation="nearest")

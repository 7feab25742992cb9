"""A chart as plain shapes in pixels: whoever shows it (SVG in a page, matplotlib in a file) needs to know no more."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]
Mark = Literal["circle", "cross", "bar", "diamond"]

WIDTH = 420.0
"""Pixels of a chart that stands alone."""

_LETTER = 0.56
"""Mean width of a letter in sizes of its font: labels are placed before anyone can measure them."""

TEXT_SIZE = {"label": 12.0, "title": 12.5, "tick": 10.5, "axis": 10.5, "note": 10.5, "small": 10.5, "place": 10.5}


@dataclass(frozen=True)
class Line:
    """A line through points; `style` names its look, here as below."""

    points: tuple[Point, ...]
    style: str


@dataclass(frozen=True)
class Area:
    """A filled shape without an outline."""

    points: tuple[Point, ...]
    style: str


@dataclass(frozen=True)
class Dot:
    """A mark at a place, with the numbers behind it in `title`."""

    x: float
    y: float
    style: str
    title: str = ""
    mark: Mark = "circle"
    size: float = 4.0


@dataclass(frozen=True)
class Text:
    """A line of text, its baseline at y; `full` is what it was shortened from."""

    x: float
    y: float
    text: str
    style: str = "label"
    anchor: Anchor = "start"
    full: str = ""


Shape = Line | Area | Dot | Text


@dataclass(frozen=True)
class Drawing:
    """Shapes on a sheet of this size, y downwards; `about` says in words what they show."""

    width: float
    height: float
    shapes: tuple[Shape, ...]
    about: str


@dataclass(frozen=True)
class Scale:
    """From values between low and high to pixels between start and stop; what lies outside goes to the edge."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        low, high = self.low, self.high
        value = min(max(value, low), high)
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.start + (value - low) / (high - low) * (self.stop - self.start)

    def holds(self, value: float) -> bool:
        """Whether a value has a place between the ends."""
        return self.low <= value <= self.high

    def ticks(self, count: int = 5) -> tuple[float, ...]:
        """Return some round values."""
        if self.log:
            positions = _log_ticks(self.low, self.high, count)
            if len(positions) >= 2:
                return positions
        step = _round_step((self.high - self.low) / count)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return tuple(i * step for i in range(first, last + 1))


_LEAST, _MOST = 1e-100, 1e100
"""What lies beyond has no place on paper, and its powers none in a float."""


def fit_scale(
    values: Iterable[float], start: float, stop: float, *, log: bool | None = False, floor: float | None = None
) -> Scale:
    """Return a scale with room for those of these values that fit on paper; `log` None decides by their spread.

    `floor` is a bound that the room beside the lowest value does not cross, such as 0 for a share.
    """
    known = [value if abs(value) > _LEAST else 0.0 for value in values if abs(value) < _MOST] or [0.0, 1.0]
    low, high = min(known), max(known)
    if log is None:
        log = low > 0 and high > 8 * low
    if log and low > 0:
        room = (high / low) ** 0.05 if high > low else 1.1
        return Scale(low / room, high * room, start, stop, log=True)
    room = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
    bottom = low - room
    return Scale(max(floor, bottom) if floor is not None else bottom, high + room, start, stop)


def tick_texts(ticks: Sequence[float], log: bool = False) -> list[str]:
    """Return the ticks as text, all with the same number of decimals where they are evenly spaced."""
    if not ticks:
        return []
    largest = max(abs(tick) for tick in ticks)
    if log or largest >= 1e5 or 0 < largest < 1e-4:
        return [f"{tick:.6g}".replace("e-0", "e-").replace("e+0", "e") for tick in ticks]
    step = min((b - a for a, b in pairwise(ticks)), default=largest) or 1.0
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{abs(tick) if abs(tick) < step / 2 else tick:.{decimals}f}" for tick in ticks]


def text_width(text: str, style: str = "label") -> float:
    """Return about how many pixels a text is wide."""
    bold = 1.18 if style == "title" else 1.0
    return len(text) * _LETTER * bold * TEXT_SIZE.get(style, 12.0)


def truncate(text: str, letters: int) -> str:
    """Return a text of at most so many letters, its middle left out."""
    if len(text) <= letters:
        return text
    tail = max(1, letters // 3)
    return f"{text[: letters - tail - 1]}…{text[-tail:]}"


def wrap(text: str, letters: int) -> list[str]:
    """Return a name as one to three lines, broken after its commas."""
    lines: list[str] = []
    for part in text.split(", "):
        if lines and len(lines[-1]) + 2 + len(part) <= letters:
            lines[-1] += f", {part}"
        else:
            if lines:
                lines[-1] += ","
            lines.append(part)
    if len(lines) > 3:
        lines[2:] = [" ".join(lines[2:])]
    return [truncate(line, letters) for line in lines]


def x_axis(
    scale: Scale, top: float, bottom: float, label: str, ticks: tuple[float, ...] = (), count: int = 6
) -> list[Shape]:
    """Return the ticks of a scale with their grid lines from top to bottom, and the label below."""
    ticks = ticks or scale.ticks(count)
    shapes: list[Shape] = [Line(((scale(tick), top), (scale(tick), bottom)), "grid") for tick in ticks]
    edge = -math.inf
    for tick, text in zip(ticks, tick_texts(ticks, scale.log), strict=True):
        half = text_width(text, "tick") / 2
        if scale(tick) - half >= edge:
            shapes.append(Text(scale(tick), bottom + 14, text, "tick", "middle"))
            edge = scale(tick) + half + 4
    middle = (scale.start + scale.stop) / 2
    words = f"{label} (log scale)" if scale.log and not label.startswith("code") else label
    return [*shapes, Text(middle, bottom + 31, words, "axis", "middle")]


def side_by_side(drawings: Sequence[Drawing], columns: int, gap: float = 16.0) -> Drawing:
    """Return the drawings on one sheet, row by row."""
    shapes: list[Shape] = []
    top = width = 0.0
    for start in range(0, len(drawings), columns):
        left = 0.0
        row = drawings[start : start + columns]
        for drawing in row:
            shapes += [_moved(shape, left, top) for shape in drawing.shapes]
            left += drawing.width + gap
        top += max(drawing.height for drawing in row) + gap
        width = max(width, left - gap)
    return Drawing(width, top - gap, tuple(shapes), "; ".join(drawing.about for drawing in drawings))


def _moved(shape: Shape, x: float, y: float) -> Shape:
    if isinstance(shape, Line | Area):
        return replace(shape, points=tuple((px + x, py + y) for px, py in shape.points))
    return replace(shape, x=shape.x + x, y=shape.y + y)


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(nice * power for nice in (1, 2, 5, 10) if nice * power >= step * 0.999)


def _log_ticks(low: float, high: float, count: int) -> tuple[float, ...]:
    """Return powers of ten and, where they are few, the steps between them."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    choices: list[tuple[float, ...]] = [(1,), (1, 3), (1, 2, 5)]
    positions: tuple[float, ...] = ()
    for steps in choices:
        more = tuple(t for p in powers for s in steps if low <= (t := float(f"{s}e{p}")) <= high)
        if positions and len(more) > count + 1:
            break
        positions = more
    every = math.ceil(len(positions) / (count + 1))
    return positions[:: max(1, every)]

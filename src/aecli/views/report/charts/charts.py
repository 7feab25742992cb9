"""Charts that stand alone: rows of dots, and places with names."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aecli.studies.stats import Interval
from aecli.views.report.charts.drawing import (
    WIDTH,
    Anchor,
    Dot,
    Drawing,
    Line,
    Mark,
    Point,
    Scale,
    Shape,
    Text,
    fit_scale,
    text_width,
    tick_texts,
    truncate,
    wrap,
    x_axis,
)

_GUTTER, _LETTERS, _ROW, _LINE = 150.0, 21, 29.0, 13.0
_ASIDE = 5.0
"""How far the seeds lie below their interval and this above the middle of its row, for both to be seen."""
_SIZES = {"bar": 5.5, "cross": 4.0, "diamond": 5.0}


@dataclass(frozen=True)
class Value:
    """One mark of a row: where it is, what it looks like, and the numbers behind it."""

    value: float
    title: str
    style: str = "seed"
    mark: Mark = "circle"


@dataclass(frozen=True)
class ChartRow:
    """A row of dots under its name; `note` stands where there are none."""

    name: str
    values: tuple[Value, ...]
    interval: Interval | None = None
    title: str = ""
    style: str = "best"
    note: str = ""


@dataclass(frozen=True)
class Place:
    """A named dot, with an interval on either axis."""

    name: str
    x: float
    y: float
    title: str
    style: str
    x_interval: Interval
    y_interval: Interval


def row_chart(
    rows: Sequence[ChartRow],
    label: str,
    about: str,
    *,
    zero: bool = False,
    legend: Mapping[str, tuple[str, Mark]] | None = None,
) -> Drawing:
    """Draw a row of dots for every name, over one axis; `legend` is {word: (style, mark)}.

    Crosses are of runs that do not count: they need not fit the axis, and lie on its edge, with an arrow and where
    they would be, where they do not.
    """
    names = [wrap(row.name, _LETTERS) for row in rows]
    gutter = min(_GUTTER, max(text_width(line) for lines in names for line in lines)) + 12
    values = [v.value for row in rows for v in row.values if v.mark != "cross"]
    values += [end for row in rows for end in _ends(row.interval)] + ([0.0] if zero else [])
    scale = fit_scale(values, gutter + 6, WIDTH - 12, log=False if zero else None)
    shapes, top = _legend(legend or {}, gutter)
    heights = [max(_ROW, _LINE * len(lines) + 10) for lines in names]
    bottom = top + sum(heights)
    shapes += x_axis(scale, top, bottom, label)
    if zero:
        shapes.append(Line(((scale(0), top), (scale(0), bottom)), "rule"))
    y = top
    for row, lines, height in zip(rows, names, heights, strict=True):
        middle = y + height / 2
        first = middle + 4 - _LINE * (len(lines) - 1) / 2
        full = row.name if ", ".join(lines) != row.name else ""
        shapes += [Text(gutter - 6, first + i * _LINE, line, "label", "end", full) for i, line in enumerate(lines)]
        shapes += _row(row, scale, middle)
        y += height
    return Drawing(WIDTH, bottom + 38, tuple(shapes), about)


def _row(row: ChartRow, scale: Scale, y: float) -> list[Shape]:
    aside = _ASIDE if row.interval is not None else 0.0
    shapes: list[Shape] = [
        Dot(scale(v.value), y if v.mark == "bar" else y + aside, v.style, v.title, v.mark, _SIZES.get(v.mark, 3.4))
        for v in row.values
        if math.isfinite(v.value)
    ]
    if row.interval is not None and math.isfinite(row.interval.estimate):
        low, high = _reach(row.interval)
        shapes.append(Line(((scale(low), y - aside), (scale(high), y - aside)), f"interval {row.style}"))
        shapes.append(Dot(scale(row.interval.estimate), y - aside, f"mean {row.style}", row.title, "diamond", 5.0))
    if row.note:
        shapes.append(Text(scale.start + 4, y + 4, row.note, "note"))
    return [*shapes, *_beyond(row, scale, y + aside + 4)]


def _beyond(row: ChartRow, scale: Scale, y: float) -> list[Shape]:
    """Return the words beside the marks that lie off the axis: an arrow, and which values they are."""
    off = [v.value for v in row.values if math.isfinite(v.value) and not scale.holds(v.value)]
    texts: list[Shape] = []
    for side, values in (("←", [v for v in off if v < scale.low]), ("→", [v for v in off if v > scale.high])):
        if values:
            known = " to ".join(dict.fromkeys(f"{value:.3g}" for value in (min(values), max(values))))
            if side == "→":
                texts.append(Text(scale.stop - 8, y, f"{known} →", "note", "end"))
            else:
                texts.append(Text(scale.start + 8, y, f"← {known}", "note"))
    return texts


def _ends(interval: Interval | None) -> list[float]:
    if interval is None:
        return []
    return [value for value in (interval.low, interval.high, interval.estimate) if math.isfinite(value)]


def _reach(interval: Interval) -> tuple[float, float]:
    """Return the ends of an interval, the estimate where it has none."""
    if math.isfinite(interval.low):
        return interval.low, interval.high
    return interval.estimate, interval.estimate


def _legend(legend: Mapping[str, tuple[str, Mark]], left: float) -> tuple[list[Shape], float]:
    if not legend:
        return [], 4.0
    shapes: list[Shape] = []
    widths = [text_width(word, "small") + 22 for word in legend]
    # Above a narrow axis the words may need the room over the names too.
    x = min(left + 6, max(4.0, WIDTH - sum(widths)))
    for (word, (style, mark)), width in zip(legend.items(), widths, strict=True):
        shapes += [Dot(x + 4, 8, style, "", mark, 4.0), Text(x + 12, 11.5, word, "small")]
        x += width
    return shapes, 24.0


def places_chart(places: Sequence[Place], x_label: str, y_label: str, about: str) -> Drawing:
    """Draw named dots on two axes, each name where it meets no other."""
    height = 320.0
    xs = [v for p in places for v in (p.x, *_ends(p.x_interval))]
    ys = [v for p in places for v in (p.y, *_ends(p.y_interval))]
    y_scale = fit_scale(ys, height - 38, 22, log=None)
    ticks = y_scale.ticks(5)
    texts = tick_texts(ticks, y_scale.log)
    left = max((text_width(text, "tick") for text in texts), default=0.0) + 10
    x_scale = fit_scale(xs, left, WIDTH - 12, log=None, floor=0.0)
    words = f"{y_label} (log scale)" if y_scale.log else y_label
    shapes: list[Shape] = [Text(0, 11.5, words, "axis")]
    shapes += [Line(((left, y_scale(t)), (WIDTH - 12, y_scale(t))), "grid") for t in ticks]
    shapes += [Text(left - 5, y_scale(t) + 3.5, text, "tick", "end") for t, text in zip(ticks, texts, strict=True)]
    shapes += x_axis(x_scale, 22, height - 38, x_label)
    for p in places:
        x, y = x_scale(p.x), y_scale(p.y)
        (left_end, right_end), (lower, upper) = _reach(p.x_interval), _reach(p.y_interval)
        shapes.append(Line(((x_scale(left_end), y), (x_scale(right_end), y)), f"whisker {p.style}"))
        shapes.append(Line(((x, y_scale(lower)), (x, y_scale(upper))), f"whisker {p.style}"))
        shapes.append(Dot(x, y, f"mean {p.style}", p.title, "diamond", 5.5))
    centres = [(x_scale(p.x), y_scale(p.y)) for p in places]
    return Drawing(WIDTH, height, (*shapes, *_names(places, centres, left)), about)


def _names(places: Sequence[Place], centres: Sequence[Point], left: float) -> list[Shape]:
    """Return the names beside their dots; one that finds no room is left to the dot's title."""
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in centres]
    shapes: list[Shape] = []
    for place, (x, y) in zip(places, centres, strict=True):
        name = truncate(place.name, 30)
        width = text_width(name, "small")
        spots: list[tuple[float, float, Anchor]] = [
            (x + 6, y - 6, "start"), (x + 6, y + 13, "start"), (x - 6, y - 6, "end"), (x - 6, y + 13, "end"),
            (x + 10, y + 3.5, "start"), (x - 10, y + 3.5, "end"), (x, y - 17, "middle"), (x, y + 24, "middle"),
        ]  # fmt: skip
        for tx, ty, anchor in spots:
            start = tx - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
            box = (start, ty - 9, start + width, ty + 2)
            if start >= left and box[2] <= WIDTH and not any(_meet(box, other) for other in taken):
                taken.append(box)
                shapes.append(Text(tx, ty, name, "place", anchor, place.name if name != place.name else ""))
                break
    return shapes


def _meet(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]

"""Small panels of curves that share their axes, and the curve over the code length."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aecli.views.report.charts.drawing import (
    WIDTH,
    Anchor,
    Area,
    Dot,
    Drawing,
    Line,
    Point,
    Scale,
    Shape,
    Text,
    fit_scale,
    text_width,
    tick_texts,
    wrap,
    x_axis,
)

_PANEL = (200.0, 160.0)
_MOST_POINTS = 150
_LINE = 13.0


@dataclass(frozen=True)
class Curve:
    """A curve over x, with a band around it where it is one of several."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    style: str
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    title: str = ""


@dataclass(frozen=True)
class Axes:
    """What the panels of a figure share: the values that must find room on them, and the words beside them."""

    x: Sequence[float]
    y: Sequence[float]
    x_label: str
    y_label: str
    log_x: bool | None = False
    log_y: bool | None = None
    y_floor: float | None = None
    x_ticks: tuple[float, ...] = ()


def panel(
    name: str, curves: Sequence[Curve], axes: Axes, size: Point = _PANEL, note: str = "", dots: Sequence[Dot] = ()
) -> Drawing:
    """Draw curves under a name; panels with the same axes stand beside each other.

    The places of `dots` are values, not pixels. `note` is a number to stand at the right of the name.
    """
    width, height = size
    letters = int((width - 14 - text_width(note, "small")) / text_width("n", "title"))
    lines = wrap(name, letters)
    more = _LINE * (len(lines) - 1)
    height += more
    top = 24 + more
    y_scale = fit_scale(axes.y, height - 36, top, log=axes.log_y, floor=axes.y_floor)
    ticks = y_scale.ticks(4)
    texts = tick_texts(ticks, y_scale.log)
    left = max((text_width(text, "tick") for text in texts), default=0.0) + 8
    x_scale = fit_scale(axes.x, left, width - 8, log=axes.log_x)
    if not axes.x_ticks:  # curves reach from edge to edge
        x_scale = Scale(min(axes.x), max(axes.x, default=1.0), left, width - 8) if len(set(axes.x)) > 1 else x_scale
    shapes: list[Shape] = [Line(((left, y_scale(t)), (width - 8, y_scale(t))), "grid") for t in ticks]
    shapes += [Text(left - 4, y_scale(t) + 3.5, text, "tick", "end") for t, text in zip(ticks, texts, strict=True)]
    shapes += x_axis(x_scale, top, height - 36, axes.x_label, axes.x_ticks, 4)
    for curve in curves:
        shapes += _curve(curve, x_scale, y_scale)
    shapes += _leaving(curves, x_scale, y_scale)
    shapes += [Dot(x_scale(d.x), y_scale(d.y), d.style, d.title, d.mark, d.size) for d in dots]
    full = name if ", ".join(lines) != name else ""
    shapes += [Text(0, 12 + i * _LINE, line, "title", "start", full) for i, line in enumerate(lines)]
    shapes.append(Text(width - 8, 12, note, "small", "end"))
    return Drawing(width, height, tuple(shapes), f"{name}: {axes.y_label} over {axes.x_label}")


def _curve(curve: Curve, x_scale: Scale, y_scale: Scale) -> list[Shape]:
    keep = _downsample(len(curve.x))

    def path(ys: Sequence[float]) -> list[Point]:
        places = [(x_scale(curve.x[i]), y_scale(ys[i])) for i in keep if math.isfinite(ys[i])]
        return [(round(x, 1), round(y, 1)) for x, y in places]

    shapes: list[Shape] = []
    if curve.low:
        shapes.append(Area((*path(curve.high), *reversed(path(curve.low))), f"band {curve.style}"))
    points = path(curve.y)
    if not points:
        return shapes
    if len(points) == 1:
        return [*shapes, Dot(*points[0], curve.style, curve.title)]
    shapes.append(Line(tuple(points), f"curve {curve.style}"))
    if curve.title:
        shapes.append(Dot(*points[-1], curve.style, curve.title, size=2.6))
    return shapes


def _leaving(curves: Sequence[Curve], x_scale: Scale, y_scale: Scale) -> list[Shape]:
    """Return an arrow where the first of the curves that leave the panel at the top or the bottom does so."""
    known = [(x, y) for curve in curves for x, y in zip(curve.x, curve.y, strict=True) if math.isfinite(y)]
    places = {
        "↑": (min((x for x, y in known if y > y_scale.high), default=None), y_scale.stop + 9),
        "↓": (min((x for x, y in known if y < y_scale.low), default=None), y_scale.start - 4),
    }
    texts: list[Shape] = []
    for arrow, (x, height) in places.items():
        if x is not None:
            left = x_scale(x) < (x_scale.start + x_scale.stop) / 2
            words = f"{arrow} off the axis" if left else f"off the axis {arrow}"
            texts.append(Text(x_scale(x), height, words, "note", "start" if left else "end"))
    return texts


def _downsample(count: int) -> list[int]:
    """Return at most _MOST_POINTS positions of so many, the first and the last among them."""
    if count <= _MOST_POINTS:
        return list(range(count))
    return sorted({round(i * (count - 1) / (_MOST_POINTS - 1)) for i in range(_MOST_POINTS)})


def knee_chart(
    curves: Sequence[Curve], dots: Sequence[Dot], knee: int | None, lengths: tuple[float, ...], label: str, about: str,
    words: Sequence[tuple[str, str]],
) -> Drawing:  # fmt: skip
    """Draw curves over the code length, the knee marked; `words` are (style, name) of the curves."""
    ys = [y for curve in curves for y in (*curve.y, *curve.low, *curve.high)] + [d.y for d in dots]
    axes = Axes(lengths, ys, "code length", label, log_x=True, x_ticks=lengths)
    drawn = panel("", curves, axes, (WIDTH, 320.0), dots=dots)
    shapes = list(drawn.shapes)
    x = 4.0
    for style, word in words:
        shapes += [Line(((x, 9), (x + 20, 9)), f"curve {style}"), Text(x + 26, 12.5, word, "small")]
        x += text_width(word, "small") + 44
    if knee is not None:
        # The knee is one of the lengths, whose tick is drawn: the rule goes where its grid line is.
        grid = [
            s for s in drawn.shapes if isinstance(s, Line) and s.style == "grid" and s.points[0][0] == s.points[1][0]
        ]
        at = grid[lengths.index(knee)].points[0][0]
        side: tuple[float, Anchor] = (at - 6, "end") if at > WIDTH / 2 else (at + 6, "start")
        shapes += [Line(((at, 24), (at, 320 - 36)), "rule"), Text(side[0], 36, f"knee: {knee}", "label", side[1])]
    return Drawing(drawn.width, drawn.height, tuple(shapes), about)


def mean_and_band(series: Sequence[Sequence[float]]) -> tuple[list[float], list[float], list[float]]:
    """Return the mean, the lowest and the highest of several series, for as long as half of them last."""
    lengths = sorted((len(values) for values in series), reverse=True)
    until = lengths[(len(lengths) - 1) // 2] if lengths else 0
    columns = [[values[i] for values in series if i < len(values) and math.isfinite(values[i])] for i in range(until)]
    columns = [column for column in columns if column]
    return [sum(c) / len(c) for c in columns], [min(c) for c in columns], [max(c) for c in columns]

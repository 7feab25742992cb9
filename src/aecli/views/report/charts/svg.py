"""A drawing as SVG, to stand inside a page whose style sheet knows its classes."""

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

from aecli.views.report.charts.drawing import Area, Dot, Drawing, Line, Point, Shape, Text


def to_svg(drawing: Drawing) -> Markup:
    """Return the drawing as an <svg> element; every text and title is escaped."""
    body = Markup("").join(_element(shape) for shape in drawing.shapes)
    return Markup(
        '<svg viewBox="0 0 {:.0f} {:.0f}" style="--width: {:.0f}px" role="img" aria-label="{}">{}</svg>'
    ).format(drawing.width, drawing.height, drawing.width, drawing.about, body)


def _element(shape: Shape) -> Markup:
    if isinstance(shape, Line):
        return Markup('<polyline class="{}" points="{}"/>').format(shape.style, _points(shape.points))
    if isinstance(shape, Area):
        return Markup('<polygon class="{}" points="{}"/>').format(shape.style, _points(shape.points))
    if isinstance(shape, Text):
        title = Markup("<title>{}</title>").format(shape.full) if shape.full else ""
        return Markup('<text class="{} {}" x="{}" y="{}">{}{}</text>').format(
            shape.style, shape.anchor, _number(shape.x), _number(shape.y), shape.text, title
        )
    return _dot(shape)


def _dot(dot: Dot) -> Markup:
    title = Markup("<title>{}</title>").format(dot.title) if dot.title else Markup("")
    style = escape(f"dot {dot.style}")
    if dot.mark == "circle":
        return Markup('<circle class="{}" cx="{}" cy="{}" r="{}">{}</circle>').format(
            style, _number(dot.x), _number(dot.y), _number(dot.size), title
        )
    return Markup('<path class="{} {}" d="{}">{}</path>').format(style, dot.mark, _path(dot), title)


def _path(dot: Dot) -> str:
    x, y, r = dot.x, dot.y, dot.size
    outlines: dict[str, list[list[Point]]] = {
        "cross": [[(x - r, y - r), (x + r, y + r)], [(x - r, y + r), (x + r, y - r)]],
        "bar": [[(x, y - 1.8 * r), (x, y + 1.8 * r)]],
        "diamond": [[(x, y - r), (x + r, y), (x, y + r), (x - r, y), (x, y - r)]],
    }
    return "".join(f"M{'L'.join(f'{_number(a)} {_number(b)}' for a, b in line)}" for line in outlines[dot.mark])


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if math.isfinite(value) else "0"

"""What a page shows, as plain values, and the page made of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from typing import Any

from aecli import __version__
from aecli.studies.stats import Interval
from aecli.studies.tables import interval, number
from aecli.views.report.charts.drawing import Drawing, side_by_side
from aecli.views.report.charts.svg import to_svg
from aecli.views.report.pictures import Gallery, error_uri, image_uri

_PANELS_IN_A_ROW = 4


@dataclass(frozen=True)
class Cell:
    """A number of a table with its interval in `note`; `key` is what it is sorted by, None for last."""

    text: str
    note: str = ""
    key: float | str | None = None
    style: str = ""


@dataclass(frozen=True)
class Column:
    """A title, and in `help` what it means; columns of words begin at the left, and one of `more` shows on a click."""

    title: str
    help: str = ""
    words: bool = False
    more: bool = False


@dataclass(frozen=True)
class PageTable:
    """Rows of cells, the first of each its name; `below` are the rows under the line.

    `notes` stand under the table, `more_notes` with the columns that show on a click.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    below: tuple[tuple[Cell, ...], ...] = ()
    sorted_by: int | None = None
    notes: tuple[str, ...] = ()
    more_notes: tuple[str, ...] = ()

    def legend(self, more: bool) -> list[Column]:
        """Return the columns that have to be explained, of those that show at once or of the others."""
        return [column for column in self.columns if column.help and column.more == more]


@dataclass(frozen=True)
class Figure:
    """A picture under the name of its PNG: one drawing, or panels that flow with the page's width.

    `keys` are (style, word) of the curves, where they need words.
    """

    name: str
    title: str
    caption: str
    drawings: tuple[Drawing, ...]
    keys: tuple[tuple[str, str], ...] = ()

    @property
    def whole(self) -> Drawing:
        """The drawings on one sheet."""
        return side_by_side(self.drawings, _PANELS_IN_A_ROW)


@dataclass(frozen=True)
class PageSection:
    """A heading of the page with what stands under it; a table with a `fold` opens on a click, under these words."""

    id: str
    title: str
    text: str = ""
    figures: tuple[Figure, ...] = ()
    table: PageTable | None = None
    fold: str = ""


@dataclass(frozen=True)
class Facts:
    """A heading and pairs of a name and what it is."""

    title: str
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Page:
    """All that a page shows, from top to bottom; `gallery_note` says why there are no pictures."""

    title: str
    subtitle: str
    verdict: str
    warnings: tuple[str, ...]
    table: PageTable
    before: tuple[PageSection, ...]
    gallery: Gallery | None
    gallery_note: str
    after: tuple[PageSection, ...]
    command: str
    config_name: str
    config: str
    facts: tuple[Facts, ...]
    plots: tuple[Figure, ...] = field(init=False)

    def __post_init__(self) -> None:
        figures = tuple(figure for section in (*self.before, *self.after) for figure in section.figures)
        object.__setattr__(self, "plots", figures)


def measured(value: Interval, decimals: int | None = None) -> Cell:
    """Return an estimate with its interval as a cell, to so many decimals or to three digits."""
    if decimals is None:
        note = interval(value)
        return Cell(number(value.estimate), "" if note == "-" else note, _key(value.estimate))
    low, high = fixed(value.low, decimals), fixed(value.high, decimals)
    note = f"[{low}, {high}]" if math.isfinite(value.low) else ""
    return Cell(fixed(value.estimate, decimals), note, _key(value.estimate))


def counted(value: float | None, decimals: int) -> Cell:
    """Return a number without an interval as a cell."""
    return Cell(fixed(value, decimals), key=_key(value))


def fixed(value: float | None, decimals: int) -> str:
    """Return a number to so many decimals, "-" for none."""
    if value is None or math.isnan(value):
        return "-"
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def decimals_for(value: float) -> int:
    """Return how many decimals a column needs whose typical value is this, to show three digits of it."""
    return min(9, max(0, 2 - math.floor(math.log10(abs(value))))) if value and math.isfinite(value) else 3


def _key(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def render(page: Page) -> str:
    """Return the page as HTML: one file that asks for no other."""
    html: str = _template().render(
        page=page, pictures=_pictures(page.gallery), starts=_starts(page.gallery), svg=to_svg, version=__version__
    )
    return html


@cache
def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("aecli.views", "report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("template.html.j2")


def _starts(gallery: Gallery | None) -> set[int]:
    """Return the columns where another group of images begins."""
    return set() if gallery is None else {0, *accumulate(count for _, count in gallery.groups)}


def _pictures(gallery: Gallery | None) -> list[dict[str, Any]]:
    """Return the rows of the gallery with their images as data URIs, the originals first."""
    if gallery is None:
        return []
    rows: list[dict[str, Any]] = [{"name": "original", "kind": "original", "cells": _cells(gallery.originals)}]
    for row, maps in zip(gallery.rows, gallery.error_maps, strict=True):
        errors = [error_uri(values, gallery.brightest) for values in maps]
        cells = _cells(row.images, errors, [number(float(value)) for value in row.errors])
        rows.append({"name": row.name, "kind": "baseline" if row.baseline else "variant", "cells": cells})
    return rows


def _cells(images: Any, errors: Sequence[str] = (), texts: Sequence[str] = ()) -> list[dict[str, str]]:
    blank = [""] * len(images)
    return [
        {"image": image_uri(image), "error": error, "text": text}
        for image, error, text in zip(images, errors or blank, texts or blank, strict=True)
    ]

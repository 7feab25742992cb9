"""The contact sheet of a check: images spread over the file, and the worst of every kind, named by their rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aecli.core.files import refuse_output
from aecli.data.dataset import ImageDataset
from aecli.runs.config import Config
from aecli.training.check.checking import CheckReport
from aecli.training.check.survey import spread_rows, take
from aecli.training.check.values import robust_scores
from aecli.views.canvas import Figure, default_settings
from aecli.views.mosaic import COLUMNS, INK, Sheet, image_pixels
from aecli.views.plots import check_suffix, plain, save

_SPREAD = 30
_LARGEST = 256
"""Pixels of a side that are drawn; of larger images every second, third, ... one."""


@dataclass(frozen=True)
class _SheetSection:
    """Images under one name: their numbers through all sources, and a word under each."""

    name: str
    indices: Sequence[int]
    below: Sequence[str]


def refuse_sheet(path: Path, overwrite: bool, config: Config) -> None:
    """Raise AeError where the sheet cannot be written, or would take the place of something."""
    check_suffix(path)
    refuse_output(path, overwrite, *(file for file in (config.data.train, config.data.test) if file is not None))


def write_sheet(checked: CheckReport, path: Path) -> str | None:
    """Draw the sheet and write it as PNG, SVG or PDF, by suffix; return a note where no font has some letters."""
    return save(draw_sheet(checked), path)


@default_settings()
def draw_sheet(checked: CheckReport) -> Figure:
    """Draw every section in bands of its own, ten images a band."""
    sources = [survey.source for survey in checked.surveys]
    sections = [section for section in _sections(checked) if len(section.indices)]
    bands = [-(-len(section.indices) // COLUMNS) for section in sections]
    most = max(len(section.indices) for section in sections)
    shape = sources[0].format.image_shape
    sheet = Sheet(sum(bands) * COLUMNS if sum(bands) > 1 else most, shape, rows=1)
    thin = max(1, max(shape[:2]) // _LARGEST)
    place = 0
    for section, count in zip(sections, bands, strict=True):
        sheet.name_rows(place, (section.name,))
        for i, index in enumerate(section.indices):
            # One by one, and only what is drawn is kept: images may be large.
            image = take(sources, np.array([index]))[0, ::thin, ::thin].copy()
            sheet.show(place + i, 0, image_pixels(image))
            sheet.write(place + i, _label(sources, index), section.below[i])
        place += count * COLUMNS
    names = " and ".join(plain(source.file.name) for source in sources)
    sheet.figure.text(0.01, 0.15 / sheet.height, f"{names}: {sum(map(len, sources)):,} images", fontsize=7.5, color=INK)
    return sheet.figure


def _label(sources: Sequence[ImageDataset], index: int) -> str:
    """Return an image's row, short enough to stand over it."""
    count = len(sources[0])
    return f"#{index}" if index < count else f"test #{index - count}"


def _sections(checked: CheckReport) -> list[_SheetSection]:
    """Return what is drawn; sections may be empty."""
    survey = checked.surveys[0]
    spread = spread_rows(len(survey.source), _SPREAD).tolist()
    scores = robust_scores(survey.distance)
    farthest = np.argsort(-scores, kind="stable")[:COLUMNS].tolist() if len(scores) > COLUMNS else []
    flat = np.flatnonzero(np.concatenate([surveyed.constant for surveyed in checked.surveys]))[:COLUMNS].tolist()
    sections = [
        _SheetSection("spread over\nthe file", spread, [""] * len(spread)),
        _SheetSection("farthest from\nthe mean", farthest, [f"z {scores[row]:.1f}" for row in farthest]),
        _SheetSection("of one value", flat, [""] * len(flat)),
    ]
    if checked.duplicates is not None:
        copies, near = checked.duplicates.copies()[: COLUMNS // 2], checked.duplicates.near[: COLUMNS // 2]
        correlations = checked.duplicates.correlation[: len(near)]
        sections.append(_SheetSection("exact copies,\nin pairs", copies.ravel().tolist(), [""] * copies.size))
        below = [word for r in correlations for word in (f"r {r:.4f}", "")]
        sections.append(_SheetSection("nearly the\nsame, in pairs", near.ravel().tolist(), below))
    return sections

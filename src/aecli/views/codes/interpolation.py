"""The way from one image to another: straight in the code, and beneath it the blend of their pixels."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from aecli.core.errors import NotInRunError
from aecli.views.canvas import Figure, default_settings
from aecli.views.codes.codes import small
from aecli.views.mosaic import COLUMNS, Sheet, image_pixels
from aecli.views.plots import PlotContext, image_label, write_caption

_IMAGES = 5


@default_settings()
def interpolation(context: PlotContext, positions: Sequence[int] | None = None) -> Figure:
    """Draw the ways from each image to the next, those in the code over those of pixels; the first five by default."""
    positions = context.choose(count=_IMAGES) if positions is None else positions
    if len(positions) < 2:
        raise NotInRunError(f"{context.data}: a way leads between two images, one is given: give two, e.g. --index 3,7")
    images, _ = context.show(positions)
    codes, rows = context.model.encode(images), context.row_numbers(positions)
    steps = np.linspace(0, 1, COLUMNS, dtype=np.float32)
    ways = list(pairwise(range(len(positions))))
    lines = 2 if context.source.names else 1
    sheet = Sheet(COLUMNS * len(ways), context.source.format.image_shape, rows=2, title_lines=lines)
    for band, (start, end) in enumerate(ways):
        decoded = context.model.decode((1 - steps[:, None]) * codes[start] + steps[:, None] * codes[end])
        far = steps[:, None, None, None]
        blended = (1 - far) * images[start] + far * images[end]
        for i, pair in enumerate(zip(small(decoded), small(blended), strict=True)):
            for row, image in enumerate(pair):
                sheet.show(band * COLUMNS + i, row, image_pixels(image))
        first, last = band * COLUMNS, band * COLUMNS + COLUMNS - 1
        sheet.write(first, image_label(context, rows[start]), "")
        sheet.write(last, image_label(context, rows[end]), "")
        sheet.name_rows(first, ("in the code", "in pixels"))
    write_caption(
        sheet.figure,
        context,
        "Upper rows: from the code of one image to that of the next, in equal steps. Lower rows: their pixels blended.",
    )
    return sheet.figure

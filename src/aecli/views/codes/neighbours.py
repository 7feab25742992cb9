"""The images nearest to an image: by their codes, and beneath them by their pixels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import NotInRunError
from aecli.core.machine import one_blas_thread
from aecli.data.format import Images
from aecli.views.canvas import Figure, default_settings
from aecli.views.codes.codes import small
from aecli.views.mosaic import COLUMNS, Sheet, image_pixels
from aecli.views.plots import PlotContext, image_label, write_caption

_IMAGES = 5

_Squares = NDArray[np.float64]


@default_settings()
def neighbours(context: PlotContext, positions: Sequence[int] | None = None) -> Figure:
    """Draw images with those nearest to them by code over those nearest by pixels; the first five by default."""
    positions = context.choose(count=_IMAGES) if positions is None else positions
    if len(context) < 2:
        raise NotInRunError(f"{context.data}: one image has no neighbours: draw more, with --images")
    near = [_nearest(squares, positions) for squares in _distances(context, positions)]
    shape, lines = context.source.format.image_shape, 2 if context.source.names else 1
    sheet = Sheet(COLUMNS * len(positions) if len(positions) > 1 else 1 + near[0].shape[1], shape, 2, lines)
    for band, position in enumerate(positions):
        columns = [[position, *by[band].tolist()] for by in near]
        for row, column in enumerate(columns):
            images = context.source.format.to_contract(context.source.file.take(context.row_numbers(column)))
            for i, image in enumerate(small(images)):
                sheet.show(band * COLUMNS + i, row, image_pixels(image))
        for i, pair in enumerate(zip(*columns, strict=True)):
            above, below = context.row_numbers(pair)
            sheet.write(band * COLUMNS + i, image_label(context, above), f"#{below}" if i else "")
        sheet.name_rows(band * COLUMNS, ("by code", "by pixels"))
    write_caption(
        sheet.figure,
        context,
        "First in each row the image itself, then the nearest: in upper rows by their codes, with their numbers above; "
        "in lower rows by their pixels, with their numbers below.",
    )
    return sheet.figure


def _nearest(squares: _Squares, positions: Sequence[int]) -> NDArray[np.int64]:
    """Return for each image the positions of those nearest to it, nearest first, by distances (N, q) of all to each."""
    squares[positions, np.arange(len(positions))] = np.inf  # itself
    order = np.argsort(squares, axis=0, kind="stable")[: min(COLUMNS - 1, len(squares) - 1)]
    return np.asarray(order.T)


def _distances(context: PlotContext, positions: Sequence[int]) -> tuple[_Squares, _Squares]:
    """Return the squared distances (N, q) of the codes, and of the pixels, of all images to those of q images."""
    wanted, _ = context.show(positions)
    encode = context.model.encode
    codes, pixels = encode(wanted), _flat(wanted)

    def squares(images: Images) -> tuple[_Squares, _Squares]:
        return _to_each(encode(images), codes), _to_each(_flat(images), pixels)

    with one_blas_thread():
        by_code, by_pixels = zip(*context.source.map(squares, context.rows), strict=True)
    return np.concatenate(by_code), np.concatenate(by_pixels)


def _flat(images: Images) -> NDArray[np.float32]:
    return images.reshape(len(images), -1)


def _to_each(points: NDArray[np.float32], others: NDArray[np.float32]) -> _Squares:
    """Return the squared distances (n, q) of points (n, d) to others (q, d)."""
    return np.stack([((points - other) ** 2).sum(axis=1, dtype=np.float64) for other in others], axis=1)

"""New images of a run, drawn by its sampler, as one sheet."""

from math import ceil

import numpy as np

from aecli.data.format import Images
from aecli.runs.model import load_model
from aecli.runs.run import Run
from aecli.runs.uses.sampling.kept import keep_sampler, sampler_of
from aecli.runs.uses.sampling.sampler import decoder_of, draw_images
from aecli.views.canvas import Figure, default_settings
from aecli.views.codes.codes import small
from aecli.views.mosaic import COLUMNS, INK, Sheet, image_pixels
from aecli.views.plots import plain

MOST_DRAWN = 100
"""Samples on a sheet, at most."""

_COUNT, _SEED = 64, 0


def samples(run: Run, count: int = _COUNT) -> Figure:
    """Draw the first samples of seed 0; the sampler is that which the run keeps, or is fitted and kept there."""
    model = load_model(run)
    fitted = sampler_of(run, model)
    keep_sampler(run, fitted)
    images = [
        small(part) for part in draw_images(fitted.sampler, decoder_of(run, model), model.image_shape, count, _SEED)
    ]
    caption = f"run {plain(run.name)}: {count:,} samples of its {fitted.sampler.title}, seed 0"
    return sheet_of_samples(np.concatenate(images), caption)


@default_settings()
def sheet_of_samples(images: Images, caption: str) -> Figure:
    """Draw images (N, H, W, C) row by row, ten in each, over a caption."""
    rows = ceil(len(images) / COLUMNS)
    sheet = Sheet(min(COLUMNS, len(images)), images.shape[1:], rows=rows)
    for i, image in enumerate(images):
        sheet.show(i % COLUMNS, i // COLUMNS, image_pixels(image))
    sheet.figure.text(0.01, 0.2 / sheet.height, caption, fontsize=7.5, color=INK, va="center")
    return sheet.figure

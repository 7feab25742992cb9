"""The codes of the images that are drawn from, and what of many images is drawn."""

from dataclasses import replace

import numpy as np

from aecli.core.machine import one_blas_thread
from aecli.data.format import Images
from aecli.models.linear.fit import some
from aecli.runs.model import Latents
from aecli.runs.uses.sampling.fitting import MOST_CODES, MOST_TRAINING
from aecli.views.plots import PlotContext

_LARGEST = 256
"""Pixels of a side that are drawn, about."""


def thinned(context: PlotContext, most: int = MOST_TRAINING) -> PlotContext:
    """Return the same with at most so many of its images, evenly spaced; of long codes fewer."""
    most = max(2, min(most, MOST_CODES // context.model.latent_dim))
    if len(context) <= most:
        return context
    positions = some(np.arange(len(context)), most)
    errors = None if context.known_errors is None else context.known_errors[positions]
    return replace(context, rows=context.row_numbers(positions.tolist()), known_errors=errors)


def small(images: Images) -> Images:
    """Return images (N, H, W, C) as a sheet shows them: of large ones every second, third, ... pixel."""
    step = max(1, max(images.shape[1:3]) // _LARGEST)
    return images if step == 1 else images[:, ::step, ::step].copy()


def codes_of(context: PlotContext) -> Latents:
    """Return the codes (N, k) of all images that are drawn from."""
    with one_blas_thread():
        return np.concatenate([*context.source.map(context.model.encode, context.rows)])

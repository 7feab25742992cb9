"""What single latents do: one is changed at a time, and the others stay at their mean."""

import numpy as np

from aecli.core.errors import NotInRunError
from aecli.runs.model import Latents
from aecli.runs.run import Run
from aecli.runs.uses.latents import image_movement
from aecli.views.canvas import Figure, default_settings
from aecli.views.codes.codes import codes_of, small, thinned
from aecli.views.mosaic import COLUMNS, Sheet, image_pixels
from aecli.views.plots import PlotContext, write_caption

_QUANTILES = (0.01, 0.05, 0.15, 0.3, 0.45, 0.55, 0.7, 0.85, 0.95, 0.99)
_SHOWN = 10


@default_settings()
def traversal(context: PlotContext) -> Figure:
    """Draw the images at quantiles of the ten latents that move the image most, each row one latent."""
    context = thinned(context)
    codes = codes_of(context)
    mean = codes.mean(axis=0, dtype=np.float64).astype(np.float32)
    values = np.quantile(codes, _QUANTILES, axis=0).astype(np.float32)
    moved = image_movement(context.model, mean, values[1], values[-2])
    chosen = [int(i) for i in np.argsort(-moved, kind="stable")[:_SHOWN] if moved[i] > 0]
    if not chosen:
        raise NotInRunError(
            f"{context.run.path}: no latent varies over {context.data}: "
            f"draw more images, or train with model.latent_activation linear"
        )
    sheet = Sheet(COLUMNS, context.source.format.image_shape, rows=len(chosen))
    for row, latent in enumerate(chosen):
        changed = np.repeat(mean[None], len(values), axis=0)
        changed[:, latent] = values[:, latent]
        for i, image in enumerate(small(context.model.decode(changed))):
            sheet.show(i, row, image_pixels(image))
    for i, quantile in enumerate(_QUANTILES):
        sheet.write(i, f"{quantile:.0%}".replace("%", " %"), "")
    sheet.name_rows(0, _names(context.run, codes, chosen))
    write_caption(
        sheet.figure,
        context,
        f"{len(chosen)} of {len(mean)} latents, those first that move the image most from 5 % to 95 %. "
        f"Over each column the share of the codes below its value; the other latents at their mean.",
    )
    return sheet.figure


def _names(run: Run, codes: Latents, chosen: list[int]) -> list[str]:
    """Return what stands beside each row: the latent, and its KL divergence where that is known, or its variance."""
    kl = run.metrics.get("latent_kl")
    if isinstance(kl, list) and len(kl) == codes.shape[1]:
        return [f"latent {i}\nKL {kl[i]:.3g} nats" for i in chosen]
    variances = codes.var(axis=0, dtype=np.float64)
    return [f"latent {i}\nvar. {variances[i]:.3g}" for i in chosen]

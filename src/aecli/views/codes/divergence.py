"""How much each latent of a variational code says of an image: its KL from the prior."""

import numpy as np

from aecli.core.errors import NotInRunError
from aecli.runs.diagnosis import COLLAPSED_KL
from aecli.runs.run import Run
from aecli.views.canvas import Figure, MaxNLocator, default_settings
from aecli.views.mosaic import INK
from aecli.views.plots import plain

_BLUE, _GREY = "#2166ac", "#bbbbbb"


@default_settings()
def divergence(run: Run) -> Figure:
    """Draw the KL of each latent over the validation images, largest first; what carries nothing is grey."""
    values = np.array(run.metrics.get("latent_kl") or ())
    if not len(values):
        raise NotInRunError(
            f"{run.path}: its code is no distribution, so that no latent has a KL: train one that has, "
            f"e.g. ae train -c vae"
        )
    order = np.argsort(-values, kind="stable")
    used = int((values >= COLLAPSED_KL).sum())
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axis = figure.add_subplot()
    colours = [_BLUE if values[i] >= COLLAPSED_KL else _GREY for i in order]
    axis.bar(np.arange(1, len(values) + 1), values[order], color=colours, width=0.8)
    axis.axhline(COLLAPSED_KL, color=INK, lw=0.6, ls=":")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("latents, those that say most of an image first")
    axis.set_ylabel("KL, nats")
    title = f"run {plain(run.name)}: {used} of {len(values)} latents have {COLLAPSED_KL:g} nats or more"
    axis.set_title(f"{title}, {values.sum():.4g} in all", fontsize=10, loc="left")
    return figure

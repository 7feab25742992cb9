"""The pictures of a run by name: `ae plot`, its help and the plots of every training follow these rows.

What draws is named and imported when it is used: the help of a command must not load Matplotlib.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aecli.views.canvas import Figure

CHOOSING = ("index", "worst", "best", "count")
"""The options that choose which images are drawn."""


@dataclass(frozen=True)
class Plot:
    """A picture of a run.

    `function` is "module:name": it takes the run, or, where it `needs_images`, a `plots.PlotContext` and the positions
    of the images where `options` choose them, and raises NotInRunError for a run that has nothing of the kind. To one
    that needs no images the option `count` goes as it is. `every_training` says whether trainings leave it in the run.
    `table` is the table of a run, "history" or "health", that alone it is drawn from, as a run in training has it, too.
    """

    name: str
    about: str
    function: str
    needs_images: bool = False
    options: tuple[str, ...] = ()
    every_training: bool = True
    table: str = ""

    @property
    def draw(self) -> "Callable[..., Figure]":
        """The function that draws it."""
        module, _, name = self.function.partition(":")
        function: Callable[..., Figure] = getattr(importlib.import_module(module), name)
        return function


_HERE, _CODES = "aecli.views.plots", "aecli.views.codes"

_ROWS = (
    Plot("reconstructions", "originals over reconstructions over error maps, with PSNR",
         f"{_HERE}:reconstructions", needs_images=True, options=CHOOSING),
    Plot("denoising", "clean images over noisy over restored ones, of a run with corruption",
         f"{_HERE}:denoising", needs_images=True, options=("index", "count")),
    Plot("history", "training and validation loss, and their terms", f"{_HERE}:history", table="history"),
    Plot("errors", "distribution of the error, with examples", f"{_HERE}:errors", needs_images=True),
    Plot("filters", "what the first and the last layer learned", "aecli.views.filters:filters"),
    Plot("health", "dead units, saturated outputs and gradients, layer by layer", f"{_HERE}:health", table="health"),
    Plot("kl", "how much each latent of a variational code says, of a run that has one",
         f"{_CODES}.divergence:divergence", every_training=False),
    Plot("samples", "new images, drawn by the run's sampler", f"{_CODES}.samples:samples",
         options=("count",), every_training=False),
    Plot("latents", "principal components of the codes, coloured by label or error",
         f"{_CODES}.latents:latents", needs_images=True, every_training=False),
    Plot("interpolation", "the way from image to image in the code, over a blend of pixels",
         f"{_CODES}.interpolation:interpolation", needs_images=True, options=("index", "count"), every_training=False),
    Plot("traversal", "what the latents that move the image most do",
         f"{_CODES}.traversal:traversal", needs_images=True, every_training=False),
    Plot("neighbours", "images whose codes are nearest, over those whose pixels are",
         f"{_CODES}.neighbours:neighbours", needs_images=True, options=CHOOSING, every_training=False),
    Plot("rate", "PSNR over bytes an image, beside PCA's codec, JPEG, WebP and AVIF",
         f"{_CODES}.rate:rate", needs_images=True, every_training=False),
)  # fmt: skip

PLOTS: dict[str, Plot] = {row.name: row for row in _ROWS}

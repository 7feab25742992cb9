"""What latents of a model carry: nothing, where they do not vary over images, and else how far they move the image."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import AeError
from aecli.data.dataset import chunk_slices
from aecli.data.format import Images
from aecli.models.family import Family
from aecli.runs.config_file import load_recorded
from aecli.runs.diagnosis import COLLAPSED_KL, LESS_COLLAPSE
from aecli.runs.model import Latents, Model
from aecli.runs.run import Run

_DEAD_WITHIN = 1e-6
"""How little a latent may vary, as a share of what the one that varies most does, to count as dead."""

_MOST_NAMED = 10


@dataclass
class LatentSpread:
    """Reconstructs images with a model, and keeps the extremes of every latent meanwhile; threads may share it."""

    model: Model
    count: int = 0
    _extremes: list[Latents] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reconstruct(self, images: Images) -> Images:
        """Return the reconstructions of images, both (N, H, W, C)."""
        latents = self.model.encode(images)
        with self._lock:
            seen = np.concatenate([*self._extremes, latents])
            self._extremes = [seen.min(axis=0, keepdims=True), seen.max(axis=0, keepdims=True)]
            self.count += len(images)
        return self.model.decode(latents)

    @property
    def dead(self) -> list[int] | None:
        """The latents that did not vary, in order; None where fewer than two images were seen."""
        if self.count < 2:
            return None
        low, high = (values[0].astype(np.float64) for values in self._extremes)
        spread = high - low
        return [int(i) for i in np.flatnonzero(spread <= _DEAD_WITHIN * spread.max())]


def bits_line(run: Run) -> str | None:
    """Return how long the code of a quantised run is; None for other codes."""
    bits, shape = run.metrics.get("bits_per_image"), run.image_format.image_shape
    if bits is None:
        return None
    return f"The code of an image is {bits:,.6g} bits long, {bits / prod(shape):.3g} for each of its values."


def image_movement(model: Model, mean: NDArray[np.floating], low: Latents, high: Latents) -> NDArray[np.float64]:
    """Return the mean squared difference (k,) of images that each latent makes on its way from `low` to `high` (k,).

    The other latents stay at their `mean` (k,).
    """
    moved = np.zeros(len(mean))
    # Of long codes as many at a time as an image, or a code, leaves room for.
    for part in chunk_slices(len(mean), (max(prod(model.image_shape), len(mean)),)):
        latents = np.arange(part.start, part.stop)
        ends = np.tile(mean.astype(np.float32), (2, len(latents), 1))
        for end, values in zip(ends, (low, high), strict=True):
            end[np.arange(len(latents)), latents] = values[latents]
        before, after = (model.decode(end) for end in ends)
        moved[latents] = ((after - before) ** 2).mean(axis=(1, 2, 3), dtype=np.float64)
    return moved


def dead_latents_note(run: Run) -> str | None:
    """Return the line that names the dead latents of a run; None where there are none, or it was not looked for."""
    try:
        dead, latent_kl = run.metrics.get("dead_latents"), run.metrics.get("latent_kl")
        if not dead:
            return None
        model = load_recorded(run.config_file).config.model
        length = model.code_length(run.image_format.image_shape)
    except AeError:  # whoever reads the files for their own sake says what is wrong with them
        return None
    if latent_kl is not None:
        return _collapsed(dead, latent_kl, model)
    linear = model.code_activation.row.name == "linear"
    cure = f"a smaller model.{model.code_key} loses nothing" if linear else "try model.latent_activation linear"
    return f"{_counted(dead, length)}: {cure}"


def _collapsed(dead: Sequence[int], latent_kl: Sequence[float], model: Family) -> str:
    """Return the line that names the latents of a variational code that are the prior, whatever the image."""
    carries = f"a KL below {COLLAPSED_KL:g} nats: what is decoded from {'it' if len(dead) == 1 else 'them'} is noise"
    if len(dead) == len(latent_kl):
        return f"the code has collapsed: all {len(dead)} latents have {carries}: try {LESS_COLLAPSE}"
    named = f"{len(dead)} of {len(latent_kl)} latents ({_named(dead)}) have {carries}"
    return f"{named}: a smaller model.{model.code_key} loses nothing, a smaller beta would use more"


def _counted(dead: Sequence[int], latent_dim: int) -> str:
    one = len(dead) == 1
    return (
        f"{len(dead)} of {latent_dim} latents {'does' if one else 'do'} not vary over the validation images "
        f"({_named(dead)}): {'it carries' if one else 'they carry'} nothing"
    )


def _named(dead: Sequence[int]) -> str:
    more = f" and {len(dead) - _MOST_NAMED} more" if len(dead) > _MOST_NAMED else ""
    return ", ".join(map(str, dead[:_MOST_NAMED])) + more

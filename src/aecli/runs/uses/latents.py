"""Which latents of a model carry nothing: those that do not vary over images."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from aecli.core.errors import AeError
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

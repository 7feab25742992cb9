"""The terms of `training.loss`: what lies between images and reconstructions."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from aecli.models.losses.config import Loss, weights_of
from aecli.models.losses.features import features
from aecli.models.losses.structure import structure
from aecli.models.objective import Term, reconstruction

_TERMS: Mapping[str, Callable[[float], Term]] = MappingProxyType({"ssim": structure, "features": features})
"""Name -> its term of a weight; the others are losses of Keras."""


def reconstruction_terms(loss: Loss) -> tuple[Term, ...]:
    """Return a term for each of the losses, with its weight."""
    return tuple(
        _TERMS[name](weight) if name in _TERMS else reconstruction(name, weight)
        for name, weight in weights_of(loss).items()
    )

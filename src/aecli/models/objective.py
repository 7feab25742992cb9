"""What a training minimises: terms by name, each a number per image, so that filler rows weigh nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Outputs = Mapping[str, Any]
"""What a network gives for images seen: `latents` and `reconstructions` at least, tensors of N rows each."""

PENALTIES = "penalties"
"""The term of the weights' own penalties, which are no number of an image."""

ADVERSARIAL = ("adversarial", "discriminator")
"""Losses of an adversarial training that are no parts of the sum: the network's, and the discriminator's."""


@dataclass(frozen=True)
class Term:
    """One term: `per_image` gives (N,) numbers for the images to give back (N, H, W, C) and a network's outputs.

    `reconstructs` says whether it measures how images are given back, `convolutional` whether kernels move over them.
    """

    name: str
    per_image: Callable[[Any, Outputs], Any]
    weight: float = 1.0
    reconstructs: bool = False
    convolutional: bool = False


@dataclass(frozen=True)
class Objective:
    """The sum of some terms, each times its weight, and with `penalised` of the penalties that layers hold."""

    terms: tuple[Term, ...]
    penalised: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the parts where the sum has several: they add up to the loss."""
        names = (*(term.name for term in self.terms), *((PENALTIES,) if self.penalised else ()))
        return names if len(names) > 1 else ()

    @property
    def reconstruction(self) -> tuple[int, ...]:
        """The places among the terms of those that measure how images are given back."""
        return tuple(i for i, term in enumerate(self.terms) if term.reconstructs)

    @property
    def convolutional(self) -> bool:
        """Whether kernels move over images in one of the terms."""
        return any(term.convolutional for term in self.terms)

    def per_image(self, images: Any, outputs: Outputs) -> list[Any]:
        """Return every term of every image, weighted: (N,) numbers each."""
        values = [(term.weight, term.per_image(images, outputs)) for term in self.terms]
        return [value if weight == 1 else weight * value for weight, value in values]


def reconstruction(loss: str, weight: float = 1.0) -> Term:
    """Return the term of a loss of Keras between images and reconstructions, its mean over the pixels."""
    from aecli.models.backend import keras

    function = keras.losses.get(loss)

    def per_image(images: Any, outputs: Outputs) -> Any:
        return keras.ops.mean(function(images, outputs["reconstructions"]), axis=(1, 2))

    return Term(loss, per_image, weight, reconstructs=True)


def latent_l1(weight: float) -> Term:
    """Return the term of an L1 penalty on the latents, for sparse codes."""
    from aecli.models.backend import keras

    def per_image(images: Any, outputs: Outputs) -> Any:
        latents = keras.ops.cast(outputs["latents"], "float32")
        return keras.ops.sum(keras.ops.abs(latents), axis=1)

    return Term("activity_l1", per_image, weight)

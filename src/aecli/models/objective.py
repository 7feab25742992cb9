"""What a training minimises: terms by name, each a number per image, so that filler rows weigh nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Outputs = Mapping[str, Any]
"""What a network gives for images seen: `latents` and `reconstructions` at least, tensors of N rows each.

A Gaussian code has `log_variances` too, and the `scale` of its likelihood, a number.
"""

PerImageTensor = Callable[[Any, Outputs], Any]
"""Gives (N,) numbers for the images to give back (N, H, W, C) and a network's outputs."""

PENALTIES = "penalties"
"""The term of the weights' own penalties, which are no number of an image."""

ADVERSARIAL = ("adversarial", "discriminator")
"""Losses of an adversarial training that are no parts of the sum: the network's, and the discriminator's."""


@dataclass(frozen=True)
class Term:
    """One term: a number for each image, and its weight.

    `reconstructs` says whether it measures how images are given back, `convolutional` whether kernels move over them.
    With `warms` the weight grows to its full size over the objective's warm-up. The history shows the weighted numbers,
    or those that `shown` gives in their place.
    """

    name: str
    per_image: PerImageTensor
    weight: float = 1.0
    warms: bool = False
    shown: PerImageTensor | None = None
    reconstructs: bool = False
    convolutional: bool = False

    def weighted(self, images: Any, outputs: Outputs, warmth: Any) -> Any:
        """Return what each image adds to the loss, (N,)."""
        value = self.per_image(images, outputs)
        value = value if self.weight == 1 else self.weight * value
        return warmth * value if self.warms else value


@dataclass(frozen=True)
class Objective:
    """The sum of some terms, each times its weight, and with `penalised` of the penalties that layers hold.

    `measures` are no part of the sum: the history shows them beside it, of the validation images. Terms that warm reach
    their full weight after `warmup` epochs. Where the likelihood has a scale, it follows the mean of `distance`, a
    number for each image. `guarded` ones are not minimised at the cost of reconstructing worse than a linear code.
    """

    terms: tuple[Term, ...]
    penalised: bool = False
    measures: tuple[Term, ...] = ()
    warmup: int = 0
    distance: PerImageTensor | None = None
    guarded: bool = True

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the parts where the sum has several, and of the measures."""
        return (*self.parts, *(measure.name for measure in self.measures))

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts where the sum has several."""
        names = (*(term.name for term in self.terms), *((PENALTIES,) if self.penalised else ()))
        return names if len(names) > 1 else ()

    @property
    def reconstruction(self) -> tuple[int, ...]:
        """The places among the terms of those that measure how images are given back, by default the first."""
        return tuple(i for i, term in enumerate(self.terms) if term.reconstructs) or (0,)

    @property
    def convolutional(self) -> bool:
        """Whether kernels move over images in one of the terms."""
        return any(term.convolutional for term in self.terms)

    def warmth(self, epoch: int) -> float:
        """Return the share of their full weight that terms which warm have in an epoch, counted from 1."""
        return min(1.0, epoch / (self.warmup + 1))

    def per_image(self, images: Any, outputs: Outputs, warmth: Any = 1.0) -> list[Any]:
        """Return every term of every image, weighted: (N,) numbers each."""
        return [term.weighted(images, outputs, warmth) for term in self.terms]

    def shown(self, images: Any, outputs: Outputs, costs: list[Any]) -> tuple[list[Any], list[Any]]:
        """Return what the history shows of the terms, given what they cost, and the measures: (N,) numbers each."""
        parts = [
            cost if term.shown is None else term.shown(images, outputs)
            for term, cost in zip(self.terms, costs, strict=True)
        ]
        return parts, [measure.per_image(images, outputs) for measure in self.measures]


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

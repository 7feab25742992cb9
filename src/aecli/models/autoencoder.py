"""A network as an engine trains it: three models over the same weights, and the layers whose health is measured."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from aecli.core.schema import Choice
from aecli.models.activations import Activation
from aecli.models.objective import Outputs


@dataclass(frozen=True)
class WatchedLayer:
    """A layer with weights, and the layer of the activation that takes its output; both are layers of Keras.

    `kernel` is the layer's weight whose norm and gradient are measured, `units` the length of its output's last axis.
    """

    layer: Any
    activation: Any
    choice: Choice[Activation]

    @property
    def name(self) -> str:
        """The layer's name."""
        return str(self.layer.name)

    @property
    def kernel(self) -> Any:
        """The weights that its inputs are multiplied by."""
        return self.layer.kernel

    @property
    def units(self) -> int:
        """How many units or channels it has."""
        return int(self.activation.output.shape[-1])

    @property
    def output_range(self) -> tuple[float, float]:
        """The infimum and the supremum of the activation's output."""
        return self.choice.row.output_range(self.choice.parameters)

    @property
    def bounded(self) -> bool:
        """Whether the output has a bound on both sides, and so can saturate."""
        return all(map(isfinite, self.output_range))

    @property
    def slope(self) -> Any:
        """The learned slopes below zero, None where the activation learns none."""
        name = self.choice.row.learned_slope
        return None if name is None else getattr(self.activation, name)


@dataclass(frozen=True)
class Autoencoder:
    """Three Keras models over the same weights: images -> latents, latents -> images, and both.

    `layers` are those whose health is measured, those of the encoder first. The encoder of a Gaussian code gives its
    means and its log-variances; `scale` is then the variable of its likelihood, None for other codes. `discriminator`
    is the Keras model that an adversarial training trains beside it, None for others.
    """

    encoder: Any
    decoder: Any
    model: Any
    layers: tuple[WatchedLayer, ...]
    scale: Any = None
    discriminator: Any = None

    @property
    def variables(self) -> list[Any]:
        """All variables that a training changes but for those of optimizers."""
        return [*self.model.variables, *(self.discriminator.variables if self.discriminator else ())]

    def get_weights(self) -> list[Any]:
        """Return copies of all weights, those of the discriminator last."""
        return [*self.model.get_weights(), *(self.discriminator.get_weights() if self.discriminator else ())]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all weights to what `get_weights` gave."""
        count = len(self.model.weights)
        self.model.set_weights(weights[:count])
        if self.discriminator:
            self.discriminator.set_weights(weights[count:])

    def outputs(self, images: Any, training: bool, noise: Any = None) -> Outputs:
        """Return what the network makes of images (N, H, W, C): its latents (N, latent_dim) and reconstructions.

        A Gaussian code is drawn with standard normal `noise` (N, latent_dim); without any it is its mean.
        """
        encoded = self.named(self.encoder(images, training=training))
        return {**encoded, "reconstructions": self.decoder(drawn(encoded, noise), training=training)}

    def named(self, encoded: Any) -> Outputs:
        """Return what the encoder gives by name, and the scale of a Gaussian code's likelihood."""
        if self.scale is None:
            return {"latents": encoded}
        return {**dict(zip(self.code_names, encoded, strict=True)), "scale": self.scale.value}

    @property
    def code_names(self) -> tuple[str, ...]:
        """The names of what the encoder gives."""
        return ("latents",) if self.scale is None else ("latents", "log_variances")

    def weights_sha256(self) -> str:
        """Return the SHA-256 of the weights, one after the other, as they lie in memory."""
        return hashlib.sha256(b"".join(weights.tobytes() for weights in self.get_weights())).hexdigest()

    @property
    def convolutional(self) -> bool:
        """Whether kernels move over images somewhere in it."""
        return any(len(layer.kernel.shape) > 2 for layer in self.layers)

    @property
    def penalties(self) -> Any:
        """The sum of what the layers' regularizers ask for: once for weights that encoder and decoder share."""
        return sum(self.model.losses)


def drawn(encoded: Outputs, noise: Any) -> Any:
    """Return the latents to decode, drawn with standard normal noise (N, latent_dim) where there is some."""
    if noise is None:
        return encoded["latents"]
    from aecli.models.backend import keras

    ops = keras.ops
    return ops.cast(encoded["latents"], "float32") + ops.exp(encoded["log_variances"] / 2) * noise

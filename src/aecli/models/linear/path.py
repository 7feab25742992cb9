"""A linear code inside a network: what it gives, for the network's last layers to correct."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from aecli.core.schema import Choice
from aecli.models.activations import ACTIVATIONS, Activation
from aecli.models.backend import keras
from aecli.models.linear.code import Matrix
from aecli.models.linear.inverse import Inverse
from aecli.models.linear.start import Start, reachable


@dataclass(frozen=True)
class LinearPath:
    """What a linear code gives: latents (N, k) of images, and pixels (N, H * W * C) of codes, as tensors.

    `outputs` are the pixels as what the output's activation takes to them. All are None where there is no linear code.
    """

    latents: Any = None
    pixels: Any = None
    outputs: Any = None


def linear_path(start: Start, images: Any, codes: Any, output: Choice[Activation], *, trainable: bool) -> LinearPath:
    """Return what the start's linear code makes of images, flat or not, and of codes (N, k)."""
    if start.code is None:
        return LinearPath()
    length = int(codes.shape[-1])
    flat = images if len(images.shape) == 2 else keras.layers.Flatten(name="linear_flatten")(images)
    (kernel, bias), (back, mean), gains = start.code.encoder(length), start.code.decoder(length), start.gains
    latents = _dense("linear_encoder", kernel * gains.encoding, bias * gains.encoding, flat, trainable)
    pixels = _dense("linear_decoder", back * np.reshape(gains.decoding, (-1, 1)), mean, codes, trainable)
    if output.name == "linear":
        return LinearPath(latents, pixels, pixels)
    low, high = reachable(output, start.margin)
    inverse = InverseActivation(output.name, low, high, dtype="float32", name="linear_outputs")
    return LinearPath(latents, pixels, inverse(pixels))


def _dense(name: str, kernel: Matrix, bias: Matrix, inputs: Any, trainable: bool) -> Any:
    layer = keras.layers.Dense(kernel.shape[1], trainable=trainable, dtype="float32", name=name)
    outputs = layer(inputs)
    layer.set_weights([kernel, bias])
    return outputs


@keras.saving.register_keras_serializable("aecli")
class InverseActivation(keras.layers.Layer):  # type: ignore[misc]
    """What an activation takes to its input, which is first brought between `low` and `high`."""

    def __init__(self, activation: str, low: float, high: float, **options: Any) -> None:
        super().__init__(**options)
        self.activation, self.low, self.high = activation, low, high

    def call(self, x: Any) -> Any:
        return self.inverse.of(keras.ops, keras.ops.clip(x, self.low, self.high))

    @property
    def inverse(self) -> Inverse:
        """The inverse by itself."""
        inverse = ACTIVATIONS[self.activation].inverse
        assert inverse is not None
        return inverse

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": self.activation, "low": self.low, "high": self.high}

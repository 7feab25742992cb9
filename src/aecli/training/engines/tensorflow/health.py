"""Measures the health of the activations of a network in training, on a fixed sample of images."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from aecli.data.format import Images
from aecli.models.backend import keras, tf
from aecli.models.layers import Autoencoder, Unit
from aecli.runs.health import SATURATED_WITHIN, LayerHealth


@dataclass(frozen=True)
class Health:
    """The health of every layer, encoder first, and the error on the sample as a share of its mean image's."""

    layers: list[LayerHealth]
    fvu: float


class HealthProbe:
    """Looks into an autoencoder: its layers' outputs and gradients on one sample of images."""

    def __init__(self, autoencoder: Autoencoder, loss: str) -> None:
        self.units = autoencoder.units
        self._encoder = _watched(autoencoder.encoder, self.units)
        self._decoder = _watched(autoencoder.decoder, self.units)
        self._strategy = tf.distribute.get_strategy()
        self._loss = keras.losses.get(loss)
        self._slopes = [(i, unit.activation) for i, unit in enumerate(self.units) if unit.learned_slope]
        # Not XLA: it would compile for longer than it saves.
        self._look = tf.function(self._look_body)

    def measure(self, epoch: int, sample: Images) -> Health:
        """Return the health of the network on images (N, H, W, C)."""
        # Every device sees the same: the first one's word is enough.
        parts = self._strategy.run(self._look, args=(tf.constant(sample),))
        firsts = (self._strategy.experimental_local_results(part)[0] for part in parts)
        dead, saturated, gradients, weights, fvu = map(np.asarray, firsts)
        slopes = {i: float(np.mean(keras.ops.convert_to_numpy(layer.alpha))) for i, layer in self._slopes}
        layers = [
            LayerHealth(
                epoch,
                unit.dense.name,
                unit.choice.name,
                unit.dense.units,
                float(dead[i]),
                float(saturated[i]) if unit.bounded else None,
                slopes.get(i),
                float(gradients[i]),
                float(weights[i]),
            )
            for i, unit in enumerate(self.units)
        ]
        return Health(layers, float(fvu))

    def _look_body(self, images: Any) -> tuple[Any, ...]:
        kernels = [unit.dense.kernel.value for unit in self.units]
        with tf.GradientTape() as tape:
            latents, encoded = self._encoder(images, training=False)
            reconstructions, decoded = self._decoder(latents, training=False)
            loss = tf.reduce_mean(self._loss(images, reconstructions))
        outputs = [tf.cast(output, tf.float32) for output in [*encoded, *decoded]]
        gradients = tape.gradient(loss, kernels, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return (
            tf.stack([_dead(output) for output in outputs]),
            tf.stack([_saturated(output, unit) for output, unit in zip(outputs, self.units, strict=True)]),
            tf.stack([tf.norm(gradient) for gradient in gradients]),
            tf.stack([tf.norm(kernel) for kernel in kernels]),
            _fvu(images, reconstructions),
        )


def _watched(model: Any, units: tuple[Unit, ...]) -> Any:
    """Return the model with the outputs of its activations beside its own."""
    inside = [unit.activation.output for unit in units if unit.activation in model.layers]
    return keras.Model(model.inputs[0], [model.outputs[0], inside])


def _fvu(images: Any, reconstructions: Any) -> Any:
    error = tf.reduce_mean(tf.square(images - tf.cast(reconstructions, tf.float32)))
    return tf.math.divide_no_nan(error, tf.reduce_mean(tf.square(images - tf.reduce_mean(images, axis=0))))


def _dead(output: Any) -> Any:
    spread = tf.reduce_max(output, axis=0) - tf.reduce_min(output, axis=0)
    return tf.reduce_mean(tf.cast(spread == 0, tf.float32))


def _saturated(output: Any, unit: Unit) -> Any:
    if not unit.bounded:
        return tf.constant(0.0)
    low, high = unit.output_range
    slack = SATURATED_WITHIN * (high - low)
    return tf.reduce_mean(tf.cast((output <= low + slack) | (output >= high - slack), tf.float32))

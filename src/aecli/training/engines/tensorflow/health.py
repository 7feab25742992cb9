"""Measures the health of the activations of a network in training, on a fixed sample of images."""

import math
from typing import Any

import numpy as np

from aecli.data.format import Images
from aecli.models.autoencoder import Autoencoder, WatchedLayer
from aecli.models.objective import Objective
from aecli.runs.records import SATURATED_WITHIN, LayerHealth
from aecli.training.engines.engine import NetworkHealth
from aecli.training.engines.tensorflow.backend import keras, tf

_MOST_BYTES = 2**28
"""What the outputs of all layers may take together: those of a convolution are many times its image."""


class HealthProbe:
    """Looks into an autoencoder: its layers' outputs and gradients on one sample of images."""

    def __init__(self, autoencoder: Autoencoder, objective: Objective) -> None:
        self._autoencoder, self._layers = autoencoder, autoencoder.layers
        self._encoder = _watched(autoencoder.encoder, self._layers)
        self._decoder = _watched(autoencoder.decoder, self._layers)
        values = sum(math.prod(layer.activation.output.shape[1:]) for layer in self._layers)
        self._most = max(2, _MOST_BYTES // (4 * values))
        self._strategy = tf.distribute.get_strategy()
        self._objective = objective
        self._slopes = [(i, layer.slope) for i, layer in enumerate(self._layers) if layer.slope is not None]
        # Not XLA: it would compile for longer than it saves.
        self._probe = tf.function(self._probe_body, autograph=False)

    def measure(self, epoch: int, sample: Images) -> NetworkHealth:
        """Return the health of the network on images (N, H, W, C), or on the first, where they would take too much."""
        # Every device sees the same: the first one's word is enough.
        parts = self._strategy.run(self._probe, args=(tf.constant(sample[: self._most]),))
        firsts = (self._strategy.experimental_local_results(part)[0] for part in parts)
        dead, saturated, gradients, weights, fvu = map(np.asarray, firsts)
        slopes = {i: float(np.mean(keras.ops.convert_to_numpy(slope))) for i, slope in self._slopes}
        layers = [
            LayerHealth(
                epoch,
                layer.name,
                layer.choice.name,
                layer.units,
                float(dead[i]),
                float(saturated[i]) if layer.bounded else None,
                slopes.get(i),
                float(gradients[i]),
                float(weights[i]),
            )
            for i, layer in enumerate(self._layers)
        ]
        return NetworkHealth(layers, float(fvu))

    def _probe_body(self, images: Any) -> tuple[Any, ...]:
        kernels = [layer.kernel.value for layer in self._layers]
        with tf.GradientTape() as tape:
            given, encoded = self._encoder(images, training=False)
            named = self._autoencoder.named(given)
            reconstructions, decoded = self._decoder(named["latents"], training=False)
            outputs = {**named, "reconstructions": reconstructions}
            loss = sum(tf.reduce_mean(term) for term in self._objective.per_image(images, outputs))
        activated = [tf.cast(output, tf.float32) for output in [*encoded, *decoded]]
        gradients = tape.gradient(loss, kernels, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return (
            tf.stack([_dead(output) for output in activated]),
            tf.stack([_saturated(output, layer) for output, layer in zip(activated, self._layers, strict=True)]),
            tf.stack([tf.norm(gradient) for gradient in gradients]),
            tf.stack([tf.norm(kernel) for kernel in kernels]),
            _fvu(images, reconstructions),
        )


def _watched(model: Any, layers: tuple[WatchedLayer, ...]) -> Any:
    """Return the model with the outputs of its activations beside its own."""
    inside = [layer.activation.output for layer in layers if layer.activation in model.layers]
    return keras.Model(model.inputs[0], [model.output, inside])


def _fvu(images: Any, reconstructions: Any) -> Any:
    error = tf.reduce_mean(tf.square(images - tf.cast(reconstructions, tf.float32)))
    return tf.math.divide_no_nan(error, tf.reduce_mean(tf.square(images - tf.reduce_mean(images, axis=0))))


def _dead(output: Any) -> Any:
    # A unit, or a channel, which has a value at every place of every image.
    axes = list(range(len(output.shape) - 1))
    spread = tf.reduce_max(output, axis=axes) - tf.reduce_min(output, axis=axes)
    return tf.reduce_mean(tf.cast(spread == 0, tf.float32))


def _saturated(output: Any, layer: WatchedLayer) -> Any:
    if not layer.bounded:
        return tf.constant(0.0)
    low, high = layer.output_range
    slack = SATURATED_WITHIN * (high - low)
    return tf.reduce_mean(tf.cast((output <= low + slack) | (output >= high - slack), tf.float32))

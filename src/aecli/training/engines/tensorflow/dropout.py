"""Dropout from draws that are functions of (seed, epoch, image), as augmentation and corruption are.

Keras's layers keep a state and draw with TensorFlow's generators, which are ten times slower inside XLA on a CPU: a
network with dropout could not be compiled as a whole. The masks come at the price of a few per cent of a step.
"""

from math import prod
from typing import Any

from aecli.core.rng import Draws, derive
from aecli.training.engines.tensorflow.array_namespace import TENSORFLOW, computed_once
from aecli.training.engines.tensorflow.backend import keras, tf


class Dropout:
    """Gives the dropout layers of a network their masks; `begin` says of which images before each pass."""

    def __init__(self, model: Any) -> None:
        self._rows: Any = None
        self._key: Any = None
        # Compiled even where the network is not: dozens of operations on every value become one loop.
        self._mask = tf.function(_mask, jit_compile=True, autograph=False)
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.Dropout):
                layer.call = self._call_of(layer)

    def begin(self, rows: Any, key: Any) -> None:
        """Drop for the images of these rows (N,), under the epoch's key (2,)."""
        self._rows, self._key = rows, key

    def _call_of(self, layer: Any) -> Any:
        """Return what a layer computes: a share of the values at 0, the others larger by as much (Srivastava 2014)."""
        purpose = derive(0, "dropout", layer.name)

        def call(values: Any, training: bool = False) -> Any:
            if not training:
                return values
            mask = self._mask(self._rows, self._key, purpose, layer.rate, prod(values.shape[1:]))
            return values * tf.cast(tf.reshape(mask, (-1, *values.shape[1:])), values.dtype)

        return call


def _mask(rows: Any, key: Any, purpose: int, rate: float, count: int) -> Any:
    """Return what the values of some images are multiplied by, float32 (N, count)."""

    def drawn() -> Any:
        kept = Draws(TENSORFLOW, key, rows).uniform(purpose, count) >= rate
        return tf.cast(kept, tf.float32) / (1 - rate)

    return computed_once(key, drawn, tf.zeros((rows.shape[0], count)))

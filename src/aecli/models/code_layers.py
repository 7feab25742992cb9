"""What makes a code of an encoder's output: the second head of a Gaussian code, and the levels of a quantised one."""

from typing import Any

import numpy as np

from aecli.models.backend import keras
from aecli.models.linear.code import Matrix

LOG_VARIANCE_BOUND = 15.0
"""What a log-variance stays within: its exponential, and that of half of it, are far from the ends of float32."""


def log_variances(means: Any, code_length: int, first: Matrix | float) -> Any:
    """Return the log-variances (N, k) of a Gaussian code, from what the layer of its `means` takes.

    That layer is Keras's, dense or a convolution; the other is of its kind, and begins at `first` whatever the image.
    """
    options = {"name": f"{means.name}_log_variances", "kernel_initializer": "zeros", "dtype": "float32"}
    head = type(means).from_config({**means.get_config(), **options})
    values = head(means.input)
    unbounded = LOG_VARIANCE_BOUND * np.arctanh(np.broadcast_to(first, code_length) / LOG_VARIANCE_BOUND)
    # A channel of a map has one bias at all its places.
    head.bias.assign(unbounded.reshape(-1, head.bias.shape[0]).mean(axis=0))
    if len(values.shape) > 2:
        values = keras.layers.Flatten(dtype="float32", name="log_variances_flatten")(values)
    return Bounded(LOG_VARIANCE_BOUND, dtype="float32", name="log_variances")(values)


@keras.saving.register_keras_serializable("aecli")
class Bounded(keras.layers.Layer):  # type: ignore[misc]
    """Values kept within a bound either way, smoothly."""

    def __init__(self, bound: float, **options: Any) -> None:
        super().__init__(**options)
        self.bound = bound

    def call(self, x: Any) -> Any:
        return self.bound * keras.ops.tanh(x / self.bound)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bound": self.bound}


@keras.saving.register_keras_serializable("aecli")
class Scaled(keras.layers.Layer):  # type: ignore[misc]
    """Reconstructions as they are, and beside them the scale of their likelihood, which the training moves."""

    def build(self, _: Any) -> None:
        self.scale = self.add_weight(
            shape=(), initializer="ones", trainable=False, aggregation="only_first_replica", name="scale"
        )

    def call(self, x: Any) -> Any:
        return x


@keras.saving.register_keras_serializable("aecli")
class Quantised(keras.layers.Layer):  # type: ignore[misc]
    """The nearest of some levels, evenly spaced from -1 to 1, to the hyperbolic tangent of each value.

    Finite scalar quantisation (Mentzer et al. 2024); the gradient goes straight through the rounding.
    """

    def __init__(self, levels: int, **options: Any) -> None:
        super().__init__(**options)
        self.levels = levels

    def call(self, x: Any) -> Any:
        ops, steps = keras.ops, self.levels - 1
        places = (ops.tanh(ops.cast(x, "float32")) + 1) * (steps / 2)
        whole = places + ops.stop_gradient(ops.round(places) - places)
        return whole * (2 / steps) - 1

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "levels": self.levels}

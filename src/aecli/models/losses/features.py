"""A perceptual loss without a download: the features of a fixed random convolutional network.

What makes features of a trained network a loss for images is its structure more than its weights (Liu et al. 2021,
"Generic perceptual loss for modeling structured output dependencies"): filters of several sizes, each with
neighbours and a rectifier. The weights are a function of this file alone, so that runs can be compared by the loss.
"""

from functools import lru_cache
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.core.rng import Draws, derive
from aecli.models.objective import Outputs, Term

_SEED = 2021
_CHANNELS = (16, 32, 64)
_SIDE = 3
_STRIDES = (1, 2, 2)
_SLOPE = 0.2
_FLOOR = 1e-2
"""Added to the squared length of the features at a place: flat places have short ones, whose direction is noise."""


def features(weight: float) -> Term:
    """Return the term: the squared distance between the features of images and reconstructions, from 0 to 4.

    At every place the features are brought to length 1 over the channels, as those of LPIPS are (Zhang et al. 2018);
    it is the mean over the places, and over the layers.
    """
    from aecli.models.backend import keras

    ops = keras.ops

    def per_image(images: Any, outputs: Outputs) -> Any:
        pair = ops.concatenate([ops.cast(each, "float32") for each in (images, outputs["reconstructions"])])
        layers, values = [], 2 * pair - 1
        for kernel, stride in zip(kernels(images.shape[-1]), _STRIDES, strict=True):
            values = ops.conv(values, kernel, strides=stride, padding="same")
            values = ops.maximum(values, _SLOPE * values)
            length = ops.sqrt(ops.sum(ops.square(values), axis=-1, keepdims=True) + _FLOOR)
            own, theirs = ops.split(values / length, 2)
            layers.append(ops.mean(ops.sum(ops.square(own - theirs), axis=-1), axis=(1, 2)))
        return sum(layers) / len(layers)

    return Term("features", per_image, weight, reconstructs=True, convolutional=True)


@lru_cache
def kernels(channels: int) -> tuple[NDArray[np.float32], ...]:
    """Return the kernels (3, 3, inputs, outputs) for images of so many channels: normal, of He's variance."""
    made, inputs = [], channels
    for layer, outputs in enumerate(_CHANNELS):
        taps = _SIDE * _SIDE * inputs
        key = np.array([derive(_SEED, "features", layer, inputs, word) for word in (0, 1)], np.uint32)
        values = Draws(np, key, np.arange(taps, dtype=np.uint32)).normal(0, outputs)
        deviation = sqrt(2 / ((1 + _SLOPE**2) * taps))
        made.append((deviation * values).astype(np.float32).reshape(_SIDE, _SIDE, inputs, outputs))
        inputs = outputs
    return tuple(made)

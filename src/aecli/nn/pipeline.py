"""Batches for `fit`, as tf.data: order is a pure function of (seed, epoch)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.images import ImageFormat, Stored
from aecli.nn.door import tf
from aecli.seeds import derive

_DIRECT = ("uint8", "float32")
"""Stored dtypes kept as they are in memory and brought to the contract batch by batch."""


def training_batches(stored: Stored, image_format: ImageFormat, batch_size: int, seed: int, epochs: int) -> Any:
    """Return the (images, images) batches of all epochs, one after the other, each epoch reshuffled.

    Every epoch has ceil(N / batch_size) batches, the last one short.
    """
    count, load = len(stored), _loader(stored, image_format)
    key = derive(seed, "order")

    def epoch_batches(epoch: Any) -> Any:
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=tf.stack([np.int64(key), epoch]))
        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size)

    batches = tf.data.Dataset.range(epochs).flat_map(epoch_batches)
    return batches.map(load, num_parallel_calls=2, deterministic=True).prefetch(8)


def validation_batches(stored: Stored, image_format: ImageFormat, batch_size: int) -> Any:
    """Return the (images, images) batches of one pass in order."""
    rows = tf.data.Dataset.range(len(stored)).batch(batch_size)
    return rows.map(_loader(stored, image_format)).prefetch(2)


def _loader(stored: Stored, image_format: ImageFormat) -> Any:
    """Return rows -> (images, images) of the contract, gathered from one tensor in memory."""
    scale, offset = image_format.scale_and_offset()
    if stored.dtype.name in _DIRECT and stored.dtype.isnative:
        tensor = tf.constant(stored.reshape(-1, *image_format.image_shape))
    else:
        tensor, scale, offset = tf.constant(image_format.to_contract(stored)), 1.0, 0.0

    def load(rows: NDArray[np.int64]) -> Any:
        images = tf.cast(tf.gather(tensor, rows), tf.float32) * np.float32(scale) + np.float32(offset)
        return images, images

    return load

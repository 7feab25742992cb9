"""TensorFlow under the names of the array API standard, as far as `aecli.core.rng.Namespace` asks for them."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from aecli.core.rng import Namespace
from aecli.training.engines.tensorflow.backend import tf

TENSORFLOW: Namespace = SimpleNamespace(
    arange=tf.range,
    astype=tf.cast,
    bitwise_left_shift=tf.bitwise.left_shift,
    bitwise_right_shift=tf.bitwise.right_shift,
    clip=tf.clip_by_value,
    cos=tf.cos,
    exp=tf.exp,
    floor=tf.floor,
    log=tf.math.log,
    maximum=tf.maximum,
    minimum=tf.minimum,
    reshape=tf.reshape,
    round=tf.round,
    sin=tf.sin,
    sqrt=tf.sqrt,
    take=tf.gather,
    where=tf.where,
)


def computed_once(key: Any, compute: Callable[[], Any], shaped_alike: Any) -> Any:
    """Return `compute()`, tensors of these shapes, computed once and kept however often they are used.

    XLA computes cheap operations anew for each use, and counts long chains of them as cheap: a draw for each image
    became one for each pixel and use, thirty times slower than a whole training step. Across a branch it does not,
    and this one is always taken: words of a key are below 2^31, which XLA cannot know.
    """
    return tf.cond(key[0] < 2**31, compute, lambda: shaped_alike)

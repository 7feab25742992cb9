"""The discriminator of an adversarial training: it looks at patches of an image (Isola et al. 2017)."""

from typing import Any

from aecli.core.rng import derive

LEAST_SIDE = 8
"""The least side of images that have patches to look at."""

_CHANNELS = (32, 64, 128)
_SLOPE = 0.2


def discriminator_problem(image_shape: tuple[int, int, int]) -> str | None:
    """Return why there is none for images of this shape, "key: what is wrong: what to do"."""
    height, width, _ = image_shape
    if min(height, width) >= LEAST_SIDE:
        return None
    return (
        f"training.adversarial: a discriminator needs images of at least {LEAST_SIDE} x {LEAST_SIDE} pixels, these "
        f"have {height} x {width}: set training.adversarial: null"
    )


def halvings(image_shape: tuple[int, int, int]) -> int:
    """Return how often it halves images of this shape: once, twice from 64 pixels, three times from 128.

    So its patches are of 8, 18 or 38 pixels. Of larger ones it looks at the colours and at what is shown more than at
    the edges: on photographs of 48 x 48, two and three halvings gave less sharpness for as many decibels.
    """
    return min(len(_CHANNELS), max(1, min(image_shape[:2]).bit_length() - 5))


def build_discriminator(image_shape: tuple[int, int, int], seed: int) -> Any:
    """Return a Keras model from images (N, H, W, C) to (N, h, w, 1): above 0 where a patch seems to be of an original.

    Its weights depend on `seed` alone, and on no other image of a batch: nothing in it is normalised. It computes in
    float32 in every precision.
    """
    from aecli.models.backend import keras

    layers = keras.layers
    images = keras.Input(image_shape, dtype="float32", name="images")
    x = layers.Rescaling(2.0, offset=-1.0, dtype="float32", name="discriminator_scale")(images)
    for i, channels in enumerate(_CHANNELS[: halvings(image_shape)]):
        x = layers.Conv2D(channels, 4, strides=2, **_shared(seed, f"discriminator_{i}"))(x)
        x = layers.LeakyReLU(_SLOPE, dtype="float32", name=f"discriminator_{i}_leaky_relu")(x)
    patches = layers.Conv2D(1, 3, **_shared(seed, "discriminator_patches"))(x)
    return keras.Model(images, patches, name="discriminator")


def _shared(seed: int, name: str) -> dict[str, Any]:
    from aecli.models.backend import keras

    initializer = keras.initializers.HeNormal(derive(seed, "weights", name))
    return {"padding": "same", "kernel_initializer": initializer, "dtype": "float32", "name": name}

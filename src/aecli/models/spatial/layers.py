"""Convolutional layers from plain values."""

from collections.abc import Sequence
from typing import Any

from aecli.models.autoencoder import WatchedLayer
from aecli.models.backend import keras
from aecli.models.layers import NetworkSpec, Stack, activation_layer, initializer, regularizer
from aecli.models.linear.code import Matrix
from aecli.models.spatial.plan import Convolution, Size, groups_of
from aecli.models.spatial.resizing import Doubled, Shuffled


def conv_stack(
    inputs: Any,
    plan: Sequence[Convolution],
    network: NetworkSpec,
    name: str,
    *,
    added: Any = None,
    bias: Matrix | None = None,
) -> Stack:
    """Stack convolutions on images (N, H, W, C); `name` keeps their weights' seeds apart.

    `added` and `bias` are those of the last one, as in `LayerSpec`. What a convolution passes out is added to the
    output of the one of its size that takes it in: details go round the smaller levels.
    """
    x, watched = inputs, []
    passing: dict[Size, Any] = {}
    for i, spec in enumerate(plan):
        ends = i == len(plan) - 1
        x, layer = _convolve(x, spec, network, f"{name}_{i}", added if ends else None, bias if ends else None)
        watched.append(layer)
        if spec.passes == "out":
            passing[spec.size] = x
        elif spec.passes == "in":
            x = keras.layers.Add(name=f"{name}_{i}_passed")([x, passing.pop(spec.size)])
    return Stack(x, tuple(watched))


def as_image(flat: Any, shape: tuple[int, int, int], name: str) -> Any:
    """Return rows (N, H * W * C) as images (N, H, W, C), nothing for nothing."""
    return None if flat is None else keras.layers.Reshape(shape, dtype="float32", name=name)(flat)


def flat(stack: Stack) -> Stack:
    """Flatten the output (N, H, W, C) to (N, H * W * C)."""
    return Stack(keras.layers.Flatten(name="latents_flatten")(stack.output), stack.layers)


def unflat(stack: Stack, shape: tuple[int, int, int]) -> Stack:
    """Reshape the output (N, H * W * C) to (N, H, W, C)."""
    return Stack(keras.layers.Reshape(shape, name="decoder_reshape")(stack.output), stack.layers)


def _convolve(
    x: Any, spec: Convolution, network: NetworkSpec, name: str, added: Any, bias: Matrix | None
) -> tuple[Any, WatchedLayer]:
    """Return the output of one convolution with its norm, activation and dropout, and the layer to be watched."""
    dtype = "float32" if spec.last else None
    draw = initializer(spec.activation, network, name, corrects=added is not None)
    x, layer = _STEPS[spec.step](x, spec, network, {"kernel_initializer": draw, "name": name, "dtype": dtype})
    if bias is not None:
        layer.bias.assign(bias)
    if spec.normed:
        x = keras.layers.GroupNormalization(groups_of(spec.channels), name=f"{name}_norm")(x)
    if added is not None:
        x = keras.layers.Add(dtype=dtype, name=f"{name}_corrected")([added, x])
    activation = activation_layer(spec.activation, f"{name}_{spec.activation.name}", dtype, spatial=True)
    x = activation(x)
    if network.dropout and not spec.last:
        x = network.dropout_layer(name)(x)
    return x, WatchedLayer(layer, activation, spec.activation)


def _settings(spec: Convolution, network: NetworkSpec, options: dict[str, Any]) -> dict[str, Any]:
    return {
        "padding": "same",
        "kernel_regularizer": regularizer(network),
        **options,
    }


def _plain(x: Any, spec: Convolution, network: NetworkSpec, options: dict[str, Any]) -> tuple[Any, Any]:
    layer = keras.layers.Conv2D(
        spec.channels, spec.width, 2 if spec.step == "halve" else 1, **_settings(spec, network, options)
    )
    return layer(x), layer


def _resized(x: Any, spec: Convolution, network: NetworkSpec, options: dict[str, Any]) -> tuple[Any, Any]:
    doubled = Doubled(*spec.size, name=f"{options['name']}_doubled")
    return _plain(doubled(x), spec, network, options)


def _shuffled(x: Any, spec: Convolution, network: NetworkSpec, options: dict[str, Any]) -> tuple[Any, Any]:
    layer = keras.layers.Conv2D(4 * spec.channels, spec.width, **_settings(spec, network, options))
    return Shuffled(*spec.size, name=f"{options['name']}_shuffled")(layer(x)), layer


def _transposed(x: Any, spec: Convolution, network: NetworkSpec, options: dict[str, Any]) -> tuple[Any, Any]:
    settings = _settings(spec, network, options)
    draw = settings.pop("kernel_initializer")
    layer = keras.layers.Conv2DTranspose(spec.channels, 4, 2, kernel_initializer="zeros", **settings)
    x = layer(x)
    # Keras counts the inputs of a transposed kernel the other way round, and not that each output sees 2 x 2 of it.
    quarters = [draw((2, 2, spec.inputs, spec.channels)) for draw in _four(draw)]
    kernel = keras.ops.reshape(keras.ops.stack(quarters), (2, 2, 2, 2, spec.inputs, spec.channels))
    kernel = keras.ops.transpose(kernel, (2, 0, 3, 1, 5, 4))
    layer.kernel.assign(keras.ops.reshape(kernel, layer.kernel.shape))
    beyond = [(0, have - keep) for have, keep in zip(x.shape[1:3], spec.size, strict=True)]
    if any(cut for _, cut in beyond):
        x = keras.layers.Cropping2D(beyond, name=f"{options['name']}_cropped")(x)
    return x, layer


def _four(draw: Any) -> list[Any]:
    """Return four initializers like this one, each of a seed of its own."""
    config = draw.get_config()
    return [draw.from_config({**config, "seed": config["seed"] + i}) for i in range(4)]


_STEPS = {"same": _plain, "halve": _plain, "resize": _resized, "shuffle": _shuffled, "transposed": _transposed}

"""Layers from plain values: the pieces that every model family is built of."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from aecli.core.rng import derive
from aecli.core.schema import Choice
from aecli.data.format import Images
from aecli.models.activations import Activation
from aecli.models.autoencoder import Autoencoder, WatchedLayer
from aecli.models.backend import keras
from aecli.models.code import Code
from aecli.models.code_layers import Bounded, Quantised, Scaled, log_variances
from aecli.models.linear.code import Matrix
from aecli.models.linear.path import InverseActivation
from aecli.models.spatial.resizing import Doubled, Shuffled

__all__ = ["Bounded", "Doubled", "InverseActivation", "Quantised", "Scaled", "Shuffled"]
# Known to Keras, which loads saved models by their names.


@dataclass(frozen=True)
class Stack:
    """Layers one on the other: the output of the last, and those whose health is measured."""

    output: Any
    layers: tuple[WatchedLayer, ...]


@dataclass(frozen=True)
class LayerSpec:
    """One dense layer: its width and activation.

    The last layer of a network has no dropout, and computes in float32 whatever the precision. `added` is a tensor
    (N, width) to add before the activation: the layer then corrects it, and begins by changing nothing. `bias` (width,)
    is the bias to begin with, zeros where there is none.
    """

    width: int
    activation: Choice[Activation]
    last: bool = False
    added: Any = None
    bias: Matrix | None = None


@dataclass(frozen=True)
class NetworkSpec:
    """What the layers of a network share."""

    initializer: str
    dropout: float
    l1: float
    l2: float
    seed: int

    def dropout_layer(self, name: str) -> Any:
        """Return the dropout after the layer of this name."""
        seed = derive(self.seed, "dropout", name)
        return keras.layers.Dropout(self.dropout, seed=seed, name=f"{name}_dropout")


@contextmanager
def computing_in(precision: Literal["float32", "mixed"]) -> Iterator[None]:
    """Build layers that compute in float32, or, mixed, in bfloat16.

    Weights, the last layer and so the loss are float32 in both. bfloat16 has the range of float32: gradients
    need no scaling.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "mixed" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def image_input(image_shape: tuple[int, int, int]) -> Any:
    """Return an input of images (N, H, W, C)."""
    return keras.Input(image_shape, name="images")


def vector_input(length: int) -> Any:
    """Return an input of latents (N, length)."""
    return keras.Input((length,), name="latents")


def flatten(images: Any) -> Any:
    """Return images (N, H, W, C) as rows (N, H * W * C)."""
    return keras.layers.Flatten(name="encoder_flatten")(images)


def mlp(inputs: Any, layers: Sequence[LayerSpec], network: NetworkSpec, name: str) -> Stack:
    """Stack dense layers on flat inputs (N, size); `name` keeps their weights' seeds apart."""
    x = inputs
    watched = []
    for i, layer in enumerate(layers):
        dtype = "float32" if layer.last else None
        dense = keras.layers.Dense(
            layer.width,
            kernel_initializer=initializer(layer.activation, network, f"{name}_{i}", corrects=layer.added is not None),
            kernel_regularizer=regularizer(network),
            dtype=dtype,
            name=f"{name}_{i}",
        )
        activation = activation_layer(layer.activation, f"{name}_{i}_{layer.activation.name}", dtype)
        products = dense(x)
        if layer.bias is not None:
            dense.bias.assign(layer.bias)
        if layer.added is not None:
            products = keras.layers.Add(dtype=dtype, name=f"{name}_{i}_corrected")([layer.added, products])
        x = activation(products)
        watched.append(WatchedLayer(dense, activation, layer.activation))
        if network.dropout and not layer.last:
            x = network.dropout_layer(f"{name}_{i}")(x)
    return Stack(x, tuple(watched))


def join(
    images: Any, encoded: Stack, codes: Any, decoded: Stack, code: Code | None, first: Matrix | float
) -> Autoencoder:
    """Make the three models of an autoencoder from the inputs and the stacks of its encoder and decoder.

    The last layer of the encoder's stack makes the code; `code` says what becomes of it, and `first` are the
    log-variances that a Gaussian one begins with.
    """
    latents, reconstructions = encoded.output, decoded.output
    layers = (*encoded.layers, *decoded.layers)
    if code is not None and code.quantised is not None:
        latents = Quantised(code.quantised.levels, dtype="float32", name="latents_quantised")(latents)
    if code is None or code.gaussian is None:
        encoder = keras.Model(images, latents, name="encoder")
        decoder = keras.Model(codes, reconstructions, name="decoder")
        return Autoencoder(encoder, decoder, keras.Model(images, decoder(encoder(images)), name="autoencoder"), layers)
    second = log_variances(encoded.layers[-1].layer, codes.shape[-1], first)
    scaled = Scaled(dtype="float32", name="scaled")
    encoder = keras.Model(images, [latents, second], name="encoder")
    decoder = keras.Model(codes, scaled(reconstructions), name="decoder")
    model = keras.Model(images, decoder(encoder(images)[0]), name="autoencoder")
    return Autoencoder(encoder, decoder, model, layers, scaled.scale)


def to_image(pixels: Stack, image_shape: tuple[int, int, int]) -> Stack:
    """Reshape the output (N, H * W * C) to (N, H, W, C)."""
    reshape = keras.layers.Reshape(image_shape, dtype="float32", name="reconstructions")
    return Stack(reshape(pixels.output), pixels.layers)


def activation_layer(
    choice: Choice[Activation], name: str | None = None, dtype: str | None = None, *, spatial: bool = False
) -> Any:
    """Return the Keras layer of an activation: a stock layer wherever Keras has one.

    A slope is learned for each unit, on `spatial` inputs (N, H, W, C) for each channel.
    """
    options: dict[str, Any] = {"name": name, "dtype": dtype}
    row = choice.row
    if row.layer is not None:
        if spatial and row.learned_slope:
            options["shared_axes"] = [1, 2]
        return getattr(keras.layers, row.layer)(**row.settings(choice.parameters), **options)
    if not choice.items:
        return keras.layers.Activation(row.name, **options)
    return Elementwise(row.name, choice.parameters, **options)


@keras.saving.register_keras_serializable("aecli")
class Elementwise(keras.layers.Layer):  # type: ignore[misc]
    """An activation function with parameters that Keras has no layer for."""

    def __init__(self, function: str, parameters: dict[str, float], **options: Any) -> None:
        super().__init__(**options)
        self.function, self.parameters = function, dict(parameters)

    def call(self, x: Any) -> Any:
        return getattr(keras.activations, self.function)(x, **self.parameters)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "function": self.function, "parameters": self.parameters}


def regularizer(network: NetworkSpec) -> Any:
    """Return the penalty on a layer's weights, None where there is none."""
    return keras.regularizers.L1L2(network.l1, network.l2) if network.l1 or network.l2 else None


def initializer(activation: Choice[Activation], network: NetworkSpec, layer: str, corrects: bool = False) -> Any:
    """Return what draws the initial weights of the layer of this name; what corrects a linear code begins at zero."""
    if corrects:
        return "zeros"
    name = network.initializer
    if name == "matched":
        name = activation.row.initializer
    seed = derive(network.seed, "weights", layer)
    return keras.initializers.get({"class_name": name, "config": {"seed": seed}})


def predict(model: Any, images: Images) -> Images:
    """Return a Keras model's output for a few images as a NumPy array."""
    output: Images = keras.ops.convert_to_numpy(model(images, training=False))
    return output

"""Layers from plain values: the pieces that every model family is built of."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from aecli.core.rng import derive
from aecli.core.schema import Choice
from aecli.data.format import Images
from aecli.models.activations import ACTIVATIONS, Activation
from aecli.models.autoencoder import Autoencoder, WatchedLayer
from aecli.models.backend import keras
from aecli.models.inverse import Inverse
from aecli.models.linear.code import Matrix
from aecli.models.start import Start, reachable


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
            kernel_initializer=_initializer(layer, network, f"{name}_{i}"),
            kernel_regularizer=keras.regularizers.L1L2(network.l1, network.l2) if network.l1 or network.l2 else None,
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
            seed = derive(network.seed, "dropout", f"{name}_{i}")
            x = keras.layers.Dropout(network.dropout, seed=seed, name=f"{name}_{i}_dropout")(x)
    return Stack(x, tuple(watched))


def join(images: Any, encoded: Stack, codes: Any, decoded: Stack) -> Autoencoder:
    """Make the three models of an autoencoder from the inputs and the stacks of its encoder and decoder."""
    encoder = keras.Model(images, encoded.output, name="encoder")
    decoder = keras.Model(codes, decoded.output, name="decoder")
    model = keras.Model(images, decoder(encoder(images)), name="autoencoder")
    return Autoencoder(encoder, decoder, model, (*encoded.layers, *decoded.layers))


def to_image(pixels: Stack, image_shape: tuple[int, int, int]) -> Stack:
    """Reshape the output (N, H * W * C) to (N, H, W, C)."""
    reshape = keras.layers.Reshape(image_shape, dtype="float32", name="reconstructions")
    return Stack(reshape(pixels.output), pixels.layers)


def activation_layer(choice: Choice[Activation], name: str | None = None, dtype: str | None = None) -> Any:
    """Return the Keras layer of an activation: a stock layer wherever Keras has one."""
    options = {"name": name, "dtype": dtype}
    row = choice.row
    if row.layer is not None:
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


@keras.saving.register_keras_serializable("aecli")
class InverseActivation(keras.layers.Layer):  # type: ignore[misc]
    """What an activation takes to its input, which is first brought between `low` and `high`."""

    def __init__(self, activation: str, low: float, high: float, **options: Any) -> None:
        super().__init__(**options)
        self.activation, self.low, self.high = activation, low, high

    def call(self, x: Any) -> Any:
        return self.inverse.of(keras.ops, keras.ops.clip(x, self.low, self.high))

    @property
    def inverse(self) -> Inverse:
        """The inverse by itself."""
        inverse = ACTIVATIONS[self.activation].inverse
        assert inverse is not None
        return inverse

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": self.activation, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class LinearPath:
    """A linear code inside a network: the latents and the pixels, tensors (N, k) and (N, H * W * C), that it gives.

    `outputs` are the pixels as what the output's activation takes to them.
    """

    latents: Any = None
    pixels: Any = None
    outputs: Any = None


def linear_path(
    start: Start | None, pixels: Any, codes: Any, output: Choice[Activation], trainable: bool = True
) -> LinearPath:
    """Return what the start's linear code makes of flat images and of codes; nothing where it has none."""
    if start is None or start.code is None:
        return LinearPath()
    length = int(codes.shape[-1])
    latents = _dense_with("linear_encoder", *start.code.encoder(length), trainable, pixels)
    images = _dense_with("linear_decoder", *start.code.decoder(length), trainable, codes)
    low, high = reachable(output, start.margin)
    if output.name == "linear":
        return LinearPath(latents, images, images)
    inverse = InverseActivation(output.name, low, high, dtype="float32", name="linear_outputs")
    return LinearPath(latents, images, inverse(images))


def _dense_with(name: str, kernel: Matrix, bias: Matrix, trainable: bool, inputs: Any) -> Any:
    dense = keras.layers.Dense(kernel.shape[1], trainable=trainable, dtype="float32", name=name)
    outputs = dense(inputs)
    dense.set_weights([kernel, bias])
    return outputs


def _initializer(spec: LayerSpec, network: NetworkSpec, layer: str) -> Any:
    if spec.added is not None:
        return "zeros"
    name = network.initializer
    if name == "matched":
        name = spec.activation.row.initializer
    seed = derive(network.seed, "weights", layer)
    return keras.initializers.get({"class_name": name, "config": {"seed": seed}})


def predict(model: Any, images: Images) -> Images:
    """Return a Keras model's output for a few images as a NumPy array."""
    output: Images = keras.ops.convert_to_numpy(model(images, training=False))
    return output

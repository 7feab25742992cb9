"""The convolutional family: levels that halve the image down to the code, mirrored back to its exact size."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, Strict, model_validator

from aecli.models.family import Family, Product, Width
from aecli.models.spatial.plan import Convolution, Size, Upsampling, halved

if TYPE_CHECKING:
    from aecli.core.schema import Choice
    from aecli.models.activations import Activation
    from aecli.models.autoencoder import Autoencoder
    from aecli.models.layers import NetworkSpec, Stack
    from aecli.models.linear.path import LinearPath
    from aecli.models.linear.start import Start

ImageShape = tuple[int, int, int]


class Conv(Family):
    """A convolutional autoencoder: each level halves height and width, rounded up; the decoder doubles and cuts."""

    family: Literal["conv"] = "conv"
    """the kind of network"""
    latent_dim: Width | None = 16  # type: ignore[assignment]
    """length of the code; null with latent_channels, which give its length then"""
    latent_channels: Width | None = None
    """channels of a code that is a map, a value of each at every place of the smallest level; null: a vector"""
    channels: Annotated[tuple[Width, ...], Strict(False), Field(min_length=1)] = (32, 64, 128)
    """channels of the levels, each half as high and wide as the one before; the decoder mirrors them"""
    convs: Annotated[int, Field(gt=0, le=100)] = 2
    """3 x 3 convolutions in a level; the first halves, or doubles in the decoder"""
    upsampling: Upsampling = "resize"
    """resize: nearest pixels, then 3 x 3; shuffle: channels become pixels; transposed: 4 x 4 with stride 2"""
    norm: Literal["none", "group"] = "none"
    """group: normalise groups of channels of each image, before the activation"""

    @model_validator(mode="before")
    @classmethod
    def _map_alone(cls, data: Any) -> Any:
        """Let `latent_channels` alone mean a map: the default of `latent_dim` is no wish for a vector."""
        if isinstance(data, dict) and data.get("latent_channels") is not None:
            return {"latent_dim": None, **data}
        return data

    @model_validator(mode="after")
    def _one_code(self) -> Conv:
        if self.latent_dim is not None and self.latent_channels is not None:
            raise ValueError(
                f"latent_dim {self.latent_dim} asks for a vector and latent_channels {self.latent_channels} for a map: "
                f"set one of them to null"
            )
        if self.latent_dim is None and self.latent_channels is None:
            raise ValueError("there is no code: set latent_dim for a vector, or latent_channels for a map")
        return self

    def sizes(self, image_shape: ImageShape) -> tuple[Size, ...]:
        """Return the height and width of the image and of every level."""
        sizes = [image_shape[:2]]
        for _ in self.channels:
            sizes.append(halved(sizes[-1]))
        return tuple(sizes)

    def code_length(self, image_shape: ImageShape) -> int:
        """Return the length of the code, which is that of the flattened map where it is one."""
        return self.latent_dim or prod(self.sizes(image_shape)[-1]) * (self.latent_channels or 0)

    @property
    def code_key(self) -> str:
        """The key that decides how long the code is."""
        return "latent_dim" if self.latent_dim else "latent_channels"

    def problem(self, image_shape: ImageShape) -> str | None:
        """Return why it cannot be built for images of this shape, with the cure."""
        levels, size = 0, image_shape[:2]
        while size != (1, 1):
            size, levels = halved(size), levels + 1
        shape, values, length = _times(image_shape), prod(image_shape), self.code_length(image_shape)
        if levels == 0:
            return f"model.channels: images of {shape} have nothing to halve: set model.family: dense"
        if len(self.channels) > levels:
            return (
                f"model.channels: {len(self.channels)} levels, but images of {shape} can be halved only {levels} "
                f"time{'s' if levels > 1 else ''}: give at most {levels} of them"
            )
        if length > values:
            cure = "a smaller one" if self.latent_dim else "fewer, or give more model.channels"
            is_longer = f"a code of {length:,} values is longer than the {values:,} of an image"
            return f"model.{self.code_key}: {is_longer}: set {cure}"
        return None

    def encoder_plan(self, image_shape: ImageShape) -> tuple[Convolution, ...]:
        """Return the hidden convolutions of the encoder, and for a map that which makes the code."""
        plan: list[Convolution] = []
        inputs, sizes = image_shape[2], self.sizes(image_shape)
        for channels, size in zip(self.channels, sizes[1:], strict=True):
            plan += self._level(inputs, channels, size, "halve")
            inputs = channels
        if self.latent_channels:
            plan.append(Convolution(inputs, self.latent_channels, sizes[-1], self.code_activation, width=1))
        return tuple(plan)

    def decoder_plan(self, image_shape: ImageShape) -> tuple[Convolution, ...]:
        """Return the convolutions of the decoder.

        The first takes the map, or what a dense layer makes of a vector. With a linear path it takes the image that the
        linear code gives, and the convolutions that halve and double it see what that lacks.
        """
        *sizes, smallest = self.sizes(image_shape)
        inputs, corrects = self.channels[-1], self.path != "none"
        plan = self._down_plan(image_shape) if corrects else []
        if self.latent_channels and not corrects:
            plan.append(self._hidden(self.latent_channels, inputs, smallest))
        for channels, size in zip((*self.channels[-2::-1], self.channels[0]), reversed(sizes), strict=True):
            level = self._level(inputs, channels, size, self.upsampling)
            plan += [*level[:-1], replace(level[-1], passes="in" if corrects else None)]
            inputs = channels
        plan.append(Convolution(inputs, image_shape[2], sizes[0], self.output_activation, last=True))
        return tuple(plan)

    def _down_plan(self, image_shape: ImageShape) -> list[Convolution]:
        """Return the convolutions of an image, down to the smallest level, that pass details to those back up."""
        *sizes, smallest = self.sizes(image_shape)
        inputs = self.channels[0]
        plan = [replace(self._hidden(image_shape[2], inputs, sizes[0]), passes="out")]
        for channels, size in zip(self.channels, (*sizes[1:], smallest), strict=True):
            level = self._level(inputs, channels, size, "halve")
            plan += [*level[:-1], replace(level[-1], passes=None if size == smallest else "out")]
            inputs = channels
        return plan

    def _level(self, inputs: int, channels: int, size: Size, step: Any) -> list[Convolution]:
        rest = [self._hidden(channels, channels, size)] * (self.convs - 1)
        return [self._hidden(inputs, channels, size, step), *rest]

    def _hidden(self, inputs: int, channels: int, size: Size, step: Any = "same") -> Convolution:
        return Convolution(inputs, channels, size, self.activation, step, normed=self.norm == "group")

    def smallest(self, image_shape: ImageShape) -> ImageShape:
        """Return the shape of the map that is the code, or of the smallest level, which a vector is made of."""
        return (*self.sizes(image_shape)[-1], self.latent_channels or self.channels[-1])

    def parameter_count(self, image_shape: ImageShape) -> int:
        """Return how many weights the network has: kernels, biases, norms, learned slopes, and a linear path's."""
        plans = (*self.encoder_plan(image_shape), *self.decoder_plan(image_shape))
        count = sum(layer.weights for layer in plans) + self.path_weights(image_shape) + self.code_weights(image_shape)
        for product, activation in self._dense_products(image_shape):
            count += product.units * (product.inputs + 1 + (activation.row.learned_slope is not None))
        return count

    def products(self, image_shape: ImageShape) -> tuple[Product, ...]:
        """Return one product a layer, and the two of a linear path."""
        encoder, decoder = (
            [layer.product for layer in plan]
            for plan in (self.encoder_plan(image_shape), self.decoder_plan(image_shape))
        )
        dense = [product for product, _ in self._dense_products(image_shape)]
        return (*encoder, *dense, *decoder, *self.path_products(image_shape), *self.code_products(image_shape))

    def code_product(self, image_shape: ImageShape) -> Product:
        """Return the product of the layer that makes the code."""
        to_vector = self._dense_products(image_shape)
        return to_vector[0][0] if to_vector else self.encoder_plan(image_shape)[-1].product

    def _dense_products(self, image_shape: ImageShape) -> list[tuple[Product, Choice[Activation]]]:
        """Return the dense layers to a vector, and from it where no linear path is, with their activations."""
        if self.latent_dim is None:
            return []
        size = prod(self.smallest(image_shape))
        to_code = Product(size, self.latent_dim), self.code_activation
        return [to_code] if self.path != "none" else [to_code, (Product(self.latent_dim, size), self.activation)]

    def build(self, image_shape: ImageShape, seed: int, start: Start | None = None) -> Autoencoder:
        """Build the untrained network; its weights depend on `seed` and `start` alone, its dropout on `seed`."""
        from aecli.models.layers import NetworkSpec, Stack, image_input, join, vector_input
        from aecli.models.linear.path import linear_path
        from aecli.models.spatial.layers import as_image, conv_stack

        start = self.completed(start, image_shape)
        network = NetworkSpec(self.initializer, self.dropout, self.l1, self.l2, seed)
        images, codes = image_input(image_shape), vector_input(self.code_length(image_shape))
        # The path stays as it is: it does not gain by being learned from the few images that convolutions are for.
        path = linear_path(start, images, codes, self.output_activation, trainable=False)
        latents = self._encoder(images, image_shape, network, path)
        begun = self._decoder_start(codes, image_shape, network, path)
        decoder = conv_stack(
            begun.output, self.decoder_plan(image_shape), network, "decoder",
            added=as_image(path.outputs, image_shape, "linear_images"), bias=self.first_bias(start, shared=True),
        )  # fmt: skip
        decoded = Stack(decoder.output, (*begun.layers, *decoder.layers))
        return join(images, latents, codes, decoded, self.code, start.gains.log_variances)

    def _encoder(self, images: Any, image_shape: ImageShape, network: NetworkSpec, path: LinearPath) -> Stack:
        from aecli.models.layers import LayerSpec, Stack, mlp
        from aecli.models.spatial.layers import as_image, conv_stack, flat

        plan = self.encoder_plan(image_shape)
        if self.latent_dim is None:
            added = as_image(path.latents, self.smallest(image_shape), "linear_map")
            return flat(conv_stack(images, plan, network, "encoder", added=added))
        hidden = conv_stack(images, plan, network, "encoder")
        code = LayerSpec(self.latent_dim, self.code_activation, added=path.latents)
        stack = mlp(flat(hidden).output, [code], network, "code")
        return Stack(stack.output, (*hidden.layers, *stack.layers))

    def _decoder_start(self, codes: Any, image_shape: ImageShape, network: NetworkSpec, path: LinearPath) -> Stack:
        """Return what the decoder's convolutions take: the linear code's image, the map, or what a vector becomes."""
        from aecli.models.layers import LayerSpec, Stack, mlp
        from aecli.models.spatial.layers import as_image, unflat

        if path.pixels is not None:
            return Stack(as_image(path.pixels, image_shape, "linear_reconstructions"), ())
        smallest = self.smallest(image_shape)
        if self.latent_dim is None:
            return unflat(Stack(codes, ()), smallest)
        return unflat(mlp(codes, [LayerSpec(prod(smallest), self.activation)], network, "decoder_start"), smallest)


def _times(shape: ImageShape) -> str:
    return " x ".join(map(str, shape))

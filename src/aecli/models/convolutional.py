"""The convolutional family: levels that halve the image down to the code, mirrored back to its exact size."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, Strict, model_validator

from aecli.models.convolution import Convolution, Size, Upsampling, halved
from aecli.models.family import Family, Product, Width

if TYPE_CHECKING:
    from aecli.models.autoencoder import Autoencoder

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
        plan, inputs, sizes = [], image_shape[2], self.sizes(image_shape)
        for channels, size in zip(self.channels, sizes[1:], strict=True):
            plan.append(self._hidden(inputs, channels, size, "halve"))
            plan += [self._hidden(channels, channels, size)] * (self.convs - 1)
            inputs = channels
        if self.latent_channels:
            plan.append(Convolution(inputs, self.latent_channels, sizes[-1], self.code_activation, width=1))
        return tuple(plan)

    def decoder_plan(self, image_shape: ImageShape) -> tuple[Convolution, ...]:
        """Return the convolutions of the decoder; the first takes the map, or the dense layer's place of a vector."""
        *sizes, smallest = self.sizes(image_shape)
        inputs = self.channels[-1]
        plan = [self._hidden(self.latent_channels, inputs, smallest)] if self.latent_channels else []
        for channels, size in zip((*self.channels[-2::-1], self.channels[0]), reversed(sizes), strict=True):
            plan.append(self._hidden(inputs, channels, size, self.upsampling))
            plan += [self._hidden(channels, channels, size)] * (self.convs - 1)
            inputs = channels
        plan.append(Convolution(inputs, image_shape[2], sizes[0], self.output_activation, last=True))
        return tuple(plan)

    def _hidden(self, inputs: int, channels: int, size: Size, step: Any = "same") -> Convolution:
        return Convolution(inputs, channels, size, self.activation, step, normed=self.norm == "group")

    def _smallest(self, image_shape: ImageShape) -> ImageShape:
        """Return the shape of the smallest level, which a vector is made of and made into."""
        return (*self.sizes(image_shape)[-1], self.channels[-1])

    def parameter_count(self, image_shape: ImageShape) -> int:
        """Return how many weights the network has: kernels, biases, norms, and learned slopes."""
        count = sum(layer.weights for layer in (*self.encoder_plan(image_shape), *self.decoder_plan(image_shape)))
        if self.latent_dim is None:
            return count
        size, length = prod(self._smallest(image_shape)), self.latent_dim
        slopes = [length] * (self.code_activation.row.learned_slope is not None)
        slopes += [size] * (self.activation.row.learned_slope is not None)
        return count + 2 * size * length + size + length + sum(slopes)

    def products(self, image_shape: ImageShape) -> tuple[Product, ...]:
        """Return one product a layer."""
        encoder, decoder = (
            [layer.product for layer in plan]
            for plan in (self.encoder_plan(image_shape), self.decoder_plan(image_shape))
        )
        if self.latent_dim is None:
            return (*encoder, *decoder)
        size = prod(self._smallest(image_shape))
        return (*encoder, Product(size, self.latent_dim), Product(self.latent_dim, size), *decoder)

    def build(self, image_shape: ImageShape, seed: int) -> Autoencoder:
        """Build the untrained network; its initial weights and dropout depend on `seed` alone."""
        from aecli.models.convolutions import conv_stack, flat, unflat
        from aecli.models.layers import LayerSpec, NetworkSpec, Stack, image_input, join, mlp, vector_input

        network = NetworkSpec(self.initializer, self.dropout, self.l1, self.l2, seed)
        images, codes = image_input(image_shape), vector_input(self.code_length(image_shape))
        latents = conv_stack(images, self.encoder_plan(image_shape), network, "encoder")
        if self.latent_dim is None:
            latents = flat(latents)
            start = unflat(Stack(codes, ()), (*self.sizes(image_shape)[-1], self.latent_channels or 0))
        else:
            code = mlp(latents.output, [LayerSpec(self.latent_dim, self.code_activation)], network, "code")
            latents = Stack(code.output, (*latents.layers, *code.layers))
            smallest = self._smallest(image_shape)
            start = unflat(mlp(codes, [LayerSpec(prod(smallest), self.activation)], network, "decoder_start"), smallest)
        decoder = conv_stack(start.output, self.decoder_plan(image_shape), network, "decoder")
        return join(images, latents, codes, Stack(decoder.output, (*start.layers, *decoder.layers)))


def _times(shape: ImageShape) -> str:
    return " x ".join(map(str, shape))

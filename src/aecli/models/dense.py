"""The dense family: fully connected layers down to the code, mirrored back to the image."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Literal

from aecli.models.family import Family, Product, Widths

if TYPE_CHECKING:
    from aecli.models.autoencoder import Autoencoder


class Dense(Family):
    """A dense autoencoder, `H*W*C - hidden - latent_dim - reversed hidden - H*W*C`."""

    family: Literal["dense"] = "dense"
    """the kind of network"""
    hidden: Widths = ()
    """widths of the encoder's hidden layers, e.g. [256, 128]; the decoder mirrors them"""

    def parameter_count(self, image_shape: tuple[int, int, int]) -> int:
        """Return how many weights the network has: products, biases, and learned slopes."""
        hidden = [self.activation] * len(self.hidden)
        activations = [*hidden, self.code_activation, *hidden, self.output_activation]
        return sum(
            product.inputs * product.units + product.units * (2 if activation.row.learned_slope else 1)
            for product, activation in zip(self.products(image_shape), activations, strict=True)
        )

    def products(self, image_shape: tuple[int, int, int]) -> tuple[Product, ...]:
        """Return one product a layer."""
        size = prod(image_shape)
        widths = (size, *self.hidden, self.latent_dim, *reversed(self.hidden), size)
        return tuple(Product(inputs, units) for inputs, units in pairwise(widths))

    def build(self, image_shape: tuple[int, int, int], seed: int) -> Autoencoder:
        """Build the untrained network; its initial weights and dropout depend on `seed` alone."""
        from aecli.models.layers import LayerSpec, NetworkSpec, image_input, join, mlp, to_image, vector_input

        network = NetworkSpec(self.initializer, self.dropout, self.l1, self.l2, seed)
        hidden = [LayerSpec(width, self.activation) for width in self.hidden]
        code = LayerSpec(self.latent_dim, self.code_activation)
        output = LayerSpec(prod(image_shape), self.output_activation, last=True)

        images = image_input(image_shape)
        latents = mlp(images, [*hidden, code], network, "encoder")
        codes = vector_input(self.latent_dim)
        pixels = mlp(codes, [*reversed(hidden), output], network, "decoder")
        return join(images, latents, codes, to_image(pixels, image_shape))

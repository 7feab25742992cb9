"""The dense family: fully connected layers down to the code, mirrored back to the image."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Literal

from aecli.models.family import Family, Product, Widths

if TYPE_CHECKING:
    from aecli.models.autoencoder import Autoencoder
    from aecli.models.linear.start import Start


class Dense(Family):
    """A dense autoencoder, `H*W*C - hidden - latent_dim - reversed hidden - H*W*C`."""

    family: Literal["dense"] = "dense"
    """the kind of network"""
    hidden: Widths = (256,)
    """widths of the encoder's hidden layers, e.g. [256, 128]; the decoder mirrors them; []: none"""

    def parameter_count(self, image_shape: tuple[int, int, int]) -> int:
        """Return how many weights the network has: products, biases, learned slopes, and those of a linear path."""
        hidden = [self.activation] * len(self.hidden)
        activations = [*hidden, self.code_activation, *hidden, self.output_activation]
        return (
            self.path_weights(image_shape)
            + self.code_weights(image_shape)
            + sum(
                product.inputs * product.units + product.units * (2 if activation.row.learned_slope else 1)
                for product, activation in zip(self._layer_products(image_shape), activations, strict=True)
            )
        )

    def products(self, image_shape: tuple[int, int, int]) -> tuple[Product, ...]:
        """Return one product a layer, and the two of a linear path."""
        return (*self._layer_products(image_shape), *self.path_products(image_shape), *self.code_products(image_shape))

    def code_product(self, image_shape: tuple[int, int, int]) -> Product:
        """Return the product of the layer that makes the code."""
        return self._layer_products(image_shape)[len(self.hidden)]

    def _layer_products(self, image_shape: tuple[int, int, int]) -> tuple[Product, ...]:
        size = prod(image_shape)
        widths = (size, *self.hidden, self.latent_dim, *reversed(self.hidden), size)
        return tuple(Product(inputs, units) for inputs, units in pairwise(widths))

    def build(self, image_shape: tuple[int, int, int], seed: int, start: Start | None = None) -> Autoencoder:
        """Build the untrained network; its weights depend on `seed` and `start` alone, its dropout on `seed`."""
        from aecli.models import layers
        from aecli.models.linear.path import linear_path

        start = self.completed(start, image_shape)
        images, codes = layers.image_input(image_shape), layers.vector_input(self.latent_dim)
        flat = layers.flatten(images)
        # Learned with the corrections: on thousands of images that is better than a path that stays as it is.
        path = linear_path(start, flat, codes, self.output_activation, trainable=True)
        hidden = [layers.LayerSpec(width, self.activation) for width in self.hidden]
        code = layers.LayerSpec(self.latent_dim, self.code_activation, added=path.latents)
        output = layers.LayerSpec(
            prod(image_shape), self.output_activation, last=True, added=path.outputs, bias=self.first_bias(start)
        )
        network = layers.NetworkSpec(self.initializer, self.dropout, self.l1, self.l2, seed)
        latents = layers.mlp(flat, [*hidden, code], network, "encoder")
        pixels = layers.mlp(codes, [*reversed(hidden), output], network, "decoder")
        reconstructions = layers.to_image(pixels, image_shape)
        return layers.join(images, latents, codes, reconstructions, self.code, start.gains.log_variances)

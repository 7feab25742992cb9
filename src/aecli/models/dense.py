"""The dense family: fully connected layers down to the code, mirrored back to the image."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from aecli.core.schema import Choice, Section
from aecli.models.family import ActivationChoice, Initializer, Width, Widths

if TYPE_CHECKING:
    from aecli.models.layers import Autoencoder


class DenseModel(Section):
    """A dense autoencoder, `H*W*C - hidden - latent_dim - reversed hidden - H*W*C`."""

    family: Literal["dense"] = "dense"
    """the kind of network"""
    hidden: Widths = ()
    """widths of the encoder's hidden layers, e.g. [256, 128]; the decoder mirrors them"""
    latent_dim: Width = 16
    """length of the code"""
    activation: ActivationChoice = Choice("relu")
    """activation of the hidden layers, and of the code unless latent_activation says otherwise"""
    latent_activation: ActivationChoice | None = None
    """activation of the code; null: the same as activation"""
    output_activation: ActivationChoice = Choice("sigmoid")
    """activation of the reconstruction; it must be able to reach the images' values"""
    initializer: Initializer = "matched"
    """initial weights; matched: He for ReLU-likes, LeCun for SELU, Glorot for the others"""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """share of units dropped in training, after each hidden layer and after the code"""
    l1: Annotated[float, Field(ge=0)] = 0.0
    """L1 penalty on the weights"""
    l2: Annotated[float, Field(ge=0)] = 0.0
    """L2 penalty on the weights"""
    activity_l1: Annotated[float, Field(ge=0)] = 0.0
    """L1 penalty on the code, for sparse codes"""

    @property
    def code_activation(self) -> Choice:
        """The activation of the code, resolved."""
        choice: Choice = self.latent_activation or self.activation
        return choice

    def widths(self, image_shape: tuple[int, int, int]) -> tuple[int, ...]:
        """Return the number of values after each layer, from the image through the code to the image."""
        size = prod(image_shape)
        return size, *self.hidden, self.latent_dim, *reversed(self.hidden), size

    def weight_count(self, image_shape: tuple[int, int, int]) -> int:
        """Return how many weights the network has: products, biases, and the slopes of PReLU."""
        widths = self.widths(image_shape)
        hidden = [self.activation] * len(self.hidden)
        activations = [*hidden, self.code_activation, *hidden, self.output_activation]
        layers = zip(pairwise(widths), activations, strict=True)
        return sum(n * units + units * (2 if a.name == "prelu" else 1) for (n, units), a in layers)

    def build(self, image_shape: tuple[int, int, int], seed: int) -> Autoencoder:
        """Build the untrained network; its initial weights and dropout depend on `seed` alone."""
        from aecli.models.layers import Autoencoder, LayerSpec, NetworkSpec, image_input, mlp, to_image, vector_input

        network = NetworkSpec(self.initializer, self.dropout, self.l1, self.l2, seed)
        hidden = [LayerSpec(width, self.activation) for width in self.hidden]
        code = LayerSpec(self.latent_dim, self.code_activation)
        output = LayerSpec(prod(image_shape), self.output_activation, last=True)

        images = image_input(image_shape)
        latents = mlp(images, [*hidden, code], network, "encoder")
        codes = vector_input(self.latent_dim)
        pixels = mlp(codes, [*reversed(hidden), output], network, "decoder")
        return Autoencoder.join(images, latents, codes, to_image(pixels, image_shape))

"""A convolutional autoencoder from its config."""

from math import prod
from typing import Any

from aecli.models.autoencoder import Autoencoder
from aecli.models.convolutional import Conv, ImageShape
from aecli.models.convolutions import as_image, conv_stack, flat, unflat
from aecli.models.layers import LayerSpec, NetworkSpec, Stack, image_input, join, mlp, vector_input
from aecli.models.linear.path import LinearPath, linear_path
from aecli.models.linear.start import Start


def build(model: Conv, image_shape: ImageShape, seed: int, start: Start | None) -> Autoencoder:
    """Build the untrained network of a config; see `Family.build`."""
    start = model.completed(start, image_shape)
    network = NetworkSpec(model.initializer, model.dropout, model.l1, model.l2, seed)
    images, codes = image_input(image_shape), vector_input(model.code_length(image_shape))
    # The path stays as it is: it does not gain by being learned from the few images that convolutions are for.
    path = linear_path(start, images, codes, model.output_activation, trainable=False)
    latents = _encoder(model, images, image_shape, network, path)
    begun = _decoder_start(model, codes, image_shape, network, path)
    decoder = conv_stack(
        begun.output, model.decoder_plan(image_shape), network, "decoder",
        added=as_image(path.outputs, image_shape, "linear_images"), bias=model.first_bias(start, shared=True),
    )  # fmt: skip
    return join(images, latents, codes, Stack(decoder.output, (*begun.layers, *decoder.layers)))


def _encoder(model: Conv, images: Any, image_shape: ImageShape, network: NetworkSpec, path: LinearPath) -> Stack:
    plan = model.encoder_plan(image_shape)
    if model.latent_dim is None:
        shape = (*model.sizes(image_shape)[-1], model.latent_channels or 0)
        return flat(conv_stack(images, plan, network, "encoder", added=as_image(path.latents, shape, "linear_map")))
    hidden = conv_stack(images, plan, network, "encoder")
    code = LayerSpec(model.latent_dim, model.code_activation, added=path.latents)
    stack = mlp(flat(hidden).output, [code], network, "code")
    return Stack(stack.output, (*hidden.layers, *stack.layers))


def _decoder_start(model: Conv, codes: Any, image_shape: ImageShape, network: NetworkSpec, path: LinearPath) -> Stack:
    """Return what the decoder's convolutions take: the linear code's image, the map, or what a vector becomes."""
    if path.pixels is not None:
        return Stack(as_image(path.pixels, image_shape, "linear_reconstructions"), ())
    if model.latent_dim is None:
        return unflat(Stack(codes, ()), (*model.sizes(image_shape)[-1], model.latent_channels or 0))
    smallest = model.smallest(image_shape)
    return unflat(mlp(codes, [LayerSpec(prod(smallest), model.activation)], network, "decoder_start"), smallest)

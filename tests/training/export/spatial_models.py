"""Convolutional networks with weights as after a training."""

from typing import Any

import numpy as np

from aecli.runs.config_file import load_config

SMALL = ("model.family=conv", "model.channels=[4, 8]")
EVERY_LAYER = tuple(
    (f"model.upsampling={upsampling}", "model.norm=group", "model.latent_channels=2")
    for upsampling in ("resize", "shuffle", "transposed")
)
"""Overrides that together make every layer of the family."""


def spatial_model(*sets: str, shape: tuple[int, int, int] = (9, 7, 1)) -> Any:
    """Return the autoencoder that these overrides make."""
    model = load_config(None, (*SMALL, *sets)).config.model.build(shape, 0).model
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.3, weights.shape) for weights in model.get_weights()])
    return model

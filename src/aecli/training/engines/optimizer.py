"""The optimizer of a training, which is one of Keras's in every engine."""

import re
from typing import Any

from aecli.models.autoencoder import Autoencoder
from aecli.runs.config import TrainingConfig


def make_optimizer(training: TrainingConfig, images: int, autoencoder: Autoencoder) -> Any:
    """Return the optimizer that the config asks for, with its schedule over the steps of so many training images.

    Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; its steps scaled to the length of Adam's: Liu
    et al. 2025) takes the matrices between hidden layers, and with `hidden_only: false` every matrix. AdamW takes the
    others: vectors, kernels of convolutions, and the matrices at the image, the code's linear path among them.
    """
    from aecli.models.backend import keras
    from aecli.training.engines.schedule import make_rate

    parameters = training.optimizer.parameters
    if "hidden_only" in parameters:
        others = _beside_hidden(autoencoder) if parameters.pop("hidden_only") else []
        parameters |= {"exclude_layers": others, "adam_weight_decay": parameters["weight_decay"]}
    if training.clipnorm is not None:
        parameters["global_clipnorm"] = training.clipnorm
    optimizer = getattr(keras.optimizers, training.optimizer.row.keras_class)(
        learning_rate=make_rate(training, images), **parameters
    )
    optimizer.build(autoencoder.model.trainable_variables)
    return optimizer


def _beside_hidden(autoencoder: Autoencoder) -> list[str]:
    """Return patterns of the paths of all variables but the kernels of the hidden layers and of the code's."""
    hidden = {layer.kernel.path for layer in autoencoder.layers[1:-1]}
    paths = [variable.path for variable in autoencoder.model.trainable_variables if variable.path not in hidden]
    return [f"^{re.escape(path)}$" for path in paths]

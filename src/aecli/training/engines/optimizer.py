"""The optimizer of a training, which is one of Keras's in every engine."""

import math
from typing import Any

from aecli.runs.config import TrainingConfig


def make_optimizer(training: TrainingConfig, images: int) -> Any:
    """Return the optimizer that the config asks for, with its schedule over the steps of so many training images."""
    from aecli.models.backend import keras

    rate: Any = training.learning_rate
    if training.schedule == "cosine":
        steps = math.ceil(images / min(training.batch_size, images))
        rate = keras.optimizers.schedules.CosineDecay(rate, steps * training.epochs)
    return getattr(keras.optimizers, training.optimizer.row.keras_class)(
        learning_rate=rate, **training.optimizer.parameters
    )

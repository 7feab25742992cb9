"""Training with Keras's `fit`: fed by the pipeline, compiled once, watched epoch by epoch."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aecli.config import OPTIMIZERS, TrainingConfig
from aecli.errors import TrainingError
from aecli.history import EpochRecord
from aecli.images import ImageFormat, Stored
from aecli.nn.door import keras
from aecli.nn.layers import Autoencoder
from aecli.nn.pipeline import training_batches, validation_batches

MAX_STEPS_PER_EXECUTION = 512
VALIDATION_BATCH = 1024


@dataclass(frozen=True)
class TrainingImages:
    """The training and the validation images as stored, and their format."""

    train: Stored
    validation: Stored
    format: ImageFormat


def fit(
    autoencoder: Autoencoder,
    images: TrainingImages,
    training: TrainingConfig,
    activity_l1: float,
    on_epoch: Callable[[EpochRecord], None],
) -> None:
    """Train the autoencoder in place, calling `on_epoch` after each epoch.

    With early stopping the weights end as those of the best epoch. Raises TrainingError when the
    loss becomes NaN or infinite.
    """
    steps = math.ceil(len(images.train) / training.batch_size)
    trainer = _Trainer(autoencoder, activity_l1)
    trainer.compile(
        optimizer=_optimizer(training, steps),
        loss=training.loss,
        steps_per_execution=_steps_per_execution(steps),
        jit_compile=not _has_random_layers(autoencoder.model),
    )
    callbacks = [_Watch(on_epoch)]
    if training.early_stopping is not None:
        callbacks.append(
            keras.callbacks.EarlyStopping(
                patience=training.early_stopping.patience,
                min_delta=training.early_stopping.min_delta,
                restore_best_weights=True,
            )
        )
    trainer.fit(
        training_batches(images.train, images.format, training.batch_size, training.seed, training.epochs),
        epochs=training.epochs,
        steps_per_epoch=steps,
        validation_data=validation_batches(images.validation, images.format, VALIDATION_BATCH),
        callbacks=callbacks,
        shuffle=False,  # the pipeline shuffles
        verbose=0,
    )


class _Trainer(keras.Model):  # type: ignore[misc]
    """The autoencoder with what belongs to training alone, so that the saved model stays plain."""

    def __init__(self, autoencoder: Autoencoder, activity_l1: float) -> None:
        super().__init__(name="trainer")
        self.encoder, self.decoder, self.activity_l1 = autoencoder.encoder, autoencoder.decoder, activity_l1

    def call(self, images: Any, training: bool = False) -> Any:
        latents = self.encoder(images, training=training)
        if self.activity_l1:
            per_image = keras.ops.sum(keras.ops.abs(latents), axis=-1)
            self.add_loss(self.activity_l1 * keras.ops.mean(per_image))
        return self.decoder(latents, training=training)


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, on_epoch: Callable[[EpochRecord], None]) -> None:
        super().__init__()
        self.on_epoch, self.started = on_epoch, 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        loss, val_loss = float(logs["loss"]), float(logs["val_loss"])
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.on_epoch(EpochRecord(epoch + 1, loss, val_loss, rate, time.perf_counter() - self.started))
        if not (math.isfinite(loss) and math.isfinite(val_loss)):
            raise TrainingError(
                f"training: the loss became {loss if not math.isfinite(loss) else val_loss} in epoch {epoch + 1}: "
                f"try a smaller training.learning_rate (now {rate:g}), "
                f"an optimizer with clipnorm, or another activation"
            )


def _optimizer(training: TrainingConfig, steps: int) -> Any:
    rate: Any = training.learning_rate
    if training.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps * training.epochs)
    name = OPTIMIZERS[training.optimizer.name][0]
    return getattr(keras.optimizers, name)(learning_rate=rate, **training.optimizer.parameters)


def _steps_per_execution(steps: int) -> int:
    """Return how many steps run without coming back to Python.

    It must divide an epoch, or a step of the next epoch would run in this one. Short epochs run in one go.
    """
    if steps <= MAX_STEPS_PER_EXECUTION:
        return steps
    return max(n for n in range(1, MAX_STEPS_PER_EXECUTION + 1) if steps % n == 0)


def _has_random_layers(model: Any) -> bool:
    # Random numbers inside XLA are an order of magnitude slower on a CPU than outside it.
    return any(isinstance(layer, keras.layers.Dropout) for layer in model._flatten_layers())

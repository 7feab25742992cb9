"""The epochs of a training: train, validate, keep the best weights, stop."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from aecli.config import TrainingConfig
from aecli.errors import TrainingError
from aecli.feed import Feed
from aecli.history import EpochRecord
from aecli.nn.health import Health
from aecli.nn.layers import Autoencoder
from aecli.nn.program import Program


@dataclass(frozen=True)
class Fitted:
    """The epoch whose weights were kept, and the seconds spent on compiling and on validation."""

    best_epoch: int
    compile_seconds: float
    validation_seconds: float


def fit(
    program: Program,
    train: Feed,
    validation: Feed,
    training: TrainingConfig,
    on_epoch: Callable[[EpochRecord, Health], None],
    on_progress: Callable[[float], None] = lambda _: None,
) -> Fitted:
    """Train the program's autoencoder in place, calling `on_epoch` after each epoch.

    It hears the record of the epoch and the health of the network.
    `on_progress` hears several times a second how many epochs are done, fractions included. Losses
    are means over the images plus the penalties. With early stopping the weights end as those of the
    best epoch. Raises TrainingError when the loss becomes NaN or infinite.
    """
    best, sample = _Best(program.autoencoder, training), validation.sample()
    started = time.perf_counter()
    program.compile(train, validation)
    program.look(0, sample)
    compile_seconds, validation_seconds = time.perf_counter() - started, 0.0
    for epoch in range(1, training.epochs + 1):
        started = time.perf_counter()
        loss = program.train(train, training.seed, epoch, on_progress)
        trained = time.perf_counter()
        val_loss = program.validate(validation, training.seed)
        ended = time.perf_counter()
        validation_seconds += ended - trained
        record = EpochRecord(epoch, loss, val_loss, program.learning_rate, ended - started)
        on_epoch(record, program.look(epoch, sample))
        if not (math.isfinite(loss) and math.isfinite(val_loss)):
            raise TrainingError(
                f"training: the loss became {loss if not math.isfinite(loss) else val_loss} in epoch {epoch}: "
                f"try a smaller training.learning_rate (now {program.learning_rate:g}), "
                f"an optimizer with clipnorm, or another activation"
            )
        if best.should_stop(epoch, val_loss):
            break
    program.release()
    return Fitted(best.restore(), compile_seconds, validation_seconds)


class _Best:
    """The weights of the best epoch so far, where early stopping asks for them."""

    def __init__(self, autoencoder: Autoencoder, training: TrainingConfig) -> None:
        self.model, self.stopping = autoencoder.model, training.early_stopping
        self.val_loss, self.epoch, self.waited, self.weights = math.inf, 0, 0, None

    def should_stop(self, epoch: int, val_loss: float) -> bool:
        """Take note of an epoch; return whether patience has run out."""
        if self.stopping is None:
            self.epoch = epoch
            return False
        if val_loss < self.val_loss - self.stopping.min_delta:
            self.val_loss, self.epoch, self.waited, self.weights = val_loss, epoch, 0, self.model.get_weights()
        else:
            self.waited += 1
        return self.waited >= self.stopping.patience

    def restore(self) -> int:
        """Set the model's weights to those of the epoch kept; return that epoch."""
        if self.weights is not None:
            self.model.set_weights(self.weights)
        return self.epoch

"""The epochs of a training: train, validate, keep the best weights, stop."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from aecli.core.errors import TrainingError
from aecli.data.loader import Feed
from aecli.runs.config import EarlyStopping, TrainingConfig
from aecli.runs.records import EpochRecord
from aecli.training.checkpoints import Best, Cursor, State
from aecli.training.engines.tensorflow.health import Health
from aecli.training.engines.tensorflow.step import Program


@dataclass(frozen=True)
class Fitted:
    """The epoch whose weights were kept, and the seconds spent on compiling and on validation."""

    best_epoch: int
    compile_seconds: float
    validation_seconds: float


@dataclass(frozen=True)
class Pause:
    """A moment between two steps, after a call of the compiled loop, after an epoch, or at the end.

    `done` epochs are done, fractions included; `state()` copies all that the rest depends on.
    """

    after: Literal["call", "epoch", "end"]
    done: float
    state: Callable[[], State]


def fit(
    program: Program,
    train: Feed,
    validation: Feed,
    training: TrainingConfig,
    on_epoch: Callable[[EpochRecord, Health], None],
    on_pause: Callable[[Pause], None] = lambda _: None,
    start: State | None = None,
    until: int | None = None,
) -> Fitted:
    """Train the program's autoencoder in place, from its initial weights or from the state `start`.

    It ends after the config's epochs, after epoch `until`, or when early stopping says so. `on_epoch` hears after
    each epoch its record and the network's health, `on_pause` several times a second how far it is; what either
    raises ends the training. Losses are means over the images plus the penalties. With early stopping the weights
    end as those of the best epoch. Raises TrainingError when the loss becomes NaN or infinite, or when `start` is
    of another network.
    """
    cursor, best = (start.cursor, start.best) if start else (Cursor(), Best())
    if start:
        program.restore(start.variables, start.optimizer)
    sample = validation.sample()
    started = time.perf_counter()
    if _goes_on(training, until, cursor, best):
        program.compile(train, validation)
        program.look(0, sample)
    compile_seconds, validation_seconds = time.perf_counter() - started, 0.0
    began = time.perf_counter() - (start.seconds if start else 0.0)  # of the epoch

    def pause(after: Literal["call", "epoch", "end"]) -> None:
        share = min(1.0, (cursor.block * train.capacity + cursor.step * program.batch_size) / len(train))
        on_pause(Pause(after, cursor.epoch - 1 + share, state))

    def state() -> State:
        return State(cursor, time.perf_counter() - began, *program.values(), best)

    while _goes_on(training, until, cursor, best):
        for position in program.train(train, training.seed, cursor):
            cursor = position
            pause("call")
        validated, since = Cursor(), time.perf_counter()
        for position in program.validate(validation, training.seed):
            validated = position
            validation_seconds += time.perf_counter() - since
            pause("call")
            since = time.perf_counter()
        loss, val_loss = cursor.total / len(train), validated.total / len(validation)
        ended = time.perf_counter()
        record = EpochRecord(cursor.epoch, loss, val_loss, program.learning_rate, ended - began)
        on_epoch(record, program.look(cursor.epoch, sample))
        if not (math.isfinite(loss) and math.isfinite(val_loss)):
            raise TrainingError(
                f"training: the loss became {loss if not math.isfinite(loss) else val_loss} in epoch {cursor.epoch}: "
                f"try a smaller training.learning_rate (now {program.learning_rate:g}), "
                f"an optimizer with clipnorm, or another activation"
            )
        best = _better(best, cursor.epoch, val_loss, training.early_stopping, program)
        cursor, began = Cursor(cursor.epoch + 1), time.perf_counter()
        pause("epoch")
    pause("end")
    program.release()
    if best.weights is not None:
        program.autoencoder.model.set_weights(best.weights)
    return Fitted(best.epoch, compile_seconds, validation_seconds)


def _goes_on(training: TrainingConfig, until: int | None, cursor: Cursor, best: Best) -> bool:
    stopping = training.early_stopping
    return cursor.epoch <= min(training.epochs, until or training.epochs) and not (
        stopping and best.waited >= stopping.patience
    )


def _better(best: Best, epoch: int, val_loss: float, stopping: EarlyStopping | None, program: Program) -> Best:
    """Take note of an epoch: without early stopping the last one is always the best."""
    if stopping is None:
        return Best(epoch)
    if val_loss < best.val_loss - stopping.min_delta:
        return Best(epoch, val_loss, 0, program.autoencoder.model.get_weights())
    return replace(best, waited=best.waited + 1)

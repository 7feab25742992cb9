"""The epochs of a training: train, validate, keep the best weights, stop."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from aecli.core.errors import TrainingError
from aecli.data.loader import Loader
from aecli.models.objective import ADVERSARIAL, Objective
from aecli.runs.config import EarlyStopping, TrainingConfig
from aecli.runs.records import EpochRecord
from aecli.training.checkpoints import Best, Cursor, TrainingState
from aecli.training.engines.engine import CompiledStep, NetworkHealth

Moment = Literal["call", "epoch", "end"]


@dataclass(frozen=True)
class FitResult:
    """The epoch whose weights were kept, and the seconds spent on compiling and on validation."""

    best_epoch: int
    compile_seconds: float
    validation_seconds: float


@dataclass(frozen=True)
class StepEvent:
    """A moment between two steps, after a call of the compiled loop, after an epoch, or at the end.

    `done` epochs are done, fractions included; `state()` copies all that the rest depends on.
    """

    after: Moment
    done: float
    state: Callable[[], TrainingState]


def fit(
    step: CompiledStep,
    train: Loader,
    validation: Loader,
    training: TrainingConfig,
    objective: Objective,
    on_epoch: Callable[[EpochRecord, NetworkHealth], None],
    on_step: Callable[[StepEvent], None] = lambda _: None,
    start: TrainingState | None = None,
    until: int | None = None,
    from_linear_code: bool = False,
) -> FitResult:
    """Train the step's autoencoder in place, from its initial weights or from the state `start`.

    It ends after the config's epochs, after epoch `until`, or when early stopping says so, which does not count in the
    objective's warm-up. `on_epoch` receives after each epoch its record and the network's health, `on_step` several
    times a second how far it is; what either raises ends the training. Losses are means over the images plus the
    penalties, and records have the columns of the `objective`. With early stopping, or where the network begins at a
    linear code, the weights end as those of the best epoch, epoch 0 among them. What is sharp has a larger loss: with
    an adversary no epoch before it counts is the best, nor waited for, and without early stopping the last one is kept.
    Raises TrainingError when the loss becomes NaN or infinite, or when `start` is of another network.
    """
    cursor, best = (start.cursor, start.best) if start else (Cursor(), Best())
    from_linear_code = from_linear_code and training.adversarial is None
    keeps_best = from_linear_code or training.early_stopping is not None
    first = training.adversarial.start if training.adversarial else 0
    if start:
        step.restore(start.variables, start.optimizer)
    sample = validation.sample()
    started = time.perf_counter()
    if _goes_on(training, until, cursor, best):
        step.compile(train, validation)
        step.probe(0, sample)
    compile_seconds, validation_seconds = time.perf_counter() - started, 0.0
    began = time.perf_counter() - (start.seconds if start else 0.0)  # of the epoch

    def report(after: Moment) -> None:
        share = min(1.0, (cursor.window * train.capacity + cursor.step * step.batch_size) / len(train))
        on_step(StepEvent(after, cursor.epoch - 1 + share, state))

    def state() -> TrainingState:
        return TrainingState(cursor, time.perf_counter() - began, *step.values(), best)

    def validate() -> list[float]:
        nonlocal validation_seconds
        validated, since = Cursor(), time.perf_counter()
        for position in step.validate(validation, training.seed):
            validated = position
            validation_seconds += time.perf_counter() - since
            report("call")
            since = time.perf_counter()
        return _means(validated, validation)

    if from_linear_code and best.weights is None:
        begun = validate()
        error = _reconstruction(begun, objective) if objective.guarded else math.inf
        best = Best(0, begun[0], 0, error, step.autoencoder.get_weights())
    while _goes_on(training, until, cursor, best):
        for position in step.train(train, training.seed, cursor):
            cursor = position
            report("call")
        losses, val_losses = _means(cursor, train), validate()
        ended = time.perf_counter()
        record = EpochRecord(
            cursor.epoch, losses[0], val_losses[0], step.learning_rate, ended - began,
            _terms(objective, losses[1:], val_losses[1:]) | _adversarial(training, losses),
        )  # fmt: skip
        on_epoch(record, step.probe(cursor.epoch, sample))
        _require_finite(record)
        if keeps_best and record.epoch > first:
            error = _reconstruction(val_losses, objective)
            best = _better(best, record.epoch, val_losses[0], error, training.early_stopping, step)
            best = best if record.epoch > objective.warmup else replace(best, waited=0)
        elif not keeps_best:
            best = Best(record.epoch)
        cursor, began = Cursor(cursor.epoch + 1), time.perf_counter()
        report("epoch")
    report("end")
    step.free_images()
    if best.weights is not None:
        step.autoencoder.set_weights(best.weights)
    return FitResult(best.epoch, compile_seconds, validation_seconds)


def _goes_on(training: TrainingConfig, until: int | None, cursor: Cursor, best: Best) -> bool:
    stopping = training.early_stopping
    return cursor.epoch <= min(training.epochs, until or training.epochs) and not (
        stopping and best.waited >= stopping.patience
    )


def _means(sums: Cursor, loader: Loader) -> list[float]:
    return [total / len(loader) for total in sums.totals]


def _terms(objective: Objective, parts: Sequence[float], val_parts: Sequence[float]) -> dict[str, float]:
    pairs = zip(objective.parts, parts, val_parts, strict=False)
    terms = {name: value for term, part, val_part in pairs for name, value in ((term, part), (f"val_{term}", val_part))}
    names = (measure.name for measure in objective.measures)
    return terms | dict(zip(names, val_parts[len(objective.parts) :], strict=True))


def _adversarial(training: TrainingConfig, losses: Sequence[float]) -> dict[str, float]:
    """Return the losses of an adversarial training that are no parts of its loss, which come last."""
    return dict(zip(ADVERSARIAL, losses[-len(ADVERSARIAL) :], strict=True)) if training.adversarial else {}


def _require_finite(record: EpochRecord) -> None:
    if math.isfinite(record.loss) and math.isfinite(record.val_loss):
        return
    raise TrainingError(
        f"training: the loss became {record.loss if not math.isfinite(record.loss) else record.val_loss} in epoch "
        f"{record.epoch}: try a smaller training.learning_rate (now {record.learning_rate:g}), "
        f"an optimizer with clipnorm, or another activation"
    )


def _better(
    best: Best, epoch: int, val_loss: float, error: float, stopping: EarlyStopping | None, step: CompiledStep
) -> Best:
    """Take note of an epoch, better by a smaller loss where it reconstructs no worse than the start."""
    falls = val_loss < best.val_loss - (stopping.min_delta if stopping else 0.0)
    if falls and error <= best.start:
        return Best(epoch, val_loss, 0, best.start, step.autoencoder.get_weights())
    return replace(best, waited=best.waited + 1)


def _reconstruction(losses: Sequence[float], objective: Objective) -> float:
    """Return the loss between images and reconstructions: the sum of its parts where the loss has several."""
    return sum(losses[1 + place] for place in objective.reconstruction) if objective.parts else losses[0]

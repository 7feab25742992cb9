"""The step size of a training, as a function of its steps."""

import math
from typing import Any

from aecli.models.backend import keras
from aecli.runs.config import TrainingConfig


def make_rate(training: TrainingConfig, images: int) -> Any:
    """Return the learning rate over the steps of so many training images: a number, or a schedule of Keras."""
    per_epoch = math.ceil(images / min(training.batch_size, images))
    if not training.warmup and training.schedule == "constant":
        return training.learning_rate
    if not training.warmup and training.schedule == "cosine":  # Keras's own, whose bits runs have
        return keras.optimizers.schedules.CosineDecay(training.learning_rate, per_epoch * training.epochs)
    return Schedule(training, per_epoch)


class Schedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Warm-up, and what follows it, for so many steps in an epoch.

    Warm-up (Goyal et al. 2017): its W steps take 1/W, 2/W, ... 1 of the learning rate. After it the rate is constant;
    or falls to 0 along half a cosine over the steps that are left (Loshchilov & Hutter 2017); or is constant until the
    last share `tail` of all steps, in which it falls to 0 in a line (Zhai et al. 2022, section 3.5; Hägele et al.
    2024).
    """

    def __init__(self, training: TrainingConfig, per_epoch: int) -> None:
        self._rate, self._kind = training.learning_rate, training.schedule
        self._steps = per_epoch * training.epochs
        self._warmup = max(1, round(training.warmup * per_epoch)) if training.warmup else 0
        self._tail = max(1.0, training.tail * self._steps)

    def __call__(self, step: Any) -> Any:
        """Return the rate of a step, counted from 0."""
        ops = keras.ops
        step = ops.cast(step, "float32")
        share = self._after_warmup(ops, step)
        if self._warmup:
            share = ops.minimum(ops.where(step < self._warmup, (step + 1) / self._warmup, 1.0), share)
        return self._rate * share

    def _after_warmup(self, ops: Any, step: Any) -> Any:
        """Return the share of the learning rate in a step, warm-up left out."""
        if self._kind == "cosine":
            done = (step - self._warmup) / max(1, self._steps - self._warmup)
            return (1 + ops.cos(math.pi * ops.clip(done, 0.0, 1.0))) / 2
        if self._kind == "linear_tail":
            return ops.clip((self._steps - step) / self._tail, 0.0, 1.0)
        return ops.ones_like(step)

"""The compiled training loop: whole stretches of steps run as one compiled program, from images kept as stored.

Gathering a batch, bringing it to the contract, augmenting and corrupting it, the forward and the backward pass
and the update are one XLA program with a loop inside, so that nothing returns to Python between steps. The last, short
batch of an epoch is filled up with rows of weight zero: every shape is fixed and one compilation does.
With several GPUs each takes its share of every batch, and the gradients are summed between them; the
compiled program is then the loss and its gradient alone.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from aecli.core.errors import TrainingError
from aecli.core.rng import VALIDATION, draw_key
from aecli.data.augmentation import Augmentation
from aecli.data.loader import Loader, Window
from aecli.models.autoencoder import Autoencoder
from aecli.models.losses.likelihood import LEAST, RATE
from aecli.models.objective import ADVERSARIAL, Objective
from aecli.runs.config import TrainingConfig
from aecli.training.checkpoints import Cursor, VariableValues
from aecli.training.engines.optimizer import make_optimizer
from aecli.training.engines.tensorflow.adversary import Adversary, Verdict
from aecli.training.engines.tensorflow.averages import WeightAverages
from aecli.training.engines.tensorflow.backend import keras, tf
from aecli.training.engines.tensorflow.dropout import Dropout
from aecli.training.engines.tensorflow.health import HealthProbe
from aecli.training.engines.tensorflow.transforms import Transforms
from aecli.training.engines.tensorflow.windows import WindowTensors

_SECONDS_PER_CALL = 0.25
"""How long the compiled loop runs before Python can show progress and handle Ctrl-C."""


class _Epoch(NamedTuple):
    """What the steps of an epoch share.

    The key of its draws, uint32 (2,), the warmth of its objective, and 1 where an adversarial loss counts, else 0.
    """

    key: Any
    warmth: Any
    counts: Any


class _Losses(NamedTuple):
    """This device's share of the mean losses over a step's images.

    The first of `values` is what is minimised; what the history shows of its parts follows, where it has several.
    `distance` is the mean that the scale of a likelihood follows, None where there is none.
    """

    values: Any
    distance: Any
    reconstructions: Any


class _Pace:
    """How many steps a call takes, so that it lasts _SECONDS_PER_CALL."""

    def __init__(self) -> None:
        self.steps = 1

    def adapt(self, steps: int, seconds: float) -> None:
        """Learn from a call of so many steps."""
        # A first call is slow; its time says nothing, and growth by a factor forgets it soon.
        if steps == self.steps:
            self.steps = max(1, int(steps * min(_SECONDS_PER_CALL / seconds, 64)))


class TensorFlowStep:
    """The compiled training step and validation pass of one autoencoder, with its optimizer.

    Compiling takes longer than many trainings. `reset` makes a compiled step train again, from the
    weights of another network of the same shape. Where weights are averaged, `autoencoder` is the network of averages.
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        objective: Objective,
        training: TrainingConfig,
        train: Loader,
        augmentation: Augmentation | None = None,
        averaged: Autoencoder | None = None,
    ) -> None:
        self.autoencoder, self._trained, self._objective = averaged or autoencoder, autoencoder, objective
        self.batch_size, self._format = min(training.batch_size, len(train)), train.source.format
        self._transforms = Transforms(augmentation, training.corruption)
        self._dropout = Dropout(autoencoder.model)
        self._optimizer = make_optimizer(training, len(train), autoencoder)
        self._adversary = None
        if training.adversarial:
            self._adversary = Adversary(autoencoder.discriminator, training.adversarial)
        self._averages = WeightAverages(autoencoder, averaged, training.ema) if averaged and training.ema else None
        self._untrained = [keras.ops.convert_to_numpy(variable) for variable in self._optimizer_variables]
        self._strategy = tf.distribute.get_strategy()
        self._replicas = self._strategy.num_replicas_in_sync
        self._clipnorm = training.clipnorm if self._replicas > 1 else None
        if self._clipnorm is not None:  # Keras would shorten each device's share by itself
            self._optimizer.global_clipnorm = None
        self._windows = WindowTensors(self._format, self.batch_size)
        self._share = self._windows.share
        self._variables = autoencoder.model.trainable_variables
        self._scale, self._offset = self._windows.scale_and_offset
        # On a CPU convolutions in a loop of XLA's are 4 times slower than outside it, after minutes of compiling. On a
        # GPU they should not be: that has not been measured.
        on_cpu = not tf.config.get_visible_devices("GPU")
        convolutional = autoencoder.convolutional or objective.convolutional or self._adversary is not None
        jit = not (convolutional and on_cpu)
        # Gradients cannot be summed between devices inside a compiled program.
        self._train_steps, self._validate_steps = (
            tf.function(self._steps_of(step), jit_compile=jit and self._replicas == 1, autograph=False)
            for step in (self._train_step, self._validate_step)
        )
        self._gradients = self._gradients_body
        if self._replicas > 1:
            self._gradients = tf.function(self._gradients_body, jit_compile=jit, autograph=False)
        self.probe = HealthProbe(self.autoencoder, objective).measure
        self._training_pace, self._validation_pace = _Pace(), _Pace()

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(keras.ops.convert_to_numpy(self._optimizer.learning_rate))

    @property
    def _optimizer_variables(self) -> list[Any]:
        others = self._adversary.optimizer.variables if self._adversary else ()
        averages = self.autoencoder.model.variables if self._averages else ()
        return [*self._optimizer.variables, *others, *averages]

    def reset(self, fresh: Autoencoder) -> None:
        """Go back to the state before training, with the variables of a freshly built network."""
        for variable, value in zip(self._optimizer_variables, self._untrained, strict=True):
            variable.assign(value)
        for network in (self._trained, self.autoencoder):
            for variable, source in zip(network.variables, fresh.variables, strict=True):
                variable.assign(source)
        self.free_images()

    def values(self) -> tuple[list[VariableValues], list[VariableValues]]:
        """Return copies of the networks' variables, and of their optimizers'; averages of the weights come last."""
        variables = self._trained.variables, self._optimizer_variables
        model, optimizer = ([keras.ops.convert_to_numpy(variable) for variable in group] for group in variables)
        return model, optimizer

    def restore(self, model: Sequence[VariableValues], optimizer: Sequence[VariableValues]) -> None:
        """Set the variables to what `values` gave; TrainingError where they are those of another network."""
        for variables, values in ((self._trained.variables, model), (self._optimizer_variables, optimizer)):
            if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
                raise TrainingError(
                    "checkpoint: its variables have other shapes than this version makes: train again with --overwrite"
                )
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def free_images(self) -> None:
        """Free the images held for training."""
        self._windows.free()

    def compile(self, train: Loader, validation: Loader) -> None:
        """Compile both passes: calls of no steps."""
        nothing, epoch = tf.constant(0), self._epoch(0, VALIDATION)
        images, visits = self._windows.tensors(train, train.warmup_window())
        self._train_steps(images, visits, epoch, nothing, nothing, nothing, self._training_totals(Cursor()))
        images, visits = self._windows.tensors(validation, validation.warmup_window())
        self._validate_steps(images, visits, epoch, nothing, nothing, nothing, self._totals(Cursor()))

    def _totals(self, cursor: Cursor) -> Any:
        """Return the sums so far, float32: of the loss, and of its parts where it has several."""
        count = 1 + len(self._objective.columns)
        return tf.constant(cursor.totals or (0.0,) * count, tf.float32)

    def _training_totals(self, cursor: Cursor) -> Any:
        """Return the sums so far of a training: those of an adversary come last."""
        if self._adversary is None or cursor.totals:
            return self._totals(cursor)
        return tf.concat([self._totals(cursor), tf.zeros(len(ADVERSARIAL))], axis=0)

    def train(self, loader: Loader, seed: int, start: Cursor) -> Iterator[Cursor]:
        """Train on the images of an epoch in its order, from the cursor on; yield where it stands after every call."""
        windows, epoch = loader.shuffled(seed, start.epoch, start.window), self._epoch(seed, start.epoch)
        totals = self._training_totals(start)
        return self._visit(self._train_steps, self._training_pace, loader, windows, epoch, start, totals)

    def validate(self, loader: Loader, seed: int) -> Iterator[Cursor]:
        """Sum up the losses over the images, penalties included; yield the sums so far in a cursor after every call.

        The images are corrupted, and codes drawn, alike in every epoch.
        """
        epoch, windows, start = self._epoch(seed, VALIDATION), loader.sequential(), Cursor()
        totals = self._totals(start)
        return self._visit(self._validate_steps, self._validation_pace, loader, windows, epoch, start, totals)

    def _epoch(self, seed: int, epoch: int) -> _Epoch:
        """Return what the steps of an epoch share, or those of a validation, whose terms all have their full weight."""
        warmth = 1.0 if epoch == VALIDATION else self._objective.warmth(epoch)
        counts = self._adversary is not None and self._adversary.counts(epoch)
        return _Epoch(tf.constant(draw_key(seed, epoch), tf.uint32), tf.constant(warmth), tf.constant(float(counts)))

    def _visit(
        self,
        run: Callable[..., Any],
        pace: _Pace,
        loader: Loader,
        windows: Iterator[Window],
        epoch: _Epoch,
        start: Cursor,
        totals: Any,
    ) -> Iterator[Cursor]:
        step = start.step
        for number, window in enumerate(windows, start.window):
            images, visits = self._windows.tensors(loader, window)
            steps = math.ceil(len(window.order) / self.batch_size)
            while step < steps:
                stop = min(step + pace.steps, steps)
                started = time.perf_counter()
                span = map(tf.constant, (step, stop, len(window.order)))
                totals = run(images, visits, epoch, *span, totals)
                sums = tuple(map(float, totals))  # waits for the call
                pace.adapt(stop - step, time.perf_counter() - started)
                step, place = stop, (number, stop) if stop < steps else (number + 1, 0)
                yield Cursor(start.epoch, *place, sums)
            step = 0
            del window, images, visits  # before the next one comes

    def _steps_of(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return a loop over some steps, which adds their losses to the totals."""

        def steps(images: Any, visits: Any, epoch: _Epoch, first: Any, last: Any, count: Any, totals: Any) -> Any:
            def one(step: Any, totals: Any) -> Any:
                return step + 1, totals + self._on_replicas(run, images, visits, epoch, step, count)

            # Up to a number that is given: XLA would compile a loop over tf.range again for other ends.
            return tf.while_loop(lambda step, _: step < last, one, (first, totals))[1]

        return steps

    def _on_replicas(
        self, run: Callable[..., Any], images: Any, visits: Any, epoch: _Epoch, step: Any, count: Any
    ) -> Any:
        """Return the sums of the step's losses over its images, those of all devices together."""
        in_step = tf.cast(tf.minimum(count - step * self.batch_size, self.batch_size), tf.float32)
        losses = self._strategy.run(run, args=(images, visits, epoch, step, count, in_step))
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None) * in_step

    def _train_step(self, images: Any, visits: Any, epoch: _Epoch, step: Any, count: Any, in_step: Any) -> Any:
        images, rows, weights = self._batch(images, visits, step, count)
        seen, images = self._transforms.training(images, rows, epoch.key)
        noise = self._noise(rows, epoch)
        values, distance, gradients, verdict = self._gradients(seen, images, rows, noise, epoch, weights, in_step)
        if self._clipnorm is not None:
            gradients = clipped(gradients, self._clipnorm)
        self._optimizer.apply(gradients, self._variables)
        if distance is not None:
            self._follow(distance)
        if self._averages is not None:
            self._averages.follow(self._optimizer.iterations.value)
        if self._adversary is None or verdict is None:
            return values
        self._adversary.learn(verdict.gradients)
        return tf.concat([values, verdict.losses], axis=0)

    def _validate_step(self, images: Any, visits: Any, epoch: _Epoch, step: Any, count: Any, in_step: Any) -> Any:
        images, rows, weights = self._batch(images, visits, step, count)
        seen, noise = self._transforms.validation(images, rows, epoch.key), self._noise(rows, epoch)
        return self._mean_losses(self.autoencoder, seen, images, noise, epoch.warmth, weights, in_step, False).values

    def _gradients_body(
        self, seen: Any, images: Any, rows: Any, noise: Any, epoch: _Epoch, weights: Any, in_step: Any
    ) -> tuple[Any, Any, Any, Verdict | None]:
        """Return the losses of a step, the distance, the gradients of the weights, and what an adversary says."""
        variables, adversary = [variable.value for variable in self._variables], self._adversary
        self._dropout.begin(rows, epoch.key)
        with tf.GradientTape(persistent=adversary is not None) as tape:
            losses = self._mean_losses(self._trained, seen, images, noise, epoch.warmth, weights, in_step, True)
            loss = losses.values[0]
        if adversary is None:
            return losses.values, losses.distance, tape.gradient(loss, variables), None
        restored = losses.reconstructions
        verdict = adversary.judge(images, restored, tape.gradient(loss, restored), epoch.counts, weights, in_step)
        both = [tf.ones_like(loss), verdict.push]
        gradients = tape.gradient([loss, restored], variables, output_gradients=both)
        return losses.values, losses.distance, gradients, verdict

    def _noise(self, rows: Any, epoch: _Epoch) -> Any:
        """Return what the codes of a step are drawn with, (N, latent_dim), None where they are not drawn."""
        if self.autoencoder.scale is None:
            return None
        length = self.autoencoder.decoder.inputs[0].shape[-1]
        return self._transforms.code_noise(rows, epoch.key, length)

    def _follow(self, distance: Any) -> None:
        """Move the scale of the likelihood towards the mean distance of a step, of which this device has its share."""
        if self._replicas > 1:
            distance = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, distance)
        scale = self._trained.scale
        scale.assign(tf.maximum((1 - RATE) * scale.value + RATE * distance, LEAST))

    def _batch(self, images: Any, visits: Any, step: Any, count: Any) -> tuple[Any, Any, Any]:
        """Return this device's share of the step's images, their rows in the file, and weights, 0 for fillers."""
        start = step * self.batch_size
        end = tf.minimum(start + self.batch_size, count)
        start += tf.distribute.get_replica_context().replica_id_in_sync_group * self._share
        positions, rows = tf.unstack(tf.slice(visits, [0, start], [2, self._share]))
        stored = tf.gather(images, positions)
        batch = tf.cast(stored, tf.float32) * np.float32(self._scale) + np.float32(self._offset)
        weights = tf.cast(start + tf.range(self._share) < end, tf.float32)
        return tf.reshape(batch, (self._share, *self._format.image_shape)), tf.bitcast(rows, tf.uint32), weights

    def _mean_losses(
        self,
        network: Autoencoder,
        seen: Any,
        images: Any,
        noise: Any,
        warmth: Any,
        weights: Any,
        in_step: Any,
        training: bool,
    ) -> _Losses:
        """Return the losses over this device's share of the step's `in_step` images, given what is seen of them."""
        objective, outputs = self._objective, network.outputs(seen, training, noise)
        restored = outputs["reconstructions"]
        terms = objective.per_image(images, outputs, warmth)
        penalties = network.penalties / self._replicas
        loss = tf.reduce_sum(sum(terms[1:], terms[0]) * weights) / in_step + penalties
        if not objective.columns:
            return _Losses(tf.stack([loss]), None, restored)
        parts, measures = (
            [tf.reduce_sum(numbers * weights) / in_step for numbers in group]
            for group in objective.shown(images, outputs, terms)
        )
        values = tf.stack([loss, *parts, *([penalties] if objective.penalised else []), *measures])
        if objective.distance is None or not training:
            return _Losses(values, None, restored)
        return _Losses(values, tf.reduce_sum(objective.distance(images, outputs) * weights) / in_step, restored)


def clipped(shares: Sequence[Any], clipnorm: float) -> list[Any]:
    """Return this device's share of the gradients, shortened so that their sum over all is at most so long."""
    sums = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, list(shares))
    factor = tf.minimum(1.0, clipnorm / tf.maximum(tf.linalg.global_norm(sums), 1e-30))
    return [share * factor for share in shares]

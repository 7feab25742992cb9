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
from aecli.data.format import Stored
from aecli.data.loader import ALIGNMENT, Loader, Window, kept_as_stored
from aecli.models.autoencoder import Autoencoder
from aecli.models.objective import ADVERSARIAL, Objective
from aecli.runs.config import TrainingConfig
from aecli.training.checkpoints import Cursor, VariableValues
from aecli.training.engines.optimizer import make_optimizer
from aecli.training.engines.tensorflow.adversary import Adversary
from aecli.training.engines.tensorflow.backend import keras, tf
from aecli.training.engines.tensorflow.health import HealthProbe
from aecli.training.engines.tensorflow.transforms import Transforms

_SECONDS_PER_CALL = 0.25
"""How long the compiled loop runs before Python can show progress and handle Ctrl-C."""


class _Epoch(NamedTuple):
    """What the steps of an epoch share: the key of its draws, uint32 (2,), and 1 where the adversarial loss counts."""

    key: Any
    counts: Any


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
    weights of another network of the same shape.
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        objective: Objective,
        training: TrainingConfig,
        train: Loader,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.autoencoder, self._objective = autoencoder, objective
        self.batch_size, self._format = min(training.batch_size, len(train)), train.source.format
        self._transforms = Transforms(augmentation, training.corruption)
        self._optimizer = make_optimizer(training, len(train))
        self._optimizer.build(autoencoder.model.trainable_variables)
        self._adversary: Adversary | None = None
        if training.adversarial:
            self._adversary = Adversary(autoencoder.discriminator, training.adversarial)
        self._untrained = [keras.ops.convert_to_numpy(variable) for variable in self._optimizer_variables]
        self._strategy = tf.distribute.get_strategy()
        self._replicas = self._strategy.num_replicas_in_sync
        self._share = math.ceil(self.batch_size / self._replicas)
        self._variables = autoencoder.model.trainable_variables
        self._kept_as_stored = kept_as_stored(np.dtype(self._format.dtype))
        self._scale, self._offset = self._format.scale_and_offset() if self._kept_as_stored else (1.0, 0.0)
        # On a CPU, random numbers inside XLA are an order of magnitude slower than outside it, and convolutions in a
        # loop of its 4 times, after minutes of compiling. On a GPU they should not be: that has not been measured.
        on_cpu = not tf.config.get_visible_devices("GPU")
        convolutional = autoencoder.convolutional or objective.convolutional or self._adversary is not None
        jit = not _has_random_layers(autoencoder.model) and not (convolutional and on_cpu)
        # Gradients cannot be summed between devices inside a compiled program.
        self._train_steps, self._validate_steps = (
            tf.function(self._steps_of(step), jit_compile=jit and self._replicas == 1)
            for step in (self._train_step, self._validate_step)
        )
        self._gradients = self._gradients_body
        if self._replicas > 1:
            self._gradients = tf.function(self._gradients_body, jit_compile=jit)
        self.probe = HealthProbe(autoencoder, objective).measure
        self._training_pace, self._validation_pace = _Pace(), _Pace()
        self._resident: dict[int, Any] = {}

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(keras.ops.convert_to_numpy(self._optimizer.learning_rate))

    @property
    def _optimizer_variables(self) -> list[Any]:
        others = self._adversary.optimizer.variables if self._adversary else ()
        return [*self._optimizer.variables, *others]

    def reset(self, fresh: Autoencoder) -> None:
        """Go back to the state before training, with the variables of a freshly built network."""
        for variable, source in zip(self.autoencoder.variables, fresh.variables, strict=True):
            variable.assign(source)
        for variable, value in zip(self._optimizer_variables, self._untrained, strict=True):
            variable.assign(value)
        self.free_images()

    def values(self) -> tuple[list[VariableValues], list[VariableValues]]:
        """Return copies of the networks' variables, states of their dropout included, and of their optimizers'."""
        variables = self.autoencoder.variables, self._optimizer_variables
        model, optimizer = ([keras.ops.convert_to_numpy(variable) for variable in group] for group in variables)
        return model, optimizer

    def restore(self, model: Sequence[VariableValues], optimizer: Sequence[VariableValues]) -> None:
        """Set the variables to what `values` gave; TrainingError where they are those of another network."""
        for variables, values in ((self.autoencoder.variables, model), (self._optimizer_variables, optimizer)):
            if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
                raise TrainingError(
                    "checkpoint: its variables have other shapes than this version makes: train again with --overwrite"
                )
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def free_images(self) -> None:
        """Free the images held for training."""
        self._resident.clear()

    def compile(self, train: Loader, validation: Loader) -> None:
        """Compile both passes: calls of no steps."""
        nothing, epoch = tf.constant(0), self._epoch(0, VALIDATION)
        images, visits = self._tensors(train, train.warmup_window())
        self._train_steps(images, visits, epoch, nothing, nothing, nothing, self._totals(Cursor(), training=True))
        images, visits = self._tensors(validation, validation.warmup_window())
        self._validate_steps(images, visits, epoch, nothing, nothing, nothing, self._totals(Cursor()))

    def _totals(self, cursor: Cursor, training: bool = False) -> Any:
        """Return the sums so far, float32: of the loss, of its parts where it has several, and the adversary's."""
        count = 1 + len(self._objective.columns) + (len(ADVERSARIAL) if training and self._adversary else 0)
        return tf.constant(cursor.totals or (0.0,) * count, tf.float32)

    def train(self, loader: Loader, seed: int, start: Cursor) -> Iterator[Cursor]:
        """Train on the images of an epoch in its order, from the cursor on; yield where it stands after every call."""
        windows, epoch = loader.shuffled(seed, start.epoch, start.window), self._epoch(seed, start.epoch)
        totals = self._totals(start, training=True)
        return self._visit(self._train_steps, self._training_pace, loader, windows, epoch, start, totals)

    def validate(self, loader: Loader, seed: int) -> Iterator[Cursor]:
        """Sum up the losses over the images, penalties included; yield the sums so far in a cursor after every call.

        The images are corrupted alike in every epoch.
        """
        epoch, start, windows = self._epoch(seed, VALIDATION), Cursor(), loader.sequential()
        totals = self._totals(start)
        return self._visit(self._validate_steps, self._validation_pace, loader, windows, epoch, start, totals)

    def _epoch(self, seed: int, epoch: int) -> _Epoch:
        """Return what the steps of an epoch share."""
        counts = self._adversary is not None and self._adversary.counts(epoch)
        return _Epoch(tf.constant(draw_key(seed, epoch), tf.uint32), tf.constant(float(counts)))

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
            images, visits = self._tensors(loader, window)
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

    def _tensors(self, loader: Loader, window: Window) -> tuple[Any, Any]:
        """Return a window's images (capacity, H * W * C) and the visits to them, filled up with zeros to full batches.

        Each visit is the position of an image in the window and its row in the file, int32 (2, visits).
        """
        images = self._resident.get(id(loader))
        if images is None:
            images = self._on_every_device(self._load(window.read()))
            if not loader.streamed:
                self._resident[id(loader)] = images
        unused = self._replicas * self._share - self.batch_size
        visits = np.zeros((2, math.ceil(loader.capacity / self.batch_size) * self.batch_size + unused), np.int32)
        visits[0, : len(window.order)] = window.order
        visits[1, : len(window.order)] = window.rows.astype(np.uint32).view(np.int32)
        return images, self._on_every_device(visits)

    def _load(self, stored: Stored) -> Stored:
        images = stored if self._kept_as_stored else self._format.to_contract(stored)
        return images.reshape(len(images), -1)

    def _on_every_device(self, array: Stored) -> Any:
        if self._replicas == 1:
            return _tensor_of(array)
        devices = self._strategy.extended.worker_devices

        def copy(context: Any) -> Any:
            with tf.device(devices[context.replica_id_in_sync_group]):
                return tf.constant(array)

        return self._strategy.experimental_distribute_values_from_function(copy)

    def _steps_of(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return a loop over some steps, which adds their losses to the totals."""

        def steps(images: Any, visits: Any, epoch: _Epoch, first: Any, last: Any, count: Any, totals: Any) -> Any:
            step = first
            while step < last:  # not over tf.range: XLA would compile again for other ends
                totals += self._on_replicas(run, images, visits, epoch, step, count)
                step += 1
            return totals

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
        losses, gradients, verdict = self._gradients(seen, images, epoch.counts, weights, in_step)
        self._optimizer.apply(gradients, self._variables)
        if self._adversary is None:
            return losses
        self._adversary.learn(verdict.gradients)
        return tf.concat([losses, verdict.losses], axis=0)

    def _validate_step(self, images: Any, visits: Any, epoch: _Epoch, step: Any, count: Any, in_step: Any) -> Any:
        images, rows, weights = self._batch(images, visits, step, count)
        seen = self._transforms.validation(images, rows, epoch.key)
        return self._mean_losses(seen, images, weights, in_step, training=False)[0]

    def _gradients_body(self, seen: Any, images: Any, counts: Any, weights: Any, in_step: Any) -> tuple[Any, Any, Any]:
        variables, adversary = [variable.value for variable in self._variables], self._adversary
        with tf.GradientTape(persistent=adversary is not None) as tape:
            losses, reconstructions = self._mean_losses(seen, images, weights, in_step, training=True)
            loss = losses[0]
        if adversary is None:
            return losses, tape.gradient(loss, variables), None
        pull = tape.gradient(loss, reconstructions)
        verdict = adversary.judge(images, reconstructions, pull, counts, weights, in_step)
        both = [tf.ones_like(loss), verdict.push]
        return losses, tape.gradient([loss, reconstructions], variables, output_gradients=both), verdict

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

    def _mean_losses(self, seen: Any, images: Any, weights: Any, in_step: Any, training: bool) -> tuple[Any, Any]:
        """Return this device's share of the mean losses over the step's `in_step` images, given what is seen of them.

        The first is what is minimised; where it has several parts, they follow and add up to it. The other are the
        reconstructions.
        """
        outputs = self.autoencoder.outputs(seen, training)
        terms = self._objective.per_image(images, outputs)
        penalties = self.autoencoder.penalties / self._replicas
        loss = tf.reduce_sum(sum(terms[1:], terms[0]) * weights) / in_step + penalties
        if not self._objective.columns:
            return tf.stack([loss]), outputs["reconstructions"]
        parts = [tf.reduce_sum(term * weights) / in_step for term in terms]
        losses = tf.stack([loss, *parts, *([penalties] if self._objective.penalised else [])])
        return losses, outputs["reconstructions"]


def _tensor_of(array: Stored) -> Any:
    """Return a tensor of an array's values: on a CPU in the array's own memory, where `tf.constant` copies twice."""
    if array.ctypes.data % ALIGNMENT or tf.config.get_visible_devices("GPU"):
        return tf.constant(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def _has_random_layers(model: Any) -> bool:
    return any(layer._seed_generators for layer in model._flatten_layers())

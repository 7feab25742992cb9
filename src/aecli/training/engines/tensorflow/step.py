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
from typing import Any

import numpy as np

from aecli.core.errors import TrainingError
from aecli.core.rng import VALIDATION, draw_key
from aecli.data.augmentation import Augmentation
from aecli.data.format import Stored
from aecli.data.loader import ALIGNMENT, Block, Feed, kept_as_stored
from aecli.models.backend import keras, tf
from aecli.models.layers import Autoencoder
from aecli.runs.config import OPTIMIZERS, TrainingConfig
from aecli.training.checkpoints import Cursor, Values
from aecli.training.engines.tensorflow.health import HealthProbe
from aecli.training.engines.tensorflow.transforms import Inputs

SECONDS_PER_CALL = 0.25
"""How long the compiled loop runs before Python can show progress and hear Ctrl-C."""


class _Pace:
    """How many steps a call takes, so that it lasts SECONDS_PER_CALL."""

    def __init__(self) -> None:
        self.steps = 1

    def adapt(self, steps: int, seconds: float) -> None:
        """Learn from a call of so many steps."""
        # A first call is slow; its time says nothing, and growth by a factor forgets it soon.
        if steps == self.steps:
            self.steps = max(1, int(steps * min(SECONDS_PER_CALL / seconds, 64)))


class Program:
    """The compiled training step and validation pass of one autoencoder, with its optimizer.

    Compiling takes longer than many trainings. `restart` makes a compiled program train again, from the
    weights of another network of the same shape.
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        training: TrainingConfig,
        activity_l1: float,
        train: Feed,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.autoencoder, self.activity_l1 = autoencoder, activity_l1
        self.batch_size, self.format = min(training.batch_size, len(train)), train.source.format
        self.loss = keras.losses.get(training.loss)
        self._inputs = Inputs(augmentation, training.corruption)
        self.optimizer = _optimizer(training, math.ceil(len(train) / self.batch_size))
        self.optimizer.build(autoencoder.model.trainable_variables)
        self._untrained = [keras.ops.convert_to_numpy(variable) for variable in self.optimizer.variables]
        self._strategy = tf.distribute.get_strategy()
        self._replicas = self._strategy.num_replicas_in_sync
        self._share = math.ceil(self.batch_size / self._replicas)
        self._variables = autoencoder.model.trainable_variables
        self._kept_as_stored = kept_as_stored(np.dtype(self.format.dtype))
        self._scale, self._offset = self.format.scale_and_offset() if self._kept_as_stored else (1.0, 0.0)
        # Random numbers inside XLA are an order of magnitude slower on a CPU than outside it.
        jit = not _has_random_layers(autoencoder.model)
        # Gradients cannot be summed between devices inside a compiled program.
        self._train_steps, self._validate_steps = (
            tf.function(self._steps_of(step), jit_compile=jit and self._replicas == 1)
            for step in (self._train_step, self._validate_step)
        )
        self._gradients = self._gradients_body
        if self._replicas > 1:
            self._gradients = tf.function(self._gradients_body, jit_compile=jit)
        self.look = HealthProbe(autoencoder, training.loss).measure
        self._training_pace, self._validation_pace = _Pace(), _Pace()
        self._resident: dict[int, Any] = {}

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(keras.ops.convert_to_numpy(self.optimizer.learning_rate))

    def restart(self, fresh: Autoencoder) -> None:
        """Go back to the state before training, with the variables of a freshly built network."""
        for variable, source in zip(self.autoencoder.model.variables, fresh.model.variables, strict=True):
            variable.assign(source)
        for variable, value in zip(self.optimizer.variables, self._untrained, strict=True):
            variable.assign(value)
        self.release()

    def values(self) -> tuple[list[Values], list[Values]]:
        """Return copies of the network's variables, states of its dropout included, and of the optimizer's."""
        variables = self.autoencoder.model.variables, self.optimizer.variables
        model, optimizer = ([keras.ops.convert_to_numpy(variable) for variable in each] for each in variables)
        return model, optimizer

    def restore(self, model: Sequence[Values], optimizer: Sequence[Values]) -> None:
        """Set the variables to what `values` gave; TrainingError where they are those of another network."""
        for variables, values in ((self.autoencoder.model.variables, model), (self.optimizer.variables, optimizer)):
            if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
                raise TrainingError(
                    "checkpoint: its variables have other shapes than this version makes: train again with --overwrite"
                )
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def release(self) -> None:
        """Let go of the images held for training."""
        self._resident.clear()

    def compile(self, train: Feed, validation: Feed) -> None:
        """Compile both passes: calls of no steps."""
        nothing, key = tf.constant(0), _key(0, VALIDATION)
        images, visits = self._tensors(train, train.specimen())
        self._train_steps(images, visits, key, nothing, nothing, nothing, tf.constant(0.0))
        images, visits = self._tensors(validation, validation.specimen())
        self._validate_steps(images, visits, key, nothing, nothing, nothing, tf.constant(0.0))

    def train(self, feed: Feed, seed: int, start: Cursor) -> Iterator[Cursor]:
        """Train on the images of an epoch in its order, from the cursor on; yield where it stands after every call."""
        blocks, key = feed.shuffled(seed, start.epoch, start.block), _key(seed, start.epoch)
        return self._visit(self._train_steps, self._training_pace, feed, blocks, key, start)

    def validate(self, feed: Feed, seed: int) -> Iterator[Cursor]:
        """Sum up the loss over the images, penalties included; yield the sum so far in a cursor after every call.

        The images are corrupted alike in every epoch.
        """
        key = _key(seed, VALIDATION)
        return self._visit(self._validate_steps, self._validation_pace, feed, feed.in_order(), key, Cursor())

    def _visit(
        self, run: Callable[..., Any], pace: _Pace, feed: Feed, blocks: Iterator[Block], key: Any, start: Cursor
    ) -> Iterator[Cursor]:
        step, total = start.step, start.total
        for number, block in enumerate(blocks, start.block):
            images, visits = self._tensors(feed, block)
            steps = math.ceil(len(block.order) / self.batch_size)
            while step < steps:
                stop = min(step + pace.steps, steps)
                started = time.perf_counter()
                span = map(tf.constant, (step, stop, len(block.order)))
                total = float(run(images, visits, key, *span, tf.constant(total)))
                pace.adapt(stop - step, time.perf_counter() - started)
                step, place = stop, (number, stop) if stop < steps else (number + 1, 0)
                yield Cursor(start.epoch, *place, total)
            step = 0
            del block, images, visits  # before the next one comes

    def _tensors(self, feed: Feed, block: Block) -> tuple[Any, Any]:
        """Return a block's images (capacity, H * W * C) and the visits to them, filled up with zeros to full batches.

        Each visit is the position of an image in the block and its row in the file, int32 (2, visits).
        """
        images = self._resident.get(id(feed))
        if images is None:
            images = self._on_every_device(self._load(block.read()))
            if not feed.streamed:
                self._resident[id(feed)] = images
        unused = self._replicas * self._share - self.batch_size
        visits = np.zeros((2, math.ceil(feed.capacity / self.batch_size) * self.batch_size + unused), np.int32)
        visits[0, : len(block.order)] = block.order
        visits[1, : len(block.order)] = block.rows.astype(np.uint32).view(np.int32)
        return images, self._on_every_device(visits)

    def _load(self, stored: Stored) -> Stored:
        images = stored if self._kept_as_stored else self.format.to_contract(stored)
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
        """Return a loop over some steps, which adds their losses to a total."""

        def steps(images: Any, visits: Any, key: Any, first: Any, last: Any, count: Any, total: Any) -> Any:
            step = first
            while step < last:  # not over tf.range: XLA would compile again for other ends
                total += self._on_replicas(run, images, visits, key, step, count)
                step += 1
            return total

        return steps

    def _on_replicas(self, run: Callable[..., Any], images: Any, visits: Any, key: Any, step: Any, count: Any) -> Any:
        """Return the sum of the step's loss over its images, those of all devices together."""
        in_step = tf.cast(tf.minimum(count - step * self.batch_size, self.batch_size), tf.float32)
        losses = self._strategy.run(run, args=(images, visits, key, step, count, in_step))
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None) * in_step

    def _train_step(self, images: Any, visits: Any, key: Any, step: Any, count: Any, in_step: Any) -> Any:
        images, rows, weights = self._batch(images, visits, step, count)
        loss, gradients = self._gradients(*self._inputs.training(images, rows, key), weights, in_step)
        self.optimizer.apply(gradients, self._variables)
        return loss

    def _validate_step(self, images: Any, visits: Any, key: Any, step: Any, count: Any, in_step: Any) -> Any:
        images, rows, weights = self._batch(images, visits, step, count)
        return self._mean_loss(self._inputs.validation(images, rows, key), images, weights, in_step, training=False)

    def _gradients_body(self, seen: Any, images: Any, weights: Any, in_step: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            loss = self._mean_loss(seen, images, weights, in_step, training=True)
        return loss, tape.gradient(loss, [variable.value for variable in self._variables])

    def _batch(self, images: Any, visits: Any, step: Any, count: Any) -> tuple[Any, Any, Any]:
        """Return this device's share of the step's images, their rows in the file, and weights, 0 for fillers."""
        start = step * self.batch_size
        end = tf.minimum(start + self.batch_size, count)
        start += tf.distribute.get_replica_context().replica_id_in_sync_group * self._share
        positions, rows = tf.unstack(tf.slice(visits, [0, start], [2, self._share]))
        stored = tf.gather(images, positions)
        batch = tf.cast(stored, tf.float32) * np.float32(self._scale) + np.float32(self._offset)
        weights = tf.cast(start + tf.range(self._share) < end, tf.float32)
        return tf.reshape(batch, (self._share, *self.format.image_shape)), tf.bitcast(rows, tf.uint32), weights

    def _mean_loss(self, seen: Any, images: Any, weights: Any, in_step: Any, training: bool) -> Any:
        """Return this device's part of the mean loss over the step's `in_step` images, given what is seen of them."""
        latents = self.autoencoder.encoder(seen, training=training)
        reconstructions = self.autoencoder.decoder(latents, training=training)
        per_image = tf.reduce_mean(self.loss(images, reconstructions), axis=(1, 2))
        if self.activity_l1:
            per_image += self.activity_l1 * tf.reduce_sum(tf.abs(tf.cast(latents, tf.float32)), axis=1)
        penalties = sum([*self.autoencoder.encoder.losses, *self.autoencoder.decoder.losses])
        return tf.reduce_sum(per_image * weights) / in_step + penalties / self._replicas


def _tensor_of(array: Stored) -> Any:
    """Return a tensor of an array's values: on a CPU in the array's own memory, where `tf.constant` copies twice."""
    if array.ctypes.data % ALIGNMENT or tf.config.get_visible_devices("GPU"):
        return tf.constant(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def _key(seed: int, epoch: int) -> Any:
    return tf.constant(draw_key(seed, epoch), tf.uint32)


def _optimizer(training: TrainingConfig, steps: int) -> Any:
    rate: Any = training.learning_rate
    if training.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps * training.epochs)
    name = OPTIMIZERS[training.optimizer.name][0]
    return getattr(keras.optimizers, name)(learning_rate=rate, **training.optimizer.parameters)


def _has_random_layers(model: Any) -> bool:
    return any(isinstance(layer, keras.layers.Dropout) for layer in model._flatten_layers())

"""The average of the weights of a training, in a network of its own."""

from typing import Any

from aecli.models.autoencoder import Autoencoder
from aecli.training.engines.tensorflow.backend import tf


class WeightAverages:
    """Moves a second network along with the one that is trained: its weights are an average of that one's.

    After step t, counted from 0, average = d average + (1 - d) weights with d = min(decay, (1 + t) / (10 + t)), from
    the initial weights on: the average is over about as many steps as there were, until `decay` bounds it
    (`tf.train.ExponentialMovingAverage` with `num_updates`). The scale of a Gaussian code's likelihood, which is an
    average already, is the same in both.
    """

    def __init__(self, trained: Autoencoder, averaged: Autoencoder, decay: float) -> None:
        pairs = zip(trained.model.trainable_variables, averaged.model.trainable_variables, strict=True)
        self._pairs = [(weights.value, average.value) for weights, average in pairs]
        self._scales = trained.scale, averaged.scale
        self._decay, self._strategy = decay, tf.distribute.get_strategy()

    def follow(self, steps: Any) -> None:
        """Move the averages after a step, the last one of so many."""
        done = tf.cast(steps, tf.float32)
        decay = tf.minimum(self._decay, done / (done + 9))
        tf.__internal__.distribute.interim.maybe_merge_call(self._move, self._strategy, decay)
        scale, averaged = self._scales
        if scale is not None:
            averaged.assign(scale.value)

    def _move(self, strategy: Any, decay: Any) -> None:
        for weights, average in self._pairs:
            strategy.extended.update(average, _towards, args=(weights, decay), group=False)


def _towards(average: Any, weights: Any, decay: Any) -> None:
    average.assign(decay * average + (1 - decay) * weights)

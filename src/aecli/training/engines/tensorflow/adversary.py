"""A discriminator beside an autoencoder in training: what it learns, and what it has the autoencoder learn."""

from typing import Any, NamedTuple

from aecli.runs.config import Adversarial
from aecli.training.engines.tensorflow.backend import keras, tf

_RATE, _BETAS, _CLIPPED = 4e-4, (0.5, 0.9), 1.0
"""The step size of its Adam, which forgets sooner than that of the autoencoder, and the length of its gradients."""

_MOST = 1e8
"""The most that the adversarial loss is multiplied by, where the discriminator is flat and its gradient noise."""

_TINY = 1e-12


class Verdict(NamedTuple):
    """What the discriminator makes of a step.

    `losses` (2,) are the adversarial loss of the autoencoder and the hinge loss of the discriminator, `gradients` those
    of its own weights, and `push` (N, H, W, C) is what to add to the gradient of the reconstructions.
    """

    losses: Any
    gradients: Any
    push: Any


class Adversary:
    """A discriminator and its optimizer."""

    def __init__(self, discriminator: Any, config: Adversarial) -> None:
        self._discriminator, self._config = discriminator, config
        beta_1, beta_2 = _BETAS
        self.optimizer = keras.optimizers.Adam(_RATE, beta_1=beta_1, beta_2=beta_2, global_clipnorm=_CLIPPED)
        self.optimizer.build(discriminator.trainable_variables)

    def counts(self, epoch: int) -> bool:
        """Whether the adversarial loss counts in an epoch: until then the discriminator learns alone."""
        return epoch > self._config.start

    def judge(self, images: Any, reconstructions: Any, pull: Any, counts: Any, weights: Any, in_step: Any) -> Verdict:
        """Return what it makes of images and reconstructions (N, H, W, C), rows of `weights` (N,) 0 left out.

        `pull` is the gradient of the autoencoder's other losses with respect to the reconstructions. The push is as
        long as that, times the config's weight, and times `counts`, 0 or 1: so the two stay in proportion while both
        change (the adaptive weight of Esser et al. 2021, at the reconstructions in place of the last layer).
        """
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(reconstructions)
            patches = self._discriminator(tf.concat([images, reconstructions], axis=0), training=True)
            of_images, of_reconstructions = tf.split(tf.reduce_mean(_hinges(patches), axis=(2, 3)), 2, axis=1)
            mistaken = (of_images[0] + of_reconstructions[1]) / 2
            deceived = -tf.split(tf.reduce_mean(patches, axis=(1, 2, 3)), 2)[1]
            adversarial, hinge = (tf.reduce_sum(values * weights) / in_step for values in (deceived, mistaken))
        variables = [variable.value for variable in self._discriminator.trainable_variables]
        push = tape.gradient(adversarial, reconstructions)
        weight = self._config.weight * tf.minimum(tf.norm(pull) / (tf.norm(push) + _TINY), _MOST)
        return Verdict(tf.stack([adversarial, hinge]), tape.gradient(hinge, variables), counts * weight * push)

    def learn(self, gradients: Any) -> None:
        """Take a step."""
        self.optimizer.apply(gradients, self._discriminator.trainable_variables)


def _hinges(patches: Any) -> Any:
    """Return the hinge losses (2, N, h, w) of patches (N, h, w, 1) that are of originals, and that are not."""
    return tf.nn.relu(1.0 + tf.stack([-patches[..., 0], patches[..., 0]]))

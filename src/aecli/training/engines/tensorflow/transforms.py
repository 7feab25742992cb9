"""From clean images to what the network sees and what it is to give back, inside the compiled loop."""

from typing import Any

from aecli.core.rng import Draws
from aecli.data.augmentation import AMOUNTS, Augmentation, draw_amounts
from aecli.data.corruption import Corruption
from aecli.models.code import NOISE
from aecli.training.engines.tensorflow.array_namespace import TENSORFLOW, computed_once
from aecli.training.engines.tensorflow.backend import tf


class Transforms:
    """Augments and corrupts batches: images (N, H, W, C), their rows in the file (N,), the epoch's key (2,)."""

    def __init__(self, augmentation: Augmentation | None, corruption: Corruption | None) -> None:
        self._augmentation, self._corruption = augmentation, corruption
        # Compiled even where the network is not: dozens of operations on every value become one loop.
        self._changed = tf.function(self._changed_body, jit_compile=True, autograph=False)
        self._corrupted = tf.function(self._corrupted_body, jit_compile=True, autograph=False)
        self.code_noise = tf.function(self._code_noise_body, jit_compile=True, autograph=False)

    def training(self, images: Any, rows: Any, key: Any) -> tuple[Any, Any]:
        """Return what the network sees and what it is to give back."""
        if self._augmentation is None and self._corruption is None:
            return images, images
        changed: tuple[Any, Any] = self._changed(images, rows, key)
        return changed

    def validation(self, images: Any, rows: Any, key: Any) -> Any:
        """Return what the network sees; it is to give back the images."""
        return images if self._corruption is None else self._corrupted(images, rows, key)

    def _code_noise_body(self, rows: Any, key: Any, length: int) -> Any:
        """Return standard normal numbers for the codes of images, (N, length)."""
        return computed_once(
            key, lambda: Draws(TENSORFLOW, key, rows).normal(NOISE, length), tf.zeros((rows.shape[0], length))
        )

    def _changed_body(self, images: Any, rows: Any, key: Any) -> tuple[Any, Any]:
        draws, augmentation, target = Draws(TENSORFLOW, key, rows), self._augmentation, images
        seen = images
        if augmentation is not None:
            nothing = tf.zeros((images.shape[0], AMOUNTS))
            amounts = computed_once(key, lambda: draw_amounts(draws), nothing)
            target = computed_once(key, lambda: augmentation.apply(TENSORFLOW, images, amounts), images)
            seen = augmentation.add_noise(target, draws, amounts)
        return seen if self._corruption is None else self._corruption.apply(seen, draws), target

    def _corrupted_body(self, images: Any, rows: Any, key: Any) -> Any:
        assert self._corruption is not None
        return self._corruption.apply(images, Draws(TENSORFLOW, key, rows))

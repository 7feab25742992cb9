"""Windows of images as tensors, on every device that trains."""

import math
from typing import Any

import numpy as np

from aecli.data.format import ImageFormat, Stored
from aecli.data.loader import ALIGNMENT, Loader, Window, kept_as_stored
from aecli.training.engines.tensorflow.backend import tf


class WindowTensors:
    """Makes tensors of windows, and keeps those of loaders that are not streamed.

    `share` is how many images of a batch each device has.
    """

    def __init__(self, image_format: ImageFormat, batch_size: int) -> None:
        self._format, self._batch_size = image_format, batch_size
        self._strategy = tf.distribute.get_strategy()
        self._replicas = self._strategy.num_replicas_in_sync
        self.share = math.ceil(batch_size / self._replicas)
        self._kept_as_stored = kept_as_stored(np.dtype(image_format.dtype))
        self._resident: dict[int, Any] = {}

    @property
    def scale_and_offset(self) -> tuple[float, float]:
        """What brings the values of its tensors to the contract."""
        return self._format.scale_and_offset() if self._kept_as_stored else (1.0, 0.0)

    def tensors(self, loader: Loader, window: Window) -> tuple[Any, Any]:
        """Return a window's images (capacity, H * W * C) and the visits to them, filled up with zeros to full batches.

        Each visit is the position of an image in the window and its row in the file, int32 (2, visits).
        """
        images = self._resident.get(id(loader))
        if images is None:
            images = self._on_every_device(self._load(window.read()))
            if not loader.streamed:
                self._resident[id(loader)] = images
        unused = self._replicas * self.share - self._batch_size
        visits = np.zeros((2, math.ceil(loader.capacity / self._batch_size) * self._batch_size + unused), np.int32)
        visits[0, : len(window.order)] = window.order
        visits[1, : len(window.order)] = window.rows.astype(np.uint32).view(np.int32)
        return images, self._on_every_device(visits)

    def free(self) -> None:
        """Free the tensors that were kept."""
        self._resident.clear()

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


def _tensor_of(array: Stored) -> Any:
    """Return a tensor of an array's values: on a CPU in the array's own memory, where `tf.constant` copies twice."""
    if array.ctypes.data % ALIGNMENT or tf.config.get_visible_devices("GPU"):
        return tf.constant(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())

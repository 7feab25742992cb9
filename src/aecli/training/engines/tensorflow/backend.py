"""The one place where TensorFlow is imported: quietly, as the backend of Keras."""

import os

from aecli.core.errors import TrainingError
from aecli.core.machine import address_space, cores

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_NUM_INTRAOP_THREADS"] = str(cores())  # the bits of a result depend on it, so it has one name only

_MAPPED = 3 * 2**30
"""Bytes that TensorFlow maps. Where a limit gives it less it does not raise an error, it ends the process."""

if (address_space() or _MAPPED) < _MAPPED:
    raise MemoryError("TensorFlow does not fit")

from aecli.models.backend import keras, without_extras  # noqa: E402

with without_extras():
    import tensorflow as tf

if keras.config.backend() != "tensorflow":
    raise TrainingError(
        f"Keras: runs on {keras.config.backend()} in this process, ae trains on TensorFlow: start a new process, "
        f"or import aecli before Keras"
    )

__all__ = ["keras", "tf"]

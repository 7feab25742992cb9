"""The one place where Keras and TensorFlow are imported: quickly, quietly, with the right backend."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from aecli.core.machine import address_space, cores

# Keras imports these when they are installed, for features not used here; they cost up to seconds.
_NOT_NEEDED = ("sklearn", "pandas", "PIL", "matplotlib", "IPython", "pydot")

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_NUM_INTRAOP_THREADS"] = str(cores())  # the bits of a result depend on it, so it has one name only


@contextmanager
def _hidden(names: tuple[str, ...]) -> Iterator[None]:
    """Make these packages look absent while the block imports something."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


_NEEDED = 3 * 2**30
"""Bytes that TensorFlow maps. Where a limit gives it less it does not raise an error, it ends the process."""

if (address_space() or _NEEDED) < _NEEDED:
    raise MemoryError("TensorFlow does not fit")

with _hidden(_NOT_NEEDED):
    import keras
    import tensorflow as tf

OUT_OF_MEMORY = (MemoryError, tf.errors.ResourceExhaustedError)
"""What NumPy and TensorFlow raise when an array does not fit."""

__all__ = ["OUT_OF_MEMORY", "keras", "tf"]

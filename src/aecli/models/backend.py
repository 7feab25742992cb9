"""The one place where Keras is imported: quickly, on the backend that an engine has chosen, with our settings.

What ~/.keras/keras.json says is for the user's own work: here it would turn images round or halve their numbers.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from threading import get_ident
from typing import Any

# Keras and its backends import these when they are installed, for features not used here; they cost up to seconds.
_NOT_NEEDED = ("sklearn", "pandas", "PIL", "matplotlib", "IPython", "pydot")


@contextmanager
def without_extras() -> Iterator[None]:
    """Make packages that are not needed look absent while the block imports something, to its own thread alone."""
    finder = _Absent()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Absent(MetaPathFinder):
    """Finds no package that is not needed for the thread that makes it; others read pictures meanwhile."""

    def __init__(self) -> None:
        self._thread = get_ident()

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname in _NOT_NEEDED and get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named '{fullname}'", name=fullname)


@contextmanager
def _without_settings() -> Iterator[None]:
    """Import Keras as if there were no settings of the user: it reads a file, creates one, and stops at a bad one."""
    before = {name: os.environ.pop(name) for name in _SETTINGS if name in os.environ}
    os.environ["KERAS_HOME"] = os.devnull
    try:
        yield
    finally:
        os.environ.pop("KERAS_HOME")
        os.environ |= before
        config: Any = sys.modules.get("keras.src.backend.config")
        if getattr(config, "_KERAS_DIR", None) == os.devnull:  # where the user's own keras.datasets lie
            config._KERAS_DIR = os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")


_SETTINGS = ("KERAS_HOME", "KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED")

with without_extras(), _without_settings():
    import keras

# Where somebody has imported Keras before.
keras.config.set_floatx("float32")
keras.config.set_epsilon(1e-7)
keras.config.set_image_data_format("channels_last")

__all__ = ["keras"]

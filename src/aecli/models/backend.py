"""The one place where Keras is imported: quickly, on the backend that an engine has chosen."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Keras and its backends import these when they are installed, for features not used here; they cost up to seconds.
_NOT_NEEDED = ("sklearn", "pandas", "PIL", "matplotlib", "IPython", "pydot")


@contextmanager
def without_extras() -> Iterator[None]:
    """Make packages that are not needed look absent while the block imports something."""
    absent = [name for name in _NOT_NEEDED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


with without_extras():
    import keras

__all__ = ["keras"]

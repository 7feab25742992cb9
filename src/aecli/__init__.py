"""Image autoencoders: trained, measured and compared. `train`, `compare` and `load_run` are the Python door."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aecli.api import compare, load_run, train
    from aecli.core.errors import AeError
    from aecli.python.run import Run
    from aecli.python.study import Comparison

__version__ = "0.1.0"
__all__ = ["AeError", "Comparison", "Run", "__version__", "compare", "load_run", "train"]

_HOME = {"AeError": "core.errors", "Run": "python.run", "Comparison": "python.study"}
"""Module of what does not stand in the module api."""


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    # Loaded when it is used: `ae --help` must not pay for it.
    if name in __all__:
        from importlib import import_module

        return getattr(import_module(f"aecli.{_HOME.get(name, 'api')}"), name)
    raise AttributeError(f"module 'aecli' has no attribute '{name}'")

"""Image autoencoders: trained, measured and compared. `train`, `compare` and `load_run` are the Python door."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aecli.api import compare, load_run, train

__version__ = "0.1.0"
__all__ = ["__version__", "compare", "load_run", "train"]


def __getattr__(name: str) -> Any:
    # Loaded when it is used: `ae --help` must not pay for it.
    if name in ("compare", "load_run", "train"):
        from aecli import api

        return getattr(api, name)
    raise AttributeError(f"module 'aecli' has no attribute '{name}'")

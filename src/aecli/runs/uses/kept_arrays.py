"""What the arrays that a run keeps for its uses have in common: words and checks."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import AeError, RunError, one_line, unreadable
from aecli.core.npy import read_arrays
from aecli.runs.model import weights_sha256
from aecli.runs.run import Run

T = TypeVar("T")


def read_kept(
    run: Run, path: Path, names: tuple[Sequence[str], ...], of: Callable[[Mapping[str, Any]], T], cure: str
) -> T | None:
    """Return what a file of arrays holds that a run keeps, by what `of` makes of them.

    `names` are the arrays that it has, and those that it may lack. None where it is not there or is of other weights;
    RunError with the cure where it is damaged.
    """
    try:
        arrays = read_arrays(path, *names)
        return of(arrays) if text_of(arrays["weights_sha256"]) == weights_sha256(run) else None
    except FileNotFoundError:
        return None
    except (AeError, MemoryError):
        raise
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # a damaged file can fail its parser in any way
        raise RunError(f"{path}: is damaged ({one_line(error)[:120]}): remove it, and {cure}") from error


def require(sound: bool, problem: str) -> None:
    """Raise ValueError with the problem unless all is sound."""
    if not sound:
        raise ValueError(problem)


def letters(text: str) -> NDArray[np.uint8]:
    """Return a text as an array, its bytes of UTF-8."""
    return np.frombuffer(text.encode(), np.uint8)


def text_of(array: Any) -> str:
    """Return the text in an array of letters; ValueError where it holds none."""
    require(array.dtype == np.uint8 and array.ndim == 1, "its words are no letters")
    return str(array.tobytes().decode("utf-8"))

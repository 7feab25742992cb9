"""What the arrays that a run keeps for its uses have in common: words and checks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


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

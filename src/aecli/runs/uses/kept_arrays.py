"""What the arrays that a run keeps for its uses have in common: words, checks, and the weights they belong to."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import unreadable
from aecli.runs.run import Run


def weights_sha256(run: Run) -> str:
    """Return the hash of the encoder and the decoder: what was measured of other weights does not serve."""
    digest = hashlib.sha256()
    for path in (run.encoder_file, run.decoder_file):
        try:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            raise unreadable(path, error) from error
    return digest.hexdigest()


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

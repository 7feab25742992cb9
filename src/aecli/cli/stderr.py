"""Keeps the native chatter of engines and their compilers away from the user's terminal."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast


class _Stream:
    """A stream in the place of another, so that whoever keeps it, as a logger does, goes on with that other later."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def close(self) -> None:
        """Leave it open: a logger closes at the end of the process what it keeps, which is stderr by then."""


@contextmanager
def native_stderr_silenced() -> Iterator[None]:
    """Send file descriptor 2 nowhere; Python's `sys.stderr` still reaches the user.

    An engine may write some lines to the descriptor before its own logging (and its level) is set
    up, so no setting can silence them.
    """
    real = sys.stderr
    try:
        on_descriptor_2 = real.fileno() == 2
        saved = os.dup(2)
    except (OSError, ValueError, AttributeError):
        yield  # no descriptor behind stderr, nothing to keep clean
        return
    with suppress(OSError):  # nobody may be there to read it
        real.flush()
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    kept = _Stream(real)
    if on_descriptor_2:
        kept.stream = os.fdopen(os.dup(saved), "w", buffering=1, encoding=real.encoding, errors="backslashreplace")
        sys.stderr = cast(TextIO, kept)
    try:
        yield
    finally:
        if sys.stderr is not real:
            with suppress(OSError):
                kept.stream.close()
            sys.stderr = kept.stream = real
        os.dup2(saved, 2)
        os.close(saved)

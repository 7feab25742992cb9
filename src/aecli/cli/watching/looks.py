"""The rhythm of what is watched: a look at the folder, and a pause, until a signal ends it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from aecli.core.signals import Signals, exit_code

SECONDS = 2.0
"""Between two looks."""


def pause() -> None:
    """Wait until the next look."""
    time.sleep(SECONDS)


@contextmanager
def until_stopped() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP end the block at once, and the process with the exit code of that."""
    try:
        with Signals():
            yield
    except KeyboardInterrupt as stopped:
        raise SystemExit(exit_code(stopped)) from None

"""The rhythm of what is watched: a look at the folder, and a pause."""

import time

SECONDS = 2.0
"""Between two looks."""


def pause() -> None:
    """Wait until the next look."""
    time.sleep(SECONDS)

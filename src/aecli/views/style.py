"""Matplotlib as it comes: what a user has set for figures of their own reaches none of ours."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import matplotlib

P = ParamSpec("P")
R = TypeVar("R")

_DEFAULTS = {key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith("backend")}


def plain_style(draw: Callable[P, R]) -> Callable[P, R]:
    """Return a function that draws or saves by Matplotlib's own settings, and leaves the user's as they are."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.rc_context(_DEFAULTS):
            return draw(*args, **kwargs)

    return drawn

"""The one place where Matplotlib is imported; no setting of a user's reaches our figures."""

import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from aecli.core.errors import AeError, one_line


@contextmanager
def _without_settings() -> Iterator[None]:
    """Import Matplotlib whatever MPLBACKEND names, as a notebook does; a matplotlibrc's mistakes are not our news."""
    backend, log = os.environ.pop("MPLBACKEND", None), logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (OSError, ValueError) as error:
        raise AeError(
            f"matplotlib: cannot read its settings ({one_line(error)}): mend the file matplotlibrc"
        ) from error
    finally:
        log.setLevel(level)
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


with _without_settings():
    import matplotlib
    from matplotlib import colormaps
    from matplotlib.figure import Figure as _Figure
    from matplotlib.patches import Polygon, Rectangle
    from matplotlib.ticker import FuncFormatter, MaxNLocator

if os.environ.get("MPLBACKEND"):
    with suppress(ValueError):  # for the plots of a user who draws in this process too
        matplotlib.rcParams["backend"] = os.environ["MPLBACKEND"]

# Maps are made when Matplotlib is imported, of as many colours as the user's image.lut says.
_MAPS = "gray", "RdBu_r", "magma", "cividis"
GREY, RED_BLUE, MAGMA, CIVIDIS = (colormaps[name].resampled(256) for name in _MAPS)

_DEFAULTS = {name: value for name, value in matplotlib.rcParamsDefault.items() if not name.startswith("backend")}


_DPI = 130


class Figure(_Figure):
    """A figure of Matplotlib that a notebook shows, also one in which nobody has chosen a backend."""

    def _repr_png_(self) -> bytes:
        drawn = io.BytesIO()
        with default_settings():
            self.savefig(drawn, format="png", dpi=_DPI)
        return drawn.getvalue()


@contextmanager
def default_settings() -> Iterator[None]:
    """Draw with Matplotlib's own settings while the block, or the function so decorated, runs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", matplotlib.MatplotlibDeprecationWarning)
        with matplotlib.rc_context(_DEFAULTS):
            yield


_SPARSE = 10**4
"""The ratio of the largest to the smallest value from which on only powers of ten are labelled."""


def label_logarithmic(axis: Any, ratio: float) -> None:
    """Label a logarithmic axis at 1, 2 and 5 of each decade, or less where values have such a `ratio`: none touch."""
    leading = "125" if ratio < _SPARSE else "1"
    labels = FuncFormatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in leading else "")
    axis.set_major_formatter(labels)
    axis.set_minor_formatter(labels)


__all__ = [
    "CIVIDIS", "GREY", "MAGMA", "RED_BLUE", "Figure", "FuncFormatter", "MaxNLocator", "Polygon", "Rectangle",
    "default_settings", "label_logarithmic",
]  # fmt: skip

"""The files that come with the package: the digits and the configs."""

from importlib.resources import files
from pathlib import Path


def packaged(name: str) -> Path:
    """Return the path of a file that comes with the package, e.g. "data/digits.npy"."""
    installed = Path(str(files("aecli"))) / name
    # In a checkout (an editable install) the files lie beside src/.
    return installed if installed.exists() else Path(__file__).parents[2] / name

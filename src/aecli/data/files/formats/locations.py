"""What a user may name beside a file or a folder: an array inside a file, or a data set that Keras has downloaded."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from aecli.core.errors import DataError

_INSIDE = re.compile(r"(.+\.(?:npz|h5|hdf5|hdf|mat)):([^:]+)", re.IGNORECASE)

_KERAS_SETS: Mapping[str, tuple[tuple[str, ...], str | None]] = MappingProxyType(
    {
        "mnist": (("mnist.npz",), "x_train"),
        "fashion_mnist": (("fashion-mnist/train-images-idx3-ubyte.gz",), None),
        "cifar10": (
            (
                "cifar-10-batches-py-target/cifar-10-batches-py",
                "cifar-10-batches-py",
                "cifar-10-batches-py.tar.gz",
                "cifar-10-batches-py-target.tar.gz",
                "cifar-10-python.tar.gz",
            ),
            "cifar10",
        ),
    }
)
"""Name -> the places under Keras's datasets/ that its training images may lie in, and the array in them."""

CIFAR10 = "cifar10"


@dataclass(frozen=True)
class Location:
    """Where images are: a file or a folder, and the array in it that is meant."""

    file: Path
    key: str | None = None


def locate(path: Path) -> Location:
    """Return where the images are that a user named; DataError where a data set of Keras is not there."""
    try:
        if path.exists():
            return Location(path)
    except (OSError, ValueError):
        return Location(path)
    match = _INSIDE.fullmatch(str(path))
    if match is not None:
        return Location(Path(match[1]), match[2])
    return _keras_set(path.name) if path.name in _KERAS_SETS and path.parent.is_dir() else Location(path)


def file_part(path: Path) -> Path:
    """Return the file of an array in a file, and any other path as it is."""
    match = _INSIDE.fullmatch(str(path))
    return path if match is None or path.exists() else Path(match[1])


def _keras_set(name: str) -> Location:
    places, key = _KERAS_SETS[name]
    folder = keras_folder() / "datasets"
    found = next((folder / place for place in places if (folder / place).exists()), None)
    if found is None:
        download = f'python -c "import keras; keras.datasets.{name}.load_data()"'
        raise DataError(f"{name}: Keras has not downloaded it to {folder}: run {download}, where there is a network")
    return Location(found, key)


def keras_folder() -> Path:
    """Return where Keras keeps its files: $KERAS_HOME, by default ~/.keras."""
    given = os.environ.get("KERAS_HOME", "")
    try:
        return Path(given) if given else Path.home() / ".keras"
    except RuntimeError as error:
        raise DataError("keras: there is no home folder: set KERAS_HOME to the folder of Keras") from error

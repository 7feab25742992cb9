"""Labels of images: what lies beside an array, and the names of the classes."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import DataError
from aecli.data.files.archives import array_names, open_npz
from aecli.data.files.arrays import ArrayFile
from aecli.data.files.formats.locations import locate
from aecli.data.files.manifest import read_manifest
from aecli.data.files.open import open_source

_MOST_CLASSES = 10_000


@dataclass(frozen=True)
class Labels:
    """The class of each image, int64 (N,), and the names of the classes in the order of their numbers."""

    values: NDArray[np.int64]
    classes: tuple[str, ...]


def labels_beside(images: ArrayFile, key: str | None = None) -> Labels | None:
    """Return the labels of an array, None where there are none.

    They are <name>_labels.npy, the label file of an IDX file (train-images-idx3-ubyte and train-labels-idx1-ubyte,
    with or without .gz), or the array y... of an .npz beside x... . Raises DataError where they do not fit.
    """
    array = _label_array(images, key)
    if array is None:
        return None
    if len(array.shape) != 1 or array.dtype.kind not in "iub" or len(array) != len(images):
        raise DataError(
            f"{array.path}: expected {len(images):,} labels of {images.path}, whole numbers, "
            f"found {array.dtype.name} of shape {list(array.shape)}: correct or rename it"
        )
    values = array.read(0, len(array)).astype(np.int64)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= _MOST_CLASSES:
        raise DataError(f"{array.path}: labels from {low} to {high}: number the classes from 0, or rename the file")
    manifest = read_manifest(images.path.with_suffix(".json"))
    names = manifest.classes if manifest and manifest.classes and len(manifest.classes) > high else None
    return Labels(values, names or tuple(map(str, range(high + 1))))


def _label_array(images: ArrayFile, key: str | None) -> ArrayFile | None:
    location = locate(images.path)
    path, key = location.file, location.key or key
    if path.suffix.lower() == ".npz":
        names = array_names(path)
        images_key = key or next((name for name in names if name.startswith("x")), "")
        beside = "y" + images_key[1:]
        return open_npz(path, beside) if images_key[:1] == "x" and images_key in names and beside in names else None
    file = next((file for file in _label_files(path) if file.is_file()), None)
    return open_source(file) if file else None


def _label_files(path: Path) -> list[Path]:
    name = re.sub(r"images([-.])idx\d", r"labels\1idx1", path.name)
    if name != path.name:
        plain = path.with_name(name.removesuffix(".gz"))
        return [plain, plain.with_name(f"{plain.name}.gz")]
    return [path.with_name(f"{path.stem}_labels.npy")]

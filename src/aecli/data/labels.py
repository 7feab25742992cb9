"""Which class each image of a source is of, where an array beside it or the folders of its files say so."""

import numpy as np

from aecli.core.errors import did_you_mean, escaped
from aecli.data.dataset import ImageDataset, Rows
from aecli.data.files.labels import Labels, NoLabels, labels_beside

_NAMED = 12


def labels_of(source: ImageDataset) -> Labels | NoLabels:
    """Return the class of every image, or why it is not known; DataError where labels lie beside that are none."""
    beside = labels_beside(source.file, source.decoding.key)
    return (_folders_of(source.names or ()) if isinstance(beside, NoLabels) else None) or beside


def rows_of_class(labels: Labels, name: str) -> Rows:
    """Return the rows of the images of a class; ValueError, which names the classes, where there is no such."""
    return np.flatnonzero(labels.values == class_number(labels, name))


def class_number(labels: Labels, name: str) -> int:
    """Return the number of a class; ValueError, which names those that there are, where no image is of it."""
    present = [labels.classes[number] for number in np.unique(labels.values)]
    if name not in present:
        more = ", ..." if len(present) > _NAMED else ""
        hint = did_you_mean(name, present) or f": they are {escaped(', '.join(present[:_NAMED]))}{more}"
        raise ValueError(f"no image is labelled '{escaped(name)}'{hint}")
    return labels.classes.index(name)


def _folders_of(names: tuple[str, ...]) -> Labels | None:
    """Return the first folders of files as their classes, None where they have not at least two."""
    folders = [name.split("/")[0] if "/" in name else None for name in names]
    if None in folders or len(set(folders)) < 2:
        return None
    classes, numbers = np.unique(np.array(folders, str), return_inverse=True)
    return Labels(numbers.reshape(-1).astype(np.int64), tuple(map(str, classes)))

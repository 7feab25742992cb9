"""Which labelled images a probe is trained on, and on which it is measured."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aecli.core.errors import DataError
from aecli.core.rng import derive
from aecli.data.dataset import Rows
from aecli.runs.uses.parts import Parts
from aecli.runs.uses.probing.regression import Classes

MOST_TRAINING, MOST_TEST = 15_000, 10_000
"""Images that classifiers are trained and measured on, drawn from more: evenly spaced rows would miss classes where
these take turns in the file."""

MOST_VALUES = 8 * 10**7
"""Values of all the features held at a time: with longer ones there are fewer images."""

_HELD_OUT = 0.2
"""The share of images that are held out where no others are named."""


@dataclass(frozen=True)
class Selection:
    """Rows to train on and to measure on; `held_out` says in words what the second are."""

    train: Rows
    test: Rows
    held_out: str


def hold_out(path: object, count: int, parts: Parts, seed: int) -> Selection:
    """Divide the images of one file: by the parts of the run's training, else a fifth is drawn for the test."""
    if "train" in parts:
        name = "test" if "test" in parts else "validation"
        held_out = f"the run's own {name} images; those of its training train the probe"
        return Selection(parts["train"], parts[name], held_out)
    if count < 2:
        raise DataError(f"{path}: holds {count} image, a probe needs some to train on and some to test: give more")
    order = np.random.default_rng(derive(seed, "probe", "held out")).permutation(count)
    tested = max(1, round(_HELD_OUT * count))
    held_out = f"a fifth of the images, drawn with seed {seed}"
    return Selection(np.sort(order[tested:]), np.sort(order[:tested]), held_out)


def draw(rows: Rows, most: int, seed: int, purpose: str) -> Rows:
    """Return at most so many of these rows, in their order."""
    if len(rows) <= most:
        return rows
    chosen = np.random.default_rng(derive(seed, "probe", purpose)).permutation(len(rows))[:most]
    return rows[np.sort(chosen)]


def draw_of_each(path: object, rows: Rows, numbers: Classes, classes: Sequence[str], count: int, seed: int) -> Rows:
    """Return `count` rows of each of the classes that there are; DataError where one has fewer.

    `numbers` (n,) are the classes of the `rows` (n,), `classes` what they are called.
    """
    drawn = []
    for number in np.unique(numbers):
        own, name = rows[numbers == number], classes[number]
        if len(own) < count:
            raise DataError(
                f"{path}: class {name!a} has {len(own):,} training image{'s' if len(own) > 1 else ''}, "
                f"--labels-per-class {count:,} asks for more: ask for at most {len(own):,}, or give more images"
            )
        drawn.append(draw(own, count, seed, f"labels of {name}"))
    return np.sort(np.concatenate(drawn))

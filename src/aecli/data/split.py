"""Which rows of a file are for training, validation and test."""

from dataclasses import dataclass

import numpy as np

from aecli.core.errors import DataError
from aecli.core.rng import derive
from aecli.data.dataset import Rows


@dataclass(frozen=True)
class Split:
    """The rows of the training file used for training, validation and test: sorted, int64; test may have none."""

    train: Rows
    validation: Rows
    test: Rows

    def of(self, rows: Rows) -> "Split":
        """Return the same split of these rows of a larger file: its rows are positions among them, ascending."""
        return Split(rows[self.train], rows[self.validation], rows[self.test])


def split_indices(path: str, count: int, validation_split: float, seed: int, test_split: float = 0.0) -> Split:
    """Return a shuffled split: a function of the seed, at least one image in each part asked for."""
    needed = 3 if test_split else 2
    if count < needed:
        parts = "training, validation and test" if test_split else "training and validation"
        holds = f"{count} image{'s' if count > 1 else ''}"
        raise DataError(f"{path}: holds {holds}, {parts} need at least {needed}: give more images")
    held_out = min(max(1, round(count * validation_split)), count - needed + 1)
    kept_for_test = min(max(1, round(count * test_split)), count - held_out - 1) if test_split else 0
    order = np.random.default_rng(derive(seed, "split")).permutation(count)
    validation, test, train = np.split(order, [held_out, held_out + kept_for_test])
    return Split(np.sort(train), np.sort(validation), np.sort(test))

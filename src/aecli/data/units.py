"""Whether values are in the units of those that a model was trained on, as far as the values themselves tell."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from aecli.data.format import decide_value_range

Range = tuple[float, float]

_NO_CONTRAST, _LITTLE_CONTRAST = 0.01, 0.05
"""Shares of the range trained on: images that use less are of other units for certain, or are likely to be."""

_KNOWN: tuple[Range, ...] = ((0.0, 1.0), (-1.0, 1.0))


@dataclass(frozen=True)
class OtherUnits:
    """What values seem to be in place of the units trained on; `certain` where nothing else can be meant."""

    found: Range
    own: Range
    trained: Range
    certain: bool

    def __str__(self) -> str:
        scale = (self.trained[1] - self.trained[0]) / (self.own[1] - self.own[0])
        offset = self.trained[0] - self.own[0] * scale
        shift = f" {'+' if offset > 0 else '-'} {abs(offset):g}" if offset else ""
        seem = "are" if self.certain else "seem to be"
        found = f"values from {self.found[0]:g} to {self.found[1]:g}"
        return (
            f"{found} {seem} in units of [{self.own[0]:g}, {self.own[1]:g}], "
            f"the run was trained on [{self.trained[0]:g}, {self.trained[1]:g}]: give images * {scale:g}{shift}"
        )


def other_units(dtype: np.dtype[Any], low: float, high: float, trained: Range) -> OtherUnits | None:
    """Return how values from `low` to `high` differ from the units trained on, None where they may well be these."""
    own, _ = decide_value_range(dtype, low, high)
    share = (high - low) / (trained[1] - trained[0])
    if high == low:
        return None
    if own == trained and share < _LITTLE_CONTRAST:
        own = (low, high)
    if share < _NO_CONTRAST:
        return OtherUnits((low, high), own, trained, certain=True)
    if own == trained:
        return None
    if dtype.kind == "f" and own in _KNOWN:
        # No whole number of 0 to 255 becomes exactly 0 in [-1, 1]; what is below 0 is not in [0, 1].
        certain = trained in _KNOWN and (low == 0 if own == (0.0, 1.0) else low <= -0.5)
        return OtherUnits((low, high), own, trained, certain)
    if dtype.kind in "iu" and low >= 0 and own[1] < trained[1] and (dtype.itemsize > 1 or share < _LITTLE_CONTRAST):
        return OtherUnits((low, high), own, trained, certain=False)
    if share < _LITTLE_CONTRAST:
        return OtherUnits((low, high), (low, high), trained, certain=False)
    return None

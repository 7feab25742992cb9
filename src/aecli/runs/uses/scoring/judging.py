"""Scores judged by labels: how well they tell strange images from normal ones, and what is to be said of that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.runs.uses.proportions import wilson
from aecli.runs.uses.scoring.conformal import Interval, threshold
from aecli.runs.uses.scoring.detection import Auroc
from aecli.runs.uses.scoring.scores import Scores


@dataclass(frozen=True)
class Share:
    """How many of so many images were flagged."""

    count: int
    of: int

    @property
    def interval(self) -> Interval:
        """Where the share of more such images lies, 95 %."""
        return wilson(self.count, self.of)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"count": self.count, "of": self.of, "interval": [*self.interval]}


@dataclass(frozen=True)
class Judged:
    """How well one row of scores does; `caught` of the strange and `false_alarms` of the normal images are flagged.

    Both are None where there is no threshold.
    """

    auroc: Auroc
    caught: Share | None = None
    false_alarms: Share | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        shares = {"caught": self.caught, "false_alarms": self.false_alarms}
        area = {"auroc": self.auroc.area, "auroc_interval": [*self.auroc.interval]}
        return {**area, **{name: share and share.to_json() for name, share in shares.items()}}


def judge(scores: Scores, normal: NDArray[np.bool_], held_out: Scores | None, rate: float) -> dict[str, Judged]:
    """Judge every row of scores (N,), with a threshold of its own; at least one image is normal and one is not."""
    judged = {}
    for row, values in scores.items():
        auroc, caught, false_alarms = Auroc.of(values[~normal], values[normal]), None, None
        if held_out is not None:
            flagged = values > threshold(held_out[row], rate).value
            caught, false_alarms = (Share(int(flagged[kind].sum()), int(kind.sum())) for kind in (~normal, normal))
        judged[row] = Judged(auroc, caught, false_alarms)
    return judged


def verdicts(judged: Mapping[str, Judged], titles: Mapping[str, str]) -> list[str]:
    """Return what is to be said of the model's row, a line each; `titles` are what the rows are called."""
    ours = judged["model"].auroc
    lines = []
    if ours.interval[1] < 0.5:
        lines.append(
            f"AUROC {ours.area:.3f} is below 0.5: the strange images are simpler than the normal ones, and simple "
            f"images reconstruct better: train on one kind of normal images (ae train --only-label)"
        )
    for row, title in titles.items():
        if row == "model":
            continue
        theirs = judged[row].auroc
        difference, (low, high) = ours.less(theirs)
        if low <= 0:
            subject = "The mean image" if row == "mean_image" else title
            lines.append(
                f"{subject} tells them apart {'better' if high < 0 else 'as well'}: AUROC {theirs.area:.3f} against "
                f"{ours.area:.3f} (difference {difference:+.3f} [{low:+.3f}, {high:+.3f}])"
            )
    return lines

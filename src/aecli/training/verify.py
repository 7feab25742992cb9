"""Verifying a run: trained again from what it holds, does it come out the same?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aecli.runs.config import Config
from aecli.runs.provenance import environment_differences
from aecli.runs.records import EpochRecord
from aecli.runs.run import Run
from aecli.training.engines.engine import DEFAULT_ENGINE, EngineSource
from aecli.training.progress import Progress
from aecli.training.trainer import Rerun, Trainer

_QUICK = 3
"""Epochs that a quick look trains."""


@dataclass(frozen=True)
class VerifyResult:
    """What training `epochs` of a run's `of` epochs again gave.

    `difference` is the first number that differs, None where all are identical, `changed` what differs of the
    versions and of the machine. `weights_sha256` is None where the weights could not be compared.
    """

    epochs: int
    of: int
    difference: str | None
    changed: Sequence[str]
    weights_sha256: str | None


def verify(
    run: Run,
    config: Config,
    progress: Progress,
    device: str = "auto",
    quick: bool = False,
    engine: EngineSource = DEFAULT_ENGINE,
) -> VerifyResult:
    """Train a complete run again, or its first _QUICK epochs; compare losses, learning rates and weights bit for bit.

    `config` is the run's own, with the place of its images. Raises AeError where the run is not complete, or the
    images are not those that it was trained on.
    """
    run.require_complete()
    history = run.history
    epochs = min(_QUICK, len(history)) if quick else config.training.epochs
    again = Trainer(device, engine=engine).repeat(run, config, epochs, progress)
    compared = again.weights_sha256 if "weights_sha256" in run.metrics else None
    return VerifyResult(
        len(again.records),
        len(history),
        _first_difference(run, history, again, quick),
        environment_differences(run.environment, again.environment),
        compared,
    )


def _numbers(record: EpochRecord) -> dict[str, float]:
    """Return what must come out the same of an epoch: all but the time it took."""
    names = ("epoch", "loss", "val_loss", "learning_rate")
    return {**{name: getattr(record, name) for name in names}, **record.terms}


def _first_difference(run: Run, history: Sequence[EpochRecord], again: Rerun, quick: bool) -> str | None:
    for part in ("train", "validation", "test"):
        if not np.array_equal(getattr(run.split, part), getattr(again.split, part)):
            return f"the rows for {part} in {run.split_file}"
    for recorded, repeated in zip(history, again.records, strict=False):
        numbers = _numbers(repeated)
        for name, number in _numbers(recorded).items():
            if number != numbers.get(name):
                return f"{name} of epoch {recorded.epoch}: {number!r} in the run, {numbers.get(name)!r} now"
    if not quick and len(history) != len(again.records):
        return f"epochs: {len(history)} in the run, {len(again.records)} now"
    before, now = run.metrics.get("weights_sha256"), again.weights_sha256
    if before and now and before != now:
        return f"weights: their SHA-256 is {before[:12]}... in the run, {now[:12]}... now; all losses are equal"
    return None

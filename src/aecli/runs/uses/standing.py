"""How a network stands to what it has to be compared with, in one sentence."""

import math
from collections.abc import Mapping
from typing import Any

from aecli.runs.metrics import METRICS

Means = Mapping[str, Any]
"""The means of the metrics of one row of a summary, by name; None where there is none."""

_BESIDE = {
    "best_linear": "the best linear code", "pca": "PCA with the same code length", "mean_image": "the mean image",
}  # fmt: skip
"""Row of a summary -> what the sentence calls it, the hardest to beat first; what a summary lacks is left out."""

_ALIKE = 0.01
"""A share of the mse by which a network must be better or worse for the sentence to call it so."""

_EXACT = 1e-12
"""Below this an mse is rounding."""

_BETTER, _ALIKE_WORDS, _WORSE = "better than", "no better than", "worse than"

_UNLIKE = "they may be unlike those of its training: train it on images like these"
_NOTHING_LEARNED = "try a lower training.learning_rate or another model.activation; ae plot health shows the layers"
_TRY = "try more training.epochs, or what ae suggest says of such images"


def standing(
    rows: Mapping[str, Means], images: str = "these images", usual: Mapping[str, Means] | None = None
) -> str | None:
    """Return how the row `model` of a summary stands to its other rows; None where there is nothing to compare.

    The mse decides. `usual` are the rows of images like those of the training, where these may be others.
    """
    verdicts = _verdicts(rows)
    if not verdicts:
        return None
    numbers = {name: _numbers(rows["model"], rows[name], verdict) for name, verdict in verdicts.items()}
    parts = [f"{verdict} {_BESIDE[name]} ({numbers[name]})" for name, verdict in verdicts.items()]
    listed = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    cure = _cure(verdicts, _verdicts(usual or {}))
    return f"On {images} the network reconstructs {listed}{f': {cure}' if cure else ''}."


def _verdicts(rows: Mapping[str, Means]) -> dict[str, str]:
    """Return how the model stands to every other row that there is."""
    errors = {name: rows[name].get("mse") for name in ("model", *_BESIDE) if name in rows}
    if errors.get("best_linear") == errors.get("pca"):  # PCA is the best linear code
        errors.pop("best_linear", None)
    known = {name: error for name, error in errors.items() if error is not None}
    ours = known.pop("model", None)
    return {} if ours is None else {name: _verdict(ours, error) for name, error in known.items()}


def _verdict(error: float, other: float) -> str:
    if abs(error - other) <= max(_ALIKE * other, _EXACT):
        return _ALIKE_WORDS
    return _BETTER if error < other else _WORSE


def _numbers(model: Means, other: Means, verdict: str) -> str:
    """Return the psnr of both; their mse where the psnr, a mean of decibels, would not say the same."""
    ours, theirs = model.get("psnr"), other.get("psnr")
    # Exact copies are in the mse alone.
    if ours is None or theirs is None or model.get("exact_copies") or other.get("exact_copies"):
        return f"mse {model['mse']:.4g} against {other['mse']:.4g}"
    if _verdict(_error(ours), _error(theirs)) != verdict:
        return f"mse {model['mse']:.4g} against {other['mse']:.4g}"
    psnr = METRICS["psnr"]
    return f"{psnr.text(ours)} against {psnr.text(theirs)} dB"


def _error(decibels: float) -> float:
    """Return the mse of an image with this psnr."""
    return math.pow(10, -decibels / 10)


def _cure(verdicts: Mapping[str, str], usual: Mapping[str, str]) -> str:
    """Return what to try where the network is not better, "" where it is."""
    lost = [name for name, verdict in verdicts.items() if verdict != _BETTER]
    if not lost:
        return ""
    if any(usual.get(name) == _BETTER for name in lost):
        return _UNLIKE
    return _NOTHING_LEARNED if "mean_image" in lost else _TRY

"""What the training images say before the first step: the baselines, and where the network begins."""

import numpy as np

from aecli.data.dataset import ImageDataset, Rows
from aecli.data.format import Images
from aecli.models.code import gains_of
from aecli.models.family import Family
from aecli.models.linear.code import LinearCode
from aecli.models.linear.fit import LinearCodes, fit_linear_codes
from aecli.models.linear.start import MARGINS, Start, reachable
from aecli.runs.baselines import baselines_of
from aecli.runs.metrics import mse
from aecli.training.artifacts import SplitBaselines
from aecli.training.prepare import Prepared


def fit_split(prepared: Prepared) -> SplitBaselines:
    """Fit the linear codes of a config's code length to its training images."""
    split, length = prepared.split, prepared.code_length
    codes = fit_linear_codes(prepared.train, split.train, split.validation, length)
    return SplitBaselines(codes, baselines_of(codes, length), {})


def start_of(prepared: Prepared, codes: LinearCodes) -> Start:
    """Return where the network of a config begins."""
    model, length = prepared.model, prepared.code_length
    if model.path == "none":
        return Start(codes.mean, error=codes.pca.error(0))
    best = codes.best(length, None if model.path == "auto" else model.path)
    code = best.code(length)
    gains, error = gains_of(model.code, best.variances[:length], best.error(length), code.mean.size, length)
    margin = _margin(model, code, prepared.train, prepared.split.validation)
    return Start(codes.mean, code, margin, gains, error)


def _margin(model: Family, code: LinearCode, source: ImageDataset, rows: Rows) -> float:
    """Return the widest margin with which the network begins no worse than its linear code, over these images."""

    def errors(images: Images) -> list[float]:
        reconstructions = code.reconstruct(images)
        bounds = [reachable(model.output_activation, margin) for margin in MARGINS]
        begun = [np.clip(reconstructions, *bound) for bound in bounds]
        return [float(mse(images, other).sum()) for other in (reconstructions, *begun)]

    linear, *begun = np.sum([*source.map(errors, rows)], axis=0)
    return next((margin for margin, error in zip(MARGINS, begun, strict=True) if error <= linear), MARGINS[-1])

"""What the values of the images show: flat images and pixels, piles at the ends of the range, outliers, wrong axes."""

from collections.abc import Iterable

import numpy as np

from aecli.data.dataset import ROWS_NAMED, ImageDataset
from aecli.data.files.open import manifest_of
from aecli.data.format import Images
from aecli.runs.config import Config
from aecli.training.check.findings import Finding, constant_images, count_of, guessed_range, name_rows, plain_rows
from aecli.training.check.survey import Survey, Values, sample_of

_FAINT = 0.01
"""Contrast, as a share of the value range, below which an image is all but flat."""

_FAR = 6.0
"""Robust standard deviations from which an image is an outlier."""

_SMOOTHER = 0.8
"""By how much another order of the axes must smooth the images to be the likelier one."""


def value_findings(config: Config, survey: Survey) -> Iterable[Finding]:
    """Yield what the values of a source show."""
    source = survey.source
    yield from constant_images(source, np.flatnonzero(survey.constant).tolist())
    yield from _other_axes(source)
    yield from _few_bits(source)
    yield from _faint(survey)
    yield from _constant_pixels(survey)
    yield from _range_in_use(config, survey)
    yield _ends(survey)
    yield from _outliers(survey)


def _faint(survey: Survey) -> Iterable[Finding]:
    rows = np.flatnonzero((survey.contrast < _FAINT) & ~survey.constant)
    if len(rows):
        yield Finding(
            "note",
            "faint_images",
            f"{survey.source.file.name}: {count_of(len(rows))} of nearly one value, with a contrast below "
            f"{_FAINT:.0%} of the value range ({name_rows(survey.source, rows)}): look at them",
            {"count": len(rows), "rows": plain_rows(rows)},
        )


def _constant_pixels(survey: Survey) -> Iterable[Finding]:
    count, size = survey.constant_pixels, survey.pixel_low.size
    if count and len(survey.source) > 1:
        yield Finding(
            "note",
            "constant_pixels",
            f"{survey.source.file.name}: {count:,} of the {size:,} values of an image are the same in all images: "
            f"they lower every error, for they are soon learned",
            {"count": count, "values": size},
        )


def _range_in_use(config: Config, survey: Survey) -> Iterable[Finding]:
    source = survey.source
    low, high = float(survey.pixel_low.min()), float(survey.pixel_high.max())
    if source.file.dtype.kind != "b" and 0 < high - low < 0.5:
        yield Finding(
            "note",
            "range_hardly_used",
            f"{source.file.name}: the images use {high - low:.0%} of the value range: errors will look small; "
            f"data.value_range sets another",
            {"low": low, "high": high},
        )
    if guessed_range(config, source) or (source.file.dtype.kind in "ui" and source.file.dtype.itemsize > 1):
        values = sample_of(source).ravel()
        values = values[:: max(1, len(values) // 2**20)]
        least, most = (float(q) for q in np.quantile(values, (0.001, 0.999)))
        if most - least < 0.25 * (high - low):
            scale, (start, end) = source.format.scale_and_offset()[0], source.format.value_range
            inner = [start + least / scale, start + most / scale]
            yield Finding(
                "warning",
                "extremes_set_the_scale",
                f"{source.file.name}: nearly all values lie from {inner[0]:.4g} to {inner[1]:.4g}, a few extremes "
                f"stretch the value range to [{start:g}, {end:g}]: repair them, or set data.value_range",
                {"quantiles": inner, "value_range": [start, end]},
            )


def _few_bits(source: ImageDataset) -> Iterable[Finding]:
    """Yield a warning where pictures of 16 bits that use fewer were brought to 8 beside others."""
    manifest = manifest_of(source.file)
    if manifest is None or not manifest.depth_reduced or manifest.depth == 16:
        return
    yield Finding(
        "warning",
        "few_bits",
        f"{source.file.path.name}: {count_of(manifest.depth_reduced, 'picture')} of 16 bits with values that fit "
        f"{manifest.depth}: {2**manifest.depth - 1:,} became white beside pictures of 8 bits: give them alone, to keep "
        f"their bits, or bring all to one scale first",
        {"pictures": manifest.depth_reduced, "bits": manifest.depth},
    )


def _ends(survey: Survey) -> Finding:
    low, high = survey.source.format.value_range
    data = {"low": survey.black, "high": survey.white}
    if survey.black + survey.white == 1 and 0 < survey.black < 1:
        text = f"all values are {low:g} or {high:g}, {_share(survey.white)} of them {high:g}: "
        return Finding("note", "two_values", f"{text}training.loss: binary_crossentropy is made for such images", data)
    text = f"{_share(survey.black)} of the values are at the low end of the range ({low:g}), {_share(survey.white)} at "
    return Finding("note", "clipped", f"{text}the high end ({high:g}): background, or clipped", data)


def _share(share: float) -> str:
    return f"{share:.2g} %" if 0 < share < 0.0001 else f"{100 * share:.3g} %"


def robust_scores(values: Values) -> Values:
    """Return how many robust standard deviations each value lies from the median (N,).

    The deviation is 1.4826 times the median absolute deviation, as for normal values; where more than half are the
    same, 1.2533 times the mean absolute deviation. All 0 where all are the same.
    """
    apart = values - np.median(values)
    spread = 1.4826 * float(np.median(np.abs(apart))) or 1.2533 * float(np.abs(apart).mean())
    # Below float32's own precision, environment_differences are rounding.
    if spread <= 1e-6 * float(np.abs(values).max()):
        return np.zeros_like(values)
    return np.asarray(apart / spread, np.float32)


def _outliers(survey: Survey) -> Iterable[Finding]:
    scores, source = robust_scores(survey.distance), survey.source
    if len(scores) <= ROWS_NAMED:
        return
    farthest = np.argsort(-scores, kind="stable")[:ROWS_NAMED]
    count = int(np.count_nonzero(scores > _FAR))
    data = {
        "count": count,
        "rows": plain_rows(farthest),
        "scores": [round(float(score), 2) for score in scores[farthest]],
    }
    if count:
        text = (
            f"{count_of(count)} far from the mean image, by more than {_FAR:g} robust standard deviations "
            f"({name_rows(source, farthest[:count], count)}): look at {'it' if count == 1 else 'them'}"
        )
        yield Finding("note", "outliers", f"{source.file.name}: {text}", data)
    elif scores[farthest[0]] > 0:
        text = f"no outliers; farthest from the mean image are {name_rows(source, farthest[:3])}"
        yield Finding("note", "farthest", f"{source.file.name}: {text}", data)


def _other_axes(source: ImageDataset) -> Iterable[Finding]:
    """Yield a warning where another order of the axes makes the images much smoother."""
    height, width, channels = source.format.image_shape
    others = {}
    if channels > 1:
        others["planar"] = (channels, height, width)
    if len(source.format.sample_shape) == 1 and height != width:
        others["turned"] = (width, height, channels)
    if not others or min(height, width) < 8:
        return
    images = sample_of(source)
    own_roughness = _roughness(images)
    for name, shape in others.items():
        other = images.reshape(-1, *shape)
        if name == "planar":
            other = other.transpose(0, 2, 3, 1)
        if _roughness(other) >= _SMOOTHER * own_roughness:
            continue
        reshaped = f"reshape(-1, {channels}, {height}, {width}).transpose(0, 2, 3, 1)"
        text = f"the values seem to lie channel by channel, (C, H, W): save them again after {reshaped}"
        if name == "turned":
            text = f"the rows seem to be images of {width} x {height}: set data.image_shape: [{width}, {height}]"
        yield Finding("warning", "axes", f"{source.file.name}: {text}", {"looks_like": list(shape)})


def _roughness(images: Images) -> float:
    """Return the mean absolute difference of neighbouring pixels, down plus across."""
    return float(np.abs(np.diff(images, axis=1)).mean()) + float(np.abs(np.diff(images, axis=2)).mean())

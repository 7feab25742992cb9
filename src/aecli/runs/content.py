"""What the files of a run may hold: read within bounds and checked, since a run may come from a stranger."""

import stat
from collections.abc import Mapping
from math import inf, isfinite, prod
from pathlib import Path
from typing import Any, get_args

import numpy as np

from aecli.data.files.options import Color, DecodeOptions, Fit, WhichFrames, require_axes
from aecli.data.format import ImageFormat
from aecli.data.split import Split
from aecli.models.linear.code import LinearCode
from aecli.runs.baselines import Baselines
from aecli.runs.metrics import table_metrics

_MOST_TEXT = 64 * 2**20
"""Bytes of a text file of a run: a history of half a million epochs."""

_MOST_PIXELS = 10**8
"""Pixels of a picture that a run may ask others to become."""

_NUMBER = (int, float)
_MEAN = (*_NUMBER, type(None))
_ROWS, _LATER_ROWS = ("model", "pca", "mean_image"), ("best_linear",)

BASELINE_ARRAYS = ("mean", "components"), ("best_name", "best_scale", "best_directions")
"""The arrays of baselines.npz, and those that it may lack: of earlier versions, or where PCA is the best code."""


def read_text(path: Path) -> str:
    """Read a UTF-8 text file; ValueError where it is too large or no regular file."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a regular file")
    if status.st_size > _MOST_TEXT:
        raise ValueError(f"larger than {_MOST_TEXT >> 20} MB")
    with path.open("rb") as file:
        return file.read(_MOST_TEXT + 1).decode("utf-8")


def checked_metrics(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of metrics.json; ValueError where it is not what a training writes."""
    _require(content, {"epochs": int, "best_epoch": int, "seconds": _NUMBER, "pca_components": int, "splits": dict})
    dead = content.get("dead_latents") or []  # earlier versions did not look for them
    if not isinstance(dead, list) or any(type(latent) is not int or latent < 0 for latent in dead):
        raise ValueError("its dead latents are no list of latents")
    if "bits_per_image" in content:
        _require(content, {"bits_per_image": _NUMBER})
    _check_variational(content)
    splits = content["splits"]
    if not {"train", "validation"} <= set(splits) <= {"train", "validation", "test"}:
        raise ValueError("its splits are not those of a training")
    for part in splits.values():
        _require(part, {"images": int, **dict.fromkeys(_ROWS, dict)})
        for row in (part[name] for name in (*_ROWS, *_LATER_ROWS) if name in part):
            _require(
                row, {"exact_copies": int, "mse": _MEAN, **{m.name: _MEAN for m in table_metrics() if m.name in row}}
            )
    return content


def _check_variational(content: dict[str, Any]) -> None:
    """Raise ValueError where what it says of a variational network is not what a training writes."""
    latent_kl, fields = content.get("latent_kl", []), content.get("variational")
    if not isinstance(latent_kl, list) or not all(type(kl) in _NUMBER and isfinite(kl) for kl in latent_kl):
        raise ValueError("its latent_kl are no list of numbers")
    if fields is None:
        return
    _require(fields, {"distribution": str, "scale": _NUMBER, "sigma": _MEAN, "splits": dict})
    if not 0 < fields["scale"] < inf:
        raise ValueError("its scale is not above 0")
    for bound in fields["splits"].values():
        _require(bound, {"images": int, **dict.fromkeys(("neg_elbo", "reconstruction", "kl"), _NUMBER)})


def checked_environment(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of environment.json; ValueError where it is not what a training writes."""
    _require(content, {"data": dict, **{name: dict for name in ("versions", "machine") if name in content}})
    return checked_images(content)


def checked_images(content: dict[str, Any]) -> dict[str, Any]:
    """Return what says on which images it was trained and tested; an error of any kind where it says something else."""
    for fields in (content.get("data"), content.get("test")):
        if fields is not None:
            _require(fields, {"file": str, "sha256": str, "images": int, "format": dict})
            image_format_of(fields["format"])
    return content


def image_format_of(fields: Mapping[str, Any]) -> ImageFormat:
    """Return the format of images; an error of any kind where the fields are not those of one."""
    height, width, channels = map(int, fields["image_shape"])
    low, high = map(float, fields["value_range"])
    sample_shape = tuple(map(int, fields["sample_shape"]))
    if np.dtype(fields["dtype"]).kind not in "buif" or not -np.inf < low < high < np.inf:
        raise ValueError("its image format is not one of images")
    if min(height, width, channels) < 1 or prod(sample_shape) != height * width * channels:
        raise ValueError("its image shapes contradict each other")
    return ImageFormat(fields["dtype"], sample_shape, (height, width, channels), (low, high))


def baselines_from(arrays: Mapping[str, Any], shape: tuple[int, int, int]) -> Baselines:
    """Return what baselines.npz holds; ValueError where it is not of images of this shape."""
    mean, components = arrays["mean"], arrays["components"]
    if mean.dtype != np.float32 or components.dtype != np.float32:
        raise ValueError("its arrays are not float32")
    if mean.shape != shape or components.ndim != 2 or components.shape[1] != mean.size:
        raise ValueError("its images have another shape than the run's")
    return Baselines(mean, components, _best_linear_from(arrays, mean, components))


def arrays_of(baselines: Baselines) -> dict[str, Any]:
    """Return what baselines.npz is to hold."""
    arrays: dict[str, Any] = {"mean": baselines.mean, "components": baselines.components}
    best = baselines.best_linear
    if best is None:
        return arrays
    arrays |= {"best_name": np.frombuffer(best.name.encode(), np.uint8), "best_scale": best.scale}
    same = np.array_equal(best.directions, baselines.components)
    return arrays if same else {**arrays, "best_directions": best.directions}


def _best_linear_from(arrays: Mapping[str, Any], mean: Any, components: Any) -> LinearCode | None:
    if "best_name" not in arrays:
        return None
    name, scale, directions = arrays["best_name"], arrays["best_scale"], arrays.get("best_directions", components)
    if name.dtype != np.uint8 or scale.dtype != np.float32 or directions.dtype != np.float32:
        raise ValueError("its best linear code has arrays of other types")
    if name.ndim != 1 or scale.ndim != 1 or directions.shape != (len(scale), mean.size):
        raise ValueError("its best linear code has another shape than its images")
    return LinearCode(name.tobytes().decode("utf-8"), mean, directions, scale)


def split_from(arrays: Mapping[str, Any], count: int) -> Split:
    """Return the rows that split.npz holds; ValueError where they are not rows of a file of so many images."""
    parts = [arrays["train"], arrays["validation"], arrays.get("test", np.arange(0))]
    for i, rows in enumerate(parts):
        if rows.dtype != np.int64 or rows.ndim != 1 or not (len(rows) or i == 2):
            raise ValueError("its rows are not rows of the training file")
        if len(rows) and (rows.min() < 0 or rows.max() >= count):
            raise ValueError("its rows are not rows of the training file")
    return Split(*parts)


def decoding_of(fields: Mapping[str, Any]) -> DecodeOptions:
    """Return what was asked of pictures, from the fields of images in environment.json."""
    asked = fields.get("decoding") or {}
    size, fit, color = asked.get("size"), asked.get("fit", "crop"), asked.get("color", "auto")
    # Runs that do not say it are older than the choice.
    frames = asked.get("frames", "first")
    axes = None if asked.get("axes") is None else require_axes(str(asked["axes"]))
    height, width = map(int, size or (1, 1))
    if (
        fit not in get_args(Fit)
        or color not in get_args(Color)
        or frames not in get_args(WhichFrames)
        or min(height, width) < 1
        or height * width > _MOST_PIXELS
    ):
        raise ValueError("its decoding of pictures is unknown")
    return DecodeOptions((height, width) if size else None, fit, color, frames, axes=axes)


def _require(content: Any, kinds: Mapping[str, Any]) -> None:
    if not isinstance(content, dict):
        raise ValueError("an object is expected")
    for name, kind in kinds.items():
        value = content.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"{name} is missing or of another type")

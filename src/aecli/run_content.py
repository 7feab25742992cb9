"""What the files of a run may hold: read within bounds and checked, since a run may come from a stranger."""

import stat
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from aecli.images import ImageFormat

MOST_TEXT = 64 * 2**20
"""Bytes of a text file of a run: a history of half a million epochs."""

_NUMBER = (int, float)
_MEAN = (*_NUMBER, type(None))
_ROWS = ("model", "pca", "mean_image")
_METRICS = ("mae", "sse_per_image", "psnr", "ssim", "fvu")


def read_text(path: Path) -> str:
    """Read a UTF-8 text file; ValueError where it is too large or no regular file."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("not a regular file")
    if found.st_size > MOST_TEXT:
        raise ValueError(f"larger than {MOST_TEXT >> 20} MB")
    with path.open("rb") as file:
        return file.read(MOST_TEXT + 1).decode("utf-8")


def checked_metrics(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of metrics.json; ValueError where it is not what a training writes."""
    _require(content, {"epochs": int, "best_epoch": int, "seconds": _NUMBER, "pca_components": int, "splits": dict})
    splits = content["splits"]
    if not {"train", "validation"} <= set(splits) <= {"train", "validation", "test"}:
        raise ValueError("its splits are not those of a training")
    for part in splits.values():
        _require(part, {"images": int, **dict.fromkeys(_ROWS, dict)})
        for row in (part[name] for name in _ROWS):
            _require(row, {"exact_copies": int, "mse": _MEAN, **{name: _MEAN for name in _METRICS if name in row}})
    return content


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


def _require(content: Any, kinds: Mapping[str, Any]) -> None:
    if not isinstance(content, dict):
        raise ValueError("an object is expected")
    for name, kind in kinds.items():
        value = content.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"{name} is missing or of another type")

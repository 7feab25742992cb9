"""What a run came from: its images, versions and machine, and one hash of all that its result depends on."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, TypeVar

from aecli.core.machine import cores
from aecli.data.dataset import ImageDataset
from aecli.runs.config import FORMER, Config

_C = TypeVar("_C", bound=Config)

_NOT_IN_IDENTITY = ("train", "test", "memory_budget", "size", "fit", "color", "frames")
"""Keys of `data` that change nothing, or nothing but the values of the images, which are in it by their hash."""


def run_fingerprint(config: Config, data: Mapping[str, Any]) -> str:
    """Return a hash of all that a run's result depends on beside the machine: the config and the images' values.

    `data` holds the fields of the training and of the test images as in environment.json.
    """
    # Without defaults: a run is still the same when a later version has one more key.
    without = {"training": {"checkpoint_seconds"}, "data": set(_NOT_IN_IDENTITY)}
    keys = config.model_dump(mode="json", exclude_defaults=True, exclude=without)
    for section, former in FORMER.items():
        values = config.model_dump(mode="json")[section]
        named = {key: values[key] for key in former if key in values and values[key] != former[key]}
        keys[section] = {key: value for key, value in keys.get(section, {}).items() if key not in former} | named
    keys = {"data": {}, **{section: values for section, values in keys.items() if values}}
    images = [fields and fields["sha256"] for fields in (data["data"], data["test"])]
    return hashlib.sha256(json.dumps([keys, images], sort_keys=True).encode()).hexdigest()


def trajectory_hash(config: Config, data: Mapping[str, Any]) -> str:
    """Return a hash of all that every step of a training depends on: `run_fingerprint` but for the number of epochs.

    And which shifts it draws: a training that was begun when the largest ones came half as often cannot go on with
    others.
    """
    if config.training.schedule == "constant":
        training = config.training.model_copy(update={"epochs": 1})
        config = config.model_copy(update={"training": training})
    fingerprint = run_fingerprint(config, data)
    if config.data.augment is None or not config.data.augment.shift:
        return fingerprint
    return hashlib.sha256(f"{fingerprint}, even shifts".encode()).hexdigest()


def with_absolute_paths(config: _C) -> _C:
    """Return the config with its data files named from the root."""
    paths = {key: path.absolute() for key in ("train", "test") if (path := getattr(config.data, key)) is not None}
    return config.model_copy(update={"data": config.data.model_copy(update=paths)})


def describe_environment(
    devices: Sequence[str], versions: Mapping[str, str], variables: Sequence[str]
) -> dict[str, Any]:
    """Return the versions and the machine as environment.json has them.

    `devices`, `versions` and `variables` are what an engine says of itself.
    """
    packages = {name: version(name) for name in ("aecli", "keras", "numpy", "onnx", "onnxruntime")}
    return {
        "versions": {"python": platform.python_version(), **packages, **versions},
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "threads": cores(),
            "devices": list(devices),
            **({"variables": list(variables)} if variables else {}),
        },
    }


def environment_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in which versions and in what of the machine two contents of environment.json differ.

    A package that `ae` has no use for now is no difference of its own: that of `ae` says it.
    """
    versions = {name: then for name, then in (before.get("versions") or {}).items() if name in now["versions"]}
    pairs = [(versions, now["versions"]), (before.get("machine") or {}, now["machine"])]
    named = [(key, then.get(key), here.get(key)) for then, here in pairs for key in {**then, **here}]
    return [f"{key} {_words(then)}, now {_words(here)}" for key, then, here in named if then != here]


def _words(value: Any) -> str:
    return "none" if value is None else ", ".join(value) if isinstance(value, list) else str(value)


def data_fields(source: ImageDataset) -> dict[str, Any]:
    """Return what environment.json says of images: file, hash, count and format."""
    return {
        "file": str(source.file.path),
        "sha256": source.file.fingerprint(),
        "images": len(source),
        "format": asdict(source.format),
        "decoding": asdict(source.decoding),
    }

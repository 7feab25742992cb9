"""The keys of a config as the flat settings that trackers of experiments sort runs by."""

import json
from collections.abc import Mapping
from typing import Any

from aecli.runs.config import Config

Setting = bool | int | float | str


def flat_settings(config: Config) -> dict[str, Setting]:
    """Return every key of a config as it is written, e.g. model.latent_dim, with its value: lists and null as JSON."""
    found: dict[str, Setting] = {}

    def collect(value: Any, key: str) -> None:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                collect(inner, f"{key}.{name}" if key else str(name))
        else:
            found[key] = value if isinstance(value, (bool, int, float, str)) else json.dumps(value)

    collect(config.model_dump(mode="json"), "")
    return found
